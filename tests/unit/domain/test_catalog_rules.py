"""What of a catalog and its companies is refused, and where."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    FailAction,
    FailPolicy,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Rate,
    RateLimit,
    Scope,
)
from sidecar.domain.catalog.rules import problems
from sidecar.domain.company.model import Company, Override, Subscription
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.domain.validation import Path

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


def _with_add_on(*grants: EntitlementGrant) -> Catalog:
    return replace(CATALOG, add_ons=(AddOn("extra", "", 0, tuple(map(AddOnEntitlement, grants))),))


def _with_plan_limit(limit: Limit) -> Catalog:
    plan = Plan("pro", "", (replace(GRANT, limits=(limit,)),))
    return replace(CATALOG, plans=(plan,))


def _with_policy(**policy: Any) -> Catalog:
    return replace(CATALOG, features=(replace(TOKENS, fail_policy=FailPolicy(**policy)), SSO))


def test_a_good_catalog_has_no_problems() -> None:
    override = Override(replace(GRANT, limits=(replace(LIMIT, amount=INT64_MAX),)))
    assert [] == _paths(
        CATALOG, ACME, Company("other"), replace(ACME, id="third", overrides=(override,))
    )


def test_a_catalog_at_its_bounds_has_no_problems() -> None:
    policy = FailPolicy(FailAction.DEFAULT_PLAN, FailAction.DENY, 10 * SECOND_US, FailAction.ALLOW)
    late = FailPolicy(FailAction.ALLOW, FailAction.ALLOW, 365 * DAY_US)
    features = (replace(TOKENS, fail_policy=policy), replace(SSO, fail_policy=late))
    add_ons = (AddOn("low", rank=-1_000_000), AddOn("high", rank=1_000_000))
    assert [] == _paths(Catalog(features, (PLAN,), add_ons, default_plan="pro"))


CATALOGS: dict[str, tuple[Catalog, Path]] = {
    "a space at an end of a feature's key": (
        replace(CATALOG, features=(TOKENS, SSO, replace(SSO, key="sso "))),
        ("features", 2, "key"),
    ),
    "a space at an end of a plan's key": (
        replace(CATALOG, plans=(PLAN, replace(PLAN, key=" pro"))),
        ("plans", 1, "key"),
    ),
    "a code point in an add-on's key that is not assigned": (
        replace(CATALOG, add_ons=(AddOn("a\u0378"),)),
        ("add_ons", 0, "key"),
    ),
    "a space at an end of a limit's name": (
        replace(
            CATALOG, plans=(Plan("pro", "", (replace(GRANT, limits=(replace(LIMIT, id="a "),)),)),)
        ),
        ("plans", 0, "entitlements", 0, "limits", 0, "id"),
    ),
    "a space at an end of a dimension": (
        _with_plan_limit(replace(LIMIT, scope=Scope((" user",)))),
        ("plans", 0, "entitlements", 0, "limits", 0, "scope", "dimensions", 0),
    ),
    "a space at an end of a fixed value": (
        _with_plan_limit(replace(LIMIT, scope=Scope((), (("m", "x "),)))),
        ("plans", 0, "entitlements", 0, "limits", 0, "scope", "match", "m"),
    ),
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
    "an add-on twice": (
        replace(CATALOG, add_ons=(AddOn("extra"), AddOn("extra"))),
        ("add_ons", 1, "key"),
    ),
    "an add-on without a key": (replace(CATALOG, add_ons=(AddOn(""),)), ("add_ons", 0, "key")),
    "an add-on of a long name": (
        replace(CATALOG, add_ons=(AddOn("extra", "n" * 257),)),
        ("add_ons", 0, "name"),
    ),
    "an add-on of too low a rank": (
        replace(CATALOG, add_ons=(AddOn("extra", rank=-1_000_001),)),
        ("add_ons", 0, "rank"),
    ),
    "an add-on that grants a feature twice": (
        _with_add_on(GRANT, GRANT),
        ("add_ons", 0, "entitlements", 1, "entitlement", "feature"),
    ),
    "an add-on that grants a feature that is not there": (
        _with_add_on(EntitlementGrant("none")),
        ("add_ons", 0, "entitlements", 0, "entitlement", "feature"),
    ),
    "an add-on with a broken limit": (
        _with_add_on(replace(GRANT, limits=(replace(LIMIT, amount=-1),))),
        ("add_ons", 0, "entitlements", 0, "entitlement", "limits", 0, "amount"),
    ),
    "an add-on with limits on a feature that is not METERED": (
        _with_add_on(EntitlementGrant("sso", limits=(LIMIT,))),
        ("add_ons", 0, "entitlements", 0, "entitlement", "limits"),
    ),
    "rates on a feature that is not METERED": (
        _with_add_on(EntitlementGrant("sso", rates=(RateLimit("r", Rate(1, 1_000, 1)),))),
        ("add_ons", 0, "entitlements", 0, "entitlement", "rates"),
    ),
    "a default plan that is not there": (
        replace(CATALOG, default_plan="free"),
        ("default_plan",),
    ),
    "a fail policy by a default plan that is not there": (
        _with_policy(no_snapshot=FailAction.DEFAULT_PLAN),
        ("features", 0, "fail_policy", "no_snapshot"),
    ),
    "no snapshot and yet something to keep": (
        _with_policy(no_snapshot=FailAction.KEEP),
        ("features", 0, "fail_policy", "no_snapshot"),
    ),
    "a stale snapshot and the default plan": (
        _with_policy(stale=FailAction.DEFAULT_PLAN, stale_after_us=DAY_US),
        ("features", 0, "fail_policy", "stale"),
    ),
    "a full outbox and something to keep": (
        _with_policy(outbox_full=FailAction.KEEP),
        ("features", 0, "fail_policy", "outbox_full"),
    ),
    "no lease and something to keep": (
        _with_policy(no_lease=FailAction.KEEP),
        ("features", 0, "fail_policy", "no_lease"),
    ),
    "staleness without a time": (
        _with_policy(stale=FailAction.DENY),
        ("features", 0, "fail_policy", "stale_after"),
    ),
    "staleness sooner than silence is told": (
        _with_policy(stale=FailAction.DENY, stale_after_us=10 * SECOND_US - 1),
        ("features", 0, "fail_policy", "stale_after"),
    ),
    "staleness after more than a year": (
        _with_policy(stale_after_us=365 * DAY_US + 1),
        ("features", 0, "fail_policy", "stale_after"),
    ),
    "text that UTF-8 cannot carry": (
        replace(CATALOG, features=(replace(TOKENS, name="\ud800"), SSO)),
        ("features", 0, "name"),
    ),
}


@pytest.mark.parametrize(("catalog", "path"), CATALOGS.values(), ids=CATALOGS)
def test_a_problem_of_the_catalog(catalog: Catalog, path: Path) -> None:
    assert [path] == _paths(catalog)
