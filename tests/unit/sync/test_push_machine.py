"""What the push machine does, by outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from sidecar.sync.machine.push import (
    Acknowledge,
    Effect,
    Hear,
    HelloAnswer,
    OutboxView,
    Push,
    PushAnswer,
    PushFenced,
    PushGap,
    PushMachine,
    SayHello,
    TakeNewIncarnation,
    Wait,
)
from tests.support.build import total
from tests.support.stores import MONTHLY

LINGER_US: Final = 50_000
T: Final = 1_000_000
"""Some instant."""
TOTALS: Final = (total(MONTHLY, 5, 5, 1),)


def view(waiting: int = 1, acknowledged: int = 0, incarnation: str = "life-1") -> OutboxView:
    return OutboxView(incarnation, acknowledged, waiting)


def new_machine(share: float = 0.5) -> PushMachine:
    return PushMachine(linger_us=LINGER_US, records_max=500, uniform=lambda: share)


def greeted(acknowledged: int = 0, incarnation: str = "life-1") -> PushMachine:
    """A machine that the plane knows."""
    machine = new_machine()
    machine.next_action(T, view(0, acknowledged, incarnation))
    machine.hello_answered(T, HelloAnswer(acknowledged, False, 0))
    return machine


def pushing(acknowledged: int = 0) -> PushMachine:
    """A machine that waits for the answer to a push."""
    machine = greeted(acknowledged)
    action = machine.next_action(T, view(500, acknowledged))
    assert Push("life-1", acknowledged + 1) == action
    return machine


def test_it_introduces_itself_first_also_with_nothing_to_send() -> None:
    assert SayHello("life-1") == new_machine().next_action(T, view(0))


def test_it_introduces_every_incarnation() -> None:
    assert SayHello("life-2") == greeted().next_action(T, view(1, 0, "life-2"))


def test_records_gather_for_a_while() -> None:
    machine = greeted()
    assert Wait(T + LINGER_US) == machine.next_action(T, view(1))
    assert Wait(T + LINGER_US) == machine.next_action(T + LINGER_US - 1, view(300))
    assert Push("life-1", 1) == machine.next_action(T + LINGER_US, view(300))


@pytest.mark.parametrize("waiting", [500, 501, 10_000])
def test_a_full_run_does_not_wait(waiting: int) -> None:
    assert Push("life-1", 1) == greeted().next_action(T, view(waiting))


def test_in_a_hurry_one_record_does_not_wait() -> None:
    assert Push("life-1", 1) == greeted().next_action(T, view(1), hurry=True)


def test_with_nothing_to_send_it_waits_also_in_a_hurry() -> None:
    machine = greeted()
    for hurry in (False, True):
        action = machine.next_action(T, view(0), hurry=hurry)
        assert isinstance(action, Wait)
        assert action.until_us > T


def test_gathering_starts_anew_after_the_outbox_was_empty() -> None:
    machine = greeted()
    machine.next_action(T, view(1))
    machine.next_action(T + 10, view(0))
    later = T + 2 * LINGER_US
    assert Wait(later + LINGER_US) == machine.next_action(later, view(1))


def test_a_push_starts_behind_what_is_acknowledged() -> None:
    assert Push("life-1", 8) == greeted(7).next_action(T, view(500, 7))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(HelloAnswer(7, False, 0), (Acknowledge("life-1", 7),), id="as far as we knew"),
        pytest.param(
            HelloAnswer(12, False, 0), (Acknowledge("life-1", 12),), id="an answer was lost"
        ),
        pytest.param(
            HelloAnswer(12, True, 9), (TakeNewIncarnation("life-1", 9, False),), id="fenced"
        ),
        pytest.param(
            HelloAnswer(3, True, 7), (TakeNewIncarnation("life-1", 7, True),), id="plane lost some"
        ),
    ],
)
def test_hello(answer: HelloAnswer, expected: tuple[Effect, ...]) -> None:
    machine = new_machine()
    machine.next_action(T, view(1, 7))
    assert expected == tuple(machine.hello_answered(T, answer))


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        pytest.param(PushFenced(9), TakeNewIncarnation("life-1", 9, False), id="another history"),
        pytest.param(PushGap(4), TakeNewIncarnation("life-1", 7, True), id="the plane lost some"),
        pytest.param(PushGap(11), Acknowledge("life-1", 10), id="the plane is ahead"),
    ],
)
def test_a_refused_push(refusal: PushGap | PushFenced, expected: Effect) -> None:
    assert (expected,) == tuple(pushing(7).push_refused(T, refusal))


def test_a_push_that_was_taken_is_acknowledged_before_its_totals_are_heard() -> None:
    effects = pushing().push_answered(T, PushAnswer(500, TOTALS))
    assert (Acknowledge("life-1", 500), Hear("life-1", TOTALS)) == tuple(effects)


def test_after_a_push_the_next_run_follows_at_once() -> None:
    machine = pushing()
    machine.push_answered(T, PushAnswer(500, ()))
    assert Push("life-1", 501) == machine.next_action(T, view(500, 500))


def test_a_new_incarnation_is_introduced_before_it_pushes() -> None:
    machine = pushing()
    machine.push_refused(T, PushFenced(0))
    assert SayHello("life-2") == machine.next_action(T + 50_000, view(500, 0, "life-2"))


@pytest.mark.parametrize("under_way", [False, True], ids=["hello", "push"])
def test_after_a_failure_it_waits_and_introduces_itself_again(under_way: bool) -> None:
    machine = pushing() if under_way else new_machine()
    if not under_way:
        machine.next_action(T, view())
    machine.failed(T)
    assert Wait(T + 50_000) == machine.next_action(T, view(500))
    assert SayHello("life-1") == machine.next_action(T + 50_000, view(500))


def test_failures_in_a_row_wait_longer_and_longer() -> None:
    machine, now_us, waits = new_machine(), T, []
    for _ in range(10):
        machine.next_action(now_us, view())
        machine.failed(now_us)
        action = machine.next_action(now_us, view())
        assert isinstance(action, Wait)
        waits.append(action.until_us - now_us)
        now_us = action.until_us
    assert [50_000 << n for n in range(7)] + [5_000_000] * 3 == waits


def waits_of(machine: PushMachine, exchange: Callable[[int], object], *, hurry: bool) -> list[int]:
    """How long it waits after each of ten exchanges that each begin with a greeting, or push."""
    now_us, waits = T, []
    for _ in range(10):
        exchange(now_us)
        action = machine.next_action(now_us, view(500), hurry=hurry)
        assert isinstance(action, Wait)
        waits.append(action.until_us - now_us)
        now_us = action.until_us
    return waits


@pytest.mark.parametrize("hurry", [False, True], ids=["at leisure", "in a hurry"])
@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(lambda machine, at: machine.failed(at), id="failing"),
        pytest.param(lambda machine, at: machine.push_refused(at, PushGap(99)), id="ahead"),
        pytest.param(lambda machine, at: machine.push_refused(at, PushFenced(0)), id="fenced"),
        pytest.param(
            lambda machine, at: machine.push_answered(at, PushAnswer(0, ())), id="taking nothing"
        ),
    ],
)
def test_what_brings_no_records_on_backs_off_although_greetings_succeed(
    outcome: Callable[[PushMachine, int], object], hurry: bool
) -> None:
    machine = new_machine()

    def exchange(now_us: int) -> None:
        action = machine.next_action(now_us, view(500), hurry=True)
        if isinstance(action, SayHello):
            machine.hello_answered(now_us, HelloAnswer(0, False, 0))
            action = machine.next_action(now_us, view(500), hurry=True)
        assert isinstance(action, Push)
        outcome(machine, now_us)

    assert [50_000 << n for n in range(7)] + [5_000_000] * 3 == waits_of(
        machine, exchange, hurry=hurry
    )


def test_greetings_that_are_fenced_back_off() -> None:
    machine = new_machine()

    def exchange(now_us: int) -> None:
        assert isinstance(machine.next_action(now_us, view(500)), SayHello)
        machine.hello_answered(now_us, HelloAnswer(0, True, 0))

    assert [50_000 << n for n in range(7)] + [5_000_000] * 3 == waits_of(
        machine, exchange, hurry=False
    )


def test_a_run_that_is_taken_ends_the_back_off() -> None:
    machine = pushing()
    for now_us in (T, 10 * T, 20 * T):
        machine.failed(now_us)
        machine.next_action(now_us + 9 * T, view())
    machine.hello_answered(40 * T, HelloAnswer(0, False, 0))
    machine.next_action(40 * T, view(500))
    machine.push_answered(40 * T, PushAnswer(500, ()))
    machine.next_action(40 * T, view(500, 500))
    machine.failed(40 * T)
    assert Wait(40 * T + 50_000) == machine.next_action(40 * T, view(500))


def test_a_greeting_ends_the_back_off_where_no_push_has_failed() -> None:
    machine = new_machine()
    for now_us in (T, 10 * T, 20 * T):
        machine.next_action(now_us, view(0))
        machine.failed(now_us)
    machine.next_action(40 * T, view(0))
    machine.hello_answered(40 * T, HelloAnswer(0, False, 0))
    machine.next_action(40 * T, view(500), hurry=True)
    machine.failed(40 * T)
    assert Wait(40 * T + 50_000) == machine.next_action(40 * T, view(500))


def test_a_plane_that_is_always_ahead_is_not_asked_in_a_loop() -> None:
    machine = pushing(7)
    machine.push_refused(T, PushGap(11))
    action = machine.next_action(T, view(500, 10))
    assert isinstance(action, Wait)
    assert action.until_us > T


def test_one_exchange_at_a_time() -> None:
    with pytest.raises(AssertionError):
        pushing().next_action(T, view(500))
