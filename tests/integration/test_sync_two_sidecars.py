"""Two sidecars of the same companies: each counts at once, and hears of the other soon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.audit import assert_exact, duplicates
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import (
    EXPORTS,
    EXPORTS_MAX,
    apply,
    catalog_text,
    check,
    flush,
    hold,
    ledger_lines,
)
from tests.support.load import Books, load
from tests.support.proxy import Proxy
from tests.support.seeds import rounds
from tests.support.waits import answered, connected, used


@asynccontextmanager
async def system(
    folder: Path, across: str = "exact"
) -> AsyncIterator[tuple[ControlPlane, Proxy, Sidecar, Sidecar]]:
    """A plane and two sidecars that hold every company; the second one behind a proxy.

    `across`: how the HARD limit holds over both.
    """
    async with ControlPlane(folder / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, catalog_text(across=across))
        async with (
            Sidecar(folder / "a", plane.address) as first,
            Sidecar(folder / "b", proxy.address) as second,
        ):
            for sidecar in (first, second):
                await hold(sidecar)
            yield plane, proxy, first, second
            assert [] == [error for d in (plane, first, second) for error in d.errors()]


@pytest.mark.parametrize(("answers", "seed"), rounds(600, 61, slow=10_000, seeds=(161,)))
async def test_counts_of_both_reach_the_ledger_and_each_other(
    tmp_path: Path, answers: int, seed: int
) -> None:
    books = Books()
    async with system(tmp_path) as (plane, _, first, second):
        async with (
            load(first, books, seed, callers=2),
            load(second, books, -seed, callers=2),
        ):
            await answered(books, answers)
        # Compares the counters of each with those of the plane, too.
        lines = await assert_exact(books, plane, first, second)
        assert 0 == duplicates(lines)


async def test_a_limit_that_holds_eventually_is_exact_against_what_was_last_heard(
    tmp_path: Path,
) -> None:
    async with system(tmp_path, "eventual") as (_, _, first, second):
        mine = await check(first, "acme", EXPORTS, EXPORTS_MAX - 10)
        assert mine.decision.allowed
        assert not mine.decision.basis.HasField("uncertainty")
        await used(second, EXPORTS, EXPORTS_MAX - 10)
        assert not (await check(second, "acme", EXPORTS, 11)).decision.allowed
        theirs = await check(second, "acme", EXPORTS, 10)
        assert theirs.decision.allowed
        assert EXPORTS_MAX == theirs.decision.binding_limit.used
        await used(first, EXPORTS, EXPORTS_MAX)
        assert not (await check(first, "acme", EXPORTS, 1)).decision.allowed


async def test_an_exact_limit_holds_before_the_one_has_heard_of_the_other(tmp_path: Path) -> None:
    async with system(tmp_path) as (_, _, first, second):
        mine = await check(first, "acme", EXPORTS, EXPORTS_MAX - 10)
        assert mine.decision.allowed
        assert mine.decision.basis.HasField("uncertainty")
        assert 0 == mine.decision.basis.uncertainty
        assert not (await check(second, "acme", EXPORTS, 11)).decision.allowed
        assert (await check(second, "acme", EXPORTS, 10)).decision.allowed
        assert not (await check(first, "acme", EXPORTS, 1)).decision.allowed
        for sidecar in (first, second):
            await used(sidecar, EXPORTS, EXPORTS_MAX)


async def test_the_same_key_at_both_is_counted_once_everywhere(tmp_path: Path) -> None:
    async with system(tmp_path) as (plane, _, first, second):
        for sidecar in (first, second):
            answer = await check(sidecar, "acme", EXPORTS, 10, idempotency_key="twice")
            assert answer.decision.allowed
        for sidecar in (first, second):
            await flush(sidecar)
        lines = await ledger_lines(plane)
        assert 1 == duplicates(lines)
        for sidecar in (first, second):
            await used(sidecar, EXPORTS, 10)


@pytest.mark.parametrize("restart", [False, True], ids=["connected again", "restarted"])
async def test_usage_of_the_other_during_an_outage_is_heard_after_it(
    tmp_path: Path, restart: bool
) -> None:
    async with system(tmp_path) as (_, proxy, first, second):
        await check(second, "acme", EXPORTS, 1)
        await used(first, EXPORTS, 1)
        await proxy.disconnect()
        if restart:
            await second.kill()
        await check(first, "acme", EXPORTS, 20)
        await flush(first)
        if restart:
            await second.start()
        await proxy.connect()
        await connected(second)
        # Nothing else happens: without news of the outage, it would never be heard.
        await used(second, EXPORTS, 21)
