"""Rates that are shared, wired: who tells the plane of them, and what Prometheus reads of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import msgspec

from sidecar.domain.time.units import MILLISECOND_US
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.runner import Runner
from sidecar.shared.config import SidecarConfig
from sidecar.shared.ops.instruments import Instrument, MetricReading
from sidecar.shared.wall_clock import ticks_us
from sidecar.storage.sharing import read_sharing
from sidecar.storage.store import Store
from sidecar.sync.exchanges import Exchanges
from sidecar.sync.machine.rate_shares import RateShareMachine
from sidecar.sync.rate_calls import RateCalls
from sidecar.sync.rate_shares import RateSharer


def wire_rate_sharing(
    config: SidecarConfig,
    store: Store,
    runner: Runner,
    plane_status: PlaneStatus,
    exchanges: Exchanges,
    now: Callable[[], int],
) -> RateSharer:
    """`now`: the time gone by."""
    before = read_sharing(store)
    kept = msgspec.structs.replace(before, starts=before.starts + 1)
    machine = RateShareMachine(
        interval_us=config.rate_share_ms * MILLISECOND_US,
        starts=kept.starts,
        uniform=random.random,
        now_us=ticks_us(),
    )
    calls = RateCalls(exchanges)
    return RateSharer(store, runner, calls, machine, plane_status.rate_sharing, kept, now=now)


def rate_share_instruments(sharer: Callable[[], RateSharer | None]) -> Sequence[Instrument]:
    """The instruments; what they read are plain numbers."""

    def of(value: Callable[[RateSharer], int]) -> Callable[[], int]:
        def read() -> int:
            found = sharer()
            return 0 if found is None else value(found)

        return read

    return [
        MetricReading(
            "tallyd_shared_rates",
            "Rates of which the control plane is told what is asked of them here.",
            of(lambda found: found.machine.rates),
        ),
        MetricReading(
            "tallyd_rate_sharers",
            "Sidecars that share rates; 0 where each goes by whole rates.",
            of(lambda found: found.sidecars),
        ),
        MetricReading(
            "tallyd_rate_shares_moved",
            "Shares of rates that became others.",
            of(lambda found: found.moved),
            kind="counter",
        ),
        MetricReading(
            "tallyd_rate_share_failures",
            "Requests for shares of rates that were not answered.",
            of(lambda found: found.machine.failures),
            kind="counter",
        ),
    ]
