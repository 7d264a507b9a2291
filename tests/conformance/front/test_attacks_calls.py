"""More calls at once than may be under way: what is refused is not done, and nothing piles up."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.front.errors import Code
from sidecar.front.frames import PING, frame
from sidecar.shared.config import SidecarConfig
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.front.peer import call
from tests.support.front.raw import Raw, raw
from tests.support.front.siege import CATALOG as BESIEGED_CATALOG
from tests.support.front.siege import CHECK, ENFORCEMENT, STREAM, Siege
from tests.support.ledger import apply, hold
from tests.support.ports import ANY_PORT
from tests.support.proxy import Proxy
from tests.support.sidecar_api import COMPANIES, CONTENT, ask
from tests.support.sidecars import serving

CALLS: Final = 64
WAITING: Final = 10_000
PER_CONNECTION: Final = 250
HASTY: Final = (("grpc-timeout", "1m"),)
DEFAULTS: Final = SidecarConfig(standalone="catalog.yaml")
CALLS_MAX: Final = DEFAULTS.concurrent_calls_max + DEFAULTS.watches_max


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
        assert answered == sidecar.container.store.head.sequence
        assert answered >= 1


@asynccontextmanager
async def with_silent_plane(folder: Path) -> AsyncIterator[tuple[Siege, Proxy]]:
    """A sidecar whose plane has fallen silent: calls of companies that it does not hold wait."""
    async with ControlPlane(folder / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, BESIEGED_CATALOG)
        async with Sidecar(folder, proxy.address, http_listen=ANY_PORT) as sidecar:
            await hold(sidecar, ["acme"])
            await proxy.swallow()
            yield Siege(sidecar), proxy


def check(number: int) -> bytes:
    """A check of a company of its own."""
    request = pb.CheckAndIncrementRequest(company=f"nobody {number}", feature="calls")
    return request.SerializeToString()


def streamed(number: int) -> bytes:
    """The same on a stream."""
    request = pb.CheckAndIncrementRequest(company=f"nobody {number}", feature="calls")
    return pb.StreamCheckAndIncrementRequest(check=request).SerializeToString()


def question(number: int) -> bytes:
    """What a company of its own may do."""
    request = pb.GetEntitlementRequest(company=f"nobody {number}", feature="calls")
    return request.SerializeToString()


WAYS: Final[dict[str, tuple[str, Callable[[int], bytes]]]] = {
    "handler": (CHECK, check),
    "stream": (STREAM, streamed),
    "coroutine": (f"{ENFORCEMENT}/GetEntitlement", question),
}


@pytest.mark.parametrize("way", WAYS)
async def test_ten_thousand_calls_at_once_are_answered_or_refused_as_too_many(
    tmp_path: Path, way: str
) -> None:
    path, message = WAYS[way]

    def calls(first: int) -> Iterator[bytes]:
        for at in range(PER_CONNECTION):
            yield call(2 * at + 1, message(first + at), path)

    async with (
        with_silent_plane(tmp_path) as (besieged, proxy),
        besieged.attacked("calls"),
        AsyncExitStack() as stack,
    ):
        peers: list[Raw] = []
        for first in range(0, WAITING, PER_CONNECTION):
            peer = await stack.enter_async_context(raw(besieged.address))
            await peer.flood(calls(first))
            peers.append(peer)
        await peers[-1].until(lambda peer: len(peer.ends) == PER_CONNECTION, "they wait as well")
        await besieged.holds_out()
        await proxy.connect()
        for peer in peers:
            await peer.until(lambda peer: len(peer.ends) == PER_CONNECTION, "calls are lost")

        codes = Counter(answer.status for peer in peers for answer in peer.answers().values())
        print(f"{dict(codes)} of {WAITING} calls")
        answered = codes[Code.NOT_FOUND if way == "coroutine" else Code.OK]
        assert WAITING == answered + codes[Code.RESOURCE_EXHAUSTED]
        assert CALLS_MAX <= answered < WAITING


async def test_calls_that_are_given_up_do_not_pile_up(tmp_path: Path) -> None:
    given_up = 0

    def calls() -> Iterator[bytes]:
        for at in range(PER_CONNECTION):
            yield call(2 * at + 1, check(given_up + at), CHECK)

    async with with_silent_plane(tmp_path) as (besieged, proxy), besieged.attacked("calls"):
        while given_up < WAITING:
            async with raw(besieged.address) as peer:
                await peer.flood(calls())
                await peer.send(frame(PING, 0, 0, bytes(8)))
                await peer.until(lambda peer: peer.heard[PING] > 0, "the calls are not read")
            given_up += PER_CONNECTION
        await besieged.holds_out()
        await proxy.connect()


async def test_callers_who_give_up_early_leave_no_requests_to_a_silent_plane(
    tmp_path: Path,
) -> None:
    asked = 0

    def calls() -> Iterator[bytes]:
        for at in range(PER_CONNECTION):
            yield call(2 * at + 1, check(asked + at), CHECK, HASTY)

    async with with_silent_plane(tmp_path) as (besieged, proxy), besieged.attacked():
        before_bytes = besieged.memory_bytes()
        while asked < WAITING:
            async with raw(besieged.address) as peer:
                await peer.flood(calls())
                await peer.until(lambda peer: len(peer.ends) == PER_CONNECTION, "calls are lost")
            asked += PER_CONNECTION
        grown_bytes = besieged.memory_bytes() - before_bytes
        await proxy.connect()

    assert grown_bytes < 5_000 * WAITING
