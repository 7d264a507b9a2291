"""The sidecar's engine in this process: no server, no messages on a wire."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sidecar.config.settings import SidecarConfig
from sidecar.domain.bounds import HOUR_US
from sidecar.rpc.answer_wire import AnswerEncoder
from sidecar.service.directory import Directory
from sidecar.service.enforce import Enforcer
from sidecar.service.standing import Standing
from sidecar.storage.engine import Engine as StorageEngine
from sidecar.storage.opening import new_incarnation, open_folder
from sidecar.storage.snapshots import Snapshots
from sidecar.storage.store import Store, open_store


@dataclass(frozen=True, slots=True)
class Engine:
    """An open store with what decides on it."""

    store: Store
    directory: Directory
    enforcer: Enforcer


@contextmanager
def open_engine(
    folder: Path, under: Callable[[StorageEngine], StorageEngine] | None = None
) -> Iterator[Engine]:
    """Open the store in a folder as `tallyd sidecar` does by default, while the block lasts.

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
        enforcer = Enforcer(
            store,
            directory,
            Standing(authority=True),
            AnswerEncoder(),
            answers_kept_us=defaults.idempotency_hours * HOUR_US,
        )
        yield Engine(store, directory, enforcer)
    finally:
        opened.close()


def now_us() -> int:
    """Microseconds since the Unix epoch, UTC."""
    return time.time_ns() // 1000
