"""Which limits of a grant are told to be pointless, by outcome."""

from __future__ import annotations

import pytest

from sidecar.domain.catalog.model import Catalog, Limit, Plan, Rollover, Scope
from sidecar.domain.catalog.pointless_limits import pointless_limits
from sidecar.domain.catalog.warnings import warnings
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.support.build import (
    ANCHORED_MONTH,
    DAY,
    HARD,
    LIFETIME,
    MONTH,
    SHADOW,
    SOFT,
    limit,
    metered,
    throttled,
)

WEEK = WindowSpec(WindowUnit.WEEK)
YEAR = WindowSpec(WindowUnit.YEAR)
QUARTER = WindowSpec(WindowUnit.QUARTER)
LARGE = {"model": "large"}
CI = {"user": "ci"}


def daily(amount: int | None = 100, **said: object) -> Limit:
    return limit("daily", amount, window=DAY, **said)  # type: ignore[arg-type]


def rolling(amount: int, rollover: Rollover) -> Limit:
    return Limit("monthly", MONTH, amount, rollover=rollover)


def by_value(amount: int | None, *amounts: tuple[str, int | None]) -> Limit:
    return Limit("daily", DAY, amount, scope=Scope(("user",)), amounts=amounts)


POINTLESS = [
    pytest.param(limit(amount=100), daily(500), "daily", id="a daily one larger than the monthly"),
    pytest.param(limit(amount=100), daily(100), "daily", id="a daily one as large as the monthly"),
    pytest.param(limit(amount=9_999), daily(100), "monthly", id="a month that no days fill"),
    pytest.param(limit("a", 100), limit("b", 200), "b", id="the same window twice"),
    pytest.param(limit("a", 200), limit("b", 100), "a", id="the same window twice, larger first"),
    pytest.param(limit("a", 100), limit("b", 100), "b", id="the same twice"),
    pytest.param(limit("a", 100), limit("b", 200, SOFT), "b", id="soft above hard"),
    pytest.param(limit("a", 100), throttled("b", 200), "b", id="a throttle above hard"),
    pytest.param(limit("a", 100), limit("b", 200, SHADOW), "b", id="shadow above hard"),
    pytest.param(
        limit(amount=100, window=LIFETIME), daily(100), "daily", id="more a day than ever"
    ),
    pytest.param(limit(amount=100), daily(100, each=["user"]), "daily", id="each user above all"),
    pytest.param(limit(amount=100), daily(100, match=LARGE), "daily", id="one value above all"),
    pytest.param(
        limit(amount=100, window=ANCHORED_MONTH), daily(200), "daily", id="a day in two periods"
    ),
    pytest.param(
        limit(amount=100, window=WEEK), limit("b", 600), "b", id="a month of as many weeks"
    ),
    pytest.param(
        daily(100, each=["user"]), daily(None, match=CI), "daily", id="an exemption that is none"
    ),
    pytest.param(
        rolling(100, Rollover(3, amount_max=50)), daily(150), "daily", id="more than can carry"
    ),
    pytest.param(
        by_value(100, ("vip", 500)), limit("b", 500, window=DAY, each=["user"]), "b", id="by value"
    ),
]
USEFUL = [
    pytest.param(limit(amount=100), daily(99), id="a daily one smaller than the monthly"),
    pytest.param(limit(amount=3_000), daily(100), id="a month that days may fill"),
    pytest.param(limit("a", 100, SOFT), limit("b", 200), id="hard above soft"),
    pytest.param(limit("a", 100, SOFT), limit("b", 200, SOFT), id="soft above soft"),
    pytest.param(limit("a", None), daily(100), id="a month that is only counted"),
    pytest.param(daily(None), limit(amount=100), id="a day that is only counted"),
    pytest.param(limit(amount=100, match=LARGE), daily(200), id="all above one value"),
    pytest.param(daily(100, each=["user"]), limit("b", 200, window=DAY), id="all above each user"),
    pytest.param(
        daily(100, each=["user"]), daily(200, each=["zone"]), id="another dimension is no part"
    ),
    pytest.param(limit(amount=100, match=LARGE), daily(200, match=CI), id="other values"),
    pytest.param(
        limit(amount=100, window=ANCHORED_MONTH), daily(199), id="a day that two periods share"
    ),
    pytest.param(rolling(100, Rollover(3)), daily(399), id="as much as can carry"),
    pytest.param(by_value(100, ("vip", None)), daily(500, each=["user"]), id="some are unlimited"),
    pytest.param(
        limit(amount=100, window=WindowSpec(WindowUnit.DAY, 1, Alignment.ANCHORED)),
        limit("b", 199, window=DAY),
        id="days that begin at other times",
    ),
]


@pytest.mark.parametrize(("one", "other", "pointless"), POINTLESS)
@pytest.mark.parametrize("turned", [False, True])
def test_a_limit_that_is_never_reached_is_told(
    one: Limit, other: Limit, pointless: str, turned: bool
) -> None:
    limits = [other, one] if turned else [one, other]
    ((path, _),) = pointless_limits(limits)
    told = limits[int(path[0])].id
    assert told == pointless or (turned and one.amount == other.amount and one.window is MONTH)


@pytest.mark.parametrize(("one", "other"), USEFUL)
def test_a_limit_that_may_be_reached_is_not_told(one: Limit, other: Limit) -> None:
    assert [] == [*pointless_limits([one, other]), *pointless_limits([other, one])]


def test_an_exemption_that_has_no_effect_is_told_with_what_to_write() -> None:
    plan = Plan(
        "pro",
        "",
        (metered("calls", limit("per_user", 100, each=["user"]), limit("ci", None, match=CI)),),
    )
    ((path, message),) = warnings(Catalog(plans=(plan,)))
    assert ("plans", 0, "entitlements", 0, "limits", 1) == path
    assert (
        "lifts nothing: limit 'per_user' (100) denies all the same, since all limits apply; "
        "write amounts: {ci: unlimited} in 'per_user'"
    ) == message


def test_a_limit_that_is_never_reached_names_the_one_that_is() -> None:
    ((_, message),) = pointless_limits([limit(amount=1_000), daily(5_000)])
    expected = "is never reached: limit 'monthly' (1000) denies before, since all limits apply"
    assert expected == message


def test_limits_of_the_usual_kind_are_not_told() -> None:
    usual = [
        limit("yearly", 1_000_000, window=YEAR),
        limit("quarterly", 400_000, window=QUARTER),
        limit("monthly", 200_000, HARD),
        limit("hint", 100_000, SOFT),
        daily(50_000),
        limit("per_user", 5_000, window=DAY, each=["user"]),
    ]
    assert [] == list(pointless_limits(usual))
