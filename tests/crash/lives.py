"""Lives of a sidecar on a disk that fails, each with its own end: at a call, a moment, in trouble.

`python -m tests.crash.lives --rounds 1000` (or `make kills ROUNDS=1000`) plays many; what was
answered is held against the ledger again and again, and says `0 lost, 0 doubled` in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

import grpc

from tests.crash.chaos import SMALL_PUSHES
from tests.support.audit import assert_exact
from tests.support.bytecode import keep_bytecode
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.failing_disk import BROKEN, FULL, SYNCS, WRITES, FailingDisk
from tests.support.ledger import apply, catalog_text, hold
from tests.support.load import Books, load
from tests.support.processes import until
from tests.support.seeds import seeded

ROUNDS_A_PLANE: Final = 60
"""After so many the ledger is looked at, and another store begins: looking takes all its lines."""
STEPS_MAX: Final = 60
CALLS_MAX: Final = 60
"""Of those that change files: a start takes a dozen, an answered call two or three."""
REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,  # where LMDB can do no more; the process ends then
    }
)
EVENTS_A_LIFE_MAX: Final = 60
"""Of its log: whatever the disk does, it is told at its beginning and its end."""
TEXTS_A_LIFE_MAX: Final = 240
"""Lines beside: a start that the disk ends says where, in some 70; three times at most."""


class Way(NamedTuple):
    """How a sidecar writes: durability, and whether its file system keeps what is allocated."""

    durability: str
    allocates: bool


WAYS: Final = (Way("process", True), Way("process", False), Way("disk", True))


class Lives:
    """One sidecar that lives again and again, under load that keeps books."""

    def __init__(
        self, sidecar: Sidecar, disk: FailingDisk, books: Books, rng: random.Random
    ) -> None:
        self.fates: Counter[str] = Counter()
        self._sidecar = sidecar
        self._disk = disk
        self._books = books
        self._rng = rng
        self._kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "killed at a call": self._at_a_call,
            "killed while it starts": self._while_it_starts,
            "killed under load": self._under_load,
            "killed on a full disk": self._on_a_full_disk,
            "killed among errors": self._among_errors,
            "killed among short writes": self._among_short_writes,
        }

    async def play(self, rounds: int) -> None:
        """Live so many lives, one after another; a life more, on a whole disk, goes on."""
        for _ in range(rounds):
            name = self._rng.choice(list(self._kinds))
            self.fates[name] += 1
            before = len(self._sidecar.events)
            try:
                await self._kinds[name]()
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error
            self._disk.mend()
            await self._sidecar.kill()
            told = self._sidecar.events[before:]
            texts = sum("event" not in each for each in told)
            assert len(told) - texts <= EVENTS_A_LIFE_MAX, (name, told[:20])
            assert texts <= TEXTS_A_LIFE_MAX, (name, told[:20])
        await self._sidecar.start()

    async def _at_a_call(self) -> None:
        self._disk.kill_at(self._rng.randint(1, CALLS_MAX))
        await self._sidecar.spawn()
        await self._progress(STEPS_MAX)

    async def _while_it_starts(self) -> None:
        await self._sidecar.spawn()
        # The moment of the kill is the point here; nothing is waited for.
        await asyncio.sleep(self._rng.uniform(0.1, 0.6))

    async def _under_load(self) -> None:
        await self._sidecar.start()
        await self._progress(self._rng.randint(1, STEPS_MAX))

    async def _on_a_full_disk(self) -> None:
        await self._in_trouble(lambda: self._disk.fail(self._rng.choice(FULL)))

    async def _among_errors(self) -> None:
        kinds = self._rng.choice((SYNCS, WRITES, SYNCS | WRITES))
        share = self._rng.choice((50, 300, 1_000))
        await self._in_trouble(lambda: self._disk.fail(BROKEN, kinds=kinds, per_thousand=share))

    async def _among_short_writes(self) -> None:
        await self._in_trouble(lambda: self._disk.write_short(self._rng.choice((50, 300, 1_000))))

    async def _in_trouble(self, begin: Callable[[], None]) -> None:
        """Trouble from the start, or under load; half of the time it is over before the end."""
        if self._rng.random() < 0.3:
            begin()
            await self._sidecar.spawn()
        else:
            await self._sidecar.start()
            await self._progress(self._rng.randint(1, STEPS_MAX))
            begin()
        await self._progress(self._rng.randint(1, STEPS_MAX))
        if self._rng.random() < 0.5:
            self._disk.mend()
            if not self._sidecar.runs:
                await self._sidecar.ended()
                await self._sidecar.spawn()
            await self._answers(self._rng.randint(1, STEPS_MAX))

    async def _progress(self, steps: int) -> None:
        """Wait for so many answers or refusals, or for the end."""
        goal = self._books.answers + self._books.refused + steps

        async def come() -> bool:
            done = self._books.answers + self._books.refused
            return done >= goal or not self._sidecar.runs

        await until(come, "it neither answers, nor refuses, nor ends")

    async def _answers(self, answers: int) -> None:
        """Wait for so many answers. It may end in the trouble that is over, and is started then."""
        goal, ends = self._books.answers + answers, 0

        async def come() -> bool:
            nonlocal ends
            if not self._sidecar.runs:
                ends += 1
                assert ends < 3, "it ends again and again on a whole disk"
                await self._sidecar.ended()
                await self._sidecar.spawn()
            return self._books.answers >= goal

        try:
            await until(come, "it does not answer though its disk is whole again")
        except AssertionError as error:
            raise AssertionError(f"{error}, and said last: {self._books.refused_last}") from error


async def play(folder: Path, way: Way, rounds: int, seed: int) -> Counter[str]:
    """Lives of one store; then the ledger is exact. How often each end came."""
    rng, books = seeded(f"{seed} {way}"), Books(refusals=REFUSALS)
    disk = FailingDisk(folder / "library", folder / "a", seed=seed, allocates=way.allocates)
    async with ControlPlane(folder / "control.db") as plane:
        await apply(plane, catalog_text())
        sidecar = Sidecar(folder / "a", plane.address, durability=way.durability, **SMALL_PUSHES)
        sidecar.environment = disk.environment
        async with sidecar:
            await hold(sidecar)
            lives = Lives(sidecar, disk, books, rng)
            async with load(sidecar, books, seed, callers=3, rest_s=0.01):
                await sidecar.kill()
                await lives.play(rounds)
            await assert_exact(books, plane, sidecar)
            print(f"{way}: {sidecar.starts} starts, {disk.failed} of {disk.calls} calls failed")
            assert [] == sidecar.seen("sidecar.background_failed")
            assert [] == plane.errors()
    return lives.fates


def main() -> None:
    """Play many lives, in every way."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.lives")
    parser.add_argument("--rounds", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    keep_bytecode()
    left, number, fates = arguments.rounds, 0, Counter[str]()
    while left > 0:
        way, rounds = WAYS[number % len(WAYS)], min(left, ROUNDS_A_PLANE)
        with tempfile.TemporaryDirectory() as folder:
            fates += asyncio.run(play(Path(folder), way, rounds, arguments.seed + number))
        left, number = left - rounds, number + 1
    print(f"{fates.total()} lives, 0 lost, 0 doubled: {dict(fates)}")


if __name__ == "__main__":
    main()
