"""Exact limits of the default plan, which stands in for companies that the plane does not have."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Catalog, FailAction, FailPolicy
from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.limits.reasons import BasisMode, FallbackCause, GrantMode, Reason
from sidecar.sync.next_windows import next_counter
from tests.support.build import DAY, NOW_US, catalog, company, counter_ref, limit, metered
from tests.support.inside import Inside
from tests.support.method_calls import COUNTING, call
from tests.support.sidecar_api import ask
from tests.support.stores import counter_key_of

FEW: Final = limit("few", 5)
DAILY: Final = limit("daily", 9, window=DAY)
NAME: Final = "stranger"


def content(policy: FailPolicy | None = None) -> Catalog:
    made = catalog(
        {
            "basic": [metered("calls", limit("many", 100)), metered("messages")],
            "free": [metered("calls", FEW), metered("messages", DAILY)],
        }
    )
    features = tuple(
        replace(feature, fail_policy=policy or FailPolicy()) for feature in made.features
    )
    return replace(made, features=features, default_plan="free")


def inside(policy: FailPolicy | None = None) -> Inside:
    return Inside(content(policy), company(), leases=True)


@pytest.fixture
def sidecar() -> Inside:
    """One that knows that the plane does not have the company."""
    found = inside()
    found.directory.remember_absent([NAME], INT64_MAX, found.revision)
    return found


def told(answer: pb.CheckAndIncrementResponse) -> tuple[Reason, int, BasisMode, str]:
    decision = answer.decision
    reason, mode = Reason(decision.reason), BasisMode(decision.basis.mode)
    return reason, decision.granted, mode, decision.basis.default_plan


def test_without_a_lease_nothing_passes(sidecar: Inside) -> None:
    answer = sidecar.decide(1, company=NAME)
    assert (Reason.LEASE_UNAVAILABLE, 0, BasisMode.LEASED, "free") == told(answer)
    assert [] == sidecar.records()


def test_what_a_lease_covers_passes_and_is_as_exact_as_for_a_company_that_is_there(
    sidecar: Inside,
) -> None:
    sidecar.leases.hold(FEW, 3, company=NAME)
    answer = sidecar.decide(2, company=NAME)
    assert (Reason.ALLOWED, 2, BasisMode.LEASED, "free") == told(answer)
    basis = answer.decision.basis
    assert basis.HasField("uncertainty")
    assert (0, 1) == (basis.uncertainty, basis.lease_remaining)
    assert Reason.LEASE_UNAVAILABLE is told(sidecar.decide(2, company=NAME))[0]


def test_what_has_happened_needs_none(sidecar: Inside) -> None:
    answer = sidecar.decide(7, company=NAME, mode=GrantMode.RECORD_ONLY)
    assert (Reason.LIMIT_EXCEEDED, 7, BasisMode.LOCAL, "free") == told(answer)


def test_with_a_plane_that_grants_none_each_sidecar_decides_by_itself(sidecar: Inside) -> None:
    sidecar.plane_status.leases = False
    answer = sidecar.decide(5, company=NAME)
    assert (Reason.ALLOWED, 5, BasisMode.LOCAL, "free") == told(answer)


def test_an_answer_without_a_lease_that_the_fail_policy_allows_names_the_plan() -> None:
    sidecar = inside(FailPolicy(no_lease=FailAction.ALLOW))
    sidecar.directory.remember_absent([NAME], INT64_MAX, sidecar.revision)
    answer = sidecar.decide(5, company=NAME)
    assert (Reason.ALLOWED, 5, BasisMode.FALLBACK, "free") == told(answer)
    assert FallbackCause.NO_LEASE is FallbackCause(answer.decision.basis.fallback)


def test_where_nothing_is_known_of_a_company_the_fail_policy_decides_without_a_lease() -> None:
    """It may be there, with limits of its own: nobody could lease those of the default plan."""
    sidecar = inside(FailPolicy(no_snapshot=FailAction.DEFAULT_PLAN))
    answer = sidecar.decide(4, company=NAME)
    assert (Reason.ALLOWED, 4, BasisMode.FALLBACK, "free") == told(answer)
    assert FallbackCause.NO_SNAPSHOT is FallbackCause(answer.decision.basis.fallback)
    assert Reason.LIMIT_EXCEEDED is told(sidecar.decide(2, company=NAME))[0]


@pytest.mark.parametrize("way", COUNTING)
async def test_a_call_waits_for_what_its_lease_lacks(way: str) -> None:
    sidecar = inside()
    sidecar.leases.available = 4
    granted = []
    for quantity in (3, 2, 1):
        (outcome,) = await call(way, sidecar, ask(company=NAME, quantity=quantity))
        granted.append(outcome.response.decision.granted)
    assert [3, 0, 1] == granted
    name = CounterName(NAME, "calls", counter_ref(FEW))
    assert [{name: 3}, {name: 2}, {name: 1}] == [needs for needs, _ in sidecar.leases.asked]


async def test_a_batch_asks_for_all_that_it_wants_of_a_counter_at_once() -> None:
    sidecar = inside()
    requests = [ask(company=name, quantity=2) for name in (NAME, "other", NAME)]
    outcomes = await call("batch", sidecar, *requests)
    assert [2, 2, 2] == [outcome.response.decision.granted for outcome in outcomes]
    (needs, _), *more = sidecar.leases.asked
    assert {NAME: 4, "other": 2} == {name.company: wanted for name, wanted in needs.items()}
    assert [] == more


async def test_no_lease_is_asked_for_under_what_cannot_be_a_name() -> None:
    """It would have the whole request refused, with what others wait for."""
    sidecar = inside()
    outcomes = await call("batch", sidecar, ask(company="a\nb"), ask(company=NAME))
    assert ["error", "response"] == [outcome.WhichOneof("outcome") for outcome in outcomes]
    assert [NAME] == [name.company for needs, _ in sidecar.leases.asked for name in needs]


def test_what_the_plane_lacks_is_no_longer_asked_for(sidecar: Inside) -> None:
    book = sidecar.plane_status.lease_book
    key = counter_key_of(counter_ref(FEW), NAME)
    book.note(key, LeaseStatus.EXHAUSTED, NOW_US + 10, 1)
    assert Reason.LIMIT_EXCEEDED is told(sidecar.decide(1, company=NAME))[0]


def test_the_next_window_has_a_lease_before_it_opens(sidecar: Inside) -> None:
    today = counter_ref(DAILY)
    found = next_counter(sidecar.directory, CounterName(NAME, "messages", today), NOW_US)
    assert found is not None
    assert (NAME, today.window.end_us) == (found.company, found.counter.window.start_us)


def test_once_the_company_is_there_its_own_limits_need_the_lease(sidecar: Inside) -> None:
    sidecar.leases.hold(FEW, 5, company=NAME)
    sidecar.decide(2, company=NAME)
    sidecar.apply(None, company(NAME))
    answer = sidecar.decide(3, company=NAME)
    assert (Reason.ALLOWED, 3, BasisMode.LEASED, "") == told(answer)
    assert Reason.LEASE_UNAVAILABLE is told(sidecar.decide(1, company=NAME))[0]
