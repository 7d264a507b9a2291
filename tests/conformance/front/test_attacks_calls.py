"""More calls at once than may be under way: what is refused is not done."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from sidecar.front.errors import Code
from tests.support.front.peer import call
from tests.support.front.raw import raw
from tests.support.sidecar_api import COMPANIES, CONTENT, ask
from tests.support.sidecars import serving

CHECK: Final = "/sidecar.api.enforcement.v1.EnforcementService/CheckAndIncrement"
CALLS: Final = 64


@pytest.mark.parametrize("transport", ["native", "grpcio"])
@pytest.mark.parametrize("durability", ["process", "disk"])
async def test_refused_check_counts_nothing(
    tmp_path: Path, durability: str, transport: str
) -> None:
    settings = {"durability": durability, "transport": transport}
    async with (
        serving(
            tmp_path, CONTENT, COMPANIES, concurrent_calls_max=1, watches_max=0, **settings
        ) as sidecar,
        raw(f"unix:{tmp_path}/s.sock") as peer,
    ):
        message = ask("free").SerializeToString()
        await peer.send(*(call(number, message, CHECK) for number in range(1, 2 * CALLS, 2)))
        await peer.until(lambda peer: len(peer.ends) == CALLS, "not every call is answered")
        codes = [answer.status for answer in peer.answers().values()]

        answered = codes.count(Code.OK)
        assert CALLS == answered + codes.count(Code.RESOURCE_EXHAUSTED)
        assert answered == sidecar.parts.store.head.sequence
        assert answered >= 1
