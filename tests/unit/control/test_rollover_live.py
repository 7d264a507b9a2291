"""Rollover on a running plane: a sidecar that watches knows what comes before the window opens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import grpc
import pytest

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.api.sync.v1 import sync_pb2, sync_pb2_grpc
from sidecar.control.rpc import background, watch_hub
from sidecar.control.server import ControlPlane
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.limits.counters import CounterRef, CounterTotal
from sidecar.domain.time.units import DAY_US, HOUR_US, SECOND_US
from sidecar.domain.time.windows import Window
from sidecar.shared.convert.catalog import catalog_to_message
from sidecar.shared.convert.companies import company_to_message
from sidecar.shared.convert.counters import total_from_message
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.channels import channel_to
from tests.support.processes import until
from tests.unit.control.plane import CONFIG, Calls
from tests.unit.control.rollover_plane import catalog_of, monthly, on_plan, utc
from tests.unit.control.support import BOB, CAROL, Writer, record

JANUARY: Final = CounterRef("MONTH/1/CALENDAR||", (), Window(utc(2026, 1, 1), utc(2026, 2, 1)))
FEBRUARY: Final = CounterRef("MONTH/1/CALENDAR||", (), Window(utc(2026, 2, 1), utc(2026, 3, 1)))


class Clock:
    """The plane's clock, as the test sets it. `leapt_us`: how far it has leapt ahead of itself."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us
        self.leapt_us = 0

    def __call__(self) -> int:
        return self.now_us + self.leapt_us

    def ticks(self) -> int:
        """The counter, which nobody sets."""
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    return Clock(utc(2026, 1, 10))


@pytest.fixture
async def calls(
    store: PlaneStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Calls]:
    """A plane that has seen that acme's tokens roll over."""
    monkeypatch.setattr(watch_hub, "COALESCE_S", 0.02)
    monkeypatch.setattr(background, "IDLE_S", 0.02)
    monkeypatch.setattr(background, "PAUSE_S", 0.0)
    plane = ControlPlane(CONFIG, store, clock, clock.ticks)
    await plane.start()
    try:
        async with channel_to(plane.grpc_address) as channel:
            control = control_pb2_grpc.ControlServiceStub(channel)
            calls = Calls(plane, channel, control, sync_pb2_grpc.SyncServiceStub(channel))
            await calls.control.Apply(
                control_pb2.ApplyRequest(
                    catalog=catalog_to_message(catalog_of(pro=monthly())),
                    companies=[company_to_message(on_plan())],
                )
            )

            async def seen() -> bool:
                return bool(await _fetched(calls))

            await until(seen, "the plane does not see that acme's tokens roll over")
            yield calls
    finally:
        await plane.stop()


async def _fetched(calls: Calls) -> list[CounterTotal]:
    request = sync_pb2.FetchSnapshotsRequest(incarnation=CAROL, companies=["acme"])
    answer = await calls.sync.FetchSnapshots(request)
    return [total_from_message(total, "totals") for total in answer.totals]


async def _told(
    watch: grpc.aio.UnaryStreamCall[object, object], counter: CounterRef
) -> CounterTotal:
    """The next total of a counter that a watch tells."""
    async with asyncio.timeout(HANG_SECONDS_MAX):
        while True:
            step = await watch.read()
            assert isinstance(step, sync_pb2.WatchSnapshotsResponse)  # and not the end
            for message in step.totals:
                total = total_from_message(message, "totals")
                if total.counter == counter:
                    return total


async def test_what_is_carried_is_told_before_the_window_opens(calls: Calls, clock: Clock) -> None:
    writer = Writer()
    writer.write(record(40, at_us=clock.now_us, counters=[JANUARY]))
    await calls.push(writer)
    watch = calls.watch(BOB)
    clock.now_us = FEBRUARY.window.start_us - 30 * SECOND_US
    told = await _told(watch, FEBRUARY)

    assert ((60,), 0) == (told.carried, told.total)
    assert {JANUARY: (), FEBRUARY: (60,)} == {
        total.counter: total.carried for total in await _fetched(calls)
    }


