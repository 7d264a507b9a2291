"""Leases are kept up in the background, by a running plane."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.control.lease_metrics import FEATURES_SHOWN_MAX, LeaseMetrics
from sidecar.control.metrics import ControlMetrics
from sidecar.control.rpc import background, lease_task
from sidecar.control.rpc.lease_task import LeaseTask
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.lease_maintenance import FeatureLeases
from sidecar.control.storage.lease_values import StoredLease
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import LossCount
from sidecar.control.storage.witness_port import MemoryWitness
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.time.units import DAY_US, MINUTE_US, SECOND_US
from sidecar.shared.ops.instruments import LabelledReading
from sidecar.shared.wall_clock import wall_us
from tests.support.processes import until
from tests.unit.control.plane import Calls, running
from tests.unit.control.support import ALICE, BOB, key_of, set_up
from tests.unit.control.test_lease_holders import count, grant, hear, lease_of, listed
from tests.unit.control.test_lease_rpc import recalled


def lease(granted: int, who: str = ALICE, asked_us: int | None = None) -> StoredLease:
    now_us = wall_us()
    asked_us = now_us if asked_us is None else asked_us
    return StoredLease(key_of(), who, granted, 1, FOREVER_US, 1_000, asked_us, now_us)


@pytest.fixture
async def calls(store: PlaneStore, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Calls]:
    monkeypatch.setattr(lease_task, "ROUND_S", 0.0)
    monkeypatch.setattr(lease_task, "SETTLED_US_MAX", 0)
    monkeypatch.setattr(background, "IDLE_S", 0.02)
    set_up(store, "acme")
    async with running(store) as calls:
        yield calls


class Stepped:
    """A plane's task, on a clock that a test sets. `silent_us`: since the last watch ended."""

    def __init__(self, store: PlaneStore, workers: Workers, release_us: int) -> None:
        self.now_us = wall_us()
        self.silent_us = 0
        self.hub = Hub(workers)
        self._store = store
        metrics = ControlMetrics(
            "1",
            wall_us,
            watchers=_none,
            revision=_none,
            dropped_totals=_none,
            clock_held=_none,
            losses=LossCount,
        )
        self._task = LeaseTask(
            workers, self.hub, metrics, lambda: self.now_us, MemoryWitness(), release_us
        )

    async def goes_on(self, us: int) -> None:
        """Let time pass, and have the task look."""
        self.now_us += us
        self.silent_us = 0 if self.hub.watchers else self.silent_us + us
        await self._task._step()

    def is_released(self) -> bool:
        found = lease_of(self._store, ALICE)
        return found is not None and found.released


def _none() -> int:
    return 0


@asynccontextmanager
async def stepped(
    store: PlaneStore, monkeypatch: pytest.MonkeyPatch, release_us: int
) -> AsyncIterator[Stepped]:
    """A plane's task that looks, and keeps who is there, at each step."""
    monkeypatch.setattr(lease_task, "ROUND_S", 0.0)
    monkeypatch.setattr(lease_task, "MAINTENANCE_S_MAX", 0.0)
    workers = Workers(store)
    try:
        plane = Stepped(store, workers, release_us)
        await plane.hub.refresh()
        yield plane
    finally:
        workers.close()


async def test_what_a_lowered_limit_no_longer_covers_is_asked_back(
    calls: Calls, store: PlaneStore
) -> None:
    watch = calls.watch(ALICE, without_companies=True)
    await watch.read()
    grant(store, lease(700))
    grant(store, lease(700, BOB, asked_us=0))
    assert [key_of()] == await recalled(watch, 1)


async def test_what_has_been_silent_for_too_long_is_released(
    calls: Calls, store: PlaneStore
) -> None:
    watch = calls.watch(ALICE, without_companies=True)
    await watch.read()
    grant(store, lease(300, asked_us=0), lease(200, BOB, asked_us=0))
    count(store, BOB, 50)

    async def is_released() -> bool:
        found = lease_of(store, BOB)
        return found is not None and found.released

    await until(is_released, "nothing was released")
    kept, released = lease_of(store, ALICE), lease_of(store, BOB)
    assert kept is not None
    assert released is not None
    assert (300, False, 50) == (kept.granted, kept.released, released.granted)
    assert 1 == calls.plane._metrics.leases.released.value


