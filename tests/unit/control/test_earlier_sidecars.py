"""`apply` warns of what sidecars of an earlier version are told less of, while there are some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.services.earlier_sidecars import told_less_warnings
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    ExistingCompanies,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Scope,
)
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.shared.convert.catalog import catalog_to_message
from tests.support.build import DAY, limit, metered
from tests.unit.control.plane import running
from tests.unit.control.support import ALICE

AT_ONCE: Final = Limit("at_once", WindowSpec(WindowUnit.REQUEST), 5)
BY_VALUE: Final = Limit("each", DAY, 5, scope=Scope(("user",)), amounts=(("vip", 9),))
SEVERAL: Final = Limit("some", DAY, 5, scope=Scope((), (("model", "a"), ("model", "b"))))
FEATURES: Final = (Feature("calls", FeatureKind.METERED),)
PACK: Final = AddOn("pack", entitlements=(AddOnEntitlement(metered("calls", limit())),), once=True)


def sold(*limits: Limit, existing: ExistingCompanies = ExistingCompanies.MOVE_NOW) -> Catalog:
    return Catalog(FEATURES, (Plan("pro", "", (metered("calls", *limits),), existing=existing),))


PLAIN: Final = sold(limit())


def told(catalog: Catalog | None, nodes: Sequence[str]) -> list[str]:
    return [warning.message for warning in told_less_warnings(catalog, nodes)]


@pytest.mark.parametrize(
    ("catalog", "less"),
    [
        (sold(limit(), AT_ONCE), "limits for each request of 'calls' (they have none)"),
        (sold(BY_VALUE), "amounts of single values of 'calls' (all have the least)"),
        (sold(SEVERAL), "limits on several values of 'calls' (each value has a share)"),
        (
            sold(existing=ExistingCompanies.KEEP),
            "earlier versions of plan 'pro' (they have the newest)",
        ),
        (Catalog(FEATURES, add_ons=(PACK,)), "add-on 'pack' (it gives nothing)"),
    ],
)
def test_what_they_go_by_less_is_told_with_what_to_do(catalog: Catalog, less: str) -> None:
    message = f"1 sidecar of an earlier version (on 'node-1') goes by less of this: {less}"
    assert [f"{message}. Update them first"] == told(catalog, ["node-1"])


@pytest.mark.parametrize(
    ("catalog", "nodes"), [(PLAIN, ["node-1"]), (sold(AT_ONCE), []), (None, ["node-1"])]
)
def test_nothing_is_told_where_nothing_is_less(
    catalog: Catalog | None, nodes: Sequence[str]
) -> None:
    assert [] == told(catalog, nodes)


def test_many_nodes_and_words_are_counted_and_what_allows_more_comes_first() -> None:
    (message,) = told(sold(BY_VALUE, SEVERAL, AT_ONCE), [f"n{at}" for at in range(1_007)])
    assert message.startswith("1,007 sidecars of an earlier version (on 'n0', 'n1', 'n10', ")
    assert "and 1,002 more) go by less of this: limits for each request" in message


@pytest.mark.parametrize("dry_run", [False, True])
async def test_apply_warns_while_such_a_sidecar_is_connected(
    store: PlaneStore, dry_run: bool
) -> None:
    async with running(store) as calls:
        request = control_pb2.ApplyRequest(
            catalog=catalog_to_message(sold(limit(), AT_ONCE)), dry_run=dry_run
        )
        assert [] == list((await calls.control.Apply(request)).warnings)
        await calls.sync.FetchSnapshots(
            sync_pb2.FetchSnapshotsRequest(incarnation=ALICE, companies=["acme"])
        )
        (warning,) = (await calls.control.Apply(request)).warnings
        assert warning.message.startswith("1 sidecar of an earlier version goes by less")
