"""Failed calls: what is told, and the exit code."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import grpc
import pytest

from sidecar.cli.common import ExitCode
from tests.unit.cli.fakes import Failure, FakeServer, tallyd


@pytest.mark.parametrize(
    ("failure", "exit_code", "line"),
    [
        (
            Failure(
                grpc.StatusCode.INVALID_ARGUMENT, "company: is empty", "INVALID_ARGUMENT", "company"
            ),
            ExitCode.USAGE,
            "error: company: is empty (INVALID_ARGUMENT)",
        ),
        (
            Failure(
                grpc.StatusCode.FAILED_PRECONDITION, "is paused", "FAILED_PRECONDITION", "pause"
            ),
            ExitCode.USAGE,
            "error: pause: is paused (FAILED_PRECONDITION)",
        ),
        (
            Failure(grpc.StatusCode.OUT_OF_RANGE, "too far in the past", "OUT_OF_RANGE", "at"),
            ExitCode.USAGE,
            "error: at: too far in the past (OUT_OF_RANGE)",
        ),
        (
            Failure(grpc.StatusCode.NOT_FOUND, "no such company", "UNKNOWN_COMPANY"),
            ExitCode.USAGE,
            "error: no such company (UNKNOWN_COMPANY)",
        ),
        (
            Failure(grpc.StatusCode.ALREADY_EXISTS, "another payload", "IDEMPOTENCY_CONFLICT"),
            ExitCode.USAGE,
            "error: another payload (IDEMPOTENCY_CONFLICT)",
        ),
        (
            Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "the store is full", "STORE_FULL"),
            ExitCode.FAILED,
            "error: the store is full (STORE_FULL)",
        ),
        (
            Failure(grpc.StatusCode.UNAVAILABLE, "the disk fails", "STORE_FAILED"),
            ExitCode.FAILED,
            "error: the disk fails (STORE_FAILED)",
        ),
        (
            Failure(grpc.StatusCode.INTERNAL, "bro\x1b[2Jken\n"),
            ExitCode.FAILED,
            "error: bro\\x1b[2Jken\\n (INTERNAL)",
        ),
    ],
)
def test_a_failed_call_is_told_in_one_line(
    fake: FakeServer, failure: Failure, exit_code: ExitCode, line: str
) -> None:
    fake.answers["GetEntitlement"] = failure

    result = tallyd("entitlements", "acme", "sso", "--sidecar", fake.address)

    assert (exit_code, f"{line}\n", "") == (result.exit_code, result.stderr, result.stdout)


def test_a_failed_call_with_json_is_one_object(fake: FakeServer) -> None:
    fake.answers["GetEntitlement"] = Failure(
        grpc.StatusCode.INVALID_ARGUMENT, "company: is empty", "INVALID_ARGUMENT", "company"
    )

    result = tallyd("entitlements", "acme", "sso", "--sidecar", fake.address, "--json")

    expected = {
        "error": {
            "message": "company: is empty",
            "reason": "INVALID_ARGUMENT",
            "field": "company",
            "exit_code": 2,
        }
    }
    assert expected == json.loads(result.stderr)
    assert "" == result.stdout


def test_nobody_on_a_port_is_unreachable() -> None:
    with socket.socket() as taken:  # bound but not listening, so nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        result = tallyd("status", "--sidecar", address)

    assert ExitCode.UNREACHABLE == result.exit_code
    assert f"error: cannot reach the sidecar at {address}: " in result.stderr


def test_no_socket_file_is_unreachable(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'none.sock'}"

    result = tallyd("status", "--sidecar", address)

    assert ExitCode.UNREACHABLE == result.exit_code
    expected = (
        f"error: cannot reach the sidecar at {address}: No such file or directory (UNAVAILABLE). "
        "Is it running there? Another address: --sidecar\n"
    )
    assert expected == result.stderr


def test_no_answer_in_time_is_unreachable(fake: FakeServer) -> None:
    fake.answers["GetStatus"] = fake.hang

    result = tallyd("status", "--sidecar", fake.address, "--timeout", "50ms")

    assert ExitCode.UNREACHABLE == result.exit_code
    expected = (
        f"error: the sidecar at {fake.address} did not answer in time (DEADLINE_EXCEEDED). "
        "A longer wait: --timeout\n"
    )
    assert expected == result.stderr


def test_a_proxy_in_the_environment_is_not_asked(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    fake.answers["GetStatus"] = Failure(grpc.StatusCode.INTERNAL, "reached")

    assert "reached" in tallyd("status", "--sidecar", fake.address).stderr
