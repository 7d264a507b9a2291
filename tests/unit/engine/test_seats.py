"""Seats at a sidecar: what it answers by itself, and what becomes of it without its plane."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.domain.catalog.model import FailAction
from sidecar.domain.errors import InvalidInput, Unavailable
from sidecar.domain.limits.reasons import BasisMode, FallbackCause, Reason
from sidecar.domain.seats.model import SeatRequest, SeatResult, SeatStatus
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.domain.time.windows import window_at
from sidecar.engine.needs import Needs
from sidecar.engine.seat_answers import SeatAsk
from sidecar.storage.sweep import Sweep
from tests.support.build import DAY, HARD, LIFETIME, SHADOW, SOFT, company, limit
from tests.support.inside import Inside
from tests.support.seats import (
    ACTIVE,
    NAMED,
    SWAPPED,
    SeatPlane,
    SeatSidecar,
    seats_catalog,
    status_of,
)

ASSIGNED: Final = SeatStatus.ASSIGNED
HELD: Final = SeatStatus.HELD
EXHAUSTED: Final = Reason.SEATS_EXHAUSTED.name
ALLOWED: Final = FailAction.ALLOW


def pods(
    *limits: object, number: int = 2, no_lease: FailAction = FailAction.DENY
) -> list[SeatSidecar]:
    """Sidecars of one plane."""
    content = seats_catalog(*limits, no_lease=no_lease)  # type: ignore[arg-type]
    insides = [Inside(content, company()) for _ in range(number)]
    plane = SeatPlane(content, now_us=insides[0].now_us)
    made = [SeatSidecar(inside, plane) for inside in insides]
    for pod in made:
        pod.hear()
    return made


def test_a_seat_that_is_held_is_answered_without_the_plane_also_after_a_restart() -> None:
    (pod,) = pods(NAMED, number=1)
    assert ASSIGNED is status_of(pod.acquire("ann"))
    pod.is_away = True
    assert HELD is status_of(pod.acquire("ann"))
    pod.inside.reopen()
    pod.open()
    assert HELD is status_of(pod.acquire("ann"))
    assert 1 == pod.asked


def test_the_same_holder_at_two_pods_has_one_seat() -> None:
    one, other = pods(NAMED)
    assert ASSIGNED is status_of(one.acquire("ann"))
    assert HELD is status_of(other.acquire("ann"))
    answer = other.acquire("bob")
    assert answer.decision.binding is not None
    assert (2, 1) == (answer.decision.binding.used, answer.decision.binding.left)


def test_no_seat_is_given_past_the_number_and_the_answer_names_the_limit() -> None:
    one, other = pods(NAMED)
    for holder in ("ann", "bob", "cat"):
        one.acquire(holder)
    answer = other.acquire("dan")
    assert EXHAUSTED == status_of(answer)
    assert (0, None) == (answer.decision.granted, answer.decision.retry_after_us)
    assert answer.decision.binding is not None
    assert ("named", 3) == (answer.decision.binding.id, answer.decision.binding.used)


def test_thresholds_that_a_seat_crosses_are_told_once() -> None:
    (pod,) = pods(limit("named", 4, HARD, LIFETIME), number=1)
    pod.acquire("ann")
    crossed = pod.acquire("bob").decision.warnings
    assert [50] == [warning.percent for warning in crossed]
    assert () == pod.acquire("bob").decision.warnings


def test_a_seat_that_was_given_back_elsewhere_is_none_once_that_is_heard() -> None:
    one, other = pods(NAMED)
    one.acquire("ann")
    assert other.release("ann").released
    one.hear()
    one.is_away = True
    assert Reason.LEASE_UNAVAILABLE.name == status_of(one.acquire("ann"))


def test_who_was_heard_of_needs_no_question() -> None:
    one, other = pods(NAMED)
    one.acquire("ann")
    other.hear()
    other.is_away = True
    assert HELD is status_of(other.acquire("ann"))


def test_an_answer_that_is_older_than_what_was_heard_is_not_kept() -> None:
    one, other = pods(NAMED)
    assert one.plane is not None
    request = SeatRequest("acme", "members", "ann", one.inside.now_us)
    late = one.plane.ask("00000000-0000-4000-8000-00000000000a", request, now_us=request.at_us)
    other.release("ann")
    one.hear()
    one.seats.take(late.results[0].seats, late.version, late.epoch)
    one.is_away = True
    assert Reason.LEASE_UNAVAILABLE.name == status_of(one.acquire("ann"))


def test_seats_of_a_window_count_whoever_came_in_it() -> None:
    (pod,) = pods(ACTIVE, number=1)
    for holder in ("ann", "bob", "cat"):
        assert ASSIGNED is status_of(pod.acquire(holder))
    day = window_at(DAY, pod.inside.now_us)
    gone = pod.release("ann")
    assert (False, day.end_us) == (gone.released, gone.counts_until_us)
    answer = pod.acquire("dan")
    assert (EXHAUSTED, day.end_us - pod.inside.now_us) == (
        status_of(answer),
        answer.decision.retry_after_us,
    )
    pod.inside.now_us = day.end_us
    assert ASSIGNED is status_of(pod.acquire("dan"))


def test_swaps_bound_how_many_holders_there_may_be_one_after_the_other() -> None:
    (pod,) = pods(SWAPPED, number=1)
    for holder in ("ann", "bob", "cat"):
        pod.acquire(holder)
    pod.release("ann")
    assert ASSIGNED is status_of(pod.acquire("dan"))
    pod.release("bob")
    answer = pod.acquire("eve")
    assert (EXHAUSTED, "named") == (status_of(answer), answer.swaps_used_up)
    assert ASSIGNED is status_of(pod.acquire("bob"))  # who comes back swaps nothing
    pod.release("bob")
    pod.inside.now_us += DAY_US
    assert ASSIGNED is status_of(pod.acquire("eve"))


def test_a_lowered_number_keeps_who_has_a_seat_and_refuses_others() -> None:
    one, other = pods(NAMED)
    assert one.plane is not None
    for holder in ("ann", "bob", "cat"):
        one.acquire(holder)
    fewer = seats_catalog(limit("named", 1, HARD, LIFETIME))
    one.plane.apply(fewer, now_us=one.inside.now_us)
    for pod in (one, other):
        pod.inside.apply(fewer)
        assert HELD is status_of(pod.acquire("cat"))
        assert EXHAUSTED == status_of(pod.acquire("dan"))
    one.release("ann")
    assert EXHAUSTED == status_of(one.acquire("ann"))


def test_limits_that_do_not_refuse_count_all_the_same() -> None:
    for enforcement in (SOFT, SHADOW):
        (pod,) = pods(limit("named", 1, enforcement, LIFETIME), number=1)
        pod.acquire("ann")
        answer = pod.acquire("bob")
        assert ASSIGNED is status_of(answer)
        assert (1 if enforcement is SOFT else 0) == answer.decision.overage
        assert (() if enforcement is SOFT else ("named",)) == answer.decision.shadow_denials


def test_without_a_limit_everybody_has_a_seat_and_nobody_is_asked() -> None:
    (pod,) = pods(number=1)
    answer = pod.acquire("ann")
    assert (HELD, 1, 0) == (status_of(answer), answer.decision.granted, pod.asked)


def test_without_the_plane_new_holders_are_denied() -> None:
    (pod,) = pods(NAMED, number=1)
    pod.acquire("ann")
    pod.is_away = True
    assert Reason.LEASE_UNAVAILABLE.name == status_of(pod.acquire("bob"))
    with pytest.raises(Unavailable) as refused:
        pod.release("ann")
    assert Reason.LEASE_UNAVAILABLE.name == refused.value.reason
    assert HELD is status_of(pod.acquire("ann"))


def test_without_the_plane_a_fail_policy_assigns_here_and_tells_it_later() -> None:
    one, other = pods(limit("named", 1, HARD, LIFETIME), no_lease=ALLOWED)
    assert one.plane is not None
    one.acquire("ann")
    other.is_away = True
    answer = other.acquire("bob")
    assert ASSIGNED is status_of(answer)
    assert (BasisMode.FALLBACK, FallbackCause.NO_LEASE) == (
        answer.basis.mode,
        answer.basis.fallback,
    )
    assert Reason.LEASE_UNAVAILABLE is answer.decision.would_deny
    other.inside.reopen()
    other.open()
    assert HELD is status_of(other.acquire("bob"))
    other.is_away = False
    other.tell()
    assert [] == other.seats.untold(10)
    one.hear()
    answer = one.acquire("bob")
    assert HELD is status_of(answer)
    assert EXHAUSTED == status_of(one.acquire("cat"))
    refused = one.acquire("cat").decision.binding
    assert refused is not None
    assert 2 == refused.used  # one more than there are


def test_without_the_plane_a_seat_is_given_back_here_and_that_is_told_later() -> None:
    one, other = pods(limit("named", 1, HARD, LIFETIME), no_lease=ALLOWED)
    one.acquire("ann")
    one.is_away = True
    one.inside.now_us += SECOND_US
    gone = one.release("ann")
    assert (True, BasisMode.FALLBACK) == (gone.released, gone.basis.mode)
    one.is_away = False
    one.tell()
    other.inside.now_us += 2 * SECOND_US
    assert ASSIGNED is status_of(other.acquire("bob"))


def test_what_was_done_without_the_plane_gives_way_to_what_came_after_it() -> None:
    one, other = pods(NAMED, no_lease=ALLOWED)
    one.is_away = True
    one.acquire("ann")
    other.inside.now_us += SECOND_US
    other.acquire("ann")
    other.inside.now_us += SECOND_US
    other.release("ann")
    one.is_away = False
    one.tell()
    one.hear()
    other.hear()
    other.is_away = True
    answer = other.acquire("ann")
    assert ASSIGNED is status_of(answer)  # here, by the fail policy: nobody has it
    assert BasisMode.FALLBACK is answer.basis.mode


def test_who_is_refused_is_told_still_if_a_seat_was_given_without_the_plane_meanwhile() -> None:
    one, other = pods(NAMED, no_lease=ALLOWED)
    for holder in ("bob", "cat", "dan"):
        other.acquire(holder)
    one.is_away = True
    one.acquire("ann")
    asked = SeatRequest("acme", "members", "ann", one.inside.now_us)
    refused = SeatResult(SeatStatus.EXHAUSTED)  # of a call that had to wait longer
    one.inside.opened.store.transact(lambda step: one.engine.told(step, asked, refused))
    one.is_away = False
    one.tell()
    assert HELD is status_of(other.acquire("ann"))


def test_a_reset_of_usage_takes_nobodys_named_seat() -> None:
    (pod,) = pods(NAMED, number=1)
    pod.acquire("ann")
    pod.inside.now_us += SECOND_US
    pod.inside.apply(None, company(), resets_usage=True)
    answer = pod.acquire("ann")
    assert HELD is status_of(answer)
    assert answer.decision.binding is not None
    assert 1 == answer.decision.binding.used


def test_a_feature_without_seats_is_refused_by_its_name() -> None:
    (pod,) = pods(NAMED, number=1)
    transact = pod.inside.opened.store.transact
    for release in (False, True):
        request = SeatRequest("acme", "calls", "ann", pod.inside.now_us, release)
        call = pod.engine.release if release else pod.engine.acquire
        with pytest.raises(InvalidInput) as refused:
            transact(lambda step: call(step, request))  # noqa: B023 - it is called here
        assert "feature" == refused.value.field


def test_a_company_that_is_not_known_is_asked_for_first() -> None:
    (pod,) = pods(NAMED, number=1)
    request = SeatRequest("globex", "members", "ann", pod.inside.now_us)
    found = pod.inside.opened.store.transact(lambda step: pod.engine.acquire(step, request))
    assert Needs(frozenset(("globex",))) == found


def test_a_sidecar_alone_gives_seats_by_itself() -> None:
    pod = SeatSidecar(Inside(seats_catalog(NAMED), company(), authority=True))
    for holder in ("ann", "bob", "cat"):
        assert ASSIGNED is status_of(pod.acquire(holder))
    assert EXHAUSTED == status_of(pod.acquire("dan"))
    assert pod.release("ann").released
    assert not pod.release("ann").released
    assert ASSIGNED is status_of(pod.acquire("dan"))


def test_seats_of_windows_that_are_over_are_forgotten() -> None:
    (pod,) = pods(ACTIVE, NAMED, number=1)
    pod.acquire("ann")
    store = pod.inside.opened.store
    assert (0, True) == Sweep(store).step(pod.inside.now_us, 1_000)
    forgotten, _ = Sweep(store).step(pod.inside.now_us + 3 * DAY_US, 1_000)
    assert 1 == forgotten
    pod.seats.begin_anew("another")
    forgotten, _ = Sweep(store).step(pod.inside.now_us + 3 * DAY_US, 1_000)
    assert 1 == forgotten


def test_nothing_that_was_known_is_relied_on_after_the_plane_lost_state() -> None:
    (pod,) = pods(NAMED, number=1)
    assert pod.plane is not None
    pod.acquire("ann")
    with pod.plane.store.write() as transaction:
        transaction.renew_epoch()
    pod.hear()
    assert HELD is status_of(pod.acquire("ann"))  # told anew
    pod.seats.begin_anew("")
    transact = pod.inside.opened.store.transact
    request = SeatRequest("acme", "members", "ann", pod.inside.now_us)
    asks = transact(lambda step: pod.engine.acquire(step, request))
    assert SeatAsk(replace(request)) == asks
