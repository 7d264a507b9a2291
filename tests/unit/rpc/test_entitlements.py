"""`GetEntitlement` and `ListEntitlements` without a transport: of any instant."""

from __future__ import annotations

import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.errors import InvalidInput
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US
from sidecar.engine.runner import InlineRunner
from sidecar.rpc.queries import QueryMethods
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.shared.convert.times import timestamp
from tests.support.build import NOW_US
from tests.support.method_calls import ANYONE
from tests.unit.engine.explain_bench import APRIL_US, Bench


async def entitlements(bench: Bench, at_us: int) -> tuple[pb.GetEntitlementResponse, int]:
    """The answer for one feature, and the status that is told beside all of them."""
    runner = InlineRunner(bench.opened.store)
    fetcher = SnapshotFetcher(bench.directory, runner, bench.plane)
    methods = QueryMethods(bench.queries, runner, fetcher, lambda: bench.now_us)
    one = pb.GetEntitlementRequest(company="acme", feature="calls", at=timestamp(at_us))
    every = pb.ListEntitlementsRequest(company="acme", at=timestamp(at_us))
    found = await methods.get_entitlement(one.SerializeToString(), ANYONE)
    listed = await methods.list_entitlements(every.SerializeToString(), ANYONE)
    status = pb.ListEntitlementsResponse.FromString(listed).status
    return pb.GetEntitlementResponse.FromString(found), status


async def test_what_is_planned_is_told_of_the_future_and_leaves_the_present_as_it_is() -> None:
    bench = Bench(cancel_us=APRIL_US)

    later, status = await entitlements(bench, APRIL_US + 300 * DAY_US)
    assert pb.REASON_SUBSCRIPTION_CANCELED == later.entitlement.reason
    assert catalog_pb2.SUBSCRIPTION_STATUS_CANCELED == status
    now, status = await entitlements(bench, NOW_US)
    assert (True, catalog_pb2.SUBSCRIPTION_STATUS_ACTIVE) == (now.entitlement.entitled, status)


@pytest.mark.parametrize(
    "at_us", [FIRST_INSTANT_US, -1, 0, NOW_US - 400 * DAY_US, APRIL_US, END_INSTANT_US - 1]
)
async def test_the_instant_may_lie_anywhere(at_us: int) -> None:
    found, _ = await entitlements(Bench(), at_us)
    assert found.entitlement.entitled


@pytest.mark.parametrize("at_us", [FIRST_INSTANT_US - 1, END_INSTANT_US])
async def test_an_instant_beyond_the_calendar_is_refused(at_us: int) -> None:
    with pytest.raises(InvalidInput, match="years 2 to 9998") as caught:
        await entitlements(Bench(), at_us)
    assert "at" == caught.value.field
