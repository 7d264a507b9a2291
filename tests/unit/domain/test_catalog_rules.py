"""What of a catalog and its companies is refused, and where; and canonical forms."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.canonical import canonical_catalog, canonical_company
from sidecar.domain.catalog import (
    Catalog,
    Company,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Override,
    Plan,
    Scope,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.catalog_rules import Path, problems
from sidecar.domain.windows import Alignment, WindowSpec, WindowUnit

TOKENS = Feature("tokens", FeatureKind.METERED)
SSO = Feature("sso", FeatureKind.BOOLEAN)
DAY = WindowSpec(WindowUnit.DAY)
LIMIT = Limit("daily", DAY, 10)
GRANT = EntitlementGrant("tokens", limits=(LIMIT,))
PLAN = Plan("pro", entitlements=(GRANT, EntitlementGrant("sso", enabled=True)))
CATALOG = Catalog((TOKENS, SSO), (PLAN,))
ACME = Company("acme", subscription=Subscription("pro", 0))


def _paths(catalog: Catalog, *companies: Company) -> list[Path]:
    return [problem.path for problem in problems(catalog, companies)]


def _with_limit(**changes: object) -> Catalog:
    grant = replace(GRANT, limits=(replace(LIMIT, **changes),))
    return replace(CATALOG, plans=(replace(PLAN, entitlements=(grant,)),))


def _acme(**changes: object) -> Company:
    return replace(ACME, **changes)


def _subscription(**changes: object) -> Company:
    assert ACME.subscription is not None
    return _acme(subscription=replace(ACME.subscription, **changes))


def test_a_good_catalog_has_no_problems() -> None:
    override = Override(replace(GRANT, limits=(replace(LIMIT, amount=INT64_MAX),)))
    assert [] == _paths(CATALOG, ACME, Company("other"), _acme(id="third", overrides=(override,)))


CATALOGS: dict[str, tuple[Catalog, Path]] = {
    "a feature twice": (
        replace(CATALOG, features=(TOKENS, SSO, TOKENS)),
        ("features", 2, "key"),
    ),
    "a plan twice": (replace(CATALOG, plans=(PLAN, PLAN)), ("plans", 1, "key")),
    "a feature that is not there": (
        replace(CATALOG, features=(SSO,)),
        ("plans", 0, "entitlements", 0, "feature"),
    ),
    "limits on a feature that is not METERED": (
        replace(CATALOG, features=(SSO, replace(TOKENS, kind=FeatureKind.CONFIG))),
        ("plans", 0, "entitlements", 0, "limits"),
    ),
    "a feature granted twice": (
        replace(CATALOG, plans=(replace(PLAN, entitlements=(GRANT, GRANT)),)),
        ("plans", 0, "entitlements", 1, "feature"),
    ),
    "a limit twice": (
        replace(
            CATALOG, plans=(replace(PLAN, entitlements=(replace(GRANT, limits=(LIMIT, LIMIT)),)),)
        ),
        ("plans", 0, "entitlements", 0, "limits", 1, "id"),
    ),
    "too many limits": (
        replace(
            CATALOG,
            plans=(
                replace(
                    PLAN,
                    entitlements=(
                        replace(
                            GRANT, limits=tuple(replace(LIMIT, id=str(at)) for at in range(33))
                        ),
                    ),
                ),
            ),
        ),
        ("plans", 0, "entitlements", 0, "limits"),
    ),
    "text that UTF-8 cannot carry": (
        replace(CATALOG, features=(replace(TOKENS, name="\ud800"), SSO)),
        ("features", 0, "name"),
    ),
}


@pytest.mark.parametrize(("catalog", "path"), CATALOGS.values(), ids=CATALOGS)
def test_a_problem_of_the_catalog(catalog: Catalog, path: Path) -> None:
    assert [path] == _paths(catalog)


LIMITS: dict[str, tuple[dict[str, object], Sequence[str | int]]] = {
    "a negative amount": ({"amount": -1}, ["amount"]),
    "an amount beyond int64": ({"amount": INT64_MAX + 1}, ["amount"]),
    "a weekday without a week": (
        {"window": WindowSpec(WindowUnit.DAY, first_weekday=1)},
        ["window", "first_weekday"],
    ),
    "a weekday of an anchored week": (
        {"window": WindowSpec(WindowUnit.WEEK, 1, Alignment.ANCHORED, 1)},
        ["window", "first_weekday"],
    ),
    "no percents": ({"warning_percents": ()}, ["warning_percents"]),
    "a percent of 0": ({"warning_percents": (0, 5)}, ["warning_percents", 0]),
    "a percent above 1000": ({"warning_percents": (5, 1001)}, ["warning_percents", 1]),
    "percents that stay": ({"warning_percents": (5, 5)}, ["warning_percents", 1]),
    "too many percents": (
        {"warning_percents": tuple(range(1, 18))},
        ["warning_percents"],
    ),
    "a dimension without a name": ({"scope": Scope(("",))}, ["scope", "dimensions", 0]),
    "a dimension too long": ({"scope": Scope(("x" * 65,))}, ["scope", "dimensions", 0]),
    "a dimension twice": ({"scope": Scope(("a", "a"))}, ["scope", "dimensions", 1]),
    "a fixed value too long": (
        {"scope": Scope((), (("a", "x" * 257),))},
        ["scope", "match", "a"],
    ),
    "a name fixed twice": (
        {"scope": Scope((), (("a", "1"), ("a", "2")))},
        ["scope", "match", "a"],
    ),
    "a dimension that is fixed": (
        {"scope": Scope(("a",), (("a", "1"),))},
        ["scope", "match", "a"],
    ),
}


@pytest.mark.parametrize(("changes", "path"), LIMITS.values(), ids=LIMITS)
def test_a_problem_of_a_limit(changes: dict[str, object], path: Sequence[str | int]) -> None:
    expected = ("plans", 0, "entitlements", 0, "limits", 0, *path)
    assert [expected] == _paths(_with_limit(**changes))


ANCHORED = replace(LIMIT, window=WindowSpec(WindowUnit.MONTH, 1, Alignment.ANCHORED))
COMPANIES: dict[str, tuple[Company, Path]] = {
    "no id": (_acme(id=""), ("id",)),
    "an unknown zone": (_acme(time_zone="../etc/passwd"), ("time_zone",)),
    "a plan that is not there": (_subscription(plan="max"), ("subscription", "plan")),
    "an anchor out of reach": (_subscription(anchor_us=INT64_MAX), ("subscription", "anchor")),
    "a trial that ends in a pause": (
        _subscription(trial_end_status=SubscriptionStatus.PAUSED),
        ("subscription", "trial_end_status"),
    ),
    "a feature that is not there": (
        _acme(overrides=(Override(EntitlementGrant("none")),)),
        ("overrides", 0, "entitlement", "feature"),
    ),
    "a second override of a feature": (
        _acme(overrides=(Override(GRANT, 5), Override(GRANT))),
        ("overrides", 1, "entitlement", "feature"),
    ),
    "an anchored limit without an anchor": (
        Company("acme", overrides=(Override(EntitlementGrant("tokens", limits=(ANCHORED,))),)),
        ("overrides", 0, "entitlement", "limits", 0, "window", "alignment"),
    ),
}


@pytest.mark.parametrize(("company", "path"), COMPANIES.values(), ids=COMPANIES)
def test_a_problem_of_a_company(company: Company, path: Path) -> None:
    assert [("companies", 1, *path)] == _paths(CATALOG, Company("first"), company)


def test_a_company_twice_is_a_problem() -> None:
    assert [("companies", 1, "id")] == _paths(CATALOG, ACME, ACME)


def test_every_problem_is_told() -> None:
    bad = _acme(id="", time_zone="Moon/Base", subscription=None)
    assert [("companies", 0, "id"), ("companies", 0, "time_zone")] == _paths(CATALOG, bad)


def test_canonical_is_sorted_but_for_limits() -> None:
    scope, sorted_scope = (
        Scope(("b", "a"), (("y", "1"), ("x", "2"))),
        Scope(("a", "b"), (("x", "2"), ("y", "1"))),
    )
    lifetime = WindowSpec(WindowUnit.LIFETIME, 5, Alignment.ANCHORED)
    limits = (replace(LIMIT, scope=scope), Limit("a", lifetime))
    plan = replace(PLAN, entitlements=(replace(GRANT, limits=limits), PLAN.entitlements[1]))
    canonical_limits = (
        replace(LIMIT, scope=sorted_scope),
        Limit("a", WindowSpec(WindowUnit.LIFETIME)),
    )
    grants = (PLAN.entitlements[1], replace(GRANT, limits=canonical_limits))
    assert Catalog((SSO, TOKENS), (Plan("a"), replace(PLAN, entitlements=grants))) == (
        canonical_catalog(Catalog((TOKENS, SSO), (plan, Plan("a"))))
    )


def test_canonical_overrides_are_sorted_by_feature() -> None:
    overrides = Override(GRANT), Override(EntitlementGrant("sso"))
    assert overrides[::-1] == canonical_company(_acme(overrides=overrides)).overrides
