"""A process that owns a store, for tests that need one: `python -m tests.support.store_child`.

`hold FOLDER`: opens, says `open`, and closes when its standard input ends.
`kill FOLDER COUNT`: counts COUNT times 1, and kills itself without closing.
`life FOLDER`: opens, says its incarnation and how many records wait, and closes.
`count FOLDER SEED`: counts until it is killed, alone and in groups, with records of random sizes.
Says after each commit how many records there are.
`lease FOLDER`: asks for leases, takes them and counts by them until it is killed. Says after each
commit the last request's number, up to where it may count, and what it has counted.
`fill FOLDER BYTES`: counts until no file may grow beyond BYTES; then has the limit lifted and
counts once more. Says `ERROR TYPE REASON`, and how often it had counted before and in the end.
"""

from __future__ import annotations

import logging
import os
import random
import resource
import signal
import sys
from pathlib import Path
from typing import Final

import structlog

from sidecar.domain.errors import Exhausted, Unavailable
from sidecar.domain.leases.model import LeaseResult, LeaseStatus, LeaseWish
from sidecar.domain.limits.counters import CounterName
from sidecar.storage.leases import Leases
from sidecar.storage.store import Store
from tests.support.build import counter_ref, limit
from tests.support.stores import MONTHLY, count_in, open_now

_COMMITS_MAX: Final = 200_000
_BY_USER: Final = limit("by_user", each=["user"])


def main(mode: str, folder: str, *rest: str) -> None:
    """Do what the mode says."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    opened = open_now(Path(folder))
    if mode == "hold":
        print("open", flush=True)
        sys.stdin.read()
    elif mode == "kill":
        for _ in range(int(rest[0])):
            opened.store.transact(lambda transaction: count_in(transaction, 1))
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "life":
        print(opened.store.incarnation.id, opened.store.waiting_records(), flush=True)
    elif mode == "count":
        _count_on(opened.store, random.Random(int(rest[0])))
    elif mode == "lease":
        _lease_on(opened.store)
    elif mode == "fill":
        _fill(opened.store, int(rest[0]))
    opened.close()


def _count_on(store: Store, rng: random.Random) -> None:
    for _ in range(_COMMITS_MAX):
        with store.group():
            for _ in range(rng.choice((1, 1, 1, 7, 64))):
                user = counter_ref(_BY_USER, (f"{rng.randrange(5000)}-{'u' * rng.randrange(200)}",))
                store.transact(lambda transaction: count_in(transaction, 1, user))  # noqa: B023
        print(store.head.sequence, flush=True)


def _lease_on(store: Store) -> None:
    leases, month = Leases(store), CounterName("acme", "calls", MONTHLY)
    for _ in range(_COMMITS_MAX):
        (asked,) = leases.request([LeaseWish(month, 1, 10)])
        number, used, granted = asked.number, asked.used, asked.used + 10
        print(number, asked.held, used, flush=True)
        until_us = MONTHLY.window.end_us
        result = LeaseResult(number, LeaseStatus.GRANTED, granted, until_us, amount=1)
        assert 1 == leases.take(store.incarnation.id, [(month, result, granted)])
        print(number, granted, used, flush=True)
        store.transact(lambda transaction: count_in(transaction, 7))
        print(number, granted, used + 7, flush=True)


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
