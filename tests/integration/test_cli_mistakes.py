"""What a command says when it reaches the wrong server, or asks for what is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.cli.common import ExitCode
from sidecar.demo.system import System
from sidecar.shared.host.listening import http_server
from tests.integration.test_cli_system import CATALOG
from tests.unit.cli.fakes import tallyd


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder: Path = tmp_path_factory.mktemp("system")
    file = folder / "catalog.yaml"
    file.write_text(CATALOG)
    with System(folder) as running:
        applied = tallyd("apply", str(file), environment={"TALLYD_CONTROL": running.control})
        assert ExitCode.OK == applied.exit_code
        running.wait_for_revision(1)
        yield running


def ask(system: System, *args: str) -> tuple[int, str]:
    """Exit code and what was said on either stream."""
    places = {"TALLYD_SIDECAR": system.sidecar, "TALLYD_CONTROL": system.control}
    result = tallyd(*args, environment=places)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    "command",
    [
        ("check", "acme", "tokens"),
        ("status",),
        ("flush",),
        ("watch", "acme"),
        ("explain", "acme", "tokens"),
    ],
    ids=lambda command: str(command[0]),
)
def test_a_control_plane_is_no_sidecar(system: System, command: tuple[str, ...]) -> None:
    code, said = ask(system, *command, "--sidecar", system.control)

    expected = f"error: {system.control} is a control plane, not a sidecar (OTHER_SERVER). "
    assert (ExitCode.USAGE, expected) == (code, said[: len(expected)])
    assert "Give the sidecar's address to --sidecar or TALLYD_SIDECAR" in said


@pytest.mark.parametrize(
    "command",
    [("usage",), ("subscription", "show", "acme"), ("status",)],
    ids=lambda command: str(command[0]),
)
def test_a_sidecar_is_no_control_plane(system: System, command: tuple[str, ...]) -> None:
    code, said = ask(system, *command, "--control", system.sidecar)

    expected = f"error: {system.sidecar} is a sidecar, not a control plane (OTHER_SERVER). "
    assert (ExitCode.USAGE, expected) == (code, said[: len(expected)])
    assert "Give the control plane's address to --control or TALLYD_CONTROL" in said


def test_the_port_of_probes_is_told_apart(system: System) -> None:
    probes = http_server("127.0.0.1:0", {})
    try:
        address = f"127.0.0.1:{probes.port}"
        code, said = ask(system, "usage", "--control", address)
    finally:
        probes.close()

    assert ExitCode.USAGE == code
    assert f"{address} speaks HTTP, as probes and metrics have it, and not gRPC" in said


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (
            ("entitlements", "acme", "tokns"),
            "the catalog has no feature 'tokns'; did you mean 'tok",
        ),
        (
            ("explain", "acme", "token"),
            "the catalog has no feature 'token'; did you mean 'tokens'?",
        ),
        (("watch", "acme", "-f", "so"), "the catalog has no feature 'so'; did you mean 'sso'?"),
        (("usage", "acne"), "there is no company 'acne'; did you mean 'acme'?"),
        (("subscription", "show", "Acme"), "there is no company 'Acme'; did you mean 'acme'?"),
        (
            ("subscription", "change", "acme", "--plan", "por"),
            "the catalog has no plan 'por'; did you mean 'pro'?",
        ),
    ],
    ids=lambda case: str(case[0]) if isinstance(case, tuple) else "",
)
def test_a_mistyped_name_is_told_with_the_one_that_was_meant(
    system: System, command: tuple[str, ...], meant: str
) -> None:
    code, said = ask(system, *command)

    assert (ExitCode.USAGE, True) == (code, meant in said)


def test_a_check_of_a_mistyped_feature_is_denied_and_says_which_was_meant(system: System) -> None:
    code, said = ask(system, "check", "acme", "tokns")

    assert ExitCode.NEGATIVE == code
    assert "denied: UNKNOWN_FEATURE" in said
    assert "the catalog has no feature 'tokns'; did you mean 'tokens'?" in said
