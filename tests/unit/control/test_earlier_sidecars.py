"""`apply` warns of what sidecars of an earlier version do not keep, while there are some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.api.control.v1 import control_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.services.earlier_sidecars import EarlierSidecars, earlier_sidecars_warnings
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.kinds import FeatureCost
from sidecar.domain.catalog.model import (
    Across,
    AddOn,
    AddOnEntitlement,
    Catalog,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Scope,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.shared.convert.catalog import catalog_to_message
from tests.support.build import DAY, SOFT, limit, metered
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
    warnings = earlier_sidecars_warnings(catalog, EarlierSidecars(read_less=nodes))
    return [warning.message for warning in warnings]


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


def test_features_of_kinds_that_sidecars_do_not_know_are_told() -> None:
    features = (
        *FEATURES,
        Feature("tokens", FeatureKind.METERED, costs=(FeatureCost("money", CostTable(Price(1))),)),
        Feature("money", FeatureKind.CREDITS),
        Feature("seats", FeatureKind.SEATS),
        Feature("jobs", FeatureKind.LEVEL),
    )
    sidecars = EarlierSidecars(know_no_kinds=["node-1"])
    (warning,) = earlier_sidecars_warnings(Catalog(features), sidecars)
    assert warning.message == (
        "1 sidecar of an earlier version (on 'node-1') knows no credits, seats and levels, and "
        "will answer UNKNOWN_FEATURE for 'tokens' (costs credits), 'money' (CREDITS), "
        "'seats' (SEATS), and 1 more. Update them first"
    )
    assert [] == list(earlier_sidecars_warnings(PLAIN, sidecars))


def told_of_leases(catalog: Catalog, *nodes: str) -> list[str]:
    warnings = earlier_sidecars_warnings(catalog, EarlierSidecars(know_no_leases=nodes))
    return [warning.message for warning in warnings]


EXACT: Final = sold(*(limit(name) for name in "abcd"))


def test_exact_limits_that_sidecars_count_on_without_leases_are_told() -> None:
    (message,) = told_of_leases(PLAIN, "node-1")
    assert message == (
        "1 sidecar of an earlier version (on 'node-1') knows no leases: limits that are exact "
        "('monthly' of 'calls') may be passed by what it lets through. Update them first"
    )
    (message,) = told_of_leases(EXACT, "node-1", "node-2")
    assert message.startswith("2 sidecars of an earlier version (on 'node-1', 'node-2') know no")
    assert "('a' of 'calls', 'b' of 'calls', 'c' of 'calls', and 1 more) may be" in message


@pytest.mark.parametrize(
    "catalog",
    [
        sold(replace(limit(), across=Across.EVENTUAL)),
        sold(limit(enforcement=SOFT)),
        sold(limit(amount=None)),
        sold(AT_ONCE),
    ],
    ids=["eventual", "soft", "unlimited", "for a request"],
)
def test_of_limits_that_need_no_leases_nothing_is_told(catalog: Catalog) -> None:
    assert [] == told_of_leases(catalog, "node-1")


@pytest.mark.parametrize("dry_run", [False, True])
async def test_apply_warns_while_a_sidecar_is_connected_that_knows_no_leases(
    store: PlaneStore, dry_run: bool
) -> None:
    async with running(store) as calls:
        request = control_pb2.ApplyRequest(catalog=catalog_to_message(PLAIN), dry_run=dry_run)
        hello = sync_pb2.HelloRequest(incarnation=ALICE, node="node-1", version="1.0.0")
        await calls.sync.Hello(hello)
        (warning,) = (await calls.control.Apply(request)).warnings
        assert warning.message.startswith("1 sidecar of an earlier version (on 'node-1') knows no")
        hello.capabilities.append(sync_pb2.CAPABILITY_LEASES)
        await calls.sync.Hello(hello)
        assert [] == list((await calls.control.Apply(request)).warnings)
