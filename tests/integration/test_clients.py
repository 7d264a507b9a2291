"""The example clients of deploy/clients, built as their README says, against a real sidecar."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from sidecar.cli.demo_system import Child

_ROOT: Final = Path(__file__).parents[2]
_CLIENTS: Final = Path("deploy/clients")
_CATALOG: Final = _ROOT / "sidecar/cli/samples/catalog.yaml"

# With warm caches 5 to 15 seconds. Building everything takes minutes, which a test must not.
_BUILD_SECONDS_MAX: Final = 45.0
_ASK_SECONDS_MAX: Final = 20.0
# Failures to get packages that are ours: lock and manifest contradict each other or the packages.
_OUR_FAULT: Final = re.compile(
    r"EUSAGE|EINTEGRITY|EJSONPARSE|checksum mismatch|missing go\.sum|errors parsing go\.mod"
)
_CHATTER: Final = re.compile("npm warn|go: downloading")

pytestmark = pytest.mark.timeout(_BUILD_SECONDS_MAX + 4 * _ASK_SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class Client:
    """An example client that is ready to run."""

    command: tuple[str, ...]

    def ask(self, address: str, *arguments: str) -> tuple[int, str]:
        """Exit code and what was printed."""
        done = subprocess.run(
            [*self.command, *arguments],
            env={**os.environ, "TALLYD_SIDECAR": address},
            capture_output=True,
            text=True,
            timeout=_ASK_SECONDS_MAX,
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).strip()


class Builder:
    """Runs the commands that make a client, all of them within `_BUILD_SECONDS_MAX`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._deadline_s = time.monotonic() + _BUILD_SECONDS_MAX
        programs = Path(sys.executable).parent  # buf is there
        self._environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}

    def get_packages(self, *command: str) -> None:
        """Skip the test where the packages cannot be had."""
        code, text = self._run(command)
        if code != 0 and not _OUR_FAULT.search(text):
            said = [line for line in text.splitlines() if not _CHATTER.match(line)]
            pytest.skip(f"{' '.join(command[:3])} gets no packages here: {said[:1]}")
        assert 0 == code, text

    def build(self, *command: str) -> None:
        code, text = self._run(command)
        assert 0 == code, text

    def _run(self, command: tuple[str, ...]) -> tuple[int, str]:
        process = subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that its compilers can be stopped with it
        )
        with process:
            try:
                text, _ = process.communicate(timeout=self._deadline_s - time.monotonic())
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                pytest.skip(
                    f"{' '.join(command[:3])} is not done within {_BUILD_SECONDS_MAX:.0f} s in all:"
                    " fill the caches with the commands of deploy/clients/README.md"
                )
            return process.returncode, text


def make_go(folder: Path) -> Client:
    builder = Builder(folder / _CLIENTS / "go")
    builder.get_packages("go", "mod", "download")
    builder.build("go", "generate")
    builder.build("go", "build", "-o", "client", ".")
    return Client((str(folder / _CLIENTS / "go/client"),))


def make_node(folder: Path) -> Client:
    builder = Builder(folder / _CLIENTS / "node")
    quick = ("--prefer-offline", "--fetch-retries=0", "--fetch-timeout=10000")
    builder.get_packages("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", *quick)
    return Client(("node", str(folder / _CLIENTS / "node/client.mjs")))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((make_go, ("go",)), id="go"),
        pytest.param((make_node, ("node", "npm")), id="node"),
    ],
)
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    make: Callable[[Path], Client]
    make, programs = request.param
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on the PATH")
    folder = tmp_path_factory.mktemp("clients")
    made = shutil.ignore_patterns("client", "gen", "node_modules")
    for name in ("proto", str(_CLIENTS)):
        shutil.copytree(_ROOT / name, folder / name, ignore=made)
    shutil.copy(_ROOT / "buf.yaml", folder)
    yield make(folder)
    shutil.rmtree(folder)


@pytest.fixture
def sidecar_socket(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "s"
    arguments = ["--standalone", str(_CATALOG), "--store-path", str(tmp_path / "store")]
    arguments += ["--socket-path", str(path), "--listen", "127.0.0.1:0", "--http-listen", ""]
    with Child("sidecar", arguments, tmp_path, "sidecar.ready"):
        yield path


_ALLOWED: Final = ("globex", "exports", "2", "export-41")
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
]


def test_answers_denials_and_errors_are_told(client: Client, sidecar_socket: Path) -> None:
    for arguments, code, pattern in _STORY:
        actual_code, text = client.ask(f"unix:{sidecar_socket}", *arguments)
        assert code == actual_code, text
        assert re.fullmatch(pattern, text), text


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
    client: Client, sidecar_socket: Path, tmp_path: Path, answer_to: bytes, replayed: str
) -> None:
    door = Door(sidecar_socket, answer_to)
    async with door.opened(tmp_path / "d"):
        answer = await asyncio.to_thread(client.ask, f"unix:{tmp_path}/d", *_ALLOWED)
    assert (0, f"allowed: granted 2, remaining 1, replayed {replayed}") == answer
    assert 2 == door.connections


def test_the_lock_says_what_to_install_and_not_where_from() -> None:
    lock = (_ROOT / _CLIENTS / "node/package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
