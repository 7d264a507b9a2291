"""What a check burns by the leases of a balance's sources that are held, by outcome."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog.model import FailAction, FailPolicy
from sidecar.domain.credits.sources import grant_source
from sidecar.domain.leases.model import Lease, LeaseStatus
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.limits.reasons import BasisMode, FallbackCause, GrantMode, Reason
from sidecar.storage.codec import StoredCounter
from sidecar.storage.transaction import Transaction
from tests.support.build import NOW_US, company, counter_ref
from tests.support.burning import CREDITS, costs, credits_catalog, one_off, parts_in, recurring
from tests.support.inside import Inside
from tests.support.method_calls import call
from tests.support.sidecar_api import ask
from tests.support.stores import counter_key_of

MONTHLY: Final = recurring(amount=100)
GIFT: Final = one_off("gift", 30, priority=5)
CONTENT: Final = credits_catalog({"calls": [costs(1)]}, MONTHLY)
MONTH: Final = counter_ref(MONTHLY)
GIVEN: Final = grant_source(GIFT.grant).counter


@pytest.fixture
def sidecar() -> Inside:
    inside = Inside(CONTENT, company(), leases=True)
    inside.grant(GIFT)
    return inside


def hold(inside: Inside, ref: CounterRef, granted: int, *, refill_at: int = 1_000) -> None:
    """Give the sidecar a lease of a source."""
    key = counter_key_of(ref, "acme", CREDITS)

    def work(transaction: Transaction) -> None:
        known = transaction.counter(key) or StoredCounter(0, 0, 0, ref.window.end_us)
        lease = Lease(granted, refill_at, ref.window.end_us, 0)
        transaction.put_counter(key, replace(known, lease=lease))

    inside.opened.store.transact(work)


def refused(inside: Inside, ref: CounterRef, status: LeaseStatus, quantity: int) -> None:
    """Let the plane have said that it has less of a source than somebody wanted."""
    key = counter_key_of(ref, "acme", CREDITS)
    inside.plane_status.lease_book.note(key, status, NOW_US + 100, quantity)


def told(answer: pb.CheckAndIncrementResponse) -> tuple[Reason, dict[str, int]]:
    (burned,) = answer.decision.burned
    return Reason(answer.decision.reason), parts_in(burned)


def test_what_is_held_burns_in_burn_order(sidecar: Inside) -> None:
    hold(sidecar, MONTH, 7)
    hold(sidecar, GIVEN, 5)
    answer = sidecar.decide(10)
    assert (Reason.ALLOWED, {"monthly": 7, "gift": 3}) == told(answer)
    assert BasisMode.LEASED is BasisMode(answer.decision.basis.mode)
    assert 120 == answer.decision.burned[0].left


def test_without_leases_enough_nothing_burns(sidecar: Inside) -> None:
    hold(sidecar, MONTH, 7)
    before = sidecar.contents()
    assert (Reason.LEASE_UNAVAILABLE, {}) == told(sidecar.decide(8, key="k"))
    assert before == sidecar.contents()


@pytest.mark.parametrize("status", [LeaseStatus.EXHAUSTED, LeaseStatus.GONE])
def test_what_the_plane_has_no_more_of_is_exhausted(sidecar: Inside, status: LeaseStatus) -> None:
    refused(sidecar, MONTH, status, 3)
    refused(sidecar, GIVEN, status, 1)
    assert Reason.CREDITS_EXHAUSTED is told(sidecar.decide(5))[0]


def test_what_who_is_not_there_holds_is_not_exhausted(sidecar: Inside) -> None:
    refused(sidecar, MONTH, LeaseStatus.WITHHELD, 3)
    refused(sidecar, GIVEN, LeaseStatus.EXHAUSTED, 1)
    assert Reason.LEASE_UNAVAILABLE is told(sidecar.decide(5))[0]


async def test_the_first_sources_are_asked_for_as_far_as_they_have_something(
    sidecar: Inside,
) -> None:
    hold(sidecar, MONTH, 20)
    answer = await _checked(sidecar, 110)
    assert (Reason.ALLOWED, {"monthly": 100, "gift": 10}) == told(answer)
    ((wanted, _),) = sidecar.leases.asked
    names = {CounterName("acme", CREDITS, MONTH): 100, CounterName("acme", CREDITS, GIVEN): 10}
    assert names == wanted


@pytest.mark.parametrize("held", [0, 3])
async def test_a_later_source_that_is_held_does_not_burn_before_one_that_can_be_had(
    sidecar: Inside, held: int
) -> None:
    hold(sidecar, MONTH, 100 if held else 1)
    hold(sidecar, GIVEN, 30)
    spent = 100 - held if held else 1
    assert (Reason.ALLOWED, {"monthly": spent}) == told(await _checked(sidecar, spent))
    answer = await _checked(sidecar, 10)
    expected = {"monthly": held, "gift": 10 - held} if held else {"monthly": 10}
    assert (Reason.ALLOWED, expected) == told(answer)
    assert bool(held) is not bool(sidecar.leases.asked)


@pytest.mark.parametrize("why", ["there is none", "the plane is away", "it was refused lately"])
async def test_a_later_source_burns_where_an_earlier_one_cannot_be_had(
    sidecar: Inside, why: str
) -> None:
    hold(sidecar, MONTH, 7)
    hold(sidecar, GIVEN, 30)
    sidecar.leases.available = 0
    sidecar.plane_status.connected = why != "the plane is away"
    if why == "it was refused lately":
        refused(sidecar, MONTH, LeaseStatus.EXHAUSTED, 10)
    assert (Reason.ALLOWED, {"monthly": 7, "gift": 3}) == told(await _checked(sidecar, 10))
    assert (1 if why == "there is none" else 0) == len(sidecar.leases.asked)
    assert (Reason.ALLOWED, {"gift": 5}) == told(await _checked(sidecar, 5))


async def test_what_costs_more_than_there_is_is_denied_without_asking(sidecar: Inside) -> None:
    answer = await _checked(sidecar, 131)
    assert Reason.CREDITS_EXHAUSTED is told(answer)[0]
    assert not sidecar.leases.asked


async def test_where_the_plane_is_away_the_fail_policy_decides() -> None:
    policy = FailPolicy(no_lease=FailAction.ALLOW)
    (calls, balance) = CONTENT.features
    content = replace(CONTENT, features=(replace(calls, fail_policy=policy), balance))
    inside = Inside(content, company(), leases=True)
    inside.leases.away = True
    hold(inside, MONTH, 3)
    answer = await _checked(inside, 5)
    decision = answer.decision
    assert (Reason.ALLOWED, {"monthly": 3}) == told(answer)
    assert Reason.LEASE_UNAVAILABLE is Reason(decision.would_deny_reason)
    assert FallbackCause.NO_LEASE is FallbackCause(decision.basis.fallback)
    (record,) = inside.records()
    assert ([3], [5]) == ([b.amount for b in record.burns], [c.amount for c in record.costs])


def test_what_has_happened_burns_what_is_held_alone(sidecar: Inside) -> None:
    hold(sidecar, GIVEN, 4)
    answer = sidecar.decide(50, mode=GrantMode.RECORD_ONLY)
    assert (Reason.ALLOWED, {"gift": 4}) == told(answer)


def test_a_source_past_its_refill_is_marked(sidecar: Inside) -> None:
    hold(sidecar, MONTH, 50, refill_at=10)
    sidecar.decide(9)
    assert [] == sidecar.plane_status.lease_book.take_due()
    sidecar.decide(1)
    assert [CounterName("acme", CREDITS, MONTH)] == sidecar.plane_status.lease_book.take_due()


def test_a_source_that_burns_sooner_than_what_is_held_is_asked_for(sidecar: Inside) -> None:
    hold(sidecar, GIVEN, 9)
    assert (Reason.ALLOWED, {"gift": 2}) == told(sidecar.decide(2))
    assert [CounterName("acme", CREDITS, MONTH)] == sidecar.plane_status.lease_book.take_due()


def test_nothing_burns_from_a_grant_that_is_no_longer_told(sidecar: Inside) -> None:
    hold(sidecar, GIVEN, 9)
    sidecar.grant()
    assert Reason.LEASE_UNAVAILABLE is told(sidecar.decide(2))[0]


def test_a_question_is_answered_by_the_whole_balance(sidecar: Inside) -> None:
    assert sidecar.allows(130)
    assert not sidecar.allows(131)
    sidecar.plane_status.connected = False
    assert not sidecar.allows(1)


async def _checked(inside: Inside, quantity: int) -> pb.CheckAndIncrementResponse:
    request = ask(quantity=quantity)
    (outcome,) = await call("check", inside, request)
    return outcome.response
