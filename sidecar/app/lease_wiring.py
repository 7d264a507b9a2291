"""Leases, wired: who asks for them, and what Prometheus reads of it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from sidecar.directory.directory import Directory
from sidecar.domain.time.units import SECOND_US
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.runner import Runner
from sidecar.shared.config import SidecarConfig
from sidecar.shared.ops.instruments import Instrument, LabelledReading, MetricReading
from sidecar.shared.wall_clock import ticks_us
from sidecar.storage.lease_terms import read_lease_terms
from sidecar.storage.leases import Leases
from sidecar.storage.store import Store
from sidecar.sync.exchanges import Exchanges
from sidecar.sync.lease_calls import LeaseCalls
from sidecar.sync.lease_figures import LeaseFigures
from sidecar.sync.lease_inventory import LeaseInventory
from sidecar.sync.leasing import Leasing
from sidecar.sync.machine.held_leases import LeasePace
from sidecar.sync.machine.leasing import LeaseMachine

_FEATURES_MAX: Final = 200


def wire_leasing(
    config: SidecarConfig,
    store: Store,
    runner: Runner,
    directory: Directory,
    plane_status: PlaneStatus,
    exchanges: Exchanges,
    figures: LeaseFigures,
    *,
    now: Callable[[], int],
    hurry: Callable[[float], Awaitable[object]],
    greet: Callable[[], None],
) -> Leasing:
    """`now`: the time gone by. `hurry`, `greet`: see `Leasing`."""
    pace = LeasePace(
        horizon_us=config.lease_seconds * SECOND_US,
        idle_us=config.lease_idle_seconds * SECOND_US,
        leases_max=config.leases_max,
    )
    terms = read_lease_terms(store)
    machine = LeaseMachine(pace, random.random, epoch=terms.epoch, in_use=terms.in_use)
    figures.held = machine.held
    leases, calls = Leases(store), LeaseCalls(exchanges)
    return Leasing(
        store,
        leases,
        runner,
        calls,
        machine,
        LeaseInventory(store, leases, runner, calls, machine, directory, now),
        plane_status,
        figures,
        now=now,
        fetch_seconds=config.fetch_timeout_ms / 1000,
        hurry=hurry,
        greet=greet,
    )


def left_of_leases(figures: LeaseFigures) -> Iterator[tuple[str, int]]:
    """What is left of leases here, by feature; of a bounded number of features."""
    held = figures.held
    if held is not None:
        yield from islice(tuple(held.remaining.items()), _FEATURES_MAX)


def lease_instruments(figures: LeaseFigures) -> Sequence[Instrument]:
    """The instruments; what they read are plain numbers."""

    def remaining() -> Iterator[tuple[Sequence[str], float]]:
        for feature, left in left_of_leases(figures):
            yield (feature,), left

    def oldest_seconds() -> float:
        oldest_us = None if figures.held is None else figures.held.oldest_us
        return 0.0 if oldest_us is None else max(0, ticks_us() - oldest_us) / SECOND_US

    return [
        MetricReading(
            "tallyd_leases_held",
            "Leases of exact limits of which something is left here.",
            lambda: figures.leases_held,
        ),
        LabelledReading(
            "tallyd_lease_remaining",
            "What is left of leases here, in the feature's unit.",
            ["feature"],
            remaining,
        ),
        MetricReading(
            "tallyd_lease_oldest_age_seconds",
            "Longest time since the control plane answered about a lease; 0 without one.",
            oldest_seconds,
        ),
        figures.requests,
        _counter(
            "tallyd_lease_recalls",
            "Leases that the control plane has asked back.",
            lambda: figures.recalls,
        ),
        _counter(
            "tallyd_lease_wrong_denials",
            "Denials for want of a lease that was to be had within a second.",
            lambda: figures.wrong_denials,
        ),
        _counter(
            "tallyd_lease_refusals",
            "Answers that leases held here are none to the control plane.",
            lambda: figures.refused,
        ),
        _counter(
            "tallyd_lease_failures",
            "Requests for leases that were not answered, or not with what was asked for.",
            lambda: figures.failures,
        ),
    ]


def _counter(name: str, help_text: str, value: Callable[[], int]) -> MetricReading:
    return MetricReading(name, help_text, value, kind="counter")
