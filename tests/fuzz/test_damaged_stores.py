"""Damaged stores: the sidecar goes on with what is sound, and says what is not."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from sidecar.api.sync.v1 import sync_pb2
from tests.crash.chaos import SMALL_PUSHES
from tests.fuzz.bookkeeper import Bookkeeper
from tests.fuzz.damage import KINDS, flip_bits, replace_folder
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import CALLS, apply, catalog_text, check, flush, hold, status
from tests.support.load import Books, Call, load
from tests.support.plane import ModelPlane
from tests.support.processes import until
from tests.support.seeds import rounds, seeded
from tests.support.waits import answered

ENDS_MAX: Final = 2
"""So often a sidecar may end before it serves: the next start knows what was tried."""
EVENTS_MAX: Final = 60
"""Lines of its log, over all its starts on a store."""
OLD_COPY: Final = "an old copy"
ODD_FILES: Final = ("owner.lock", "in-use")
STORES: Final = 25


@dataclass(slots=True)
class Origin:
    """A store that was killed while records waited, an older copy of it, and what was answered."""

    folder: Path
    older: Path
    model: ModelPlane
    books: Books


async def origin_in(folder: Path, plane: ControlPlane, keeper: Bookkeeper) -> Origin:
    """Let a sidecar live; a part of what it accepted is in the ledger, the rest waits."""
    books, older, last = Books(), folder / "older", folder / "last"
    async with Sidecar(folder / "a", keeper.address, **SMALL_PUSHES) as sidecar:
        await hold(sidecar)
        async with load(sidecar, books, 7, callers=2, rest_s=0.002, again=False):
            await answered(books, 150)
            keeper.away = True
            await answered(books, 250)
        await sidecar.kill()
        shutil.copytree(sidecar.store, older)
        await sidecar.start()
        async with load(sidecar, books, 8, callers=2, rest_s=0.002, again=False):
            await answered(books, 400)
        await sidecar.kill()
        shutil.copytree(sidecar.store, last)
    keeper.away = False
    return Origin(last, older, keeper.keep(), books)


def damaged(rng: random.Random, origin: Origin, store: Path) -> tuple[str, str]:
    """Have a copy of the store that is damaged; the kind, and what was done."""
    kind = rng.choice((*KINDS, "flipped bits", OLD_COPY, "an odd file"))
    if kind == OLD_COPY:
        replace_folder(store, origin.older)
        return kind, ""
    replace_folder(store, origin.folder)
    if kind == "an odd file":
        file = store / rng.choice(ODD_FILES)
        file.write_bytes(rng.choice((b"", b"\xff\xfe", b"7\n", b"x" * 5_000)))
        return kind, file.name
    data = store / "data.mdb"
    what = KINDS[kind](rng, data)
    if kind == "flipped bits" and rng.random() < 0.2:
        what += f"; {flip_bits(rng, data)}"
    return kind, what


async def serves(sidecar: Sidecar) -> None:
    """Start it, once more if it ends, until it answers a check."""
    ends = 0
    await sidecar.spawn()

    async def answers() -> bool:
        nonlocal ends
        if not sidecar.runs:
            ends += 1
            assert ends <= ENDS_MAX, "it ends again and again"
            await sidecar.ended()
            await sidecar.spawn()
        return any(event.get("event") == "sidecar.ready" for event in sidecar.this_life())

    await until(answers, "it neither serves nor ends")
    await check(sidecar, "acme", CALLS)


def missing(origin: Origin, model: ModelPlane) -> list[Call]:
    """What was answered as allowed and is not in the ledger; nothing there is other than asked."""
    calls = {call.number: call for call in origin.books.calls}
    found: Counter[int] = Counter()
    keys: set[tuple[str, str]] = set()
    for data in (data for history in model.histories.values() for data in history):
        record = sync_pb2.UsageRecord.FromString(data)
        number = record.metadata.get("call")
        if number is None:
            continue  # that of `serves`
        call = calls[int(number)]
        assert (call.company, call.feature, call.quantity) == (
            record.company,
            record.feature,
            record.quantity,
        )
        key = (record.company, record.idempotency_key)
        if record.idempotency_key and key in keys:
            continue  # the plane books it as a duplicate
        keys.add(key)
        found[call.number] += 1
    doubled = [number for number, times in found.items() if times > 1]
    assert [] == doubled
    return [call for call in origin.books.calls if call.record_id and not found[call.number]]


async def reported(sidecar: Sidecar, records: int) -> None:
    """Wait until it says that so many records were lost or set aside, or all of the store was."""

    async def said() -> bool:
        answer = await status(sidecar)
        in_quarantine = sum(found.count for found in answer.quarantined)
        return in_quarantine >= records or bool(answer.losses)

    await until(said, f"it does not tell of {records} records that are lost")


@dataclass(slots=True)
class Found:
    """What became of a damaged store."""

    failure: str = ""
    lost: int = 0
    lines: int = 0

    @property
    def is_well(self) -> bool:
        return not self.failure


async def examined(
    sidecar: Sidecar, origin: Origin, keeper: Bookkeeper, *, is_older: bool
) -> Found:
    """Start a sidecar on a store, have it send what it has, and look at all that it says."""
    found = Found()
    try:
        await serves(sidecar)
        await flush(sidecar)
        found.lost = len(missing(origin, keeper.model))
        if found.lost and not is_older:
            await reported(sidecar, found.lost)
        assert [] == sidecar.seen("sidecar.background_failed")
        assert len(sidecar.events) <= EVENTS_MAX, Counter(e.get("event") for e in sidecar.events)
    except AssertionError as error:
        found.failure = str(error)
        print(*sidecar.events[-20:], sep="\n")
    finally:
        found.lines = len(sidecar.events)
        await sidecar.kill()
    return found


@pytest.mark.crash
@pytest.mark.parametrize(("stores", "seed"), rounds(3, 71, slow=STORES, seeds=(171, 172)))
async def test_a_damaged_store_is_mended_or_set_aside_and_the_sidecar_serves(
    tmp_path: Path, stores: int, seed: int
) -> None:
    rng, failures = seeded(seed), list[str]()
    async with ControlPlane(tmp_path / "control.db") as plane, Bookkeeper(plane.address) as keeper:
        await apply(plane, catalog_text())
        origin = await origin_in(tmp_path, plane, keeper)
        for number in range(stores):
            keeper.model = ModelPlane()
            keeper.model.histories = {
                name: list(history) for name, history in origin.model.histories.items()
            }
            sidecar = Sidecar(tmp_path / "b", keeper.address, **SMALL_PUSHES)
            kind, what = damaged(rng, origin, sidecar.store)
            found = await examined(sidecar, origin, keeper, is_older=kind == OLD_COPY)
            print(f"store {number}: {kind}: {what}: {found}")
            if not found.is_well:
                failures.append(f"store {number}: {kind}: {what}: {found.failure}")
    assert [] == failures
