"""Usage is reset again and again while it is counted, by a sidecar that has not heard of it too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.api.control.v1 import control_pb2 as pb
from sidecar.domain.bounds import FOREVER_US
from tests.support.audit import CLEAN, audit
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import (
    CALLS,
    TOKENS,
    CounterName,
    apply,
    flush,
    hold,
    ledger_lines,
    now_us,
    status,
    used_by_plane,
    used_by_sidecar,
)
from tests.support.lifecycle import change_subscription
from tests.support.load import Books, load
from tests.support.processes import ProcessFailed, until
from tests.support.proxy import Proxy
from tests.support.seeds import rounds
from tests.support.waits import answered

ACME: Final = ["acme"]

LIMITS: Final = """
    entitlements:
      calls:
        limits:
          all: {amount: 100, per: lifetime, enforcement: soft}
          by_user: {amount: 10, per: lifetime, each: [user], enforcement: shadow}
      tokens:
        limits:
          all: {amount: 1_000, per: lifetime, enforcement: soft}
          billing: {amount: 1_000, per: year, align: billing, enforcement: soft}
      exports:
        limits:
          all: {amount: 40, per: lifetime, enforcement: hard}
"""
CATALOG: Final = f"""
features:
  calls: {{kind: metered}}
  tokens: {{kind: metered}}
  exports: {{kind: metered}}
plans:
  standard: {LIMITS}
  premium: {LIMITS}
companies:
  acme: {{plan: standard, anchor: "2026-01-31T00:00:00Z"}}
"""
RESET: Final = {"reset_usage": pb.ResetUsage()}
PREMIUM: Final = {"plan": pb.ChangePlan(plan="premium", reset_usage=True)}
NEW_CYCLE: Final = {"plan": pb.ChangePlan(plan="standard", reset_usage=True, move_anchor=True)}


@pytest.mark.parametrize(("answers", "seed"), rounds(120, 71, slow=500, seeds=(171, 172)))
async def test_every_record_is_counted_once_in_the_generation_of_its_time(
    tmp_path: Path, answers: int, seed: int
) -> None:
    books = Books()
    async with ControlPlane(tmp_path / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, CATALOG)
        async with (
            Sidecar(tmp_path / "a", plane.address) as near,
            Sidecar(tmp_path / "b", proxy.address) as far,
        ):
            for sidecar in (near, far):
                await hold(sidecar, ACME)
            async with (
                load(near, books, seed, callers=2, companies=ACME, rest_s=0.005),
                load(far, books, -seed, callers=2, companies=ACME, rest_s=0.005),
            ):
                resets = await change(plane, books, answers, RESET, PREMIUM)
                await proxy.disconnect()
                cut_off_us = now_us()
                resets += await change(plane, books, answers, RESET, NEW_CYCLE)
                await answered(books, books.answers + answers)
                connected_us = now_us()
                await proxy.connect()
                resets += await change(plane, books, answers, PREMIUM, RESET)
                await answered(books, books.answers + answers)
            for sidecar in (near, far):
                await flush(sidecar)
            lines = await ledger_lines(plane, ACME)
            print(f"{books.summary()}, {len(lines)} lines")
            assert CLEAN == audit(books, lines)
            unaware = await counted_by(far, within(lines, cut_off_us, connected_us))
            assert any(event_us(line) >= resets[2] for line in unaware)
            for start_us, end_us in pairwise([0, *resets, FOREVER_US]):
                expected = used_by(within(lines, start_us, end_us))
                at_us = min(end_us - 1, now_us())
                assert expected == await used_by_plane(plane, at_us, ACME)
                for sidecar in (near, far):
                    assert expected == await heard_by(sidecar, at_us, expected)
            assert [] == near.errors() + far.errors() + plane.errors()


async def change(plane: ControlPlane, books: Books, answers: int, *changes: Any) -> list[int]:
    """Make changes, each after so many more answers; the instants at which they took effect."""
    instants = []
    for asked in changes:
        await answered(books, books.answers + answers)
        answer = await change_subscription(plane, "acme", **asked)
        instants.append(answer.effective_at.ToMicroseconds())
    return instants


async def heard_by(
    sidecar: Sidecar, at_us: int, expected: dict[CounterName, int]
) -> dict[CounterName, int]:
    """What a sidecar says, once it says what is expected; else what it said last."""
    said: dict[CounterName, int] = {}

    async def same() -> bool:
        nonlocal said
        said = await used_by_sidecar(sidecar, at_us, ACME)
        return said == expected

    with suppress(ProcessFailed):
        await until(same, "the counters differ")
    return said


async def counted_by(sidecar: Sidecar, lines: Iterable[pb.LedgerRecord]) -> list[pb.LedgerRecord]:
    """Those of the lines that a sidecar counted."""
    incarnation = (await status(sidecar)).incarnation
    return [line for line in lines if line.id.startswith(incarnation)]


def within(lines: Sequence[pb.LedgerRecord], start_us: int, end_us: int) -> list[pb.LedgerRecord]:
    """The lines of events in [start, end)."""
    return [line for line in lines if start_us <= event_us(line) < end_us]


def event_us(line: pb.LedgerRecord) -> int:
    return line.event_time.ToMicroseconds()


def used_by(lines: Iterable[pb.LedgerRecord]) -> dict[CounterName, int]:
    """What counters must say, given the lines of their generation."""
    used: Counter[CounterName] = Counter()
    for line in lines:
        names: list[tuple[str, tuple[tuple[str, str], ...]]] = [("all", ())]
        if line.feature == TOKENS:
            names.append(("billing", ()))
        if line.feature == CALLS and "user" in line.dimensions:
            names.append(("by_user", (("user", line.dimensions["user"]),)))
        for limit, values in names:
            used["acme", line.feature, limit, values] += line.quantity
    return dict(used)
