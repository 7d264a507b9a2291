"""What starting does not hold up."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sidecar.app import container
from sidecar.app.sidecar import Daemon
from sidecar.shared.config import SidecarConfig


async def test_the_loop_goes_on_while_the_store_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes minutes where a large one has to be verified: signals are still obeyed."""
    loop_went_on = threading.Event()

    def opening(*_: object, **__: object) -> None:
        assert loop_went_on.wait(30)
        raise OSError("opened")

    monkeypatch.setattr(container, "open_folder", opening)
    asyncio.get_running_loop().call_soon(loop_went_on.set)
    with pytest.raises(OSError, match="opened"):
        await Daemon(SidecarConfig(standalone="catalog.yaml")).serve()
