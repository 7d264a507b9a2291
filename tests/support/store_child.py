"""A process that owns a store, for tests that need one: `python -m tests.support.store_child`.

`hold FOLDER`: opens, says `open`, and closes when its standard input ends.
`kill FOLDER COUNT`: counts COUNT times 1, and kills itself without closing.
`fill FOLDER BYTES`: counts until no file may grow beyond BYTES; then has the limit lifted and
counts once more. Says `ERROR TYPE REASON`, and how often it had counted before and in the end.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
from pathlib import Path

import structlog

from sidecar.domain.errors import Exhausted, Unavailable
from sidecar.storage.opening import open_folder
from sidecar.storage.store import Store
from tests.support.stores import STORE_BYTES_MAX, count_in


def main(mode: str, folder: str, *rest: str) -> None:
    """Do what the mode says."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    opened = open_folder(
        Path(folder), max_bytes=STORE_BYTES_MAX, sync_commits=False, outbox_records_max=1_000_000
    )
    if mode == "hold":
        print("open", flush=True)
        sys.stdin.read()
    elif mode == "kill":
        for _ in range(int(rest[0])):
            opened.store.transact(lambda transaction: count_in(transaction, 1))
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "fill":
        _fill(opened.store, int(rest[0]))
    opened.close()


def _fill(store: Store, bytes_max: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, unlimited[1]))
    try:
        for _ in range(100_000):
            store.transact(lambda transaction: count_in(transaction, 1))
    except (Exhausted, Unavailable) as error:
        print("ERROR", type(error).__name__, error.reason)
    print(store.head.sequence)
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    store.transact(lambda transaction: count_in(transaction, 1))
    print(store.head.sequence, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
