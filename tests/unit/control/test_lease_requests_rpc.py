"""Leases over gRPC: what is asked for, refused and counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from tests.support.tables import contents
from tests.unit.control.plane import Calls, Refusal, refusal, running
from tests.unit.control.support import ALICE, BOB, key_of

COUNTER = sync_pb2.Counter(slot="LIFETIME||", window_start_us=0, window_end_us=FOREVER_US)
LEASES = [sync_pb2.CAPABILITY_LEASES]


@pytest.fixture
async def calls(store: PlaneStore) -> AsyncIterator[Calls]:
    async with running(store) as calls:
        await calls.apply("acme", catalog=True)
        yield calls


def asks(number: int = 1, company: str = "acme", **quantities: Any) -> sync_pb2.LeaseRequest:
    address = sync_pb2.CounterAddress(company=company, feature="tokens", counter=COUNTER)
    return sync_pb2.LeaseRequest(counter=address, number=number, **quantities)


async def epoch_of(calls: Calls, incarnation: str = ALICE) -> str:
    greeting = sync_pb2.HelloRequest(incarnation=incarnation, capabilities=LEASES)
    hello: sync_pb2.HelloResponse = await calls.sync.Hello(greeting)
    assert sync_pb2.CAPABILITY_LEASES in hello.capabilities
    return hello.epoch


def request(
    *requests: sync_pb2.LeaseRequest, epoch: str = "", incarnation: str = ALICE
) -> sync_pb2.RequestLeasesRequest:
    return sync_pb2.RequestLeasesRequest(incarnation=incarnation, epoch=epoch, requests=requests)


async def test_a_lease_is_granted_settled_and_told_with_the_planes_time(calls: Calls) -> None:
    epoch = await epoch_of(calls)
    response = await calls.sync.RequestLeases(request(asks(need=3, want=10), epoch=epoch))
    (result,) = response.results
    assert (
        sync_pb2.LeaseResult(
            number=1,
            status=sync_pb2.LEASE_STATUS_GRANTED,
            granted=10,
            valid_until_us=FOREVER_US,
            exact=True,
            amount=1_000,
        )
        == result
    )
    assert response.HasField("plane_time")


async def test_holders_are_asked_over_their_watches(calls: Calls) -> None:
    epoch = await epoch_of(calls)
    await calls.sync.RequestLeases(request(asks(need=900, want=900), epoch=epoch))
    watch = calls.watch(ALICE, without_companies=True)
    while not (await watch.read()).complete:
        pass
    response = await calls.sync.RequestLeases(
        request(asks(need=200, want=200), epoch=epoch, incarnation=BOB)
    )
    assert [sync_pb2.LEASE_STATUS_RECALLING] == [each.status for each in response.results]
    while not (recalls := (await watch.read()).recalls):
        pass
    assert [key_of().company, "LIFETIME||"] == [recalls[0].company, recalls[0].counter.slot]
    watch.cancel()


def _odd_counter(**fields: Any) -> sync_pb2.LeaseRequest:
    odd = asks(want=1)
    odd.counter.counter.MergeFrom(sync_pb2.Counter(**fields))
    return odd


def _counted(store: PlaneStore) -> list[object]:
    """What is counted and leased; background work goes on beside."""
    rows = contents(store)
    return [rows[table] for table in ("lease", "counter", "counter_part", "ledger")]


BAD: dict[str, tuple[list[sync_pb2.LeaseRequest], str]] = {
    "nothing": ([], "requests"),
    "too many": ([asks(at + 1, f"c{at}") for at in range(1_001)], "requests"),
    "number 0": ([asks(0)], "requests[0].number"),
    "a negative number": ([asks(-INT64_MAX - 1)], "requests[0].number"),
    "negative usage": ([asks(used=-1)], "requests[0].used"),
    "a negative lease": ([asks(held=-INT64_MAX - 1)], "requests[0].held"),
    "a negative need": ([asks(need=-1)], "requests[0].need"),
    "less wanted than needed": ([asks(need=2, want=1)], "requests[0].want"),
    "one counter twice": ([asks(1), asks(2)], "requests[1].counter"),
    "a name that is none": ([asks(1, "a\x00")], "requests[0].counter.company"),
    "no company": ([asks(1, "")], "requests[0].counter.company"),
    "too many values": ([_odd_counter(values=["v"] * 99)], "requests[0].counter.counter.values"),
    "a window that ends before it begins": (
        [_odd_counter(window_end_us=-1)],
        "requests[0].counter.counter.window_end_us",
    ),
}


@pytest.mark.parametrize(("requests", "field"), BAD.values(), ids=BAD)
async def test_bad_requests_name_their_field_and_move_nothing(
    calls: Calls, store: PlaneStore, requests: list[sync_pb2.LeaseRequest], field: str
) -> None:
    epoch = await epoch_of(calls)
    before = _counted(store)
    refused = await refusal(calls.sync.RequestLeases(request(*requests, epoch=epoch)))
    code = grpc.StatusCode.INVALID_ARGUMENT
    assert Refusal(code, "INVALID_ARGUMENT", {"field": field}) == refused
    assert before == _counted(store)


async def test_another_epoch_has_to_be_greeted_first(calls: Calls) -> None:
    refused = await refusal(calls.sync.RequestLeases(request(asks(want=1), epoch="another")))
    assert (grpc.StatusCode.FAILED_PRECONDITION, "EPOCH_CHANGED") == refused[:2]


async def test_what_becomes_of_requests_is_counted(calls: Calls) -> None:
    epoch = await epoch_of(calls)
    for asked in (
        asks(1, want=5, need=5),
        asks(2, held=INT64_MAX, used=INT64_MAX),
        asks(1, want=5),
        asks(3, need=INT64_MAX, want=INT64_MAX),
        asks(4, "nobody"),
    ):
        await calls.sync.RequestLeases(request(asked, epoch=epoch))
    samples = calls.plane._metrics.leases.requests.read().samples
    assert {"granted": 2, "refused": 1, "exhausted": 1, "gone": 1} == {
        sample.labels["status"]: sample.value for sample in samples
    }
