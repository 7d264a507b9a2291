"""What `decide` answers where exact limits need leases, by outcome."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.domain.leases.model import Lease
from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.limits.usage import (
    LEASE_WAIT_US,
    LeaseHeadroom,
    QuotaUsage,
)
from sidecar.domain.time.units import DAY_US, SECOND_US
from tests.support.build import DAY, NOW_US, SHADOW, SOFT, limit, rate_limit, rate_usage, usage

ALL: Final = GrantMode.ALL_OR_NOTHING
UP_TO: Final = GrantMode.UP_TO
ALLOWED: Final = Reason.ALLOWED
EXCEEDED: Final = Reason.LIMIT_EXCEEDED
UNLEASED: Final = Reason.LEASE_UNAVAILABLE
RATED: Final = Reason.RATE_LIMITED
TO_MIDNIGHT_US: Final = DAY_US // 2


def leased(
    left: int, used: int = 0, amount: int = 10, name: str = "a", exhausted_from: int | None = None
) -> QuotaUsage:
    """A daily limit with usage and a lease."""
    lease = LeaseHeadroom(left, exhausted_from)
    return replace(usage(limit(name, amount, window=DAY), used), lease=lease)


@pytest.mark.parametrize(
    ("usages", "rates", "quantity", "mode", "expected"),
    [
        pytest.param([leased(5)], [], 5, ALL, (ALLOWED, 5, None), id="all that is leased"),
        pytest.param([leased(5)], [], 6, ALL, (UNLEASED, 0, LEASE_WAIT_US), id="more than leased"),
        pytest.param([leased(0)], [], 1, ALL, (UNLEASED, 0, LEASE_WAIT_US), id="no lease"),
        pytest.param([leased(0)], [], 0, ALL, (ALLOWED, 0, None), id="nothing needs no lease"),
        pytest.param(
            [leased(5, used=9)], [], 2, ALL, (EXCEEDED, 0, TO_MIDNIGHT_US), id="more than is known"
        ),
        pytest.param([leased(0)], [], 11, ALL, (EXCEEDED, 0, None), id="more than the amount"),
        pytest.param(
            [leased(0, exhausted_from=1)],
            [],
            1,
            ALL,
            (EXCEEDED, 0, TO_MIDNIGHT_US),
            id="the plane has less",
        ),
        pytest.param(
            [replace(leased(0), lease=LeaseHeadroom(0, 1, withheld=True))],
            [],
            1,
            ALL,
            (UNLEASED, 0, LEASE_WAIT_US),
            id="who is gone holds it",
        ),
        pytest.param(
            [leased(0, exhausted_from=3)],
            [],
            2,
            ALL,
            (UNLEASED, 0, LEASE_WAIT_US),
            id="less than what the plane did not have",
        ),
        pytest.param(
            [leased(5, exhausted_from=3)],
            [],
            5,
            ALL,
            (ALLOWED, 5, None),
            id="leased, whatever the plane has",
        ),
        pytest.param([leased(4)], [], 9, UP_TO, (ALLOWED, 4, None), id="up to what is leased"),
        pytest.param(
            [leased(8, used=7)], [], 9, UP_TO, (ALLOWED, 3, None), id="up to what the limit has"
        ),
        pytest.param(
            [leased(0)], [], 9, UP_TO, (UNLEASED, 0, LEASE_WAIT_US), id="up to, without a lease"
        ),
        pytest.param(
            [leased(5), leased(2, name="b")],
            [],
            3,
            ALL,
            (UNLEASED, 0, LEASE_WAIT_US),
            id="one lease of two has too little",
        ),
        pytest.param(
            [leased(0), leased(5, used=10, name="b")],
            [],
            1,
            ALL,
            (EXCEEDED, 0, TO_MIDNIGHT_US),
            id="a limit that is used up comes before",
        ),
        pytest.param(
            [leased(0)],
            [rate_usage(rate_limit(), 20)],
            1,
            ALL,
            (RATED, 0, SECOND_US // 10),
            id="a rate that is full comes before",
        ),
        pytest.param(
            [leased(5), usage(limit("soft", 1, SOFT), 1), usage(limit("tried", 1, SHADOW), 1)],
            [],
            5,
            ALL,
            (ALLOWED, 5, None),
            id="others need none",
        ),
    ],
)
def test_outcomes(
    usages: list[QuotaUsage],
    rates: list[RateUsage],
    quantity: int,
    mode: GrantMode,
    expected: tuple[Reason, int, int | None],
) -> None:
    decision = decide(quantity, mode, usages, NOW_US, rates)
    assert expected == (decision.reason, decision.granted, decision.retry_after_us)
    assert decision.allowed is (decision.reason is ALLOWED)


def test_the_limit_that_lacks_a_lease_is_named() -> None:
    decision = decide(3, ALL, [leased(9, used=7), leased(2, name="b")], NOW_US)
    assert decision.binding is not None
    assert "b" == decision.binding.id


def test_what_is_left_of_a_lease_is_less_by_what_is_counted() -> None:
    decision = decide(3, ALL, [leased(5, used=2)], NOW_US)
    assert isinstance(decision.binding, QuotaUsage)
    assert (5, LeaseHeadroom(2)) == (decision.binding.used, decision.binding.lease)


@pytest.mark.parametrize(
    ("own", "amount", "at_us", "left"),
    [
        pytest.param(0, 10, NOW_US, 8, id="all of it"),
        pytest.param(5, 10, NOW_US, 3, id="less what was counted"),
        pytest.param(9, 10, NOW_US, 0, id="none where more was counted"),
        pytest.param(0, 10, NOW_US + 1, 0, id="none once it is over"),
        pytest.param(0, 9, NOW_US, 0, id="none of a lower limit"),
        pytest.param(0, 11, NOW_US, 8, id="as much of a higher one"),
    ],
)
def test_what_a_lease_has_left(own: int, amount: int, at_us: int, left: int) -> None:
    lease = Lease(granted=8, refill_at=4, valid_until_us=NOW_US + 1, amount=10)
    assert left == lease.left(own, amount, at_us)
