"""The front passes all of h2spec, strictly, on TCP and on a Unix socket."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.front.conftest import Service, Tool
from tests.support.front.relay import relay_to

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def h2spec(program: str, port: int) -> str:
    """What h2spec has to say, from its list of failures on."""
    process = await asyncio.create_subprocess_exec(
        *(program, "--strict", "-h", "127.0.0.1", "-p", str(port), "--timeout", "10"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    return output.rpartition("Failures:")[2] if process.returncode else output.splitlines()[-1]


async def test_h2spec_on_tcp(service: Service, tool: Tool) -> None:
    said = await h2spec(tool("h2spec"), service.port)

    assert said.endswith("passed, 0 skipped, 0 failed"), said


async def test_h2spec_on_a_unix_socket(service: Service, tool: Tool) -> None:
    program = tool("h2spec")
    async with relay_to(service.path) as port:
        said = await h2spec(program, port)

    assert said.endswith("passed, 0 skipped, 0 failed"), said
