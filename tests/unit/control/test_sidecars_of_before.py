"""What the plane tells sidecars that do not read changes, and those that do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import sync_answers
from sidecar.control.services import apply, snapshots
from sidecar.control.services.apply import Desired
from sidecar.control.services.overrides import grant_override
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    LimitChange,
    Plan,
)
from sidecar.domain.company.model import Override
from tests.unit.control.support import ALICE, CATALOG, NOW_US, company

MORE: Final = EntitlementGrant("tokens", limit_changes=(LimitChange("ever", 5, adds=True),))
TOKENS: Final = CATALOG.plans[0].entitlements[1]
EVER, DAILY = TOKENS.limits
BY_VALUE: Final = msgspec.structs.replace(DAILY, amounts=(("bob", 7), ("eve", None)))
GRANT: Final = msgspec.structs.replace(TOKENS, limits=(EVER, BY_VALUE))
SOLD: Final = msgspec.structs.replace(
    CATALOG,
    plans=(Plan("pro", "", (GRANT,)),),
    add_ons=(AddOn("pack", "", 0, (AddOnEntitlement(MORE),)),),
)
Told = tuple[catalog_pb2.Catalog, catalog_pb2.CompanySnapshot]


@pytest.fixture
def plane(store: PlaneStore) -> PlaneStore:
    """A company with changes, and with two overrides that replace."""
    apply.apply(store, Desired(SOLD, (company("acme"),)), NOW_US)
    for content in (MORE, GRANT, TOKENS):
        grant_override(store, "acme", Override(content), NOW_US)
    return store


def fetched(store: PlaneStore, accepts_changes: bool) -> Told:
    request = sync_pb2.FetchSnapshotsRequest(
        incarnation=ALICE,
        companies=["acme"],
        accepts_spans=True,
        accepts_changes=accepts_changes,
    )
    answer = sync_answers.fetch(store, request, NOW_US)
    return answer.catalog.catalog, answer.companies[0]


def watched(store: PlaneStore, accepts_changes: bool) -> Told:
    position = snapshots.start(
        store, 0, False, NOW_US, accepts_spans=True, accepts_changes=accepts_changes
    )
    (message,), _, _ = sync_answers.watch_page(store, position, ALICE, NOW_US)
    return message.catalog.catalog, message.companies[0]


def overrides(snapshot: catalog_pb2.CompanySnapshot) -> list[catalog_pb2.EntitlementGrant]:
    return [span.entitlement for span in snapshot.override_spans]


@pytest.mark.parametrize("ask", [fetched, watched])
def test_who_reads_changes_is_told_them(
    plane: PlaneStore, ask: Callable[[PlaneStore, bool], Told]
) -> None:
    catalog, snapshot = ask(plane, True)
    assert 1 == len(catalog.add_ons[0].entitlements)
    daily = catalog.plans[0].entitlements[0].limits[1]
    assert ["bob", "eve"] == [own.value for own in daily.amounts]
    assert 3 == len(overrides(snapshot))
    assert "ever" == overrides(snapshot)[0].limit_changes[0].limit


@pytest.mark.parametrize("ask", [fetched, watched])
def test_who_does_not_is_told_less_and_never_something_unlimited(
    plane: PlaneStore, ask: Callable[[PlaneStore, bool], Told]
) -> None:
    catalog, snapshot = ask(plane, False)
    assert 0 == len(catalog.add_ons[0].entitlements)
    daily = catalog.plans[0].entitlements[0].limits[1]
    assert (7, 0) == (daily.amount, len(daily.amounts))
    (last,) = overrides(snapshot)
    assert [1_005, 100] == [limit.amount for limit in last.limits]


def test_what_was_worked_out_by_a_catalog_is_told_anew_with_the_next_one(
    store: PlaneStore,
) -> None:
    apply.apply(store, Desired(SOLD, (company("acme"), company("initech"))), NOW_US)
    grant_override(store, "acme", Override(MORE), NOW_US)
    position = snapshots.start(store, 0, True, NOW_US, accepts_spans=True)
    _, page, position = sync_answers.watch_page(store, position, ALICE, NOW_US)
    assert page.complete
    apply.apply(store, Desired(_with_ever(10)), NOW_US + 1)
    (message,), page, position = sync_answers.watch_page(store, position, ALICE, NOW_US + 1)
    assert (["acme"], True) == ([told.company for told in message.companies], page.complete)
    (told,) = overrides(message.companies[0])
    assert 15 == told.limits[0].amount
    _, page, _ = sync_answers.watch_page(store, position, ALICE, NOW_US + 1)
    assert page.empty


def test_who_reads_changes_is_told_a_new_catalog_alone(plane: PlaneStore) -> None:
    position = snapshots.start(plane, 0, True, NOW_US, accepts_spans=True, accepts_changes=True)
    _, _, position = sync_answers.watch_page(plane, position, ALICE, NOW_US)
    apply.apply(plane, Desired(_with_ever(10)), NOW_US + 1)
    (message,), _, _ = sync_answers.watch_page(plane, position, ALICE, NOW_US + 1)
    assert message.HasField("catalog")
    assert 0 == len(message.companies)


def _with_ever(amount: int) -> Catalog:
    """The catalog, with another amount of the first limit."""
    ever = msgspec.structs.replace(EVER, amount=amount)
    grant = msgspec.structs.replace(GRANT, limits=(ever, BY_VALUE))
    return msgspec.structs.replace(SOLD, plans=(Plan("pro", "", (grant,)),))
