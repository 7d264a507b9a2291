"""What a company may do with a feature, by outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import pytest

from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Rate,
    RateLimit,
)
from sidecar.domain.company.model import Segment, SubscriptionStatus
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from sidecar.domain.limits.reasons import Reason
from tests.support.build import limit

Status = SubscriptionStatus

CALLS: Final = Feature("calls", FeatureKind.METERED)
DAYS: Final = Feature("days", FeatureKind.CONFIG)
SSO: Final = Feature("sso", FeatureKind.BOOLEAN)
BURST: Final = RateLimit("burst", Rate(10, 1_000_000, 20))
INDEX: Final = CatalogIndex(
    Catalog(
        features=(CALLS, DAYS, SSO),
        plans=(
            Plan("bare"),
            Plan(
                "full",
                entitlements=(
                    EntitlementGrant("calls", limits=(limit("monthly", 100),), rates=(BURST,)),
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
) -> Entitlement:
    segment = Segment(status=status, plan=plan, overrides=tuple(overrides))
    found = INDEX.resolve(segment, feature)
    assert found is not None
    return found


def test_a_metered_feature_comes_with_the_limits_of_the_plan() -> None:
    expected = Entitlement(
        CALLS, Reason.ALLOWED, limits=(limit("monthly", 100),), rates=(BURST,), granted=True
    )
    assert expected == resolve("calls")


def test_a_config_feature_comes_with_its_value() -> None:
    assert Entitlement(DAYS, Reason.ALLOWED, "30", granted=True) == resolve("days")


def test_a_boolean_feature_that_is_on() -> None:
    assert Entitlement(SSO, Reason.ALLOWED, granted=True) == resolve("sso")


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
    assert not entitlement.granted
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
    ("segment", "metered", "others"),
    [
        (Segment(status=Status.TRIALING), Reason.ALLOWED, Reason.ALLOWED),
        (Segment(status=Status.ACTIVE), Reason.ALLOWED, Reason.ALLOWED),
        (Segment(status=Status.PAST_DUE), Reason.ALLOWED, Reason.ALLOWED),
        (
            Segment(status=Status.PAST_DUE, past_grace=True),
            Reason.SUBSCRIPTION_PAST_DUE,
            Reason.SUBSCRIPTION_PAST_DUE,
        ),
        (Segment(status=Status.PAUSED), Reason.SUBSCRIPTION_PAUSED, Reason.ALLOWED),
        (
            Segment(status=Status.CANCELED),
            Reason.SUBSCRIPTION_CANCELED,
            Reason.SUBSCRIPTION_CANCELED,
        ),
        (Segment(status=Status.ENDED), Reason.SUBSCRIPTION_CANCELED, Reason.SUBSCRIPTION_CANCELED),
        (
            Segment(status=Status.ENDED, after_trial=True),
            Reason.TRIAL_ENDED,
            Reason.TRIAL_ENDED,
        ),
    ],
    ids=[
        "trialing",
        "active",
        "past due, in its grace",
        "past due, past its grace",
        "paused",
        "canceled",
        "ended",
        "ended with the trial",
    ],
)
def test_status(segment: Segment, metered: Reason, others: Reason) -> None:
    of = msgspec.structs.replace(segment, plan="full")
    found = {key: INDEX.resolve(of, key) for key in ("calls", "sso", "days")}
    expected = {"calls": metered, "sso": others, "days": others}
    assert expected == {key: of and of.reason for key, of in found.items()}


@pytest.mark.parametrize(
    "segment",
    [
        Segment(status=Status.PAUSED, plan="full"),
        Segment(status=Status.CANCELED, plan="full"),
        Segment(status=Status.PAST_DUE, plan="full", past_grace=True),
    ],
    ids=["paused", "canceled", "past its grace"],
)
def test_limits_are_known_where_the_feature_is_denied(segment: Segment) -> None:
    found = INDEX.resolve(segment, "calls")
    assert found is not None
    assert ((limit("monthly", 100),), (BURST,)) == (found.limits, found.rates)
    assert (False, True) == (found.entitled, found.granted)


def test_a_value_is_not_told_where_it_is_denied() -> None:
    found = resolve("days", status=Status.CANCELED)
    assert ("", True) == (found.config_value, found.granted)


def test_an_override_does_not_outlive_the_subscription() -> None:
    grant = EntitlementGrant("sso", enabled=True)
    found = resolve("sso", status=Status.CANCELED, overrides=[grant])
    assert Reason.SUBSCRIPTION_CANCELED == found.reason


def test_a_paused_feature_that_the_plan_lacks_is_not_entitled() -> None:
    assert Reason.NOT_ENTITLED == resolve("calls", "bare", Status.PAUSED).reason
