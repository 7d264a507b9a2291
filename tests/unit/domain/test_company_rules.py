"""What of a company is refused, and where."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import (
    AddOn,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Rate,
    RateLimit,
)
from sidecar.domain.catalog.rules import problems
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    PastDue,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from sidecar.domain.validation import Path

DAY = WindowSpec(WindowUnit.DAY)
GRANT = EntitlementGrant("tokens", limits=(Limit("daily", DAY, 10),))
CATALOG = Catalog(
    (Feature("tokens", FeatureKind.METERED), Feature("sso", FeatureKind.BOOLEAN)),
    (Plan("pro"),),
    (AddOn("extra"), AddOn("seats")),
)
SUBSCRIPTION = Subscription("pro", 0)
ACME = Company("acme", subscription=SUBSCRIPTION)


def _paths(*companies: Company) -> list[Path]:
    return [problem.path for problem in problems(CATALOG, companies)]


def _acme(**changes: object) -> Company:
    return replace(ACME, **changes)


ANCHORED = Limit("l", WindowSpec(WindowUnit.MONTH, 1, Alignment.ANCHORED), 10)
COMPANIES: dict[str, tuple[Company, Path]] = {
    "no id": (_acme(id=""), ("id",)),
    "an unknown zone": (_acme(time_zone="../etc/passwd"), ("time_zone",)),
    "a feature that is not there": (
        _acme(overrides=(Override(EntitlementGrant("none")),)),
        ("overrides", 0, "entitlement", "feature"),
    ),
    "a second override of a feature": (
        _acme(overrides=(Override(GRANT, 5), Override(GRANT))),
        ("overrides", 1, "entitlement", "feature"),
    ),
    "rates on a feature that is not METERED": (
        _acme(
            overrides=(
                Override(EntitlementGrant("sso", rates=(RateLimit("r", Rate(1, 1_000, 1)),))),
            )
        ),
        ("overrides", 0, "entitlement", "rates"),
    ),
    "an anchored limit without an anchor": (
        Company("acme", overrides=(Override(EntitlementGrant("tokens", limits=(ANCHORED,))),)),
        ("overrides", 0, "entitlement", "limits", 0, "window", "alignment"),
    ),
}


@pytest.mark.parametrize(("company", "path"), COMPANIES.values(), ids=COMPANIES)
def test_a_problem_of_a_company(company: Company, path: Path) -> None:
    assert [("companies", 1, *path)] == _paths(Company("first"), company)


def test_a_company_twice_is_a_problem() -> None:
    assert [("companies", 1, "id")] == _paths(ACME, ACME)


def test_every_problem_is_told() -> None:
    bad = _acme(id="", time_zone="Moon/Base", subscription=None)
    assert [("companies", 0, "id"), ("companies", 0, "time_zone")] == _paths(bad)


FULL = replace(
    SUBSCRIPTION,
    trial_ends_us=5,
    trial_end_status=SubscriptionStatus.ACTIVE,
    cancel_us=9,
    add_ons=(AddOnSubscription("extra", 1_000_000), AddOnSubscription("seats")),
    ends_us=8,
    past_due=PastDue(0, 1),
    pause=Pause(2, 3, moves_anchor=True),
    changes=(
        ScheduledChange(5, "pro"),
        ScheduledChange(6, add_ons=()),
        ScheduledChange(7, resets_usage=True),
        ScheduledChange(8, moves_anchor=True),
    ),
    billing_period=WindowSpec(WindowUnit.YEAR, 2, Alignment.CALENDAR),
)
GOOD = {
    "all that a subscription can say": FULL,
    "a late payment without a grace's end": replace(SUBSCRIPTION, past_due=PastDue(5)),
    "a late payment without any grace": replace(SUBSCRIPTION, past_due=PastDue(5, 5)),
    "a pause without an end": replace(SUBSCRIPTION, pause=Pause(5)),
}


@pytest.mark.parametrize("subscription", GOOD.values(), ids=GOOD)
def test_no_problem_of_a_subscription(subscription: Subscription) -> None:
    assert [] == _paths(_acme(subscription=subscription))


ONE_TOO_MANY = tuple(ScheduledChange(at, "pro") for at in range(101))
SUBSCRIPTIONS: dict[str, tuple[dict[str, object], Path]] = {
    "a plan that is not there": ({"plan": "max"}, ("plan",)),
    "an anchor out of reach": ({"anchor_us": INT64_MAX}, ("anchor",)),
    "a trial's end out of reach": ({"trial_ends_us": INT64_MAX}, ("trial_ends_at",)),
    "a cancellation out of reach": ({"cancel_us": INT64_MAX}, ("cancel_at",)),
    "a term's end out of reach": ({"ends_us": INT64_MAX}, ("ends_at",)),
    "a trial that ends in a pause": (
        {"trial_end_status": SubscriptionStatus.PAUSED},
        ("trial_end_status",),
    ),
    "an add-on that is not there": (
        {"add_ons": (AddOnSubscription("more"),)},
        ("add_ons", 0, "add_on"),
    ),
    "an add-on twice": (
        {"add_ons": (AddOnSubscription("extra"), AddOnSubscription("extra"))},
        ("add_ons", 1, "add_on"),
    ),
    "no add-on": ({"add_ons": (AddOnSubscription("extra", 0),)}, ("add_ons", 0, "quantity")),
    "too many of an add-on": (
        {"add_ons": (AddOnSubscription("extra", 1_000_001),)},
        ("add_ons", 0, "quantity"),
    ),
    "a late payment out of reach": ({"past_due": PastDue(INT64_MAX)}, ("past_due", "since")),
    "a grace that ends before it starts": (
        {"past_due": PastDue(5, 4)},
        ("past_due", "grace_ends_at"),
    ),
    "a pause that ends as it starts": ({"pause": Pause(5, 5)}, ("pause", "resumes_at")),
    "a pause out of reach": ({"pause": Pause(5, INT64_MAX)}, ("pause", "resumes_at")),
    "an anchor that moves at no time": (
        {"pause": Pause(5, moves_anchor=True)},
        ("pause", "moves_anchor"),
    ),
    "a change out of reach": (
        {"changes": (ScheduledChange(INT64_MAX, "pro"),)},
        ("changes", 0, "at"),
    ),
    "two changes at a time": (
        {"changes": (ScheduledChange(5, "pro"), ScheduledChange(5, add_ons=()))},
        ("changes", 1, "at"),
    ),
    "changes against the order of time": (
        {"changes": (ScheduledChange(5, "pro"), ScheduledChange(4, "pro"))},
        ("changes", 1, "at"),
    ),
    "a change of nothing": ({"changes": (ScheduledChange(5),)}, ("changes", 0)),
    "too many changes": ({"changes": ONE_TOO_MANY}, ("changes",)),
    "a change to a plan that is not there": (
        {"changes": (ScheduledChange(5, "max"),)},
        ("changes", 0, "plan"),
    ),
    "a change to an add-on that is not there": (
        {
            "changes": (
                ScheduledChange(5, add_ons=(AddOnSubscription("extra"), AddOnSubscription("more"))),
            )
        },
        ("changes", 0, "add_ons", "add_ons", 1, "add_on"),
    ),
    "a change to no add-on": (
        {"changes": (ScheduledChange(5, add_ons=(AddOnSubscription("extra", 0),)),)},
        ("changes", 0, "add_ons", "add_ons", 0, "quantity"),
    ),
    "a billing period of minutes": (
        {"billing_period": WindowSpec(WindowUnit.MINUTE, 1, Alignment.ANCHORED)},
        ("billing_period", "unit"),
    ),
    "a billing period for ever": (
        {"billing_period": WindowSpec(WindowUnit.LIFETIME)},
        ("billing_period", "unit"),
    ),
    "a billing period from a weekday": (
        {"billing_period": WindowSpec(WindowUnit.WEEK, 1, Alignment.CALENDAR, 6)},
        ("billing_period", "first_weekday"),
    ),
}


@pytest.mark.parametrize(("changes", "path"), SUBSCRIPTIONS.values(), ids=SUBSCRIPTIONS)
def test_a_problem_of_a_subscription(changes: dict[str, object], path: Path) -> None:
    company = _acme(subscription=replace(SUBSCRIPTION, **changes))
    assert [("companies", 0, "subscription", *path)] == _paths(company)


def test_too_many_add_ons_are_a_problem() -> None:
    add_ons = tuple(AddOn(f"a{at}") for at in range(101))
    catalog = replace(CATALOG, add_ons=add_ons)
    bought = tuple(AddOnSubscription(add_on.key) for add_on in add_ons)
    company = _acme(subscription=replace(SUBSCRIPTION, add_ons=bought))
    assert [("companies", 0, "subscription", "add_ons")] == [
        problem.path for problem in problems(catalog, [company])
    ]


def _expiring(overrides: int) -> tuple[Catalog, Company]:
    """A company with two cuts of its subscription and one for each override."""
    features = tuple(Feature(f"f{at}", FeatureKind.BOOLEAN) for at in range(overrides))
    expiring = tuple(
        Override(EntitlementGrant(feature.key), expires_us=at * DAY_US + 3)
        for at, feature in enumerate(features)
    )
    subscription = replace(SUBSCRIPTION, trial_ends_us=1, cancel_us=2)
    return replace(CATALOG, features=features), _acme(subscription=subscription, overrides=expiring)


@pytest.mark.parametrize(("overrides", "paths"), [(898, []), (899, [("overrides",)])])
def test_what_changes_at_too_many_instants_is_a_problem(overrides: int, paths: list[Path]) -> None:
    catalog, company = _expiring(overrides)
    found = [problem.path for problem in problems(catalog, [company])]
    assert [("companies", 0, *path) for path in paths] == found
