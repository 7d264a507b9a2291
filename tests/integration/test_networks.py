"""The networks that tests cut: what is cut is silent, for one sidecar alone, and goes on mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledger import CALLS, apply, catalog_text, check, flush, hold
from tests.support.networks import MakeNetwork, namespaces, proxies
from tests.support.waits import connected, used


@pytest.mark.parametrize("make", [proxies, namespaces], ids=["proxies", "namespaces"])
async def test_a_sidecar_that_is_cut_off_decides_alone_and_tells_it_once_mended(
    tmp_path: Path, make: MakeNetwork
) -> None:
    async with make(tmp_path / "control.db", 2) as net:
        await apply(net.plane, catalog_text())
        async with (
            net.sidecar(0, tmp_path / "a") as cut,
            net.sidecar(1, tmp_path / "b") as other,
        ):
            for sidecar in (cut, other):
                await hold(sidecar)
            await net.cut(0)
            await check(cut, "acme", CALLS, 1)
            await check(other, "acme", CALLS, 10)
            await flush(other)
            await connected(cut, expected=False)
            await connected(other)
            await used(other, CALLS, 10)
            await net.mend(0)
            await flush(cut)
            for sidecar in (cut, other):
                await used(sidecar, CALLS, 11)
            assert 0 == await net.plane.stop()
            await net.plane.start()
            await check(cut, "acme", CALLS, 100)
            await flush(cut)
            await used(other, CALLS, 111)
