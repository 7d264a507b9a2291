"""Calls that wait for a lease: what the plane is asked for, how often, and what comes of it."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog.model import FailAction, FailPolicy, Feature, FeatureKind
from sidecar.domain.errors import Exhausted
from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.limits.reasons import BasisMode, FallbackCause, Reason
from sidecar.engine.needs import LEASE_TRIES_MAX
from tests.support.build import DAY, NOW_US, catalog, company, counter_ref, limit, metered
from tests.support.inside import Inside
from tests.support.method_calls import COUNTING, Call, answer_of, call
from tests.support.sidecar_api import ask
from tests.support.stores import counter_key_of

WHOLE: Final = limit("whole", 100)
EACH: Final = limit("each", 10, window=DAY, each=["user"])
ALL_DAY: Final = limit("all_day", 50, window=DAY)
CONTENT: Final = catalog(
    {
        "basic": [
            metered("calls", WHOLE),
            metered("messages", EACH),
            metered("tokens", WHOLE, ALL_DAY),
        ]
    }
)
NAME: Final = CounterName("acme", "calls", counter_ref(WHOLE))
ALLOWED: Final = Reason.ALLOWED
EXCEEDED: Final = Reason.LIMIT_EXCEEDED
UNLEASED: Final = Reason.LEASE_UNAVAILABLE
UP_TO: Final = pb.GRANT_MODE_UP_TO


@pytest.fixture
def sidecar() -> Inside:
    return Inside(CONTENT, company(), leases=True)


def told(outcome: pb.CheckOutcome) -> tuple[Reason, int]:
    decision = outcome.response.decision
    assert BasisMode.LEASED is BasisMode(decision.basis.mode)
    return Reason(decision.reason), decision.granted


def wanted(sidecar: Inside) -> list[int]:
    """How much of the monthly counter was asked for, each time."""
    return [needs[NAME] for needs, _ in sidecar.leases.asked]


@pytest.mark.parametrize("way", COUNTING)
async def test_a_call_waits_for_what_its_lease_lacks(sidecar: Inside, way: str) -> None:
    (outcome,) = await call(way, sidecar, ask(quantity=5))
    assert (ALLOWED, 5) == told(outcome)
    assert [5] == wanted(sidecar)
    assert [5] == [record.quantity for record in sidecar.records()]


@pytest.mark.parametrize("way", COUNTING)
async def test_none_waits_while_there_is_a_lease(sidecar: Inside, way: str) -> None:
    sidecar.leases.hold(WHOLE, 9)
    (outcome,) = await call(way, sidecar, ask(quantity=5))
    assert (ALLOWED, 5) == told(outcome)
    assert [] == sidecar.leases.asked


@pytest.mark.parametrize("way", COUNTING)
async def test_none_waits_for_what_the_limit_itself_lacks(sidecar: Inside, way: str) -> None:
    (outcome,) = await call(way, sidecar, ask(quantity=101))
    assert (EXCEEDED, 0) == told(outcome)
    assert [] == sidecar.leases.asked


@pytest.mark.parametrize("way", COUNTING)
async def test_where_all_is_spent_the_limit_is_exceeded_and_the_next_call_does_not_ask(
    sidecar: Inside, way: str
) -> None:
    sidecar.leases.available = 4
    for _ in range(2):
        (outcome,) = await call(way, sidecar, ask(quantity=5))
        assert (EXCEEDED, 0) == told(outcome)
    assert [5] == wanted(sidecar)
    (outcome,) = await call(way, sidecar, ask(quantity=4))
    assert (ALLOWED, 4) == told(outcome)
    assert [5, 4] == wanted(sidecar)
    (outcome,) = await call(way, sidecar, ask(quantity=1))
    assert (EXCEEDED, 0) == told(outcome)


@pytest.mark.parametrize("way", COUNTING)
@pytest.mark.parametrize(
    "said", [LeaseStatus.RECALLING, LeaseStatus.RECOVERING, LeaseStatus.GONE, LeaseStatus.BEHIND]
)
async def test_where_it_stays_open_whether_there_is_enough_none_is_granted(
    sidecar: Inside, way: str, said: LeaseStatus
) -> None:
    sidecar.leases.says = said
    (outcome,) = await call(way, sidecar, ask(quantity=5))
    assert (UNLEASED, 0) == told(outcome)
    assert [5] == wanted(sidecar)


@pytest.mark.parametrize("way", COUNTING)
async def test_with_the_plane_away_what_is_leased_is_spent_and_nothing_more(
    sidecar: Inside, way: str
) -> None:
    sidecar.leases.hold(WHOLE, 3)
    sidecar.leases.away = True
    outcomes = [(await call(way, sidecar, ask(quantity=2)))[0] for _ in range(2)]
    assert [(ALLOWED, 2), (UNLEASED, 0)] == [told(outcome) for outcome in outcomes]


@pytest.mark.parametrize("way", COUNTING)
async def test_the_fail_policy_allows_once_the_plane_was_asked(way: str) -> None:
    policy = FailPolicy(no_lease=FailAction.ALLOW)
    features = (Feature("calls", FeatureKind.METERED, fail_policy=policy),)
    content = replace(catalog({"basic": [metered("calls", WHOLE)]}), features=features)
    sidecar = Inside(content, company(), leases=True)
    sidecar.leases.away = True
    (outcome,) = await call(way, sidecar, ask(quantity=5))
    decision = outcome.response.decision
    assert (ALLOWED, 5) == (Reason(decision.reason), decision.granted)
    assert FallbackCause.NO_LEASE is FallbackCause(decision.basis.fallback)
    assert [5] == wanted(sidecar)
    name, labels = "tallyd_fallback_decisions_total", {"cause": "NO_LEASE", "result": "allowed"}
    assert 1 == sidecar.metric(name, **labels)


async def test_a_lease_that_others_have_spent_is_asked_for_again(sidecar: Inside) -> None:
    left = [2]

    def spend() -> None:
        if left[0]:
            left[0] -= 1
            sidecar.decide(5)

    sidecar.leases.granted = spend
    (outcome,) = await call("check", sidecar, ask(quantity=5))
    assert (ALLOWED, 5) == told(outcome)
    assert [5, 5, 5] == wanted(sidecar)


async def test_a_lease_that_others_always_spend_is_given_up(sidecar: Inside) -> None:
    sidecar.leases.granted = lambda: sidecar.decide(5)
    (outcome,) = await call("check", sidecar, ask(quantity=5))
    assert (UNLEASED, 0) == told(outcome)
    assert [5] * LEASE_TRIES_MAX == wanted(sidecar)


async def test_up_to_is_given_what_a_few_rounds_find(sidecar: Inside) -> None:
    sidecar.leases.available = 13
    (outcome,) = await call("check", sidecar, ask(quantity=60, grant_mode=UP_TO))
    assert (ALLOWED, 7) == told(outcome)
    assert [60, 30, 15, 7] == wanted(sidecar)


async def test_up_to_asks_for_the_whole_at_first(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 3)
    (outcome,) = await call("check", sidecar, ask(quantity=200, grant_mode=UP_TO))
    assert (ALLOWED, 100) == told(outcome)
    assert [100] == wanted(sidecar)


async def test_up_to_nothing_is_exceeded(sidecar: Inside) -> None:
    sidecar.leases.available = 0
    (outcome,) = await call("check", sidecar, ask(quantity=3, grant_mode=UP_TO))
    assert (EXCEEDED, 0) == told(outcome)
    assert [3, 1] == wanted(sidecar)


async def test_where_one_of_two_limits_is_spent_the_other_is_not_asked_for(
    sidecar: Inside,
) -> None:
    whole, all_day = (CounterName("acme", "tokens", counter_ref(of)) for of in (WHOLE, ALL_DAY))
    key = counter_key_of(all_day.counter, "acme", "tokens")
    book = sidecar.plane_status.lease_book
    (outcome,) = await call("check", sidecar, ask("tokens", 5))
    assert (ALLOWED, 5) == told(outcome)
    book.note(key, LeaseStatus.EXHAUSTED, NOW_US + 1, 5)
    (outcome,) = await call("check", sidecar, ask("tokens", 5))
    assert (EXCEEDED, 0) == told(outcome)
    assert [{whole: 5, all_day: 5}] == [needs for needs, _ in sidecar.leases.asked]


async def test_a_batch_asks_for_all_of_its_checks_at_once(sidecar: Inside) -> None:
    requests = [ask(quantity=n) for n in (3, 4)]
    requests += [ask("messages", 2, dimensions={"user": user}) for user in ("ann", "bob", "ann")]
    outcomes = await call("batch", sidecar, *requests)
    assert [3, 4, 2, 2, 2] == [told(outcome)[1] for outcome in outcomes]
    [(needs, _)] = sidecar.leases.asked
    ann, bob = (CounterName("acme", "messages", counter_ref(EACH, (u,))) for u in ("ann", "bob"))
    assert {NAME: 7, ann: 4, bob: 2} == needs


async def test_a_batch_is_decided_in_order_by_what_there_is(sidecar: Inside) -> None:
    sidecar.leases.available = 6
    outcomes = await call("batch", sidecar, *[ask(quantity=2) for _ in range(5)])
    assert [10, 5] == wanted(sidecar)
    assert [(ALLOWED, 2)] * 2 + [(UNLEASED, 0)] * 3 == [told(outcome) for outcome in outcomes]


async def test_a_batch_asks_for_no_more_than_its_limits_have(sidecar: Inside) -> None:
    outcomes = await call("batch", sidecar, *[ask(quantity=40) for _ in range(4)])
    assert [100] == wanted(sidecar)
    assert [40, 40, 0, 0] == [told(outcome)[1] for outcome in outcomes]


async def test_a_batch_that_is_tried_again_asks_for_nothing(sidecar: Inside) -> None:
    requests = [ask(quantity=2, idempotency_key=f"k{n}") for n in range(3)]
    await call("batch", sidecar, *requests)
    outcomes = await call("batch", sidecar, *requests)
    assert all(outcome.response.replayed for outcome in outcomes)
    assert [6] == wanted(sidecar)


async def test_what_is_wrong_with_checks_of_a_batch_is_told_and_the_others_are_leased(
    sidecar: Inside,
) -> None:
    requests = [ask(quantity=-1), ask("none"), ask(company="nobody"), ask(quantity=2)]
    outcomes = await call("batch", sidecar, *requests)
    assert "checks[0].quantity" == outcomes[0].error.field
    reasons = [Reason(outcome.response.decision.reason) for outcome in outcomes[1:]]
    assert [Reason.UNKNOWN_FEATURE, Reason.UNKNOWN_COMPANY, ALLOWED] == reasons


async def test_reports_wait_for_no_lease(sidecar: Inside) -> None:
    (outcome,) = await call("record", sidecar, ask(quantity=500))
    assert outcome.response.decision.allowed
    assert [] == sidecar.leases.asked


async def test_questions_wait_for_no_lease(sidecar: Inside) -> None:
    (outcome,) = await call("question", sidecar, ask(quantity=5))
    assert outcome.response.decision.allowed
    assert [] == sidecar.leases.asked


async def test_a_source_is_told_how_long_the_caller_waits_still(sidecar: Inside) -> None:
    message = ask(quantity=5).SerializeToString()
    await answer_of(sidecar.methods.check_and_increment, message, 2.0)
    assert [2.0] == [seconds for _, seconds in sidecar.leases.asked]


async def test_a_call_of_an_unknown_company_gets_its_snapshot_and_then_its_lease() -> None:
    sidecar = Inside(CONTENT, leases=True)
    sidecar.plane.companies["acme"] = company()
    waiting = Call(ask(quantity=5).SerializeToString())
    sidecar.methods.check_and_increment(waiting)
    answer = pb.CheckAndIncrementResponse.FromString(await waiting.answered)
    assert answer.decision.allowed
    assert 1 == len(sidecar.plane.asked)
    assert [5] == wanted(sidecar)


@pytest.mark.parametrize("quantity", [3, 4])
async def test_where_too_many_calls_wait_it_is_decided_by_what_is_held(
    sidecar: Inside, quantity: int
) -> None:
    class Unwelcome(Call):
        def defer(self) -> None:
            raise Exhausted("", "too many calls are under way")

    sidecar.leases.hold(WHOLE, 3)
    requests = [ask(quantity=2), ask(quantity=quantity - 2)]
    batch = Unwelcome(pb.BatchCheckAndIncrementRequest(checks=requests).SerializeToString())
    sidecar.methods.batch_check_and_increment(batch)
    answer = pb.BatchCheckAndIncrementResponse.FromString(await batch.answered)
    last = (ALLOWED, 1) if quantity == 3 else (UNLEASED, 0)
    assert [(ALLOWED, 2), last] == [told(outcome) for outcome in answer.outcomes]
    one = Unwelcome(ask(quantity=quantity).SerializeToString())
    sidecar.methods.check_and_increment(one)
    decision = pb.CheckAndIncrementResponse.FromString(await one.answered).decision
    assert UNLEASED is Reason(decision.reason)
    assert [] == sidecar.leases.asked
