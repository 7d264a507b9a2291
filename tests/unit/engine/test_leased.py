"""What a check is answered by the leases that are held, by outcome; nobody grants any more."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog.model import (
    Across,
    Catalog,
    FailAction,
    FailPolicy,
    Feature,
    FeatureKind,
)
from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.limits.reasons import BasisMode, FallbackCause, GrantMode, Reason
from sidecar.domain.time.units import DAY_US
from tests.support.build import (
    DAY,
    NOW_US,
    SHADOW,
    SOFT,
    catalog,
    company,
    counter_ref,
    limit,
    metered,
    total,
)
from tests.support.inside import Inside
from tests.support.stores import counter_key_of

WHOLE: Final = limit("whole", 100)
EACH: Final = limit("each", 10, window=DAY, each=["user"])
CONTENT: Final = catalog(
    {
        "basic": [
            metered("calls", WHOLE),
            metered("messages", EACH, limit("whole", 50, window=DAY)),
            metered("eventual", replace(WHOLE, across=Across.EVENTUAL)),
            metered("soft", limit("whole", 5, SOFT)),
            metered("tried", limit("whole", 5, SHADOW)),
            metered("ever", limit("whole", None)),
            metered("mixed", limit("soft", 20, SOFT, DAY), WHOLE),
        ]
    }
)
ALLOWED: Final = Reason.ALLOWED
EXCEEDED: Final = Reason.LIMIT_EXCEEDED
UNLEASED: Final = Reason.LEASE_UNAVAILABLE


@pytest.fixture
def sidecar() -> Inside:
    return Inside(CONTENT, company(), leases=True)


def told(answer: pb.CheckAndIncrementResponse) -> tuple[Reason, int, int | None]:
    """Reason, what was granted, and what the lease has left; on the basis of a lease."""
    basis = answer.decision.basis
    assert BasisMode.LEASED is BasisMode(basis.mode)
    left = basis.lease_remaining if basis.HasField("lease_remaining") else None
    return Reason(answer.decision.reason), answer.decision.granted, left


def is_allowed_locally(answer: pb.CheckAndIncrementResponse) -> bool:
    """Whether limits alone allowed."""
    return answer.decision.allowed and BasisMode(answer.decision.basis.mode) is BasisMode.LOCAL


def test_what_a_lease_covers_is_allowed_by_it(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 7)
    answer = sidecar.decide(5)
    assert (ALLOWED, 5, 2) == told(answer)
    assert answer.decision.basis.HasField("uncertainty")
    assert 0 == answer.decision.basis.uncertainty
    assert (5, 95) == (answer.decision.binding_limit.used, answer.decision.binding_limit.remaining)


def test_what_a_lease_does_not_cover_is_denied_and_written_nowhere(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 4)
    before = sidecar.contents()
    answer = sidecar.decide(5, key="k")
    assert (UNLEASED, 0, 4) == told(answer)
    assert not answer.decision.basis.HasField("uncertainty")
    assert 100_000 == answer.decision.retry_after.ToMicroseconds()
    assert before == sidecar.contents()


def test_without_a_lease_nothing_passes_an_exact_limit(sidecar: Inside) -> None:
    assert (UNLEASED, 0, 0) == told(sidecar.decide(1))


def test_what_others_used_is_looked_at_before_the_lease(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 50)
    store = sidecar.opened.store
    sidecar.opened.counters.hear(store.incarnation.id, [total(counter_ref(WHOLE), 98, 0, 1)])
    assert (EXCEEDED, 0, 50) == told(sidecar.decide(3))
    assert (ALLOWED, 2, 48) == told(sidecar.decide(2))


def test_up_to_grants_what_the_lease_has(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 4)
    assert (ALLOWED, 4, 0) == told(sidecar.decide(9, mode=GrantMode.UP_TO))
    assert (UNLEASED, 0, 0) == told(sidecar.decide(9, mode=GrantMode.UP_TO))


def test_where_the_plane_has_less_the_limit_is_exceeded_until_it_is_asked_again(
    sidecar: Inside,
) -> None:
    key = counter_key_of(counter_ref(WHOLE))
    sidecar.plane_status.lease_book.note(key, LeaseStatus.EXHAUSTED, NOW_US + 10, 3)
    assert (EXCEEDED, 0, 0) == told(sidecar.decide(3))
    assert (UNLEASED, 0, 0) == told(sidecar.decide(2))
    sidecar.now_us += 10
    assert (UNLEASED, 0, 0) == told(sidecar.decide(3))


def test_a_lease_is_over_at_its_instant(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 9, valid_until_us=NOW_US + 1)
    assert (ALLOWED, 1, 8) == told(sidecar.decide(1))
    sidecar.now_us += 1
    assert (UNLEASED, 0, 0) == told(sidecar.decide(1))


def test_a_lease_of_a_higher_limit_is_spent_no_more_once_a_lower_one_is_known(
    sidecar: Inside,
) -> None:
    sidecar.leases.hold(WHOLE, 9, amount=101)
    assert (UNLEASED, 0, 0) == told(sidecar.decide(1))


def test_a_lease_of_a_lower_limit_goes_on_under_a_higher_one(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 9, amount=50)
    assert (ALLOWED, 1, 8) == told(sidecar.decide(1))


def test_a_new_incarnation_has_no_lease(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 9)
    sidecar.decide(2)
    sidecar.reopen(power_lost=True)
    answer = sidecar.decide(1)
    assert (UNLEASED, 0, 0) == told(answer)
    assert 2 == answer.decision.binding_limit.used


def test_what_has_happened_is_recorded_past_the_lease(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 4)
    answer = sidecar.decide(6, mode=GrantMode.RECORD_ONLY)
    assert is_allowed_locally(answer)
    assert (UNLEASED, 0, 0) == told(sidecar.decide(1))


def test_a_quantity_of_0_needs_no_lease(sidecar: Inside) -> None:
    answer = sidecar.decide(0)
    assert is_allowed_locally(answer)


@pytest.mark.parametrize("feature", ["eventual", "soft", "tried", "ever"])
def test_limits_that_are_not_exact_need_no_lease(sidecar: Inside, feature: str) -> None:
    answer = sidecar.decide(3, feature)
    assert is_allowed_locally(answer)
    assert not answer.decision.basis.HasField("lease_remaining")


def test_with_a_plane_that_grants_none_limits_decide_alone() -> None:
    sidecar = Inside(CONTENT, company())
    assert is_allowed_locally(sidecar.decide(100))
    assert Reason.LIMIT_EXCEEDED is Reason(sidecar.decide(1).decision.reason)


def test_once_the_plane_grants_none_any_more_limits_decide_alone(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 4)
    assert (ALLOWED, 4, 0) == told(sidecar.decide(4))
    sidecar.plane_status.leases = False
    answer = sidecar.decide(5)
    assert is_allowed_locally(answer)


def test_of_several_exact_limits_each_needs_a_lease_and_the_smallest_is_told(
    sidecar: Inside,
) -> None:
    day = limit("whole", 50, window=DAY)
    sidecar.leases.hold(EACH, 3, ("ann",), feature="messages")
    ann = {"user": "ann"}
    assert (UNLEASED, 0, 0) == told(sidecar.decide(2, "messages", dimensions=ann))
    sidecar.leases.hold(day, 40, feature="messages")
    assert (ALLOWED, 2, 1) == told(sidecar.decide(2, "messages", dimensions=ann))
    assert (UNLEASED, 0, 1) == told(sidecar.decide(2, "messages", dimensions=ann))
    assert (UNLEASED, 0, 0) == told(sidecar.decide(1, "messages", dimensions={"user": "bob"}))
    assert (ALLOWED, 38, 0) == told(sidecar.decide(38, "messages"))


def test_a_limit_that_is_not_exact_is_named_without_a_bound(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 30, feature="mixed")
    answer = sidecar.decide(5, "mixed")
    assert (ALLOWED, 5, 25) == told(answer)
    assert "soft" == answer.decision.binding_limit.limit
    assert not answer.decision.basis.HasField("uncertainty")


def test_where_somebody_counts_without_leases_no_bound_is_told(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 30)
    sidecar.plane_status.lease_book.note_exact("acme", False)
    answer = sidecar.decide(5)
    assert (ALLOWED, 5, 25) == told(answer)
    assert not answer.decision.basis.HasField("uncertainty")


def test_late_usage_is_counted_by_the_lease_of_its_window(sidecar: Inside) -> None:
    yesterday_us = NOW_US - DAY_US
    day = limit("whole", 50, window=DAY)
    sidecar.leases.hold(day, 3, feature="messages", at_us=yesterday_us)
    assert (ALLOWED, 2, 1) == told(sidecar.decide(2, "messages", at_us=yesterday_us))
    assert (UNLEASED, 0, 0) == told(sidecar.decide(1, "messages"))


def test_once_it_runs_low_a_lease_is_marked_to_be_refilled(sidecar: Inside) -> None:
    book, name = sidecar.plane_status.lease_book, CounterName("acme", "calls", counter_ref(WHOLE))
    sidecar.leases.hold(WHOLE, 9, refill_at=5)
    sidecar.decide(4)
    assert [] == book.take_due()
    sidecar.decide(1)
    assert [name] == book.take_due()
    sidecar.decide(1)
    assert [name] == book.take_due()


def with_policy(policy: FailPolicy) -> Catalog:
    features = (Feature("calls", FeatureKind.METERED, fail_policy=policy),)
    return replace(catalog({"basic": [metered("calls", WHOLE)]}), features=features)


@pytest.mark.parametrize(
    ("mode", "quantity", "granted"),
    [(GrantMode.ALL_OR_NOTHING, 9, 9), (GrantMode.UP_TO, 9, 9), (GrantMode.UP_TO, 999, 100)],
)
def test_the_fail_policy_may_allow_without_a_lease(
    mode: GrantMode, quantity: int, granted: int
) -> None:
    sidecar = Inside(with_policy(FailPolicy(no_lease=FailAction.ALLOW)), company(), leases=True)
    decision = sidecar.decide(quantity, mode=mode).decision
    reason, would_deny = Reason(decision.reason), Reason(decision.would_deny_reason)
    assert (ALLOWED, granted, UNLEASED) == (reason, decision.granted, would_deny)
    assert FallbackCause.NO_LEASE is FallbackCause(decision.basis.fallback)
    assert BasisMode.FALLBACK is BasisMode(decision.basis.mode)
    assert [granted] == [record.quantity for record in sidecar.records()]


def test_the_fail_policy_allows_nothing_past_what_is_known_to_be_used() -> None:
    sidecar = Inside(with_policy(FailPolicy(no_lease=FailAction.ALLOW)), company(), leases=True)
    assert (EXCEEDED, 0, 0) == told(sidecar.decide(101))
    key = counter_key_of(counter_ref(WHOLE))
    sidecar.plane_status.lease_book.note(key, LeaseStatus.EXHAUSTED, NOW_US + 10)
    assert (EXCEEDED, 0, 0) == told(sidecar.decide(1))


@pytest.mark.parametrize(
    ("quantity", "left", "expected"),
    [
        pytest.param(4, 0, (ALLOWED, 4), id="what the lease covers"),
        pytest.param(5, None, (ALLOWED, 5), id="what the plane would be asked for"),
        pytest.param(101, 4, (EXCEEDED, 0), id="what the limit lacks"),
    ],
)
def test_questions(
    sidecar: Inside, quantity: int, left: int | None, expected: tuple[Reason, int]
) -> None:
    sidecar.leases.hold(WHOLE, 4)
    found = sidecar.question(quantity)
    assert (BasisMode.LEASED, 0, left) == (
        found.basis.mode,
        found.basis.uncertainty,
        found.basis.lease_remaining,
    )
    assert expected == (found.decision.reason, found.decision.granted)


def test_a_question_about_a_limit_of_which_nothing_is_leased_here_says_that_it_is_exact(
    sidecar: Inside,
) -> None:
    found = sidecar.question(1)
    assert (True, BasisMode.LEASED, 0, None) == (
        found.decision.allowed,
        found.basis.mode,
        found.basis.uncertainty,
        found.basis.lease_remaining,
    )
    sidecar.plane_status.lease_book.note_exact("acme", False)  # others know no leases
    assert sidecar.question(1).basis.uncertainty is None


def test_while_the_plane_is_away_a_question_is_told_what_a_check_gets(sidecar: Inside) -> None:
    sidecar.leases.hold(WHOLE, 4)
    sidecar.plane_status.connected = False
    assert (ALLOWED, UNLEASED) == tuple(
        sidecar.question(quantity).decision.reason for quantity in (4, 5)
    )
    lenient = Inside(with_policy(FailPolicy(no_lease=FailAction.ALLOW)), company(), leases=True)
    lenient.plane_status.connected = False
    found = lenient.question(5)
    assert (ALLOWED, FallbackCause.NO_LEASE) == (found.decision.reason, found.basis.fallback)
