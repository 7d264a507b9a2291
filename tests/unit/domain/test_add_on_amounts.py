"""What an add-on makes of limits and rates, by outcome."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.bounds import INT64_MAX, LIMITS_MAX, RATE_PRODUCT_MAX
from sidecar.domain.catalog.model import (
    Enforcement,
    EntitlementGrant,
    Limit,
    Rate,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.company.model import AddOnSubscription
from sidecar.domain.entitlement.add_on_amounts import increased, scaled
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.support.build import ANCHORED_MONTH, DAY, HARD, MONTH, SHADOW, SOFT, limit, metered

MINUTE_US: Final = 60_000_000
USER: Final = Scope(("user",))


def rate(
    name: str = "burst",
    count: int = 10,
    burst: int = 20,
    period_us: int = MINUTE_US,
    scope: Scope = USER,
    enforcement: Enforcement = HARD,
) -> RateLimit:
    return RateLimit(name, Rate(count, period_us, burst), enforcement, scope)


def granting(*ceilings: Limit | RateLimit) -> EntitlementGrant:
    return EntitlementGrant(
        "calls",
        limits=tuple(ceiling for ceiling in ceilings if isinstance(ceiling, Limit)),
        rates=tuple(ceiling for ceiling in ceilings if isinstance(ceiling, RateLimit)),
    )


def merged(
    before: EntitlementGrant, added: EntitlementGrant, quantity: int = 1
) -> tuple[Limit | RateLimit, ...]:
    found = increased(before, added, AddOnSubscription("boost", quantity))
    return (*found.limits, *found.rates)


@pytest.mark.parametrize(
    ("before", "added", "quantity", "expected"),
    [
        pytest.param(limit("a", 100), limit("a", 10), 1, 110, id="one"),
        pytest.param(limit("a", 100), limit("a", 10), 3, 130, id="times the quantity"),
        pytest.param(limit("a", 100), limit("b", 10), 3, 130, id="whatever the name"),
        pytest.param(limit("a", 100, SOFT), limit("a", 10, SHADOW), 3, 130, id="whatever it does"),
        pytest.param(limit("a", 0), limit("a", 0), 3, 0, id="nothing and nothing"),
        pytest.param(limit("a", None), limit("a", 10), 3, None, id="unlimited and something"),
        pytest.param(limit("a", 100), limit("a", None), 1, None, id="something and unlimited"),
        pytest.param(limit("a", 100), limit("a", None), 3, None, id="and unlimited thrice"),
        pytest.param(limit("a", None), limit("a", None), 3, None, id="unlimited twice"),
        pytest.param(limit("a", INT64_MAX), limit("a", 1), 1, INT64_MAX, id="at the bound"),
        pytest.param(limit("a", 1), limit("a", INT64_MAX), 3, INT64_MAX, id="beyond the bound"),
    ],
)
def test_amounts_that_count_the_same_are_summed(
    before: Limit, added: Limit, quantity: int, expected: int | None
) -> None:
    after = limit("a", expected, before.enforcement)
    assert (after,) == merged(granting(before), granting(added), quantity)


@pytest.mark.parametrize(
    "other",
    [
        limit("b", 5, window=DAY),
        limit("b", 5, window=ANCHORED_MONTH),
        limit("b", 5, window=WindowSpec(WindowUnit.MONTH, 2)),
        limit("b", 5, each=["user"]),
        limit("b", 5, match={"model": "large"}),
        limit("b", None, SOFT, each=["user"]),
    ],
    ids=["window", "alignment", "interval", "dimension", "fixed value", "unlimited"],
)
def test_limits_that_count_something_else_apply_beside(other: Limit) -> None:
    assert (limit("a"), other) == merged(granting(limit("a")), granting(other))


def test_a_limit_that_applies_beside_is_held_so_many_times() -> None:
    found = merged(granting(limit("a")), granting(limit("b", 5, window=DAY)), quantity=4)
    assert (limit("a"), limit("b", 20, window=DAY)) == found


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param([limit("s", 100, SOFT), limit("h", 200)], [110, 220], id="each its own"),
        pytest.param([limit("h", 200), limit("s", 100, SOFT)], [220, 110], id="in any order"),
        pytest.param([limit("h", 200)], [220], id="one of them is missing"),
        pytest.param([limit("w", 200, SHADOW)], [210], id="none of them: the first"),
    ],
)
def test_of_several_limits_that_count_the_same_that_of_the_same_enforcement_is_added(
    before: list[Limit], expected: list[int]
) -> None:
    added = granting(limit("x", 10, SOFT), limit("y", 20))
    found = increased(granting(*before), added, AddOnSubscription("boost"))
    assert expected == [limit.amount for limit in found.limits]


def test_several_limits_that_count_something_else_all_apply_beside() -> None:
    soft, hard = limit("x", 10, SOFT, DAY), limit("y", 20, HARD, DAY)
    assert (limit("a"), soft, hard) == merged(granting(limit("a")), granting(soft, hard))


@pytest.mark.parametrize(
    ("before", "added", "expected"),
    [
        pytest.param(granting(), granting(limit("a")), (), id="unlimited and a limit"),
        pytest.param(granting(), granting(rate()), (), id="unlimited and a rate"),
        pytest.param(granting(limit("a")), granting(), (), id="a limit and unlimited"),
        pytest.param(granting(rate()), granting(limit("a")), (rate(),), id="a rate and a limit"),
        pytest.param(
            granting(limit("a")), granting(rate()), (limit("a"),), id="a limit and a rate"
        ),
        pytest.param(
            granting(limit("a"), rate()), granting(), (rate(),), id="limit, rate and unlimited"
        ),
    ],
)
def test_unlimited_plus_anything_is_unlimited(
    before: EntitlementGrant, added: EntitlementGrant, expected: tuple[Limit | RateLimit, ...]
) -> None:
    assert expected == merged(before, added)


def test_what_becomes_unlimited_has_no_rest_to_roll_over() -> None:
    rolling = Limit("a", MONTH, 100, rollover=Rollover(2))
    assert (limit("a", None),) == merged(granting(rolling), granting(limit("a", None)))


def test_what_a_limit_does_past_its_amount_is_kept() -> None:
    of = Limit("a", MONTH, 100, Enforcement.THROTTLE, throttle=Rate(1, MINUTE_US, 1))
    expected = Limit("a", MONTH, 130, Enforcement.THROTTLE, throttle=Rate(1, MINUTE_US, 1))
    assert (expected,) == merged(granting(of), granting(limit("b", 10)), quantity=3)


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        pytest.param(rate(count=1, burst=2), [rate(count=13, burst=26)], id="equal"),
        pytest.param(rate("x", 1, 2), [rate(count=13, burst=26)], id="whatever the name"),
        pytest.param(
            rate(count=1, burst=2, enforcement=SHADOW),
            [rate(count=13, burst=26)],
            id="whatever it does",
        ),
        pytest.param(
            rate("x", 1, 2, period_us=1_000),
            [rate(), rate("x", 3, 6, period_us=1_000)],
            id="another period",
        ),
        pytest.param(
            rate("x", 1, 2, scope=Scope()),
            [rate(), rate("x", 3, 6, scope=Scope())],
            id="another scope",
        ),
    ],
)
def test_rates_merge_by_scope_and_period(added: RateLimit, expected: list[RateLimit]) -> None:
    assert tuple(expected) == merged(granting(rate()), granting(added), quantity=3)


def test_a_rate_stays_within_its_bound() -> None:
    period_us = 31 * 86_400_000_000
    most = RATE_PRODUCT_MAX // period_us
    of = rate(count=most - 1, burst=most, period_us=period_us)
    more = rate(count=1, burst=1, period_us=period_us)
    expected = rate(count=most, burst=most, period_us=period_us)
    assert (expected,) == merged(granting(of), granting(more), quantity=1_000_000)
    assert (expected,) == scaled(granting(of), 2).rates


@pytest.mark.parametrize(
    ("taken", "added", "add_on", "expected"),
    [
        (["a"], "b", "boost", "b"),
        (["a"], "a", "boost", "boost.a"),
        (["a", "boost.a"], "a", "boost", "boost.a.2"),
        (["a", "boost.a", "boost.a.2"], "a", "boost", "boost.a.3"),
        (["a"], "a", "x" * 128, "x" * 128),
        (["a", "x" * 128], "a", "x" * 128, "x" * 126 + ".2"),
        (["\N{EURO SIGN}"], "\N{EURO SIGN}", "x" * 126, "x" * 126 + "."),
    ],
    ids=["free", "taken", "taken twice", "and thrice", "long", "long and taken", "cut in a letter"],
)
def test_what_applies_beside_has_a_name_that_is_free(
    taken: list[str], added: str, add_on: str, expected: str
) -> None:
    windows = (WindowSpec(WindowUnit.DAY, number) for number in range(1, 9))
    before = granting(*(limit(name, window=next(windows)) for name in taken))
    found = increased(before, granting(limit(added, 1)), AddOnSubscription(add_on))
    assert [*taken, expected] == [limit.id for limit in found.limits]


def test_what_applies_beside_does_not_clash_among_itself() -> None:
    added = granting(limit("a", 1, window=DAY), limit("boost.a", 1, window=ANCHORED_MONTH))
    found = increased(granting(limit("a")), added, AddOnSubscription("boost"))
    assert ["a", "boost.a", "boost.boost.a"] == [limit.id for limit in found.limits]


def test_limits_and_rates_share_their_names() -> None:
    before = granting(limit("a"), rate("b"))
    added = granting(limit("b", 1, window=DAY), rate("a", scope=Scope()))
    expected = (
        limit("a"),
        limit("boost.b", 1, window=DAY),
        rate("b"),
        rate("boost.a", scope=Scope()),
    )
    assert expected == merged(before, added)


def test_more_limits_and_rates_than_the_bound_are_left_out() -> None:
    windows = [WindowSpec(WindowUnit.DAY, number + 1) for number in range(LIMITS_MAX + 8)]
    many = [limit(f"l{at}", 1, window=window) for at, window in enumerate(windows)]
    rates = [rate(f"r{at}", period_us=1_000 + at) for at in range(LIMITS_MAX + 8)]
    before = granting(*many[: LIMITS_MAX - 1], *rates[: LIMITS_MAX - 1])
    added = granting(*many[LIMITS_MAX - 2 :], *rates[LIMITS_MAX - 2 :])
    found = increased(before, added, AddOnSubscription("boost"))
    assert (LIMITS_MAX, LIMITS_MAX) == (len(found.limits), len(found.rates))
    assert [1, 2, 1] == [limit.amount for limit in found.limits[-3:]]
    assert f"l{LIMITS_MAX - 1}" == found.limits[-1].id


def test_a_grant_held_several_times_is_multiplied_as_a_whole() -> None:
    grant = granting(limit("a", 10), limit("b", None, window=DAY), rate())
    expected = granting(limit("a", 30), limit("b", None, window=DAY), rate(count=30, burst=60))
    assert expected == scaled(grant, 3)


def test_a_grant_held_several_times_stays_within_the_bound() -> None:
    grant = metered("calls", limit("a", INT64_MAX // 2))
    assert [INT64_MAX - 1, INT64_MAX] == [scaled(grant, n).limits[0].amount for n in (2, 3)]


def test_a_grant_held_once_is_what_it_is() -> None:
    grant = metered("calls", limit("a", 10))
    assert grant == scaled(grant, 1)
