"""How much may be owed, by plan, add-ons and overrides together."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.kinds import OverdraftChange
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
)
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    Segment,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.entitlement.override_targets import untargeted_problems
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.entitlement.sources import SourceEffect
from sidecar.domain.limits.reasons import Reason
from tests.support.build import MONTH

GRANT: Final = EntitlementGrant("money", limits=(Limit("monthly", MONTH, 100),), overdraft=50)
MONEY: Final = Feature("money", FeatureKind.CREDITS)


def owes(amount: int, *, adds: bool, name: str = "") -> EntitlementGrant:
    return EntitlementGrant("money", overdraft_change=OverdraftChange(amount, adds), id=name)


def add_on(key: str, grant: EntitlementGrant, merge: Merge = Merge.INCREMENT) -> AddOn:
    return AddOn(key, "", 0, (AddOnEntitlement(grant, merge),))


INDEX: Final = CatalogIndex(
    Catalog(
        (MONEY,),
        (Plan("bare"), Plan("pro", "", (GRANT,))),
        (
            add_on("line", owes(7, adds=True)),
            add_on("huge", owes(INT64_MAX, adds=True)),
            add_on("whole", replace(GRANT, overdraft=20)),
            add_on("instead", replace(GRANT, overdraft=60), Merge.OVERRIDE),
        ),
    ),
    1,
)
SEGMENT: Final = Segment(status=SubscriptionStatus.ACTIVE, plan="pro")


@pytest.mark.parametrize(
    ("plan", "held", "overrides", "expected"),
    [
        pytest.param("pro", {}, (), 50, id="the plan's"),
        pytest.param("bare", {"whole": 3}, (), 60, id="brought, three times"),
        pytest.param("bare", {"line": 3}, (), 0, id="to nothing nothing is added"),
        pytest.param("pro", {"line": 3}, (), 71, id="added"),
        pytest.param("pro", {"whole": 1}, (), 70, id="added as a whole"),
        pytest.param("pro", {"instead": 2}, (), 60, id="replaced"),
        pytest.param("pro", {"instead": 1, "line": 1}, (), 67, id="replaced, and added to"),
        pytest.param("pro", {"huge": 1_000_000}, (), INT64_MAX, id="no more than there is"),
        pytest.param("pro", {"line": 1}, (owes(5, adds=False),), 5, id="set"),
        pytest.param("pro", {}, (owes(0, adds=False),), 0, id="set to nothing"),
        pytest.param("pro", {}, (owes(5, adds=True),), 55, id="added to for the company"),
        pytest.param(
            "pro",
            {},
            (owes(5, adds=True, name="a"), owes(9, adds=False, name="b")),
            14,
            id="set first, whatever their order",
        ),
        pytest.param("pro", {}, (replace(GRANT, overdraft=1),), 1, id="replaced for the company"),
    ],
)
def test_what_may_be_owed(
    plan: str, held: dict[str, int], overrides: tuple[EntitlementGrant, ...], expected: int
) -> None:
    add_ons = tuple(AddOnSubscription(key, quantity) for key, quantity in held.items())
    segment = replace(SEGMENT, plan=plan, add_ons=add_ons, overrides=overrides)
    found = INDEX.resolve(segment, "money")
    assert found is not None
    assert expected == found.overdraft


@pytest.mark.parametrize(
    ("override", "effect"),
    [
        (owes(5, adds=True), SourceEffect.ADDED),
        (owes(5, adds=False), SourceEffect.REPLACED),
        (owes(0, adds=True), SourceEffect.OUTRANKED),
    ],
)
def test_each_source_says_what_it_did(override: EntitlementGrant, effect: SourceEffect) -> None:
    *_, last = INDEX.sources(replace(SEGMENT, overrides=(override,)), MONEY)
    assert effect is last.effect


def test_limits_and_what_may_be_owed_are_changed_together() -> None:
    change = replace(owes(5, adds=False), limit_changes=(LimitChange("monthly", 10, adds=True),))
    found = INDEX.resolve(replace(SEGMENT, overrides=(change,)), "money")
    assert found is not None
    assert (110, 5) == (found.limits[0].amount, found.overdraft)


def test_what_is_not_granted_has_no_overdraft_to_change() -> None:
    for plan, expected in (("pro", []), ("bare", [("overdraft_change",)])):
        acme = Company(
            "acme", subscription=Subscription(plan), overrides=(Override(owes(5, adds=True)),)
        )
        found = untargeted_problems(acme, 0, INDEX, 0)
        assert expected == [problem.path[3:] for problem in found]


def test_while_it_is_paused_credits_are_denied_and_known() -> None:
    found = INDEX.resolve(replace(SEGMENT, status=SubscriptionStatus.PAUSED), "money")
    assert found is not None
    assert (Reason.SUBSCRIPTION_PAUSED, 50, 1) == (found.reason, found.overdraft, len(found.limits))


def test_no_other_grant_is_burned_along_with_one() -> None:
    found = INDEX.resolve(replace(SEGMENT, plan="bare"), "money")
    assert found is not None
    assert () == INDEX.also_counted(found)
