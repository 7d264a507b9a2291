"""Of an add-on that changes it is told how many companies hold it."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import AddOn, Catalog, Plan
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.time.units import DAY_US
from tests.unit.control.support import NOW_US

MORE: Final = AddOn("more", "More", plans=("pro",))
HELD: Final = (AddOnSubscription("more", 2),)
LATER: Final = (ScheduledChange(NOW_US + DAY_US, add_ons=HELD),)
COMPANIES: Final = (
    Company("held", subscription=Subscription("pro", NOW_US, add_ons=HELD)),
    Company("later", subscription=Subscription("pro", NOW_US, changes=LATER)),
    Company("more", subscription=Subscription("pro", NOW_US)),
    Company("none"),
)
CHANGED: Final = {
    "what it is sold with": (msgspec.structs.replace(MORE, plans=("max", "pro")), 1),
    "its name": (msgspec.structs.replace(MORE, name="Much more"), None),
}


@pytest.mark.parametrize(("add_on", "count"), CHANGED.values(), ids=CHANGED)
def test_companies_that_hold_an_add_on_now_are_counted_where_they_have_something_else(
    store: PlaneStore, add_on: AddOn, count: int | None
) -> None:
    plans = (Plan("max"), Plan("pro"))
    apply.apply(store, Desired(Catalog(plans=plans, add_ons=(MORE,)), COMPANIES), NOW_US)
    desired = Desired(Catalog(plans=plans, add_ons=(add_on,)))
    for told in (apply.preview(store, desired, NOW_US), apply.apply(store, desired, NOW_US)):
        (change,) = told.changes
        expected = None if count is None else (ExistingCompanies.MOVE_NOW, count)
        assert expected == change.existing
