"""Which add-ons would make somebody who buys them have less, by outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.domain.bounds import ADD_ONS_MAX, PLANS_MAX
from sidecar.domain.catalog.add_on_rules import add_on_problems, add_on_warnings
from sidecar.domain.catalog.model import (
    Across,
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    LimitChange,
    Merge,
    Plan,
    Rate,
    RateChange,
    Rollover,
    Scope,
)
from sidecar.domain.time.units import SECOND_US
from tests.support.build import (
    ANCHORED_MONTH,
    DAY,
    MONTH,
    SHADOW,
    SOFT,
    limit,
    metered,
    rate_limit,
    throttled,
)

CALLS: Final = Feature("calls", FeatureKind.METERED)
UNLIMITED: Final = metered("calls")
NOTHING: Final = None
DAILY: Final = limit("daily", 10, window=DAY)
FAST: Final = EntitlementGrant("calls", rates=(rate_limit("burst"),))


def more(*names: str, amount: int | None = 100) -> EntitlementGrant:
    return EntitlementGrant(
        "calls", limit_changes=tuple(LimitChange(name, amount, adds=True) for name in names)
    )


def faster(name: str) -> EntitlementGrant:
    return EntitlementGrant("calls", rate_changes=(RateChange(name, 5, 5, adds=True),))


def sold(
    plans: Sequence[EntitlementGrant | None], *add_ons: AddOn, earlier: Sequence[Plan] = ()
) -> Catalog:
    """A catalog with plans `plan 0`, `plan 1`, ... that grant this of one feature, or nothing."""
    return Catalog(
        (CALLS,),
        tuple(
            Plan(f"plan {at}", "", () if grant is None else (grant,))
            for at, grant in enumerate(plans)
        ),
        add_ons,
        plan_versions=tuple(earlier),
    )


def add_on(
    grant: EntitlementGrant,
    key: str = "boost",
    merge: Merge = Merge.INCREMENT,
    rank: int = 0,
    plans: tuple[str, ...] = (),
) -> AddOn:
    return AddOn(key, "", rank, (AddOnEntitlement(grant, merge),), plans)


def replacing(grant: EntitlementGrant, key: str = "big", rank: int = 0, *plans: str) -> AddOn:
    return add_on(grant, key, Merge.OVERRIDE, rank, plans)


def by_value(amount: int | None, *amounts: tuple[str, int | None]) -> EntitlementGrant:
    return metered("calls", Limit("each", DAY, amount, scope=Scope(("user",)), amounts=amounts))


MONTHLY: Final = metered("calls", limit("monthly"), DAILY)
BILLED: Final = metered("calls", limit("monthly", window=ANCHORED_MONTH))
TWICE: Final = metered("calls", limit("soft", 50, SOFT), limit("hard", 100))
PACK: Final = metered("calls", limit("pack", 50))
EVENTUAL: Final = replace(limit("s", 9), across=Across.EVENTUAL)

TAKEN = {
    "a limit that is named": sold([MONTHLY], add_on(more("monthly"))),
    "several that are named": sold([MONTHLY], add_on(more("monthly", "daily"))),
    "a name that every plan has": sold([MONTHLY, BILLED], add_on(more("monthly"))),
    "an unlimited plan": sold([UNLIMITED, MONTHLY], add_on(more("monthly"))),
    "unlimited on top": sold([MONTHLY], add_on(more("monthly", amount=None))),
    "a plan that lacks it is not sold with": sold(
        [MONTHLY, NOTHING], add_on(more("monthly"), plans=("plan 0",))
    ),
    "a plan that names it otherwise is not sold with": sold(
        [MONTHLY, metered("calls", DAILY)], add_on(more("monthly"), plans=("plan 0",))
    ),
    "a rate that is named": sold([FAST], add_on(faster("burst"))),
    "a rate where there is none": sold([MONTHLY, FAST], add_on(faster("burst"))),
    "the same window under another name": sold([MONTHLY], add_on(PACK)),
    "one of several by its name": sold([TWICE], add_on(metered("calls", limit("hard", 5)))),
    "whole limits for who lacks them": sold([MONTHLY, NOTHING], add_on(PACK)),
    "the unlimited for who lacks it": sold([MONTHLY, NOTHING], add_on(UNLIMITED)),
    "two that bring the same": sold(
        [NOTHING], add_on(PACK), add_on(metered("calls", limit("other", 7)), "other")
    ),
    "two that bring others to other plans": sold(
        [NOTHING, NOTHING],
        add_on(PACK, plans=("plan 0",)),
        add_on(metered("calls", DAILY), "other", plans=("plan 1",)),
    ),
    "one that replaces by more": sold([MONTHLY], replacing(metered("calls", limit("m", 101)))),
    "one that replaces by the same": sold([MONTHLY], replacing(metered("calls", limit("m", 100)))),
    "one that replaces by the unlimited": sold([MONTHLY], replacing(UNLIMITED)),
    "one that replaces by soft": sold([MONTHLY], replacing(metered("calls", limit("m", 1, SOFT)))),
    "one that replaces what is not sold with it": sold(
        [MONTHLY, UNLIMITED], replacing(metered("calls", limit("m", 101)), "big", 0, "plan 0")
    ),
    "a higher rank that replaces by more": sold(
        [NOTHING],
        replacing(metered("calls", limit("m", 5)), "small"),
        replacing(metered("calls", limit("m", 6)), "large", 1),
    ),
    "a higher rank for other plans": sold(
        [NOTHING, NOTHING],
        replacing(metered("calls", limit("m", 5)), "small", 0, "plan 0"),
        replacing(metered("calls", limit("m", 4)), "large", 1, "plan 1"),
    ),
    "amounts by value that are more": sold(
        [by_value(10, ("vip", 20))], replacing(by_value(10, ("vip", 21), ("ci", 10)))
    ),
    "an earlier version that has it otherwise named": sold(
        [MONTHLY], add_on(more("monthly")), earlier=[Plan("plan 0", "", (TWICE,), 1)]
    ),
}


@pytest.mark.parametrize("catalog", TAKEN.values(), ids=TAKEN)
def test_what_never_lowers_is_taken(catalog: Catalog) -> None:
    assert [] == list(add_on_problems(catalog))


LIMIT = ("limits", 0)
CHANGE = ("limit_changes", 0)
REFUSED = {
    "a window that the plan does not have": (
        sold([BILLED], add_on(PACK)), LIMIT,
        ("counts per MONTH CALENDAR what no limit of plan 'plan 0' counts alike, and would deny "
         "beside them ('monthly' per MONTH ANCHORED): write {amount: 50} under the name of the "
         "one to add to, or say plans: [...] that the add-on is sold with"),
    ),
    "a scope that the plan does not have": (
        sold([MONTHLY], add_on(metered("calls", limit("monthly", each=["user"])))), LIMIT,
        "counts per MONTH CALENDAR what no limit",
    ),
    "a window that one of the plans does not have": (
        sold([MONTHLY, BILLED], add_on(PACK)), LIMIT, "no limit of plan 'plan 1' counts alike",
    ),
    "a window that an earlier version does not have": (
        sold([MONTHLY], add_on(PACK), earlier=[Plan("plan 0", "", (BILLED,), 1)]), LIMIT,
        "no limit of plan 'plan 0' as it was sold before counts alike",
    ),
    "a window that several limits have": (
        sold([TWICE], add_on(PACK)), LIMIT,
        ("counts what several limits of plan 'plan 0' do ('soft', 'hard'): give it the name of the "
         "one that it adds to"),
    ),
    "a name that the plan does not have": (
        sold([MONTHLY], add_on(more("montly"))), CHANGE,
        ("plan 'plan 0' has no limit 'montly' to add to, but 'monthly', 'daily': name one of them, "
         "or say plans: [...] that the add-on is sold with; did you mean 'monthly'?"),
    ),
    "a name that one of the plans does not have": (
        sold([MONTHLY, BILLED], add_on(more("daily"))), CHANGE, "plan 'plan 1' has no limit",
    ),
    "a name that a plan which is named does not have": (
        sold([MONTHLY, BILLED], add_on(more("daily"), plans=("plan 0", "plan 1"))), CHANGE,
        "plan 'plan 1' has no limit",
    ),
    "a name in a plan that lacks the feature": (
        sold([MONTHLY, NOTHING], add_on(more("monthly"))), CHANGE,
        "plan 'plan 1' does not grant 'calls', so there is nothing to add to: write a whole limit",
    ),
    "a name that one that replaces does not have": (
        sold([MONTHLY], add_on(more("daily")), replacing(metered("calls", limit("m", 200)))),
        CHANGE, "add-on 'big' has no limit 'daily'",
    ),
    "a window that one that replaces does not have": (
        sold(
            [MONTHLY], add_on(metered("calls", DAILY)), replacing(metered("calls", limit("m", 200)))
        ),
        LIMIT, "no limit of add-on 'big' counts alike",
    ),
    "a rate that the plan does not have": (
        sold([FAST], add_on(faster("slow"))), ("rate_changes", 0), "has no rate 'slow' to add to",
    ),
    "a rate of another period": (
        sold([FAST], add_on(EntitlementGrant(
            "calls", rates=(rate_limit("burst", Rate(1, 2 * SECOND_US, 1)),)
        ))),
        ("rates", 0), ("measures what no rate of plan 'plan 0' does, and would deny beside them "
                       "('burst'): write burst: {count: 1} to add to that rate"),
    ),
    "two that bring other windows": (
        sold([NOTHING], add_on(PACK), add_on(metered("calls", DAILY), "other")), LIMIT,
        "counts otherwise than add-on 'boost' does, which brings the feature to the same plans",
    ),
    "two that bring other enforcement": (
        sold([NOTHING], add_on(PACK), add_on(metered("calls", limit("s", 9, SOFT)), "other")),
        LIMIT, "counts otherwise than add-on 'boost' does",
    ),
    "two that hold otherwise over sidecars": (
        sold([NOTHING], add_on(PACK), add_on(metered("calls", EVENTUAL), "other")),
        LIMIT, "counts otherwise than add-on 'boost' does",
    ),
    "two that bring others to one plan": (
        sold([NOTHING, MONTHLY], add_on(PACK, plans=("plan 0",)),
             add_on(metered("calls", DAILY), "other")), LIMIT, "counts otherwise than add-on",
    ),
    "two of which one brings a rate": (
        sold([NOTHING], add_on(PACK), add_on(FAST, "other")), ("rates", 0), "counts otherwise",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("catalog", "place", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_a_second_limit_is_refused(
    catalog: Catalog, place: tuple[str, int], message: str
) -> None:
    ((path, told),) = add_on_problems(catalog)
    assert place == path[5:]
    assert message in told


LESS = {
    "a smaller amount": (MONTHLY, limit("m", 99)),
    "a limit where there is none": (UNLIMITED, limit("m", 1_000_000)),
    "a limit where there are rates alone": (FAST, limit("m", 1_000_000)),
    "a limit where that is unlimited": (metered("calls", limit("m", None)), limit("m", 99)),
    "hard in place of soft": (metered("calls", limit("m", 100, SOFT)), limit("m", 1_000)),
    "hard in place of shadow": (metered("calls", limit("m", 100, SHADOW)), limit("m", 1_000)),
    "hard in place of a throttle": (metered("calls", throttled("m", 100)), limit("m", 1_000)),
    "a slower throttle": (
        metered("calls", throttled("m", 100)),
        throttled("m", 100, Rate(9, SECOND_US, 20)),
    ),
    "a smaller burst past the amount": (
        metered("calls", throttled("m", 100)),
        throttled("m", 100, Rate(10, SECOND_US, 19)),
    ),
    "less for one value": (by_value(10, ("vip", 20)), by_value(10, ("vip", 19)).limits[0]),
    "less for a value that had none of its own": (by_value(10), by_value(10, ("ci", 9)).limits[0]),
    "less for all others": (by_value(10, ("vip", 5)), by_value(9, ("vip", 5)).limits[0]),
}


@pytest.mark.parametrize(("before", "after"), LESS.values(), ids=LESS)
def test_what_replaces_by_less_is_refused(before: EntitlementGrant, after: Limit) -> None:
    grant = metered("calls", after)
    ((path, message),) = add_on_problems(sold([before], replacing(grant)))
    assert ("limits", 0) == path[5:]
    assert "grants less than" in message
    assert "of plan 'plan 0'" in message or "than plan 'plan 0'" in message
    lower = replacing(before, "lower", -1)
    ((_, message),) = add_on_problems(sold([NOTHING], replacing(grant), lower))
    assert "add-on 'lower'" in message


def test_a_slower_rate_is_refused() -> None:
    slower = EntitlementGrant("calls", rates=(rate_limit("r", Rate(9, SECOND_US, 20)),))
    ((path, message),) = add_on_problems(sold([FAST], replacing(slower)))
    assert ("rates", 0) == path[5:]
    assert message.startswith("grants less than rate 'burst'")


PERHAPS = {
    "another window": (BILLED, metered("calls", limit("m", 1_000))),
    "a further window": (metered("calls", DAILY), MONTHLY),
    "a rate where there is none": (MONTHLY, EntitlementGrant("calls", rates=FAST.rates)),
    "what rolled over": (
        metered("calls", Limit("m", MONTH, 100, rollover=Rollover(2))),
        metered("calls", limit("m", 299)),
    ),
}


@pytest.mark.parametrize(("before", "after"), PERHAPS.values(), ids=PERHAPS)
def test_what_cannot_be_compared_is_a_warning(
    before: EntitlementGrant, after: EntitlementGrant
) -> None:
    catalog = sold([before], replacing(after))
    assert [] == list(add_on_problems(catalog))
    (warning,) = add_on_warnings(catalog)
    assert "which it replaces" in warning.message


def test_ten_thousand_plans_and_add_ons_are_looked_at_without_their_product() -> None:
    plans = [metered("calls", limit("monthly"), limit(f"l{at}")) for at in range(PLANS_MAX)]
    add_ons = [add_on(more("monthly"), f"boost {at}") for at in range(ADD_ONS_MAX)]
    assert [] == list(add_on_problems(sold(plans, *add_ons)))


def test_what_cannot_be_compared_within_bounds_is_refused() -> None:
    plans = [metered("calls", limit("m", at)) for at in range(500)]
    add_ons = [replacing(UNLIMITED, f"big {at}", at) for at in range(500)]
    ((path, message),) = add_on_problems(sold(plans, *add_ons))
    assert ("add_ons",) == path
    assert "more than 200000 pairs" in message


def test_features_of_other_kinds_are_left_alone() -> None:
    sso = Feature("sso", FeatureKind.BOOLEAN)
    on = EntitlementGrant("sso", enabled=True)
    catalog = Catalog((sso,), (Plan("pro", "", (on,)),), (replacing(EntitlementGrant("sso")),))
    assert [] == [*add_on_problems(catalog), *add_on_warnings(catalog)]
