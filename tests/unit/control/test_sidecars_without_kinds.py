"""What the plane tells sidecars that know no credits, seats and levels, and those that do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import sync_answers
from sidecar.control.services import apply, snapshots
from sidecar.control.services.apply import Desired
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.kinds import FeatureCost
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    LimitChange,
    Plan,
)
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.shared.convert.catalog import catalog_to_message
from tests.support.build import MONTH, catalog, limit, metered
from tests.unit.control.support import ALICE, NOW_US, company

COSTLY: Final = Feature(
    "tokens", FeatureKind.METERED, costs=(FeatureCost("money", CostTable(Price(2))),)
)
PACK: Final = EntitlementGrant("money", limit_changes=(LimitChange("monthly", 5, adds=True),))
PLAIN: Final = catalog({"pro": [metered("calls", limit())]})
SOLD: Final = Catalog(
    features=(
        *PLAIN.features,
        Feature("jobs", FeatureKind.LEVEL),
        Feature("money", FeatureKind.CREDITS),
        COSTLY,
    ),
    plans=(
        Plan(
            "pro",
            "",
            (
                *PLAIN.plans[0].entitlements,
                metered("money", limit("monthly", 1_000, window=MONTH)),
                metered("tokens"),
            ),
        ),
    ),
    add_ons=(AddOn("top_up", "", 0, (AddOnEntitlement(PACK),), once=True),),
)
Ask = Callable[[PlaneStore, bool], catalog_pb2.Catalog]


def fetched(store: PlaneStore, accepts_kinds: bool) -> catalog_pb2.Catalog:
    request = sync_pb2.FetchSnapshotsRequest(
        incarnation=ALICE,
        companies=["acme"],
        accepts_changes=True,
        accepts_kinds=accepts_kinds,
    )
    return sync_answers.fetch(store, request, NOW_US).catalog.catalog


def watched(store: PlaneStore, accepts_kinds: bool) -> catalog_pb2.Catalog:
    position = snapshots.start(
        store, 0, False, NOW_US, accepts_changes=True, accepts_kinds=accepts_kinds
    )
    (message,), _, _ = sync_answers.watch_page(store, position, ALICE, NOW_US)
    return message.catalog.catalog


@pytest.fixture
def plane(store: PlaneStore) -> PlaneStore:
    apply.apply(store, Desired(SOLD, (company("acme"),)), NOW_US)
    return store


@pytest.mark.parametrize("ask", [fetched, watched])
def test_who_knows_all_kinds_is_told_them(plane: PlaneStore, ask: Ask) -> None:
    assert catalog_to_message(SOLD) == ask(plane, True)


@pytest.mark.parametrize("ask", [fetched, watched])
def test_who_does_not_is_told_nothing_of_them_nor_of_what_costs(
    plane: PlaneStore, ask: Ask
) -> None:
    silent = replace(SOLD.add_ons[0], entitlements=())
    assert catalog_to_message(replace(PLAIN, add_ons=(silent,))) == ask(plane, False)
