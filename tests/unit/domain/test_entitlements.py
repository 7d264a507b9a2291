"""What a company may do with a feature, by outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from sidecar.domain.catalog import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Segment,
    SubscriptionStatus,
)
from sidecar.domain.decision import Reason
from sidecar.domain.entitlements import CatalogIndex, Entitlement
from tests.support.build import limit

Status = SubscriptionStatus

CALLS: Final = Feature("calls", FeatureKind.METERED)
DAYS: Final = Feature("days", FeatureKind.CONFIG)
SSO: Final = Feature("sso", FeatureKind.BOOLEAN)
INDEX: Final = CatalogIndex(
    Catalog(
        features=(CALLS, DAYS, SSO),
        plans=(
            Plan("bare"),
            Plan(
                "full",
                entitlements=(
                    EntitlementGrant("calls", limits=(limit("monthly", 100),)),
                    EntitlementGrant("days", config_value="30"),
                    EntitlementGrant("sso", enabled=True),
                ),
            ),
            Plan("off", entitlements=(EntitlementGrant("sso", enabled=False),)),
        ),
    ),
    version=7,
)


def resolve(
    feature: str,
    plan: str = "full",
    status: Status = Status.ACTIVE,
    overrides: Sequence[EntitlementGrant] = (),
    *,
    after_trial: bool = False,
) -> Entitlement:
    segment = Segment(status=status, plan=plan, overrides=tuple(overrides), after_trial=after_trial)
    found = INDEX.resolve(segment, feature)
    assert found is not None
    return found


def test_a_metered_feature_comes_with_the_limits_of_the_plan() -> None:
    expected = Entitlement(CALLS, Reason.ALLOWED, limits=(limit("monthly", 100),))
    assert expected == resolve("calls")


def test_a_config_feature_comes_with_its_value() -> None:
    assert Entitlement(DAYS, Reason.ALLOWED, "30") == resolve("days")


def test_a_boolean_feature_that_is_on() -> None:
    assert Entitlement(SSO, Reason.ALLOWED) == resolve("sso")


@pytest.mark.parametrize(
    ("feature", "plan"),
    [
        pytest.param("calls", "bare", id="metered, not in the plan"),
        pytest.param("days", "bare", id="config, not in the plan"),
        pytest.param("sso", "bare", id="boolean, not in the plan"),
        pytest.param("sso", "off", id="boolean, off in the plan"),
        pytest.param("calls", "gone", id="a plan that the catalog lacks"),
        pytest.param("calls", "", id="no plan"),
    ],
)
def test_not_entitled(feature: str, plan: str) -> None:
    entitlement = resolve(feature, plan)
    assert (Reason.NOT_ENTITLED, False) == (entitlement.reason, entitlement.entitled)
    assert () == entitlement.limits


def test_a_feature_that_the_catalog_lacks_is_unknown() -> None:
    assert INDEX.resolve(Segment(status=Status.ACTIVE, plan="full"), "other") is None


def test_without_a_subscription_nothing_is_granted() -> None:
    segment = Segment()
    for feature in ("calls", "days", "sso"):
        entitlement = INDEX.resolve(segment, feature)
        assert entitlement is not None
        assert Reason.NOT_ENTITLED == entitlement.reason


@pytest.mark.parametrize(
    ("override", "plan", "expected"),
    [
        pytest.param(
            EntitlementGrant("sso", enabled=True), "off", (Reason.ALLOWED, "", ()), id="turns on"
        ),
        pytest.param(
            EntitlementGrant("sso", enabled=False),
            "full",
            (Reason.NOT_ENTITLED, "", ()),
            id="turns off",
        ),
        pytest.param(
            EntitlementGrant("days", config_value="90"),
            "full",
            (Reason.ALLOWED, "90", ()),
            id="replaces the value",
        ),
        pytest.param(
            EntitlementGrant("calls", limits=(limit("daily", 5),)),
            "full",
            (Reason.ALLOWED, "", (limit("daily", 5),)),
            id="replaces all limits",
        ),
        pytest.param(
            EntitlementGrant("calls"), "full", (Reason.ALLOWED, "", ()), id="lifts all limits"
        ),
        pytest.param(
            EntitlementGrant("calls", limits=(limit("daily", 5),)),
            "bare",
            (Reason.ALLOWED, "", (limit("daily", 5),)),
            id="grants what the plan lacks",
        ),
        pytest.param(
            EntitlementGrant("days", config_value="90"),
            "bare",
            (Reason.ALLOWED, "90", ()),
            id="grants a value that the plan lacks",
        ),
    ],
)
def test_override(
    override: EntitlementGrant, plan: str, expected: tuple[Reason, str, tuple[Limit, ...]]
) -> None:
    found = resolve(override.feature, plan, overrides=[override])
    assert expected == (found.reason, found.config_value, found.limits)


def test_an_override_of_one_feature_leaves_the_others_alone() -> None:
    found = resolve("calls", overrides=[EntitlementGrant("days", config_value="90")])
    assert resolve("calls") == found


@pytest.mark.parametrize(
    ("status", "after_trial", "metered", "boolean", "config"),
    [
        (Status.TRIALING, False, Reason.ALLOWED, Reason.ALLOWED, Reason.ALLOWED),
        (Status.ACTIVE, False, Reason.ALLOWED, Reason.ALLOWED, Reason.ALLOWED),
        (Status.PAST_DUE, False, Reason.ALLOWED, Reason.ALLOWED, Reason.ALLOWED),
        (Status.PAUSED, False, Reason.SUBSCRIPTION_PAUSED, Reason.ALLOWED, Reason.ALLOWED),
        (Status.CANCELED, False, *[Reason.SUBSCRIPTION_CANCELED] * 3),
        (Status.ENDED, False, *[Reason.SUBSCRIPTION_CANCELED] * 3),
        (Status.ENDED, True, *[Reason.TRIAL_ENDED] * 3),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_status(
    status: Status, after_trial: bool, metered: Reason, boolean: Reason, config: Reason
) -> None:
    found = [
        resolve(feature, status=status, after_trial=after_trial).reason
        for feature in ("calls", "sso", "days")
    ]
    assert [metered, boolean, config] == found


def test_an_override_does_not_outlive_the_subscription() -> None:
    grant = EntitlementGrant("sso", enabled=True)
    found = resolve("sso", status=Status.CANCELED, overrides=[grant])
    assert Reason.SUBSCRIPTION_CANCELED == found.reason


def test_a_paused_feature_that_the_plan_lacks_is_not_entitled() -> None:
    assert Reason.NOT_ENTITLED == resolve("calls", "bare", Status.PAUSED).reason
