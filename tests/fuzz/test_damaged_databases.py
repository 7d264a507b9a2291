"""Damaged databases of a plane: it serves what was in the ledger, or says why it does not start."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import pytest

from sidecar.api.control.v1 import control_pb2
from tests.crash.chaos import SMALL_PUSHES
from tests.fuzz.damage import KINDS
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import apply, catalog_text, flush, hold, ledger_lines
from tests.support.load import Books, load
from tests.support.processes import until
from tests.support.seeds import rounds, seeded
from tests.support.waits import answered

DATABASE: Final = "control.db"
LOG: Final = "control.db-wal"
SILENT: Final = frozenset({"flipped bits", "garbage within"})
"""What may change the content of a line where SQLite cannot see it: it may be no record then."""


@dataclass(slots=True)
class Origin:
    """Files of a database, with some of it in the log that is written ahead; and its lines."""

    folder: Path
    lines: Sequence[control_pb2.LedgerRecord]


async def origin_in(folder: Path) -> Origin:
    """Let a plane take usage, and kill it."""
    books, last = Books(), folder / "last"
    (folder / "first").mkdir()
    async with ControlPlane(folder / "first" / DATABASE) as plane:
        await apply(plane, catalog_text())
        async with Sidecar(folder / "a", plane.address, **SMALL_PUSHES) as sidecar:
            await hold(sidecar)
            for seed in (7, 8):
                async with load(sidecar, books, seed, callers=2, rest_s=0.002):
                    await answered(books, books.answers + 150)
                await flush(sidecar)
                if seed == 7:
                    # A stop moves what is in the log to the database.
                    await plane.stop()
                    await plane.start()
        lines = await ledger_lines(plane)
        await plane.kill()
        shutil.copytree(folder / "first", last)
    return Origin(last, lines)


def damaged(rng: random.Random, origin: Origin, folder: Path) -> tuple[str, str]:
    """Have a damaged copy of the files; the kind, and what was done."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(origin.folder, folder)
    kind, name = rng.choice(list(KINDS)), rng.choice((DATABASE, DATABASE, LOG))
    what = KINDS[kind](rng, folder / name)
    return f"{kind}, {name}", what


async def told(plane: ControlPlane) -> str:
    """Start it; what it says where it does not start, and empty where it does."""
    await plane.spawn()

    async def has_started_or_ended() -> bool:
        return not plane.runs or any(e.get("event") == "control.ready" for e in plane.events)

    await until(has_started_or_ended, "the plane neither starts nor ends")
    if plane.runs:
        plane.address = plane.seen("control.ready")[0]["grpc"]
        return ""
    assert 0 != await plane.ended()
    said = " ".join(str(event.get("text", "")) for event in plane.events)
    assert "Traceback" not in said
    return said


async def examined(plane: ControlPlane, origin: Origin, kind: str) -> str:
    """What is wrong with how it starts and what it serves; empty where nothing is."""
    if said := await told(plane):
        return "" if f"{plane.database}: " in said else f"it says: {said}"
    try:
        await apply(plane, catalog_text(exports_max=50))
        lines = [] if kind.partition(",")[0] in SILENT else await ledger_lines(plane)
    except grpc.aio.AioRpcError as error:
        return f"it serves, but not its ledger: {error.code().name}: {error.details()}"
    if kind.endswith(LOG):
        # What is behind a damage in the log was not committed, as far as SQLite knows.
        known = {line.id: line for line in origin.lines}
        is_right = all(known.get(line.id) == line for line in lines)
    else:
        is_right = list(origin.lines) == lines or kind.partition(",")[0] in SILENT
    return "" if is_right else f"{len(lines)} lines instead of {len(origin.lines)}"


@pytest.mark.crash
@pytest.mark.parametrize(("databases", "seed"), rounds(2, 81, slow=10, seeds=(181, 182)))
async def test_a_damaged_database_serves_what_was_in_it_or_is_refused(
    tmp_path: Path, databases: int, seed: int
) -> None:
    rng, failures = seeded(seed), list[str]()
    origin = await origin_in(tmp_path)
    for number in range(databases):
        kind, what = damaged(rng, origin, tmp_path / "damaged")
        async with AsyncExitStack() as stack:
            plane = ControlPlane(tmp_path / "damaged" / DATABASE)
            stack.push_async_exit(plane)
            failure = await examined(plane, origin, kind)
            print(f"database {number}: {kind}: {what}: {failure or 'well'}")
            print(*(event["text"] for event in plane.events if "text" in event))
        if failure:
            failures.append(f"database {number}: {kind}: {what}: {failure}")
    assert [] == failures