async def test_late_usage_is_told_to_all(calls: Calls, clock: Clock) -> None:
    watch = calls.watch(BOB)
    clock.now_us = FEBRUARY.window.start_us + SECOND_US
    first = await _told(watch, FEBRUARY)
    writer = Writer()
    writer.write(record(25, at_us=utc(2026, 1, 15), counters=[JANUARY]))
    response = await calls.push(writer)
    answered = [total_from_message(total, "totals") for total in response.totals]
    second = await _told(watch, FEBRUARY)
    while second.carried == first.carried:  # it may be told once more of before the push
        second = await _told(watch, FEBRUARY)

    assert [(100,), (75,)] == [first.carried, second.carried]
    assert second.version > first.version
    assert {JANUARY: (), FEBRUARY: (75,)} == {total.counter: total.carried for total in answered}


async def test_usage_of_a_company_tells_what_was_carried(calls: Calls, clock: Clock) -> None:
    watch = calls.watch(BOB)
    clock.now_us = FEBRUARY.window.start_us + SECOND_US
    await _told(watch, FEBRUARY)
    answer = await calls.control.GetCompanyUsage(control_pb2.GetCompanyUsageRequest(company="acme"))

    (limit,) = answer.limits
    assert (100, 100, 0) == (limit.limit.amount, limit.carried, limit.used)


def _settled(store: PlaneStore) -> bool:
    """Whether January is closed for good."""
    with store.read() as transaction:
        window = transaction.rollover_window(CounterKey("acme", "tokens", JANUARY))
    return window is not None and window.settled


async def test_a_clock_that_leaps_by_a_year_closes_nothing_for_good(
    calls: Calls, clock: Clock, store: PlaneStore
) -> None:
    """It is taken back after an hour; and so it is when another one leaps, and stays for a day."""
    sure = calls.plane._sure_clock

    async def is_held(*, is_so: bool) -> None:
        async def seen() -> bool:
            return is_so == (sure.held_seconds() > 0)

        await until(seen, f"the clock is not as it was to be: {is_so}")

    clock.leapt_us = 365 * DAY_US
    await is_held(is_so=True)
    clock.now_us += HOUR_US
    await calls.push(_used(25, clock.now_us))
    assert not _settled(store)
    clock.leapt_us = 0
    await is_held(is_so=False)
    assert not _settled(store)
    clock.leapt_us = 40 * DAY_US
    await is_held(is_so=True)
    clock.now_us += DAY_US
    await is_held(is_so=False)

    async def settled() -> bool:
        return _settled(store)

    await until(settled, "January is not closed, though it has been February for a day")


async def test_a_restart_under_a_clock_that_has_leapt_goes_on_with_what_was_certain(
    calls: Calls, clock: Clock, store: PlaneStore
) -> None:
    async def kept() -> bool:
        with store.read() as transaction:
            return transaction.known_time() is not None

    await until(kept, "the time is not kept")
    clock.leapt_us = 365 * DAY_US
    clock.now_us += HOUR_US
    again = ControlPlane(CONFIG, store, clock, clock.ticks)
    await again.start()
    try:
        assert clock.now_us == again._sure_clock.now_us()
    finally:
        await again.stop()


async def test_a_key_that_comes_while_the_clock_is_behind_is_as_new_as_it_is(
    calls: Calls, clock: Clock, store: PlaneStore
) -> None:
    clock.leapt_us = -40 * DAY_US
    await calls.push(_used(25, clock.now_us, key="k"))
    with store.write() as transaction:
        assert 0 == transaction.forget_key_uses(clock.now_us - DAY_US, 10)
        assert 1 == transaction.forget_key_uses(clock.now_us + DAY_US, 10)


def _used(quantity: int, at_us: int, key: str = "") -> Writer:
    writer = Writer()
    writer.write(record(quantity, at_us=at_us, counters=[JANUARY], key=key))
    return writer
