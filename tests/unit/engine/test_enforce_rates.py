"""Rates and THROTTLE limits on their way through the store, by a clock that the test sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import EntitlementGrant, Limit, Rate, RateLimit
from sidecar.domain.limits.rates import Bucket, late_us
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from sidecar.engine.enforce import Answer
from sidecar.engine.needs import Needs
from sidecar.storage import keys
from sidecar.storage.bucket_codec import encode_bucket
from sidecar.storage.sweep import Sweep
from tests.support.build import (
    NOW_US,
    SHADOW,
    SOFT,
    TEN_A_SECOND,
    catalog,
    check,
    company,
    limit,
    metered,
    rate_limit,
    throttled,
)
from tests.support.inside import Inside

TENTH_US: Final = SECOND_US // 10
BURST: Final = rate_limit("burst")
RECORD_ONLY: Final = GrantMode.RECORD_ONLY
LIMITED: Final = "RATE_LIMITED"
EXCEEDED: Final = "LIMIT_EXCEEDED"


def sidecar_of(limits: Sequence[Limit] = (), rates: Sequence[RateLimit] = ()) -> Inside:
    grant = EntitlementGrant("calls", limits=tuple(limits), rates=tuple(rates))
    return Inside(catalog({"basic": [grant]}), company())


def answer(sidecar: Inside, quantity: int = 1, **fields: Any) -> tuple[str, int]:
    """The reason, and the microseconds to wait."""
    decision = sidecar.decide(quantity, **fields).decision
    return Reason(decision.reason).name, decision.retry_after.ToMicroseconds()


def buckets(sidecar: Inside) -> int:
    return sum(key.startswith(keys.BUCKETS) for key in sidecar.contents())


def test_a_burst_passes_and_then_one_each_time_that_it_was_told_to_wait() -> None:
    sidecar = sidecar_of(rates=[BURST])
    assert ("ALLOWED", 0) == answer(sidecar, 20)
    for _ in range(5):
        assert (LIMITED, TENTH_US) == answer(sidecar)
        sidecar.now_us += TENTH_US - 1
        assert (LIMITED, 1) == answer(sidecar)
        sidecar.now_us += 1
        assert ("ALLOWED", 0) == answer(sidecar)


def test_a_rest_fills_the_burst_again_and_no_more() -> None:
    sidecar = sidecar_of(rates=[BURST])
    answer(sidecar, 20)
    sidecar.now_us += HOUR_US
    assert [("ALLOWED", 0), (LIMITED, TENTH_US)] == [answer(sidecar, 20), answer(sidecar)]


def test_a_rate_of_each_user_is_measured_by_itself() -> None:
    sidecar = sidecar_of(rates=[rate_limit("per_user", each=["user"])])
    found = [
        answer(sidecar, 20, dimensions={"user": user})[0] for user in ("ann", "bob", "ann", "")
    ]
    assert ["ALLOWED", "ALLOWED", LIMITED, "ALLOWED"] == found
    assert ("ALLOWED", 0) == answer(sidecar, 1000)
    assert 3 == buckets(sidecar)


def test_a_rate_of_fixed_values_leaves_others_alone() -> None:
    sidecar = sidecar_of(rates=[rate_limit("large", match={"model": "large"})])
    assert (LIMITED, 0) == answer(sidecar, 21, dimensions={"model": "large"})
    assert ("ALLOWED", 0) == answer(sidecar, 21, dimensions={"model": "small"})
    assert 0 == buckets(sidecar)


def test_a_bucket_survives_a_restart() -> None:
    sidecar = sidecar_of(rates=[BURST])
    answer(sidecar, 20)
    sidecar.now_us += TENTH_US // 2
    sidecar.reopen()
    assert (LIMITED, TENTH_US // 2) == answer(sidecar)


@pytest.mark.parametrize("back_us", [1, 30 * SECOND_US, HOUR_US, 365 * DAY_US])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_was_set_back_locks_nobody_out(back_us: int, restarts: bool) -> None:
    """What is in a bucket stays there, drains as it would have, and waits stay true."""
    sidecar = sidecar_of(rates=[BURST])
    answer(sidecar, 20)
    sidecar.now_us -= back_us
    if restarts:
        sidecar.reopen()
    assert (LIMITED, TENTH_US) == answer(sidecar)
    sidecar.now_us += TENTH_US
    assert [("ALLOWED", 0), (LIMITED, TENTH_US)] == [answer(sidecar), answer(sidecar)]
    answer(sidecar, 1, mode=RECORD_ONLY)
    assert (LIMITED, 2 * TENTH_US) == answer(sidecar)
    sidecar.now_us += 2 * TENTH_US
    assert ("ALLOWED", 0) == answer(sidecar)


def test_a_bucket_of_no_time_that_there_is_locks_nobody_out() -> None:
    sidecar = sidecar_of(rates=[BURST])
    answer(sidecar, 20)
    (key,) = [key for key in sidecar.contents() if key.startswith(keys.BUCKETS)]
    damaged = encode_bucket(Bucket(20 * SECOND_US, INT64_MAX), INT64_MAX, 1)
    sidecar.opened.store.transact(lambda transaction: transaction.keyspace.put(key, damaged))
    assert ("ALLOWED", 0) == answer(sidecar, 20)
    assert (LIMITED, TENTH_US) == answer(sidecar)


def test_what_was_used_while_a_throttle_limit_was_unlimited_is_no_burst_of_the_past() -> None:
    """The add-on that made it so is dropped: what is used stays used, and is let pass as slowly."""
    amounts: list[int | None] = [5, None, 5]
    sidecar = sidecar_of([throttled(amount=amounts[0])])
    assert ("ALLOWED", 0) == answer(sidecar, 5)
    for amount in amounts[1:]:
        grant = metered("calls", throttled(amount=amount))
        sidecar.apply(catalog({"basic": [grant]}))
        if amount is None:
            assert ("ALLOWED", 0) == answer(sidecar, 5000)
    assert 0 == buckets(sidecar)
    told = sidecar.decide(20).decision
    assert (True, 5025, 5020) == (told.allowed, told.binding_limit.used, told.binding_limit.overage)
    assert (LIMITED, TENTH_US) == answer(sidecar)


def test_another_speed_keeps_what_is_in_the_bucket() -> None:
    sidecar = sidecar_of(rates=[BURST])
    answer(sidecar, 20)
    faster = EntitlementGrant("calls", rates=(rate_limit("burst", Rate(20, SECOND_US, 40)),))
    sidecar.apply(catalog({"basic": [faster]}))
    assert [(LIMITED, TENTH_US // 2), ("ALLOWED", 0)] == [answer(sidecar, 21), answer(sidecar, 20)]


def test_recorded_usage_is_a_debt_that_drains_first() -> None:
    sidecar = sidecar_of(rates=[BURST])
    assert (LIMITED, 0) == answer(sidecar, 50, mode=RECORD_ONLY)
    assert (LIMITED, 31 * TENTH_US) == answer(sidecar)
    sidecar.now_us += 31 * TENTH_US
    assert ("ALLOWED", 0) == answer(sidecar)


def test_the_greatest_debt_is_told_and_kept() -> None:
    sidecar = sidecar_of(rates=[rate_limit("slow", Rate(1, 31 * DAY_US, 1))])
    answer(sidecar, INT64_MAX, mode=RECORD_ONLY)
    decision = sidecar.decide(1).decision
    ten_thousand_years = 315_576_000_000
    assert ten_thousand_years == decision.retry_after.seconds
    assert not decision.binding_limit.HasField("resets_at")


@pytest.mark.parametrize(
    ("age_us", "expected"),
    [
        pytest.param(0, LIMITED, id="now"),
        pytest.param(SECOND_US, LIMITED, id="a second ago"),
        pytest.param(late_us(TEN_A_SECOND), LIMITED, id="an hour ago"),
        pytest.param(late_us(TEN_A_SECOND) + 1, "ALLOWED", id="longer ago"),
    ],
)
def test_what_happened_in_a_busy_time_fills_the_bucket_unless_it_was_long_ago(
    age_us: int, expected: str
) -> None:
    sidecar = sidecar_of(rates=[BURST])
    sidecar.now_us -= age_us
    answer(sidecar, 20)
    sidecar.now_us += age_us
    answer(sidecar, 20, mode=RECORD_ONLY)
    answer(sidecar, 20, mode=RECORD_ONLY, at_us=sidecar.now_us - age_us)
    sidecar.now_us += 2 * SECOND_US
    assert expected == answer(sidecar, 20)[0]


AGES: Final = [
    pytest.param(TENTH_US, id="a little late"),
    pytest.param(100 * SECOND_US, id="late"),
    pytest.param(2 * HOUR_US, id="longer ago than a rate is met by reports"),
    pytest.param(34 * DAY_US, id="last month"),
    pytest.param(-MINUTE_US, id="in the near future"),
]
LIMITED_BY_A_RATE: Final = [
    pytest.param([], [BURST], id="rate"),
    pytest.param([throttled(amount=0)], [], id="throttle"),
]


@pytest.mark.parametrize("age_us", AGES)
@pytest.mark.parametrize(("limits", "rates"), LIMITED_BY_A_RATE)
def test_no_stamp_is_a_way_around_a_rate(
    limits: list[Limit], rates: list[RateLimit], age_us: int
) -> None:
    sidecar = sidecar_of(limits, rates)
    found = []
    for _ in range(40):
        sidecar.now_us += TENTH_US // 10
        found.append(answer(sidecar, at_us=sidecar.now_us - age_us)[0])
    # The burst, and what flows in during 390 ms.
    assert 20 + 39 // 10 == found.count("ALLOWED")


@pytest.mark.parametrize("age_us", AGES)
@pytest.mark.parametrize(("limits", "rates"), LIMITED_BY_A_RATE)
def test_a_retry_passes_after_the_wait_that_was_told_whatever_its_stamp(
    limits: list[Limit], rates: list[RateLimit], age_us: int
) -> None:
    sidecar = sidecar_of(limits, rates)
    at_us = NOW_US - age_us
    answer(sidecar, 20)
    reason, wait_us = answer(sidecar, 20, at_us=at_us)
    assert (LIMITED, 2 * SECOND_US) == (reason, wait_us)
    sidecar.now_us += wait_us
    assert ("ALLOWED", 0) == answer(sidecar, 20, at_us=at_us)


def test_events_that_are_reported_late_do_not_count_as_one_burst() -> None:
    sidecar = sidecar_of(rates=[BURST])
    for age in range(1000, 0, -1):
        answer(sidecar, 1, mode=RECORD_ONLY, at_us=NOW_US - age * TENTH_US)
    assert ("ALLOWED", 0) == answer(sidecar, 20)


def test_importing_the_usage_of_last_week_does_not_deny_what_happens_now() -> None:
    sidecar = sidecar_of(rates=[BURST])
    answer(sidecar, 10)
    for day in range(1, 8):
        answer(sidecar, 10_000, mode=RECORD_ONLY, at_us=NOW_US - day * DAY_US)
    assert ("ALLOWED", 0) == answer(sidecar, 10)


def test_a_shadow_rate_lets_pass_and_is_not_filled_by_what_it_would_deny() -> None:
    sidecar = sidecar_of(rates=[rate_limit("watched", enforcement=SHADOW)])
    told = [list(sidecar.decide(quantity).decision.shadow_denials) for quantity in (15, 6, 5, 1)]
    assert [[], ["watched"], [], ["watched"]] == told


def test_past_the_amount_the_slower_rate_decides_until_the_next_window() -> None:
    sidecar = sidecar_of([throttled("daily", 5, window=limit().window)])
    told = sidecar.decide(5).decision
    assert (True, []) == (told.allowed, list(told.throttled))
    told = sidecar.decide(20).decision
    assert (True, ["daily"]) == (told.allowed, list(told.throttled))
    assert (25, 0, 20) == (
        told.binding_limit.used,
        told.binding_limit.remaining,
        told.binding_limit.overage,
    )
    assert (10, 20) == (told.binding_limit.rate.count, told.binding_limit.rate.burst)
    assert (LIMITED, TENTH_US) == answer(sidecar)
    sidecar.now_us += TENTH_US
    assert ("ALLOWED", 0) == answer(sidecar)
    sidecar.now_us += 17 * DAY_US
    told = sidecar.decide(5).decision
    assert (True, []) == (told.allowed, list(told.throttled))


def test_the_bucket_past_a_throttle_limit_survives_a_restart() -> None:
    sidecar = sidecar_of([throttled(amount=5)])
    answer(sidecar, 25)
    sidecar.reopen()
    assert (LIMITED, TENTH_US) == answer(sidecar)


def test_within_the_amount_the_slower_rate_is_not_touched() -> None:
    sidecar = sidecar_of([throttled(amount=50)])
    for _ in range(10):
        answer(sidecar, 5)
    assert 0 == buckets(sidecar)
    answer(sidecar)
    assert 1 == buckets(sidecar)


def test_a_throttle_limit_of_each_user_has_a_bucket_for_each() -> None:
    sidecar = sidecar_of([throttled(amount=0, each=["user"])])
    found = [answer(sidecar, 20, dimensions={"user": user})[0] for user in ("ann", "bob", "ann")]
    assert ["ALLOWED", "ALLOWED", LIMITED] == found


def test_throttle_limits_that_count_the_same_thing_have_a_bucket_each() -> None:
    sidecar = sidecar_of([throttled("first", 5), throttled("second", 10)])
    assert ("ALLOWED", 0) == answer(sidecar, 20)
    assert 2 == buckets(sidecar)
    assert ("ALLOWED", 0) == answer(sidecar, 5)
    assert (LIMITED, TENTH_US) == answer(sidecar)


DENYING: Final = [
    pytest.param([limit("full", 0)], [], id="limit"),
    pytest.param([], [rate_limit("slow", Rate(1, MINUTE_US, 1))], id="rate"),
    pytest.param([throttled("t", 0, Rate(1, MINUTE_US, 1))], [], id="throttle"),
    pytest.param(
        [limit("full", 0), throttled("t", 0, Rate(1, MINUTE_US, 1))],
        [rate_limit("slow", Rate(1, MINUTE_US, 1))],
        id="all of them",
    ),
]


@pytest.mark.parametrize(("limits", "rates"), DENYING)
def test_a_denied_call_changes_no_byte_of_the_store(
    limits: list[Limit], rates: list[RateLimit]
) -> None:
    """Beside what denies there are a limit, a rate and a THROTTLE limit that would let it pass."""
    others = [limit("roomy", 1000), limit("soft", 5, SOFT), throttled("other", 5)]
    more = [rate_limit("wide"), rate_limit("watched", enforcement=SHADOW)]
    sidecar = sidecar_of([*others, *limits], [*more, *rates])
    answer(sidecar, 7, mode=RECORD_ONLY, key="before")
    before = sidecar.contents()
    for quantity in (3, 4):
        decision = sidecar.decide(quantity, key="denied").decision
        assert (False, 0) == (decision.allowed, decision.granted)
    assert before == sidecar.contents()


@pytest.mark.parametrize(("limits", "rates"), DENYING)
def test_in_a_batch_a_denied_call_leaves_what_the_others_count(
    limits: list[Limit], rates: list[RateLimit]
) -> None:
    denied = EntitlementGrant("calls", limits=tuple(limits), rates=tuple(rates))
    content = catalog({"basic": [denied, metered("other", throttled(amount=0))]})
    alone, together = Inside(content, company()), Inside(content, company())
    passing = [check(quantity=7, mode=RECORD_ONLY), check(feature="other", quantity=2)]
    alone.enforcer.check_and_increment_each(passing, NOW_US)
    passing[1:1] = [check(quantity=3), check(quantity=4)]
    outcomes = together.enforcer.check_and_increment_each([*passing, check(quantity=3)], NOW_US)
    assert not isinstance(outcomes, Needs)
    allowed = [isinstance(outcome, Answer) and outcome.decision.allowed for outcome in outcomes]
    assert [True, False, False, True, False] == allowed
    assert alone.contents() == together.contents()


def test_a_bucket_is_forgotten_once_nothing_can_meet_it_any_more() -> None:
    sidecar = sidecar_of(rates=[BURST])
    answer(sidecar, 20)
    sweep = Sweep(sidecar.opened.store)
    over_us = NOW_US + 2 * SECOND_US + late_us(TEN_A_SECOND)
    sweep.step(over_us - 1, 1000)
    assert 1 == buckets(sidecar)
    sweep.step(over_us, 1000)
    assert 0 == buckets(sidecar)
