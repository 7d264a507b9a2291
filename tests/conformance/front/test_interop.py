"""The standard interoperability client (Go) passes against the front."""

from __future__ import annotations

import subprocess

import pytest

from tests.conformance.front.conftest import Service, Tool

pytestmark = pytest.mark.slow

CASES = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
]


@pytest.mark.parametrize("case", CASES)
def test_interop_case(service: Service, tool: Tool, case: str) -> None:
    command = [tool("client"), f"--server_port={service.port}", "--server_host=127.0.0.1"]

    done = subprocess.run(
        [*command, f"--test_case={case}"], capture_output=True, text=True, timeout=50, check=False
    )

    assert 0 == done.returncode, done.stderr
