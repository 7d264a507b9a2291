"""Plan changes within a window of recurring credits, at the plane and down to what is leased."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.services import apply, overrides
from sidecar.control.services.apply import Desired
from sidecar.control.services.subscriptions import change_subscription, try_change
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import EntitlementGrant, LimitChange, Plan
from sidecar.domain.catalog.plan_terms import Proration
from sidecar.domain.company.model import Override
from sidecar.domain.company.subscription_changes import NOW, ChangePlan, ChangeTime, When
from sidecar.domain.errors import InvalidInput
from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.time.units import HOUR_US
from tests.unit.control.credit_plane import CATALOG, DAILY, DAILY_COUNTER, CreditPlane
from tests.unit.control.support import DAY_START_US, company

FULL, BY_TIME, NONE = Proration.FULL, Proration.BY_TIME, Proration.NONE
SIX_PM: Final = DAY_START_US + 18 * HOUR_US
TOMORROW: Final = DAY_START_US + 24 * HOUR_US
LARGE: Final = EntitlementGrant("credits", limits=(replace(DAILY, amount=300),))


@pytest.fixture
def plane(store: PlaneStore) -> CreditPlane:
    return CreditPlane(store, "pro")


def sell(plane: CreditPlane, rule: Proration) -> None:
    """Sell a plan `large`, of 300 a day, by a rule; acme has 100 a day by now."""
    large = Plan("large", "", (LARGE,), proration=rule)
    apply.apply(plane.store, Desired(replace(CATALOG, plans=(*CATALOG.plans, large))), plane.now_us)
    plane.fill()


def granted(plane: CreditPlane, at_us: int) -> int:
    """What the running window grants, as balances are shown."""
    plane.now_us = at_us
    (source, *_) = plane.balance().sources
    return source.account.amount


@pytest.mark.parametrize(("rule", "expected"), [(FULL, 300), (BY_TIME, 100 + 50), (NONE, 100)])
@pytest.mark.parametrize("is_planned", [False, True])
def test_a_change_of_plan_grants_what_the_plan_says(
    plane: CreditPlane, rule: Proration, expected: int, is_planned: bool
) -> None:
    sell(plane, rule)
    when = When(ChangeTime.AT, SIX_PM) if is_planned else NOW
    at_us = plane.now_us if is_planned else SIX_PM
    told = try_change(plane.store, "acme", ChangePlan("large"), when, at_us)
    done = change_subscription(plane.store, "acme", ChangePlan("large"), when, at_us)
    assert told.snapshot.overrides == done.snapshot.overrides
    found = [granted(plane, at_us) for at_us in (SIX_PM, TOMORROW - 1, TOMORROW)]
    assert [expected, expected, 300] == found


def test_no_more_is_leased_than_is_granted(plane: CreditPlane) -> None:
    sell(plane, BY_TIME)
    change_subscription(plane.store, "acme", ChangePlan("large"), NOW, SIX_PM)
    plane.now_us = SIX_PM
    assert LeaseStatus.EXHAUSTED is plane.lease(DAILY_COUNTER, 151).status
    lease = plane.lease(DAILY_COUNTER, 150)
    assert (LeaseStatus.GRANTED, 150) == (lease.status, lease.granted)


def test_a_file_that_changes_the_plan_does_the_same(plane: CreditPlane) -> None:
    sell(plane, BY_TIME)
    apply.apply(plane.store, Desired(companies=(company("acme", "large"),)), SIX_PM)
    assert 150 == granted(plane, SIX_PM)


def test_what_else_changes_leaves_it_as_it_is(plane: CreditPlane) -> None:
    sell(plane, BY_TIME)
    change_subscription(plane.store, "acme", ChangePlan("large"), NOW, SIX_PM)
    more = LimitChange("daily", 7, adds=True)
    own = Override(EntitlementGrant("credits", limit_changes=(more,)))
    later = SIX_PM + HOUR_US
    id_ = overrides.grant_override(plane.store, "acme", own, later).override.entitlement.id
    assert 157 == granted(plane, later)
    overrides.revoke_override(plane.store, "acme", id_, later + HOUR_US)
    assert [150, 300] == [granted(plane, at_us) for at_us in (later + HOUR_US, TOMORROW)]


def test_a_second_change_goes_on_from_the_first(plane: CreditPlane) -> None:
    sell(plane, BY_TIME)
    change_subscription(plane.store, "acme", ChangePlan("large"), NOW, SIX_PM)
    back = SIX_PM + 3 * HOUR_US
    change_subscription(plane.store, "acme", ChangePlan("pro"), NOW, back)
    # Of plan pro by its own rule, which is full.
    assert [150, 100] == [granted(plane, at_us) for at_us in (back - 1, back)]


def test_nobody_grants_an_override_of_that_name(plane: CreditPlane) -> None:
    taken = Override(EntitlementGrant("credits", limits=(DAILY,), id="proration"))
    with pytest.raises(InvalidInput, match="what changes of plans are called"):
        overrides.grant_override(plane.store, "acme", taken, plane.now_us)
