"""A limit that counts otherwise hands no allowance out again: real processes, killed on the way."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sidecar.control.services import apply as applying
from sidecar.control.services.apply import Desired
from sidecar.control.storage.filling_values import FillingStage
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.shared.catalog_file.load import parse_catalog
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import apply, check, flush, hold, now_us, used_by_plane, used_by_sidecar
from tests.support.processes import until
from tests.support.waits import connected
from tests.unit.control.support import Writer, record

AMOUNT: Final = 100
LINES: Final = 20_000
RUN: Final = 500
KILLS: Final = 4
ANN: Final = {"user": "ann"}
BY_USER: Final = ("acme", "calls", "quota", (("user", "ann"),))


def sold(window: str) -> str:
    """A catalog whose limit counts in a way; no window ends while a test runs."""
    return f"""
features:
  calls: {{kind: metered}}
plans:
  pro:
    entitlements:
      calls: {{limits: {{quota: {{amount: {AMOUNT}, {window}}}}}}}
companies:
  acme: {{plan: pro, anchor: "2026-01-31T00:00:00Z"}}
"""


BEFORE: Final = sold("per: lifetime")
AFTER: Final = sold("per: lifetime, each: [user]")


async def test_what_was_used_is_known_to_all_sidecars_by_the_new_limit(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, BEFORE)
        first, second = (tmp_path / "first", tmp_path / "second")
        async with (
            Sidecar(first, plane.address, snapshots="all") as one,
            Sidecar(second, plane.address, snapshots="all") as two,
        ):
            for sidecar in (one, two):
                await hold(sidecar, ["acme"])
                assert (await check(sidecar, "acme", "calls", 20, dimensions=ANN)).decision.allowed
                await flush(sidecar)
            await plane.kill()
            # Counted by the old limit alone, and told to a plane that has the new one.
            assert (await check(one, "acme", "calls", 10, dimensions=ANN)).decision.allowed
            await plane.start()
            await apply(plane, AFTER)
            for sidecar in (one, two):
                await connected(sidecar)
                await flush(sidecar)
                await until_used(sidecar, 50)
            assert 50 == (await used_by_plane(plane, now_us(), ["acme"]))[BY_USER]
            assert not (await check(two, "acme", "calls", 51, dimensions=ANN)).decision.allowed
            assert (await check(two, "acme", "calls", 50, dimensions=ANN)).decision.allowed
            assert [] == one.errors() + two.errors() + plane.errors()


async def test_a_plane_that_is_killed_on_the_way_takes_each_line_over_once(tmp_path: Path) -> None:
    database = tmp_path / "control.db"
    with closing(SqliteStore(database)) as store:
        file = parse_catalog(BEFORE.encode(), "catalog")
        applying.apply(store, Desired(file.catalog, file.companies), now_us())
        writer, began_us = Writer(), now_us()
        for at in range(LINES):
            writer.write(record(feature="calls", at_us=began_us + at, counters=(), user="ann"))
            if len(writer.records) % RUN == 0:
                writer.push(store, len(writer.records) - RUN + 1, now_us=began_us)
        file = parse_catalog(AFTER.encode(), "catalog")
        applying.apply(store, Desired(file.catalog), now_us())
    plane = ControlPlane(database)
    for _ in range(KILLS):
        before = place_of(database)
        await plane.start()

        async def went_on(before: tuple[int, int] = before) -> bool:
            return place_of(database) > before

        await until(went_on, f"nothing is taken over behind {before}")
        await plane.kill()
    assert FillingStage.SUMMING == place_of(database)[0], "it was to be killed on the way"
    async with plane, Sidecar(tmp_path / "pod", plane.address, snapshots="all") as sidecar:
        await until_used(sidecar, LINES)
        assert LINES == (await used_by_plane(plane, now_us(), ["acme"]))[BY_USER]
        assert not (await check(sidecar, "acme", "calls", dimensions=ANN)).decision.allowed


def place_of(database: Path) -> tuple[int, int]:
    """How far the only filling is: its stage, and the time of the event that it has reached."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT stage, coalesce(reached_us, 0) FROM filling").fetchone()
    return row or (0, 0)


async def until_used(sidecar: Sidecar, expected: int) -> None:
    async def heard() -> bool:
        return (await used_by_sidecar(sidecar, now_us(), ["acme"])).get(BY_USER) == expected

    await until(heard, f"the sidecar has not heard of {expected}")
