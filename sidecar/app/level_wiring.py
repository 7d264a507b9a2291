"""Levels, wired: the methods about them, who takes back what is over, and what Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sidecar.directory.directory import Directory
from sidecar.engine.level_query import LevelQueries
from sidecar.engine.levels import Levels
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.request_dimensions import RequestDimensions
from sidecar.engine.runner import Runner
from sidecar.rpc.deciding import Observer
from sidecar.rpc.enforcement import EnforcementMethods
from sidecar.rpc.level_messages import encode_level_answer
from sidecar.rpc.levels import LevelMethods
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.shared.ops.instruments import Instrument, MetricReading
from sidecar.storage.store import Store


def wire_levels(
    store: Store,
    directory: Directory,
    plane_status: PlaneStatus,
    dimensions: RequestDimensions,
    methods: EnforcementMethods,
    runner: Runner,
    snapshot_fetcher: SnapshotFetcher,
    observer: Observer,
    now: Callable[[], int],
) -> LevelMethods:
    """`now`: microseconds by the plane's clock."""
    levels = Levels(store, directory, plane_status, encode_level_answer, dimensions)
    queries = LevelQueries(store, directory, plane_status)
    return LevelMethods(levels, queries, methods, runner, snapshot_fetcher, observer, now)


def level_instruments(expired: Callable[[], int]) -> Sequence[Instrument]:
    """The instruments; what they read are plain numbers."""
    return [
        MetricReading(
            "tallyd_level_items_expired",
            "Items of levels whose time to live was over, so that their share came back.",
            expired,
            kind="counter",
        )
    ]
