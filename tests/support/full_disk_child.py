"""A process that owns a store on a disk that gets full: `python -m tests.support.full_disk_child`.

`FOLDER MAPPED FILLER`: MAPPED is `mapped` or `plain`, as the store is to be opened. With FILLER
`file` something else takes all of the disk, with `store` the store does. The file of the store has
holes at first, and shares its blocks with another if the file system has that. Counts until there
is no room, reads, opens the store once more, reads; gives room back (deletes the file, or
acknowledges what waits), and counts on. One line for each; any other end, such as a signal, is a
failure.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import structlog

from sidecar.domain.errors import Exhausted, Unavailable
from sidecar.storage.mapped_engine import MappedEngine
from sidecar.storage.outbox import Outbox
from sidecar.storage.store import Store
from sidecar.storage.store_handle import StoreHandle, open_folder
from sidecar.storage.transaction import Transaction
from sidecar.sync.records import UsageRecordReader
from tests.support.stores import MONTHLY, count_in, counter_key_of

_STORE_BYTES_MAX: Final = 1 << 30
_STEPS_MAX: Final = 3_000_000
_GROUP: Final = 50
_ROOM_SECONDS_MAX: Final = 20.0
_ROOM_POLL_SECONDS: Final = 0.01


def main(folder: Path, mapped: str, filler: str) -> None:
    """Do it all; see the module."""
    opened = _open(folder / "store")
    _count(opened.store)
    opened.close()
    _copy(folder / "store" / "data.mdb")
    opened = _open(folder / "store")
    assert (mapped == "mapped") is isinstance(opened.store.engine, MappedEngine)
    if filler == "file":
        _fill(folder / "filler")
    counted = _count_until_full(opened.store)
    life = opened.store.incarnation.id
    print("counted", counted == _used(opened.store) == opened.store.waiting_records())
    opened.close()
    opened = _open(folder / "store")
    assert life == opened.store.incarnation.id
    print("opened again", counted == _used(opened.store) == opened.store.waiting_records())
    if filler == "file":
        (folder / "filler").unlink()
    else:
        _acknowledge_all(opened.store)
    _count_once_there_is_room(opened.store)
    print("went on", counted + 1 == _used(opened.store))
    opened.close()


def _open(folder: Path) -> StoreHandle:
    return open_folder(
        folder, max_bytes=_STORE_BYTES_MAX, sync_commits=False, outbox_records_max=_STEPS_MAX
    )


def _copy(data: Path) -> None:
    """Put a copy in the place of a file, as whoever saves and restores a store may do."""
    copy, origin = data.with_name("copy"), data.with_name("origin")
    shared = ["cp", "--reflink=always", str(data), str(copy)]
    if subprocess.run(shared, check=False, capture_output=True).returncode:
        copy.write_bytes(b"")
        subprocess.run(["cp", "--sparse=always", str(data), str(copy)], check=True)
        assert copy.stat().st_blocks < data.stat().st_blocks
    data.rename(origin)
    copy.rename(data)


def _fill(file: Path) -> None:
    """Take all that is left of the disk, down to the last page."""
    for pages in (256, 1):
        try:
            with open(file, "ab", buffering=0) as opened:
                while True:
                    opened.write(b"x" * (pages << 12))
        except OSError as error:
            print("file", error.strerror)


def _count(store: Store) -> None:
    def work(transaction: Transaction) -> None:
        store.require_room()
        count_in(transaction, 1)

    store.transact(work)


def _count_until_full(store: Store) -> int:
    """Count, in groups as callers do; each alone where a group fails."""
    for _ in range(_STEPS_MAX // _GROUP):
        before = store.head.sequence
        try:
            with store.group():
                for _ in range(_GROUP):
                    _count(store)
        except (Exhausted, Unavailable):
            assert before == store.head.sequence
            try:
                for _ in range(_GROUP):
                    _count(store)
            except (Exhausted, Unavailable) as error:
                print("ERROR", type(error).__name__, error.reason)
                return store.waiting_records()
    raise AssertionError("the disk is never full")


def _acknowledge_all(store: Store) -> None:
    outbox = Outbox(store, UsageRecordReader())
    for incarnation, head in store.lives():
        while outbox.acknowledge(incarnation.id, head.sequence):
            pass
    print("acknowledged", store.waiting_records() == 0)


def _count_once_there_is_room(store: Store) -> None:
    deadline = time.monotonic() + _ROOM_SECONDS_MAX
    while True:
        try:
            return _count(store)
        except (Exhausted, Unavailable):
            if time.monotonic() > deadline:
                raise
            time.sleep(_ROOM_POLL_SECONDS)


def _used(store: Store) -> int:
    counter = store.transact(lambda transaction: transaction.counter(counter_key_of(MONTHLY)))
    return 0 if counter is None else counter.used


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    main(Path(sys.argv[1]), *sys.argv[2:])
