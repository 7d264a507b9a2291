"""The command line as a whole: it starts light, and every way out has its exit code."""

from __future__ import annotations

import errno
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from sidecar import __version__
from sidecar.cli import main as main_module
from sidecar.cli.common import CliError, ExitCode
from tests.unit.cli.fakes import tallyd

FULL_DISK = Path("/dev/full")
HEAVY = ("grpc", "jsonschema", "rich", "yaml")


def test_help_names_every_command_and_exit_code() -> None:
    result = tallyd("--help")

    assert ExitCode.OK == result.exit_code
    for name in main_module.COMMANDS:
        assert f"  {name} " in result.output
    for code in ExitCode:
        assert f"    {code.value} " in result.output


def test_version() -> None:
    assert f"tallyd {__version__}\n" == tallyd("--version").output


@pytest.mark.parametrize("name", main_module.COMMANDS)
def test_every_command_has_help_with_examples(name: str) -> None:
    result = tallyd(name, "--help")

    assert ExitCode.OK == result.exit_code
    assert "Examples:" in result.output


def _commands_of(command: click.Command) -> Iterator[click.Command]:
    if not isinstance(command, click.Group):
        yield command
        return
    for each in command.commands.values():
        yield from _commands_of(each)


@pytest.mark.parametrize("name", sorted({*main_module.COMMANDS} - {"sidecar", "control", "demo"}))
def test_every_command_can_answer_in_json(name: str) -> None:
    target = main_module.COMMANDS[name].target.partition(":")[0]
    command = importlib.import_module(target).command
    commands = list(_commands_of(command))
    speaking = [c.name for c in commands if any("--json" in p.opts for p in c.params)]

    assert [c.name for c in commands if c.name != "schema"] == speaking


def loaded_by(statement: str) -> set[str]:
    """Heavy packages that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(HEAVY).intersection(done.stdout.split())


def test_the_help_loads_nothing_heavy() -> None:
    assert set() == loaded_by("import sidecar.cli.main")


def test_the_sidecar_command_loads_nothing_for_terminals_or_catalogs() -> None:
    assert set() == loaded_by("import sidecar.cli.sidecar")


def test_an_unknown_command_is_wrong_usage() -> None:
    result = tallyd("chek")

    assert ExitCode.USAGE == result.exit_code
    assert "No such command 'chek'. Did you mean 'check'?" in result.stderr


@pytest.mark.parametrize(
    ("name", "meant"), [("pause", "subscription pause"), ("schema", "config schema")]
)
def test_a_command_of_a_group_is_told_with_its_group(name: str, meant: str) -> None:
    result = tallyd(name, "acme")

    assert ExitCode.USAGE == result.exit_code
    assert f"No such command '{name}'. Did you mean '{meant}'?" in result.stderr


def test_wrong_usage_with_json_is_one_object() -> None:
    result = tallyd("status", "--json", "--bogus")

    assert ExitCode.USAGE == result.exit_code
    expected = '{"error": {"message": "No such option \'--bogus\'.", "exit_code": 2}}\n'
    assert expected == result.stderr


@pytest.mark.parametrize("option", ["--timeout=0", "--timeout=-1s", "--timeout=soon"])
def test_a_wrong_timeout_is_wrong_usage(option: str) -> None:
    result = tallyd("status", option)

    assert ExitCode.USAGE == result.exit_code
    assert "is not a duration such as 5, 500ms, 1.5s or 2m" in result.stderr


@pytest.mark.parametrize("address", ["localhost", "localhost:", ":7711", "unix:", "host:99999", ""])
def test_a_wrong_address_is_wrong_usage(address: str) -> None:
    result = tallyd("status", "--sidecar", address)

    assert ExitCode.USAGE == result.exit_code
    assert "--sidecar" in result.stderr


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A command `end` that raises what the test puts here."""
    errors: list[BaseException] = []

    @click.command()
    def command() -> None:
        raise errors[0]

    entry = main_module.Entry("tests.unit.cli.test_main:end_command", "")
    monkeypatch.setitem(main_module.COMMANDS, "end", entry)
    monkeypatch.setattr(sys.modules[__name__], "end_command", command, raising=False)
    return errors


def test_an_interrupt_is_told_by_the_exit_code(ending: list[BaseException]) -> None:
    ending.append(KeyboardInterrupt())

    assert ExitCode.INTERRUPTED == tallyd("end").exit_code


def test_a_bug_does_not_look_like_a_denial(ending: list[BaseException]) -> None:
    ending.append(ZeroDivisionError("oops"))

    result = tallyd("end")

    assert ExitCode.FAILED == result.exit_code
    assert "ZeroDivisionError: oops" in result.stderr


def test_a_missing_package_is_told(
    ending: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(name="jsonschema")

    monkeypatch.setattr(importlib, "import_module", fail)

    result = tallyd("end")

    assert ExitCode.FAILED == result.exit_code
    assert "needs the Python package jsonschema" in result.stderr
    assert "Install tallyd[control]" in result.stderr


def test_an_error_for_people_names_field_reason_and_hint(ending: list[BaseException]) -> None:
    ending.append(
        CliError(
            "must be positive", reason="TOO_SMALL", field="quantity", hint="Try 1", lines=["a"]
        )
    )

    result = tallyd("end")

    assert "a\nerror: quantity: must be positive (TOO_SMALL). Try 1\n" == result.stderr
    assert "" == result.stdout


def test_a_closed_pipe_ends_quietly() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "sidecar.cli.entry", "config", "schema"],
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write_end)

    assert (ExitCode.PIPE_CLOSED, "") == (done.returncode, done.stderr)


@pytest.mark.skipif(not FULL_DISK.exists(), reason="needs a device that is always full")
def test_a_full_disk_is_an_error() -> None:
    with FULL_DISK.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "sidecar.cli.entry", "config", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert ExitCode.FAILED == done.returncode
    assert os.strerror(errno.ENOSPC) in done.stderr
