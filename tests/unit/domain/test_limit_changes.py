"""What changes make of what is granted, by outcome."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.bounds import INT64_MAX, RATE_PRODUCT_MAX
from sidecar.domain.catalog.model import (
    EntitlementGrant,
    Limit,
    LimitChange,
    Rate,
    RateChange,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.entitlement.limit_changes import changed, meets
from tests.support.build import ANCHORED_MONTH, DAY, limit, rate_limit, throttled

MONTHLY: Final = Limit("monthly", ANCHORED_MONTH, 100, rollover=Rollover(3, 50))
BY_VALUE: Final = Limit(
    "each", DAY, 100, scope=Scope(("user",)), amounts=(("ci", None), ("vip", 500))
)
THROTTLED: Final = throttled("slow", 100)
BURST: Final = rate_limit("burst", Rate(10, 1_000_000, 20))
BEFORE: Final = EntitlementGrant(
    "calls", limits=(MONTHLY, BY_VALUE, THROTTLED, limit("free", None)), rates=(BURST,)
)


def change(name: str, amount: int | None, *, adds: bool = False) -> EntitlementGrant:
    return EntitlementGrant("calls", limit_changes=(LimitChange(name, amount, adds),))


def rate_change(name: str, count: int, burst: int, *, adds: bool = False) -> EntitlementGrant:
    return EntitlementGrant("calls", rate_changes=(RateChange(name, count, burst, adds),))


def test_a_change_leaves_all_but_the_amount_that_it_names() -> None:
    after = changed(BEFORE, change("monthly", 7, adds=True))
    expected = Limit("monthly", ANCHORED_MONTH, 107, rollover=Rollover(3, 50))
    assert (expected, *BEFORE.limits[1:]) == after.limits
    assert BEFORE.rates == after.rates


def amounts(of: Limit) -> tuple[int | None, dict[str, int | None]]:
    return of.amount, dict(of.amounts)


@pytest.mark.parametrize(
    ("changes", "quantity", "expected"),
    [
        pytest.param(change("each", 7, adds=True), 1, (107, {"ci": None, "vip": 507}), id="adds"),
        pytest.param(
            change("each", 7, adds=True), 3, (121, {"ci": None, "vip": 521}), id="so many times"
        ),
        pytest.param(change("each", 7), 1, (7, {"ci": None, "vip": 500}), id="sets the usual one"),
        pytest.param(change("each", None), 1, (None, {}), id="lifts all"),
        pytest.param(change("each", None, adds=True), 2, (None, {}), id="adds without end"),
        pytest.param(
            change("each", INT64_MAX, adds=True),
            9,
            (INT64_MAX, {"ci": None, "vip": INT64_MAX}),
            id="within the bound",
        ),
    ],
)
def test_amounts_of_single_values_take_part(
    changes: EntitlementGrant, quantity: int, expected: tuple[int | None, dict[str, int | None]]
) -> None:
    assert expected == amounts(changed(BEFORE, changes, quantity).limits[1])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(change("free", 5, adds=True), None, id="more than unlimited is unlimited"),
        pytest.param(change("free", 5), 5, id="what is set takes the place of unlimited"),
    ],
)
def test_what_is_unlimited(changes: EntitlementGrant, expected: int | None) -> None:
    assert expected == changed(BEFORE, changes).limits[3].amount


@pytest.mark.parametrize(
    ("changes", "quantity", "expected"),
    [
        pytest.param(rate_change("burst", 5, 6, adds=True), 2, (20, 32), id="adds"),
        pytest.param(rate_change("burst", 5, 6), 2, (5, 6), id="sets"),
        pytest.param(
            rate_change("burst", INT64_MAX, 1, adds=True),
            1,
            (RATE_PRODUCT_MAX // 1_000_000, 21),
            id="within the bound",
        ),
    ],
)
def test_a_rate_that_is_named(
    changes: EntitlementGrant, quantity: int, expected: tuple[int, int]
) -> None:
    (after,) = changed(BEFORE, changes, quantity).rates
    assert RateLimit("burst", Rate(expected[0], 1_000_000, expected[1])) == after


@pytest.mark.parametrize("changes", [change("gone", 5), rate_change("gone", 1, 1)])
def test_a_name_that_there_is_not_does_nothing(changes: EntitlementGrant) -> None:
    assert BEFORE == changed(BEFORE, changes)
    assert not meets(BEFORE, changes)


@pytest.mark.parametrize("changes", [change("any", 5, adds=True), rate_change("any", 1, 1)])
def test_what_has_no_limits_and_rates_stays_unlimited(changes: EntitlementGrant) -> None:
    unlimited = EntitlementGrant("calls")
    assert unlimited == changed(unlimited, changes)
    assert meets(unlimited, changes)
