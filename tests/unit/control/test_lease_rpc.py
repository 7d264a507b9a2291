"""Leases over real gRPC: who is asked to give them back, and what is reported of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import watch_hub
from sidecar.control.rpc.sync import RECALLS_A_MESSAGE
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.limits.counters import CounterName
from sidecar.shared.convert.leases import name_from_message, name_to_message
from tests.support.bounds import HANG_SECONDS_MAX
from tests.unit.control.plane import Calls, refusal, running
from tests.unit.control.support import ALICE, BOB, CAROL, LIFETIME, key_of, per_user

NAME: Final = CounterName("acme", "tokens", LIFETIME)
FAR: Final = 2**63 - 1


@pytest.fixture
async def calls(store: PlaneStore) -> AsyncIterator[Calls]:
    async with running(store) as calls:
        yield calls


def _key(user: int) -> CounterKey:
    return key_of(per_user(f"user-{user}"))


async def recalled(watch: Any, most: int) -> list[CounterKey]:
    """Counters that are asked back on a watch, as soon as there are so many."""
    keys: list[CounterKey] = []
    async with asyncio.timeout(HANG_SECONDS_MAX):
        while len(keys) < most:
            step = await watch.read()
            assert len(step.recalls) <= RECALLS_A_MESSAGE
            names = [name_from_message(recall, "recalls") for recall in step.recalls]
            keys += [CounterKey(name.company, name.feature, name.counter) for name in names]
    return keys


async def test_holders_that_watch_are_asked_to_give_back_and_no_others(calls: Calls) -> None:
    hub = calls.plane._hub
    watches = {who: calls.watch(who, without_companies=True) for who in (ALICE, BOB)}
    for watch in watches.values():
        await watch.read()
    assert 2 == hub.recall([(ALICE, _key(1)), (ALICE, _key(2)), (ALICE, _key(1)), (CAROL, _key(1))])
    assert 1 == hub.recall([(BOB, _key(3))])
    assert [_key(1), _key(2)] == await recalled(watches[ALICE], 2)
    assert [_key(3)] == await recalled(watches[BOB], 1)
    assert 0 == hub.recall([])


async def test_recalls_are_told_once_in_messages_of_a_bounded_size_and_their_number_too(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_hub, "RECALLS_MAX", 2_500)
    watch = calls.watch(ALICE, without_companies=True)
    await watch.read()
    wanted = [(ALICE, _key(user)) for user in range(3_000)]
    for _ in range(2):
        calls.plane._hub.recall(wanted)
    assert [key for _, key in wanted[:2_500]] == await recalled(watch, 2_500)
    calls.plane._hub.recall(wanted[-1:])
    assert [wanted[-1][1]] == await recalled(watch, 1)


def _held(**fields: object) -> sync_pb2.HeldLease:
    held = sync_pb2.HeldLease(
        counter=name_to_message(NAME), incarnation=ALICE, granted=5, number=3, valid_until_us=FAR
    )
    held.MergeFrom(sync_pb2.HeldLease(**fields))  # type: ignore[arg-type]  # fields of a message
    return held


def _report(
    epoch: str, *leases: sync_pb2.HeldLease, who: str = ALICE
) -> sync_pb2.ReportLeasesRequest:
    return sync_pb2.ReportLeasesRequest(incarnation=who, epoch=epoch, leases=leases, complete=True)


async def test_reports_are_taken_under_the_planes_epoch_alone(calls: Calls) -> None:
    epoch = calls.plane._hub.state.epoch
    answer = await calls.sync.ReportLeases(_report(epoch))
    assert answer.plane_time.seconds
    for other in ("", ALICE):
        refused = await refusal(calls.sync.ReportLeases(_report(other)))
        assert (grpc.StatusCode.FAILED_PRECONDITION, "EPOCH_CHANGED") == refused[:2]
    await calls.sync.ReportLeases(_report(epoch, _held()))
    assert (0, 1) == (
        calls.plane._metrics.leases.reported.value,
        calls.plane._metrics.leases.reports_refused.value,
    )


@pytest.mark.parametrize(
    ("lease", "field"),
    [
        (_held(incarnation="x"), "leases[0].incarnation"),
        (_held(granted=-1), "leases[0].granted"),
        (_held(number=-1), "leases[0].number"),
        (_held(valid_until_us=-(2**63)), "leases[0].valid_until_us"),
        (_held(granted_max=-1), "leases[0].granted_max"),
        (_held(counted=-1), "leases[0].counted"),
        (_held(counted=6), "leases[0].counted"),
        (_held(counter=sync_pb2.CounterAddress(company="a" * 300)), "leases[0].counter.company"),
        (_held(counter=sync_pb2.CounterAddress(feature="\n")), "leases[0].counter.feature"),
        (
            _held(counter=sync_pb2.CounterAddress(counter=sync_pb2.Counter(window_start_us=FAR))),
            "leases[0].counter.counter.window_end_us",
        ),
        (sync_pb2.HeldLease(), "leases[0].counter.company"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_no_lease_can_be_is_refused_by_name(
    calls: Calls, lease: sync_pb2.HeldLease, field: str
) -> None:
    refused = await refusal(calls.sync.ReportLeases(_report(calls.plane._hub.state.epoch, lease)))
    assert grpc.StatusCode.INVALID_ARGUMENT == refused.code
    assert field == refused.metadata["field"]


async def test_too_many_leases_in_one_report_are_refused(calls: Calls) -> None:
    request = _report(calls.plane._hub.state.epoch, *(_held() for _ in range(1_001)))
    refused = await refusal(calls.sync.ReportLeases(request))
    assert (grpc.StatusCode.INVALID_ARGUMENT, "leases") == (
        refused.code,
        refused.metadata["field"],
    )
