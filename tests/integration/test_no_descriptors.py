"""Descriptors run out: probes are answered, the log stays short, and calls go on after it."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import Standalone
from tests.support.ledger import check
from tests.support.ports import ANY_PORT
from tests.support.processes import until

DESCRIPTORS = 96
STRANGERS = 300
LINES_MAX = 20


class Poor(Standalone):
    """A sidecar that may have few files open."""

    def command(self) -> list[str]:
        return ["sh", "-c", f'ulimit -n {DESCRIPTORS} && exec "$@"', "sh", *super().command()]


@contextmanager
def strangers(path: Path) -> Iterator[None]:
    """Connections that send nothing; those that are refused are none."""
    with ExitStack() as stack:
        for _ in range(STRANGERS):
            stranger = stack.enter_context(socket.socket(socket.AF_UNIX))
            stranger.settimeout(HANG_SECONDS_MAX)
            stranger.connect(str(path))
        yield


async def answers(port: int, path: str) -> bool:
    """Whether a probe gets an answer, which it may have to try for."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    except OSError:
        return False
    return b" 200 OK\r\n" in answer


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[0] < STRANGERS + 100, reason="few files here, too"
)
async def test_where_descriptors_run_out_probes_are_answered_and_the_log_stays_short(
    tmp_path: Path,
) -> None:
    async with Poor(tmp_path, http_listen=ANY_PORT) as sidecar:
        port = (await sidecar.event("sidecar.listening"))["http_port"]
        with strangers(sidecar.socket):
            for path in ("/livez", "/readyz", "/metrics"):
                await until(partial(answers, port, path), f"{path} is not answered")
        assert (await check(sidecar, "acme", "calls")).decision.allowed
        assert len(sidecar.events) < LINES_MAX
        assert 0 == await sidecar.stop()