@pytest.mark.parametrize(
    ("release_us", "kept_us", "released_us"),
    [(MINUTE_US, 60 * SECOND_US, 75 * SECOND_US), (DAY_US, DAY_US, DAY_US + 10 * MINUTE_US)],
    ids=["the_least", "a_day"],
)
async def test_a_lease_is_kept_for_as_long_as_the_setting_says_and_not_much_longer(
    store: PlaneStore,
    monkeypatch: pytest.MonkeyPatch,
    release_us: int,
    kept_us: int,
    released_us: int,
) -> None:
    set_up(store, "acme")
    async with stepped(store, monkeypatch, release_us) as plane:
        with plane.hub.watching(ALICE, everything=False):
            hear(store, ALICE, plane.now_us)
            grant(store, lease(300, asked_us=0))
            for _ in range(30):
                # It was heard by its watch alone, the last time at the end of the last round.
                await plane.goes_on(release_us // 20)
        await plane.goes_on(kept_us - release_us // 20)
        assert not plane.is_released()
        await plane.goes_on(released_us - plane.silent_us + release_us // 20)
        assert plane.is_released()


async def test_nothing_is_released_soon_after_a_start_of_which_holders_may_not_know_yet(
    store: PlaneStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(store, "acme")
    grant(store, lease(300, asked_us=0))  # silent for years
    async with stepped(store, monkeypatch, MINUTE_US) as plane:
        await plane.goes_on(MINUTE_US - 1)
        assert not plane.is_released()
        await plane.goes_on(1)
        assert plane.is_released()


async def test_sums_are_as_of_the_last_look(calls: Calls, store: PlaneStore) -> None:
    metrics = calls.plane._metrics.leases
    grant(store, lease(300), lease(20, BOB, asked_us=0))

    async def are_told() -> bool:
        sums = metrics.features.get("tokens", FeatureLeases())
        return (2, 320, 20) == (sums.leases, sums.outstanding, sums.burned)

    await until(are_told, "the sums never came")
    count(store, ALICE, 300)
    count(store, BOB, 20)

    async def are_gone() -> bool:
        return not metrics.features

    await until(are_gone, "the sums stayed")


async def test_operators_see_recall_and_settle_leases(calls: Calls, store: PlaneStore) -> None:
    watch = calls.watch(ALICE, without_companies=True)
    await watch.read()
    now_us = wall_us()
    grant(store, lease(300), lease(20, BOB, asked_us=now_us - 600_000_000))
    answer = await calls.control.ListLeases(control_pb2.ListLeasesRequest())
    [counter] = answer.counters
    assert ("acme", "tokens", "ever", 1_000, 0, 320, 20, 680) == (
        counter.company,
        counter.feature,
        counter.limit,
        counter.ceiling,
        counter.used,
        counter.outstanding,
        counter.burned,
        counter.available,
    )
    assert not counter.HasField("window")
    assert [(ALICE, 300, False), (BOB, 20, True)] == [
        (holder.incarnation, holder.remaining, holder.silent) for holder in counter.holders
    ]
    wanted = control_pb2.LeaseFilter(company="acme")
    recall = await calls.control.RecallLeases(control_pb2.RecallLeasesRequest(filter=wanted))
    assert (1, 1, "") == (recall.recalled, recall.unreached, recall.next_page_token)
    assert [key_of()] == await recalled(watch, 1)
    wanted.incarnation = BOB
    request = control_pb2.SettleLeasesRequest(
        filter=wanted, settlement=control_pb2.LEASE_SETTLEMENT_COUNTED
    )
    settled = await calls.control.SettleLeases(request)
    assert (1, 20) == (settled.settled, settled.quantity)
    [left] = listed(store, now_us=now_us)
    assert (20, 300) == (left.used, left.outstanding)


def test_features_beyond_the_bound_are_told_as_one() -> None:
    metrics = LeaseMetrics()
    names = [f"feature-{at:03}" for at in range(FEATURES_SHOWN_MAX + 3)]
    metrics.features = {name: FeatureLeases(leases=2) for name in names}
    [leases] = [
        each.read()
        for each in metrics.instruments()
        if isinstance(each, LabelledReading) and each.read().name == "tallyd_leases"
    ]
    values = {sample.labels["feature"]: sample.value for sample in leases.samples}
    assert FEATURES_SHOWN_MAX + 1 == len(values)
    assert (2, 6) == (values["feature-000"], values["other"])
