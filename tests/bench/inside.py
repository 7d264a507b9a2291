"""The sidecar's engine in this process: no server, no messages on a wire."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.app.wiring import wire_checks
from sidecar.directory.directory import Directory
from sidecar.engine.enforce import Answer
from sidecar.engine.needs import NOTHING, Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.rpc.deciding import Decided, Deciding
from sidecar.shared.config.settings import SidecarConfig
from sidecar.storage import keys
from sidecar.storage.facts import read_fact
from sidecar.storage.kv_engine import KvEngine
from sidecar.storage.lease_terms import LeaseTerms
from sidecar.storage.opening import open_store
from sidecar.storage.snapshots import Snapshots
from sidecar.storage.store import Store
from sidecar.storage.store_handle import new_incarnation, open_folder


@dataclass(frozen=True, slots=True)
class Engine:
    """An open store with what decides on it."""

    store: Store
    directory: Directory
    deciding: Deciding

    def decide(self, request: pb.CheckAndIncrementRequest) -> Decided | Needs:
        """Decide about a check and count it, with a commit of its own."""
        deciding, at_us = self.deciding, now_us()
        return self.store.transact(
            lambda transaction: (
                deciding.usual_answer(transaction, request, at_us)
                or deciding.by_the_rules(request, at_us, NOTHING)
            )
        )


@contextmanager
def open_engine(
    folder: Path, under: Callable[[KvEngine], KvEngine] | None = None
) -> Iterator[Engine]:
    """Open the store in a folder as `tallyd sidecar` does by default, while the block lasts.

    Where the store says that leases are in use, exact limits are counted on by them; where it says
    nothing there is no plane.
    `under`: gives what is put between the store and the engine that it stands on.
    """
    defaults = SidecarConfig()
    opened = open_folder(
        folder,
        max_bytes=defaults.store_bytes_max,
        sync_commits=False,
        outbox_records_max=defaults.outbox_records_max,
    )
    try:
        store = opened.store
        if under is not None:
            store = open_store(
                under(store.engine),
                new_incarnation=new_incarnation,
                outbox_records_max=defaults.outbox_records_max,
            )
        directory = Directory(Snapshots(store), defaults.companies_cached_max)
        terms = read_fact(store, keys.META_LEASE_TERMS, LeaseTerms)
        leases = terms is not None and terms.in_use
        plane_status = PlaneStatus(authority=not leases)
        plane_status.leases = leases
        checks = wire_checks(
            store,
            directory,
            plane_status,
            _NobodyObserves(),
            now_us,
        )
        yield Engine(store, directory, checks.deciding)
    finally:
        opened.close()


class _NobodyObserves:
    """Metrics belong to the methods, not to the engine."""

    def decided(self, *_: object) -> None:
        pass

    def counted(self, *_: object) -> None:
        pass

    def fell_back(self, *_: object) -> None:
        pass

    def fell_low(self, *_: object) -> None:
        """Nobody is told."""

    def shadow_denied(self, *_: object) -> None:
        pass

    def failed(self, *_: object) -> None:
        pass


def was_counted(outcome: Decided | Needs) -> bool:
    """Whether a check was allowed and counted, just now."""
    return isinstance(outcome, bytes) or (isinstance(outcome, Answer) and bool(outcome.record_id))


def now_us() -> int:
    """Microseconds since the Unix epoch, UTC."""
    return time.time_ns() // 1000
