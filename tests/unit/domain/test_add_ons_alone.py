"""Add-ons beside each other, beside what companies keep of plans, and where no plan grants it."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.add_on_rules import add_on_problems, add_on_warnings
from sidecar.domain.catalog.model import (
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
from tests.support.build import DAY, MONTH, SHADOW, SOFT, limit, metered, rate_limit, throttled

UNLIMITED: Final = metered("calls")
MONTHLY: Final = metered("calls", limit("monthly"))
DAILY: Final = limit("daily", 10, window=DAY)


def adds(grant: EntitlementGrant, *plans: str, key: str = "adds", rank: int = 0) -> AddOn:
    return AddOn(key, "", rank, (AddOnEntitlement(grant),), plans)


def replaces(grant: EntitlementGrant, *plans: str, key: str = "big", rank: int = 0) -> AddOn:
    return AddOn(key, "", rank, (AddOnEntitlement(grant, Merge.OVERRIDE),), plans)


def rated(*limits: Limit, name: str = "r", count: int = 10) -> EntitlementGrant:
    rate = rate_limit(name, Rate(count, SECOND_US, count))
    return EntitlementGrant("calls", limits=limits, rates=(rate,))


def more(name: str) -> EntitlementGrant:
    return EntitlementGrant("calls", limit_changes=(LimitChange(name, 5, adds=True),))


def faster(name: str) -> EntitlementGrant:
    return EntitlementGrant("calls", rate_changes=(RateChange(name, 5, 5, adds=True),))


def sold(
    now: EntitlementGrant | None, *add_ons: AddOn, earlier: tuple[EntitlementGrant | None, ...] = ()
) -> Catalog:
    """One plan, the versions of it that companies keep, and add-ons; `None`: lacks the feature."""
    plan, *versions = (
        Plan("pro", "", () if grant is None else (grant,), 9 - at)
        for at, grant in enumerate((now, *earlier))
    )
    feature = Feature("calls", FeatureKind.METERED)
    return Catalog((feature,), (plan,), add_ons, plan_versions=tuple(reversed(versions)))


TAKEN = {
    "a smaller one that replaces, beside what is added": sold(
        None, adds(MONTHLY), replaces(metered("calls", limit("m", 5)))
    ),
    "the unlimited that replaces, beside what is added": sold(
        None, adds(MONTHLY), replaces(UNLIMITED)
    ),
    "one that replaces, beside the unlimited that is added": sold(
        None, adds(UNLIMITED), replaces(MONTHLY)
    ),
    "one that replaces by soft, beside what is added": sold(
        None, adds(MONTHLY), replaces(metered("calls", limit("m", 5, SOFT)))
    ),
    "one with a rate, beside one that has the same": sold(
        None, adds(rated(limit("m"))), replaces(rated(limit("m")))
    ),
    "the unlimited with a rate, twice": sold(
        None, adds(rated()), adds(rated(name="other"), key="other")
    ),
    "one of another name than is added to, where no version lacks it": sold(
        metered("calls", limit("m")), adds(metered("calls", limit("x", 3))),
        adds(metered("calls", limit("m", 20)), key="b"), adds(more("m"), key="c"),
    ),
    "the unlimited beside a limit": sold(None, adds(UNLIMITED), adds(MONTHLY, key="other")),
    "others that are sold with other plans": sold(
        None, adds(UNLIMITED, "basic"), adds(rated(limit("m")), "pro", key="other")
    ),
    "what replaces an earlier version by more": sold(
        MONTHLY, replaces(metered("calls", limit("m", 150))), earlier=(MONTHLY, None)
    ),
    "a limit that is named otherwise, and nothing adds to": sold(
        MONTHLY, replaces(metered("calls", limit("m", 150)))
    ),
    "names that what replaces keeps": sold(
        metered("calls", DAILY, limit("monthly")),
        adds(more("daily")),
        replaces(metered("calls", limit("daily", 20, window=DAY), limit("monthly", 200))),
    ),
    "soft in place of hard, and sooner": sold(
        MONTHLY, replaces(metered("calls", limit("m", 1, SOFT)))
    ),
}  # fmt: skip


@pytest.mark.parametrize("catalog", TAKEN.values(), ids=TAKEN)
def test_what_leaves_the_others_whole_is_taken(catalog: Catalog) -> None:
    assert [] == [*add_on_problems(catalog), *add_on_warnings(catalog)]


LIMIT, RATE = ("limits", 0), ("rates", 0)
BY_USER: Final = Limit("m", MONTH, 5, scope=Scope(("user",)), amounts=(("vip", 9),))
REFUSED = {
    "hard in place of soft that is added": (
        sold(None, adds(metered("calls", limit("m", 1, SOFT))), replaces(MONTHLY)), LIMIT,
        ("grants less than limit 'm' (1, SOFT) of add-on 'adds', which may be held with it"),
    ),
    "hard in place of a throttle that is added": (
        sold(None, adds(metered("calls", throttled("m", 100))), replaces(MONTHLY)), LIMIT,
        "grants less than limit 'm' (100, THROTTLE) of add-on 'adds'",
    ),
    "of two that replace the smaller one has the say": (
        sold(None, replaces(MONTHLY, key="a"),
             replaces(metered("calls", limit("m", 99)), key="b", rank=1)), LIMIT,
        "grants less than limit 'monthly' (100, HARD) of add-on 'a', which it replaces",
    ),
    "less by value than one that is added would be on top": (
        sold(None, replaces(metered("calls", BY_USER), key="a"),
             replaces(metered("calls", Limit("m", MONTH, 8, scope=Scope(("user",)))), key="b")),
        LIMIT, "of add-on 'a', which it replaces",
    ),
    "an earlier version that grants more": (
        sold(metered("calls", limit("m", 10)), replaces(metered("calls", limit("m", 50))),
             earlier=(MONTHLY,)), LIMIT,
        ("grants less than limit 'monthly' (100, HARD) of plan 'pro' as it was sold before, which "
         "it replaces"),
    ),
    "an earlier version that lacks what is added to both limits": (
        sold(metered("calls", DAILY, limit("m")), adds(metered("calls", DAILY)),
             adds(MONTHLY, key="other"), earlier=(None,)), LIMIT,
        "counts otherwise than add-on 'adds' does, which brings the feature to the same plans",
    ),
    "one of several earlier versions that lacks it": (
        sold(metered("calls", DAILY, limit("m")), adds(metered("calls", DAILY)),
             adds(MONTHLY, "pro", key="other"),
             earlier=(metered("calls", DAILY, limit("m")), None)), LIMIT,
        "counts otherwise than add-on 'adds' does",
    ),
    "one of another name than is added to, where an earlier version lacks it": (
        sold(metered("calls", limit("m")), adds(metered("calls", limit("x", 3))),
             adds(metered("calls", limit("m", 20)), key="b"), adds(more("m"), key="c"),
             earlier=(None,)), LIMIT,
        "give both the same windows, scopes and enforcement, and names that others add to",
    ),
    "a rate beside the unlimited": (
        sold(None, adds(UNLIMITED), adds(rated(limit("m")), key="other")), LIMIT,
        "counts otherwise than add-on 'adds' does",
    ),
    "the unlimited beside a rate": (
        sold(None, adds(rated()), adds(UNLIMITED, key="other")), (),
        "counts otherwise than add-on 'adds' does",
    ),
    "a name under which something else is counted": (
        sold(metered("calls", DAILY, limit("monthly")), adds(more("monthly")),
             replaces(metered("calls", limit("daily", 100), limit("monthly", 20, window=DAY)))),
        LIMIT,
        ("goes without what add-on 'adds' adds to 'monthly' of plan 'pro', which it replaces: "
         "name it 'monthly', with the same enforcement"),
    ),
    "a name that is a rate's of other calls": (
        sold(rated(limit("m")), adds(faster("r")), replaces(EntitlementGrant(
            "calls", limits=(limit("m"),), rates=(
                rate_limit("s", Rate(10, SECOND_US, 10)),
                rate_limit("r", Rate(10, SECOND_US, 10), SHADOW)),
        ))), RATE, "goes without what add-on 'adds' adds to 'r' of plan 'pro'",
    ),
    "a throttle that would get the smaller of two amounts": (
        sold(MONTHLY, adds(metered("calls", limit("monthly", 1, SOFT), limit("x", 500))),
             replaces(metered("calls", throttled("monthly", 100)))), LIMIT,
        "goes without what add-on 'adds' adds to 'monthly' of plan 'pro'",
    ),
    "overage that begins sooner": (
        sold(metered("calls", limit("m", 100, SOFT)),
             replaces(metered("calls", limit("m", 99, SOFT)))),
        LIMIT, "grants less than limit 'm' (100, SOFT) of plan 'pro'",
    ),
    "overage where there was none": (
        sold(UNLIMITED, replaces(metered("calls", limit("m", 99, SOFT)))), LIMIT,
        "grants less than plan 'pro', which it replaces: that is unlimited",
    ),
    "overage where a limit only reports": (
        sold(metered("calls", limit("m", 100, SHADOW)),
             replaces(metered("calls", limit("m", 200, SOFT)))), LIMIT,
        "grants less than limit 'm' (100, SHADOW) of plan 'pro'",
    ),
    "overage where a limit is unlimited": (
        sold(metered("calls", limit("m", None)), replaces(metered("calls", limit("m", 200, SOFT)))),
        LIMIT, "grants less than limit 'm' (unlimited, HARD) of plan 'pro'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("catalog", "place", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_less_for_who_buys_it_is_refused(
    catalog: Catalog, place: tuple[str, int], message: str
) -> None:
    ((path, told),) = add_on_problems(catalog)
    assert place == path[5:]
    assert message in told


ROLLS: Final = metered("calls", Limit("m", MONTH, 100, rollover=Rollover()))
PERHAPS = {
    "a further window beside what is added": (
        sold(None, adds(MONTHLY), replaces(metered("calls", DAILY, limit("m")))),
        "may deny what add-on 'adds' allows, which may be held with it: that has 'monthly'",
    ),
    "a rate beside what is added": (
        sold(None, adds(MONTHLY), replaces(rated(limit("m")))),
        "may deny what add-on 'adds' allows, which may be held with it: that has no such rate",
    ),
    "a rate beside the unlimited that is added": (
        sold(None, adds(UNLIMITED), replaces(rated(limit("m")))),
        "that has no such rate",
    ),
    "another window than an earlier version's": (
        sold(MONTHLY, replaces(metered("calls", limit("m", 200))), earlier=(
            metered("calls", DAILY),)),
        "may deny what plan 'pro' as it was sold before allows",
    ),
    "overage in another window": (
        sold(MONTHLY, replaces(metered("calls", limit("d", 10, SOFT, window=DAY)))),
        "may count as overage what plan 'pro' allows",
    ),
    "what is added and would roll over": (
        sold(ROLLS, adds(more("m")), replaces(metered("calls", limit("m", 200)))),
        "grants less than plan 'pro', which it replaces, where that rolls over",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("catalog", "message"), PERHAPS.values(), ids=PERHAPS)
def test_what_may_be_less_is_a_warning(catalog: Catalog, message: str) -> None:
    assert [] == list(add_on_problems(catalog))
    (warning,) = add_on_warnings(catalog)
    assert message in warning.message
