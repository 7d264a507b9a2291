"""A plane restored from before a limit came to count otherwise: it counts what was used then."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from sidecar.api.control.v1 import control_pb2
from tests.integration.leases.test_counts_otherwise import (
    BILLING,
    JANUARY,
    MONTHLY,
    MOST,
    catalog_text,
    used,
)
from tests.integration.test_leases_plane_restored import backed_up, recovered, restored
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.fleet import OPTIONS
from tests.support.ledger import EXPORTS, apply, check, flush, now_us, status, used_by_plane
from tests.support.networks import network
from tests.support.processes import until

BEFORE: Final = catalog_text(MONTHLY, JANUARY)
LIFETIME: Final = "per: lifetime"
USED: Final = 20
"""What each of two uses while the limit counts otherwise."""


@pytest.mark.parametrize(
    ("meanwhile", "back"), [(LIFETIME, True), (BILLING, False)], ids=["and back", "for good"]
)
async def test_what_was_used_by_a_limit_that_was_lost_is_not_granted_again(
    tmp_path: Path, meanwhile: str, back: bool
) -> None:
    async with network(tmp_path / "control.db", 2) as net:
        plane = net.plane
        await apply(plane, BEFORE)
        first, second = (net.sidecar(place, tmp_path / f"{place}", **OPTIONS) for place in (0, 1))
        async with first, second:
            both = first, second
            await use(first, 5)
            await flush(first)
            backup = backed_up(plane)
            await change(plane, catalog_text(meanwhile, JANUARY), both)
            for sidecar in both:
                await use(sidecar, USED)
            if back:
                await change(plane, BEFORE, both)
                await give_back(plane)
            for sidecar in both:
                await flush(sidecar)
            await restored(plane, backup)
            assert MOST >= 5 + 2 * USED + await used_up(plane, both)


async def test_what_was_not_sent_of_a_limit_that_was_lost_counts_by_the_one_of_now(
    tmp_path: Path,
) -> None:
    async with network(tmp_path / "control.db", 2) as net:
        plane = net.plane
        await apply(plane, BEFORE)
        # It has sent nothing since the backup, so that its life goes on.
        silent = {**OPTIONS, "push_linger_ms": 10_000}
        away = net.sidecar(0, tmp_path / "0", **silent, lease_seconds=60)
        other = net.sidecar(1, tmp_path / "1", **OPTIONS)
        async with away, other:
            backup = backed_up(plane)
            await change(plane, catalog_text(LIFETIME, JANUARY), (away, other))
            await use(away, USED)
            await net.cut(0)
            admitted = USED + (await used(away, MOST))[0]
            assert admitted < MOST
            await restored(plane, backup)
            await net.mend(0)
            await flush(away)
            admitted += await used_up(plane, (away, other))
            assert MOST == admitted


async def test_what_a_holder_that_was_cut_off_sends_after_a_restore_is_counted_once(
    tmp_path: Path,
) -> None:
    async with network(tmp_path / "control.db", 2) as net:
        plane = net.plane
        await apply(plane, BEFORE)
        away = net.sidecar(0, tmp_path / "0", **OPTIONS, lease_seconds=60)
        other = net.sidecar(1, tmp_path / "1", **OPTIONS)
        async with away, other:
            await use(away, 5)
            await flush(away)
            backup = backed_up(plane)
            await use(away, USED)
            await flush(away)  # this is lost to the ledger, and what follows is not sent yet
            await net.cut(0)
            unsent = (await used(away, MOST))[0]
            assert 0 < unsent < MOST - USED
            await restored(plane, backup)
            await net.mend(0)
            await away.event("sync.fenced")
            await flush(away)
            rest = await used_up(plane, (away, other))
            assert MOST == 5 + USED + unsent + rest


async def change(plane: ControlPlane, text: str, sidecars: Sequence[Sidecar]) -> None:
    """Apply a catalog, and wait until it is heard of."""
    revision = await apply(plane, text)
    for sidecar in sidecars:

        async def heard(sidecar: Sidecar = sidecar) -> bool:
            return (await status(sidecar)).revision >= revision

        await until(heard, "the change is not heard of")


async def use(sidecar: Sidecar, quantity: int) -> None:
    """Use so much, once it can be had."""

    async def is_had() -> bool:
        return (await check(sidecar, "acme", EXPORTS, quantity)).decision.allowed

    await until(is_had, "it cannot be had")


async def give_back(plane: ControlPlane) -> None:
    """Have all give back what they do not use."""
    recall = control_pb2.RecallLeasesRequest(filter=control_pb2.LeaseFilter(company="acme"))
    await plane.control.RecallLeases(recall)

    async def is_back() -> bool:
        leases = await plane.control.ListLeases(control_pb2.ListLeasesRequest())
        return not any(counter.outstanding for counter in leases.counters)

    await until(is_back, "something is still held")


async def used_up(plane: ControlPlane, sidecars: Sequence[Sidecar]) -> int:
    """Use what a restored plane leases, until it has no more; how much."""
    await recovered(plane)
    admitted = 0

    async def has_no_more() -> bool:
        nonlocal admitted
        for sidecar in sidecars:
            admitted += (await used(sidecar, 2 * MOST))[0]
        leases = await plane.control.ListLeases(control_pb2.ListLeasesRequest())
        counted = await used_by_plane(plane, now_us(), ["acme"])
        outstanding = sum(counter.outstanding for counter in leases.counters)
        return MOST <= counted.get(("acme", EXPORTS, "all", ()), 0) + outstanding

    await until(has_no_more, "what is left cannot be had")
    return admitted
