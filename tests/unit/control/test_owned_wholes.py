"""Subscriptions and companies of which calls own a part stay whole where a file drops them."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.control.rules.ownership import (
    EXISTENCE,
    FieldConflict,
    TakeOver,
)
from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import FieldOwner, Owner
from sidecar.domain.catalog.model import Plan
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
)
from sidecar.domain.company.subscription_changes import (
    ChangePlan,
    PauseSubscription,
    SetAddOn,
    SubscriptionChange,
)
from sidecar.domain.errors import InvalidInput
from tests.unit.control.owned import (
    ALL,
    CALL_US,
    LATER_US,
    NEXT_US,
    SEATS,
    SOLD,
    bought,
    call,
    create,
    fields_in,
    given,
    start,
    stored,
    subscription,
)


def test_a_subscription_stays_while_a_call_has_changed_anything_of_it(store: PlaneStore) -> None:
    start(store, msgspec.structs.replace(bought(ends_us=NEXT_US), name="Acme"))
    call(store, SetAddOn("gb", 2))
    applied = given(store, Company("acme"))
    assert ["plan"] == fields_in(applied.conflicts)
    assert "" == stored(store).company.name
    gb = (AddOnSubscription("gb", 2),)
    assert bought(add_ons=gb, ends_us=NEXT_US).subscription == subscription(store)
    given(store, Company("acme"), take_over=ALL)
    assert Company("acme") == stored(store).company


LIVE_PARTS: Final[dict[str, SubscriptionChange]] = {
    "a pause": PauseSubscription(),
    "the plan": ChangePlan("max"),
    "another add-on": SetAddOn("gb", 2),
}


@pytest.mark.parametrize("change", LIVE_PARTS.values(), ids=LIVE_PARTS)
def test_a_subscription_that_stays_keeps_what_the_file_gave_of_it(
    store: PlaneStore, change: SubscriptionChange
) -> None:
    start(store, bought(add_ons=SEATS))
    call(store, change)
    before = stored(store)
    for _ in range(2):
        applied = given(store, Company("acme"))
        assert ["plan"] == fields_in(applied.conflicts)
        assert (0, before) == (applied.changed, stored(store))
    given(store, Company("acme"), take_over=TakeOver(fields=frozenset({("acme", "plan")})))
    assert Company("acme") == stored(store).company


def test_pruning_leaves_what_a_call_created_unless_it_is_taken_over(store: PlaneStore) -> None:
    start(store, bought())
    create(store, msgspec.structs.replace(bought(), id="initech"))
    applied = apply.apply(store, Desired(SOLD, (), prune=True), LATER_US)
    assert ["acme"] == [change.key for change in applied.changes]
    owner = FieldOwner(EXISTENCE, Owner.API, CALL_US, "CreateCompany")
    assert (FieldConflict("initech", EXISTENCE, None, None, owner),) == applied.conflicts
    named = TakeOver(companies=frozenset({"initech"}))
    applied = apply.apply(store, Desired(SOLD, (), prune=True, take_over=named), LATER_US)
    assert ["initech"] == [change.key for change in applied.changes]


@pytest.mark.parametrize("change", LIVE_PARTS.values(), ids=LIVE_PARTS)
def test_pruning_leaves_a_company_of_a_file_that_a_call_has_changed_unless_it_is_taken_over(
    store: PlaneStore, change: SubscriptionChange
) -> None:
    start(store, bought(add_ons=SEATS))
    call(store, change)
    before = stored(store)
    applied = apply.apply(store, Desired(SOLD, (), prune=True), LATER_US)
    (conflict,) = applied.conflicts
    assert (EXISTENCE, "ChangeSubscription") == (conflict.path, conflict.owner.call)
    assert (0, before) == (applied.changed, stored(store))
    applied = apply.apply(store, Desired(SOLD, (), prune=True, take_over=ALL), LATER_US)
    assert ["acme"] == [change.key for change in applied.changes]


def test_a_catalog_cannot_lose_what_a_company_that_pruning_leaves_needs(store: PlaneStore) -> None:
    start(store, bought())
    create(store, msgspec.structs.replace(bought(), id="initech"))
    without = msgspec.structs.replace(SOLD, plans=(Plan("max"),))
    with pytest.raises(InvalidInput, match="company 'initech' needs it"):
        apply.apply(store, Desired(without, (), prune=True), LATER_US)
