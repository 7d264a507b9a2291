"""Stores that look as if traffic had filled them, written in bulk.

Everything goes through the sidecar's own modules, so keys and bytes are those that it reads. The
tree gets the shape that random traffic gives it, too. Keys come in a few passes, each over a random
part of them: pages are then as full as after random writes, and not packed to the brim, where the
first write to each would split it. And all passes are one transaction: several big ones would leave
long lists of freed pages, which every commit after them would have to carry along; small ones, as
of calls, do not.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from sidecar.directory.directory import Directory
from sidecar.domain.catalog.model import Catalog, CatalogSnapshot
from sidecar.domain.company.model import Company
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.limits.requests import payload_digest
from sidecar.rpc.parse import parse_check
from sidecar.shared.catalog_file.load import load_catalog_file
from sidecar.storage import keys
from sidecar.storage.answer_codec import StoredAnswer
from sidecar.storage.codec import StoredCounter
from sidecar.storage.folder_marks import FolderMarks
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.storage.store_place import place_of
from sidecar.storage.transaction import Transaction
from sidecar.storage.watch_position import WatchPosition
from tests.bench.inside import Engine, now_us, open_engine
from tests.bench.traffic import Traffic, company_id, idempotency_key, user_id

_PASSES: Final = 4
_SNAPSHOTS_A_STEP: Final = 10_000
_VERSION: Final = 1
_USED: Final = 100


def prefill(folder: Path, catalog_file: Path, snapshots: int, traffic: Traffic) -> None:
    """Start a store: catalog, snapshots of the companies from number 0 on, and past traffic.

    Every counter of a user that `traffic` can touch exists, and there are as many idempotency
    entries. `catalog_file` gives catalog and the company that all others are like.
    """
    with open_engine(folder) as engine:
        content = load_catalog_file(catalog_file)
        write_snapshots(engine.directory, content.catalog, content.companies[0], snapshots)
        if not traffic.users:
            return
        answer = _answer(engine, traffic)
        numbers = list(range(traffic.companies * traffic.users))
        random.shuffle(numbers)

        def write(transaction: Transaction) -> None:
            for first in range(_PASSES):
                part = numbers[first::_PASSES]
                _write_counters(transaction, engine.directory, traffic, part)
                _write_answers(transaction, answer, len(part))

        engine.store.transact(write)


def copy_store(folder: Path, to: Path) -> None:
    """Copy a closed store's data into an empty folder, and down to the disk.

    The copy takes itself for the original: it does not begin a life of its own.
    """
    copy = to / "data.mdb"
    shutil.copyfile(folder / "data.mdb", copy)
    with copy.open("rb") as file:
        os.fsync(file.fileno())  # or the writing would go on beside what is measured next
    identity = FolderMarks(folder).identity()
    FolderMarks(to).put_identity(msgspec.structs.replace(identity, place=place_of(copy)))


def write_snapshots(directory: Directory, catalog: Catalog, alike: Company, count: int) -> None:
    """Give a store its catalog, and snapshots of companies from number 0 on, all like one."""
    position = WatchPosition("benchmark", _VERSION)
    directory.apply(SnapshotChanges(CatalogSnapshot(_VERSION, catalog), position=position))
    for first in range(0, count, _SNAPSHOTS_A_STEP):
        numbers = range(first, min(first + _SNAPSHOTS_A_STEP, count))
        companies = [msgspec.structs.replace(alike, id=company_id(number)) for number in numbers]
        compiled = [compile_snapshot(company, _VERSION) for company in companies]
        directory.apply(SnapshotChanges(companies=compiled))


def _answer(engine: Engine, traffic: Traffic) -> StoredAnswer:
    """What is stored of a real answer."""
    at_us = now_us()
    request = traffic.check()
    answer = engine.decide(request)
    assert isinstance(answer, bytes)
    digest = payload_digest(parse_check(request, at_us))
    return StoredAnswer(digest, answer)


def _write_counters(
    transaction: Transaction, directory: Directory, traffic: Traffic, numbers: Sequence[int]
) -> None:
    """Counters of some users; in the order of keys, which is faster."""
    for key, window_end_us, values in sorted(
        _counter(directory, traffic, number) for number in numbers
    ):
        transaction.put_counter(key, StoredCounter(_USED, 0, 0, window_end_us, values))


def _write_answers(transaction: Transaction, answer: StoredAnswer, count: int) -> None:
    """Idempotency entries under random keys, in their order."""
    record_id = f"{transaction.incarnation.id}-{transaction.head.sequence}"
    assert answer.answer.endswith(record_id.encode())
    for name in sorted(keys.answer_hash("", idempotency_key()) for _ in range(count)):
        transaction.keep_answer(name, answer.digest, answer.answer, record_id)


def _counter(
    directory: Directory, traffic: Traffic, number: int
) -> tuple[bytes, int, tuple[str, ...]]:
    """Key, end of the window, and values of the counter of a user."""
    company, user = divmod(number, traffic.users)
    at_us = now_us()
    view = directory.company(company_id(company), at_us)
    feature = view.feature("messages") if view else None
    place = feature.meters[0].address({"user": user_id(user)}, at_us) if feature else None
    assert place is not None
    return place.key, place.ref.window.end_us, place.ref.values
