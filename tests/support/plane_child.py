"""A process that shares a plane's database: `python -m tests.support.plane_child MODE FILE ...`.

`push FILE INCARNATION KEYS SEED`: opens the file, which may be new, and says `open`. Once a line
comes in, pushes a record under each of so many keys, in any order and in runs of any length, some
of them twice. Says how many were new to the ledger.
`serve FILE`: says `open`, then answers each line: `push FIRST LAST` of ALICE's records with their
sequence as quantity, by `WATERMARK ADDED`; `add COMPANY` by the revision; `watch REVISION` by the
revision reached and the companies told.
"""

from __future__ import annotations

import random
import sys

from sidecar.control.errors import SequenceGap
from sidecar.control.services import apply, snapshots
from sidecar.control.services.apply import Desired
from sidecar.control.storage.sqlite import SqliteStore
from tests.support.bounds import HANG_SECONDS_MAX
from tests.unit.control.support import ALICE, NOW_US, Writer, company, record

RECORDS = 20


def main(mode: str, path: str, *rest: str) -> None:
    """Do what the mode says."""
    store = SqliteStore(path)
    with store.write() as transaction:  # a busy machine may keep one waiting for long
        transaction._one(f"PRAGMA busy_timeout = {int(HANG_SECONDS_MAX * 1_000)}")
    print("open", flush=True)
    if mode == "push":
        sys.stdin.readline()
        print(_push_all(store, rest[0], int(rest[1]), rest[2]), flush=True)
    else:
        for line in sys.stdin:
            print(_answer(store, *line.split()), flush=True)
    store.close()


def alice() -> Writer:
    """The records that are asked for by their sequences."""
    writer = Writer(ALICE)
    writer.write(*(record(at, key=f"key {at}") for at in range(1, RECORDS + 1)))
    return writer


def _answer(store: SqliteStore, what: str, *arguments: str) -> str:
    if what == "push":
        first, last = map(int, arguments)
        try:
            pushed = alice().push(store, first, last)
        except SequenceGap as gap:
            return f"gap {gap.expected_sequence}"
        return f"{pushed.watermark} {pushed.added}"
    if what == "add":
        desired = Desired(companies=(company(arguments[0]),))
        return str(apply.apply(store, desired, NOW_US).revision)
    position = snapshots.start(store, int(arguments[0]), False, NOW_US)
    page, _ = snapshots.next_page(store, position, ALICE, NOW_US)
    told = [snapshot.company for snapshot in page.snapshots]
    return " ".join([str(page.revision), *told, *(f"-{name}" for name in page.removed)])


def _push_all(store: SqliteStore, incarnation: str, count: int, seed: str) -> int:
    rng = random.Random(f"{seed}-{incarnation}")
    names = [f"key {at}" for at in range(count)]
    rng.shuffle(names)
    writer = Writer(incarnation)
    writer.write(*(record(3, key=name) for name in names))
    at, added = 1, 0
    while at <= count:
        last = min(count, at + rng.randrange(5))
        added += writer.push(store, at, last).added
        at = last + 1 if rng.random() < 0.8 else at
    return added


if __name__ == "__main__":
    main(*sys.argv[1:])
