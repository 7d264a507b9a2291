"""A plan that changes within a month of credits: a sidecar knows it ahead, and goes by it."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.plan_terms import Proration
from sidecar.domain.company.model import ScheduledChange, Subscription
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.entitlement.proration import Prorating
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.units import DAY_US
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import MIDNIGHT_US, company
from tests.support.burning import CREDITS, costs, credits_catalog, recurring
from tests.support.inside import Inside

CHANGE_US: Final = MIDNIGHT_US + 7 * DAY_US  # the 22nd of March: ten days of 31 are left


def sold(rule: Proration) -> Catalog:
    """A plan `basic` of 310 a month, and one `large` of 620."""
    content = credits_catalog({"calls": [costs()]}, recurring(amount=310))
    (basic,) = content.plans
    granted = tuple(
        replace(each, limits=(recurring(amount=620),)) if each.feature == CREDITS else each
        for each in basic.entitlements
    )
    large = replace(basic, key="large", entitlements=granted, proration=rule)
    return replace(content, plans=(basic, large))


@pytest.mark.parametrize(
    ("rule", "more"), [(Proration.FULL, 310), (Proration.BY_TIME, 100), (Proration.NONE, 0)]
)
def test_from_the_change_on_so_much_more_can_be_burned(rule: Proration, more: int) -> None:
    inside = Inside(sold(rule), company())
    acme = company()
    assert isinstance(acme.subscription, Subscription)
    changes = (ScheduledChange(CHANGE_US, "large"),)
    planned = replace(acme, subscription=replace(acme.subscription, changes=changes))
    timeline = Prorating(sold(rule)).prorated(compile_snapshot(planned, 2))
    inside.directory.apply(SnapshotChanges(None, [timeline]))

    assert inside.decide(310).decision.allowed
    inside.now_us = CHANGE_US - 1
    assert not inside.decide(1).decision.allowed
    inside.now_us = CHANGE_US
    assert Reason.CREDITS_EXHAUSTED is Reason(inside.decide(more + 1).decision.reason)
    assert not more or inside.decide(more).decision.allowed
    inside.now_us = CHANGE_US + 10 * DAY_US
    assert inside.decide(620).decision.allowed
