"""The example clients of deploy/clients, made by `make clients`, against a real sidecar."""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.clients import EXAMPLES, Example
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import Standalone

_ROOT: Final = Path(__file__).parents[2]
_CATALOG: Final = _ROOT / "sidecar/demo/samples/catalog.yaml"


@dataclass(frozen=True, slots=True)
class Client:
    """An example client that is ready to run."""

    example: Example

    async def ask(self, address: str, *arguments: str) -> tuple[int, str]:
        """Exit code and what was printed."""
        return await asyncio.to_thread(self._ask, address, arguments)

    def _ask(self, address: str, arguments: tuple[str, ...]) -> tuple[int, str]:
        done = subprocess.run(
            [*self.example.run, *arguments],
            cwd=self.example.folder,
            env={**os.environ, "TALLYD_SIDECAR": address},
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS_MAX,
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).strip()


@pytest.fixture(params=list(EXAMPLES.values()), ids=list(EXAMPLES))
def client(request: pytest.FixtureRequest) -> Client:
    example: Example = request.param
    if not example.is_made():
        pytest.skip(f"the {example.language} client is not built: make clients says why")
    return Client(example)


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[Standalone]:
    async with Standalone(tmp_path, standalone=_CATALOG) as started:
        yield started


_ALLOWED: Final = ("globex", "exports", "2", "export-41")
_JOB: Final = ("--level", "wayne", "jobs", "2", "render-7")
_STORY: Final = [
    (_ALLOWED, 0, "allowed: granted 2, remaining 1, replayed false"),
    (_ALLOWED, 0, "allowed: granted 2, remaining 1, replayed true"),
    (
        ("globex", "exports", "2", "export-42"),
        0,
        r"denied: REASON_LIMIT_EXCEEDED, remaining 1, retry after \d+ s",
    ),
    (("globex", "exports", "4", "export-43"), 0, "denied: REASON_LIMIT_EXCEEDED"),
    (("nobody", "exports", "1", "export-44"), 0, "denied: REASON_UNKNOWN_COMPANY"),
    (  # 2^53 + 1: not every language's numbers hold it
        ("acme", "api_requests", "9007199254740993", "bulk-1"),
        0,
        "allowed: granted 9007199254740993, remaining unlimited, replayed false",
    ),
    (
        ("globex", "exports", "-1", "export-45"),
        2,
        (
            r"error: (InvalidArgument|INVALID_ARGUMENT): quantity: .+"
            r" \(reason INVALID_ARGUMENT, field quantity\)"
        ),
    ),
    (
        ("globex", "exports", "1", "export-41"),
        2,
        (
            r"error: (AlreadyExists|ALREADY_EXISTS): idempotency_key: .+"
            r" \(reason IDEMPOTENCY_CONFLICT, field idempotency_key\)"
        ),
    ),
    (("acme", "api_requests", "9223372036854775808", "bulk-2"), 2, "(usage|QUANTITY): .+"),
    (("acme", "api_requests", "many", "bulk-2"), 2, "(usage|QUANTITY): .+"),
    (("globex", "exports"), 2, "usage: .+"),
    (("--seat", "wayne", "members", "ann"), 0, "allowed: assigned true, remaining 2"),
    (("--seat", "wayne", "members", "ann"), 0, "allowed: assigned false, remaining 2"),
    (("--seat", "wayne", "members"), 2, "usage: .+"),
    (_JOB, 0, "allowed: changed 2, remaining 8, replayed false"),
    (_JOB, 0, "allowed: changed 2, remaining 8, replayed true"),
    (("--level", "wayne", "jobs", "9", "render-8"), 0, "denied: REASON_LIMIT_EXCEEDED"),
    (("--level", "wayne", "jobs", "-2", "render-7"), 0, "allowed: changed -2, .+ replayed false"),
]


async def test_answers_denials_and_errors_are_told(client: Client, sidecar: Standalone) -> None:
    for arguments, code, pattern in _STORY:
        actual_code, text = await client.ask(sidecar.address, *arguments)
        assert code == actual_code, text
        assert re.fullmatch(pattern, text, re.DOTALL), text


class Door:
    """Stands between clients and the sidecar, and loses what the first connection brings.

    That is the connection itself or, with `answer_to`, the answer to the request with these bytes.
    """

    def __init__(self, sidecar: Path, answer_to: bytes = b"") -> None:
        self.connections = 0
        self._sidecar = sidecar
        self._answer_to = answer_to
        self._asked = False
        self._handlers: set[asyncio.Task[None] | None] = set()

    @asynccontextmanager
    async def opened(self, path: Path) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._handle, path)
        async with server:
            yield
            await asyncio.gather(*(handler for handler in self._handlers if handler))

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._handlers.add(asyncio.current_task())
        self.connections += 1
        lossy = self.connections == 1
        if not lossy or self._answer_to:
            await self._pass(reader, writer, lossy)
        writer.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lossy: bool
    ) -> None:
        from_sidecar, to_sidecar = await asyncio.open_unix_connection(self._sidecar)
        ways = {
            asyncio.create_task(self._forth(reader, to_sidecar)),
            asyncio.create_task(self._back(from_sidecar, writer, lossy)),
        }
        _, open_ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in open_ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        to_sidecar.close()

    async def _forth(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = b""
        while data := await reader.read(65_536):
            sent += data
            self._asked = self._asked or self._answer_to in sent
            writer.write(data)

    async def _back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lossy: bool
    ) -> None:
        held = b""
        while data := await reader.read(65_536):
            if not (lossy and self._asked):
                writer.write(data)
                continue
            held += data
            if b"monthly" in held:  # the limit's name: this is the answer, so it was counted
                return


@pytest.mark.parametrize(
    ("answer_to", "replayed"),
    [
        pytest.param(b"", "false", id="connection"),
        pytest.param(_ALLOWED[3].encode(), "true", id="answer"),
    ],
)
async def test_a_lost_call_is_made_again_and_counted_once(
    client: Client, sidecar: Standalone, tmp_path: Path, answer_to: bytes, replayed: str
) -> None:
    door = Door(sidecar.socket, answer_to)
    async with door.opened(tmp_path / "d"):
        answer = await client.ask(f"unix:{tmp_path}/d", *_ALLOWED)
    assert (0, f"allowed: granted 2, remaining 1, replayed {replayed}") == answer
    assert 2 == door.connections


def test_the_lock_says_what_to_install_and_not_where_from() -> None:
    lock = (_ROOT / "deploy/clients/node/package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
