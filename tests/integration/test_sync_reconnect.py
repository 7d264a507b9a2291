"""A plane that is back is heard at once, whatever those who tried still had to wait."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sidecar.app.container import Container, LoadedStore
from sidecar.domain.time.units import HOUR_US
from sidecar.shared import backoff
from sidecar.shared.config import SidecarConfig
from tests.support.daemons import ControlPlane
from tests.support.ledger import apply, catalog_text
from tests.support.processes import until
from tests.support.stores import record_of


async def test_who_waits_for_hours_is_back_with_the_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(backoff.Backoff, "failed", lambda _: HOUR_US)
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        assert 0 == await plane.stop()
        config = SidecarConfig(control=plane.address, store_path=str(tmp_path / "store"))
        container = Container(config, LoadedStore(config))
        assert container.watcher is not None
        assert container.pusher is not None
        assert container.link is not None
        tasks = [
            asyncio.create_task(work)
            for work in (
                container.watcher.run(),
                container.pusher.run(),
                container.link.follow_connection(),
            )
        ]
        try:
            record = record_of(1)
            container.store.transact(lambda transaction: transaction.append(record))

            async def both_have_failed() -> bool:
                return container.pusher._failing and container.watcher._is_away  # type: ignore[union-attr]

            await until(both_have_failed, "nobody has tried")
            await plane.start()

            async def both_are_back() -> bool:
                return container.catalog_known.is_set() and not container.store.waiting_records()

            await until(both_are_back, "somebody still waits")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await container.close()
