"""Every example in a command's help works: run as printed, with a plane and a sidecar.

What never ends by itself is parsed, and the demo has tests of its own.
"""

from __future__ import annotations

import gzip
import importlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import click
import pytest

from sidecar.cli import main as main_module
from sidecar.cli.common import ExitCode
from sidecar.demo.system import System
from sidecar.domain.time.units import datetime_of_instant
from sidecar.shared.wall_clock import wall_us
from tests.unit.cli.fakes import tallyd

SOLD: Final = """\
features:
  tokens: {kind: metered, dimensions: {user: optional, model: [small, large]}}
  sso: {kind: boolean}
  members: {kind: seats}
  credits: {kind: credits}
  calls: {kind: metered, costs: {credits: {price: 1000}}}
  jobs: {kind: level}
plans:
  basic: {}
  pro:
    trial: {length: 3d, then: {plan: basic}}
    entitlements:
      tokens: {limits: {monthly: {amount: 1_000_000, per: month, align: billing}}}
      sso: true
      members: {limits: {named: {amount: 5}}}
      calls: unlimited
      credits: {limits: {monthly: {amount: 1_000_000, per: month, align: billing}}}
      jobs: {limits: {running: {amount: 1_000}}}
add_ons:
  seats: {entitlements: {sso: true}}
"""
CATALOG: Final = SOLD + "companies: {acme: {plan: pro}}\n"
CUSTOMERS: Final = "companies: {globex: {plan: pro, anchor: 2026-01-31}}\n"
LLM_TRACE: Final = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.5,7,14\n"
ACCESS_LOG: Final = '10.0.0.1 - - [16/Nov/2023:18:17:03 +0000] "GET /a HTTP/1.1" 200 12\n'

ENDLESS: Final = ("sidecar", "control", "demo", "watch")
DENIED_IS_AN_ANSWER: Final = ("replay",)  # its companies are those of the trace
FIRST: Final = ("company", "apply")
"""What makes the company, and gives its plan to the file, before others ask for it."""
RECORD: Final = "3f0c2f6e-8d0b-4a52-9f0e-5b9b1c1f3a77-42"
"""Stands for the record that burned credits last."""
BEFORE: Final = {
    'subscription drop-planned acme cancellation "add-on seats"': (
        "subscription cancel acme --at period-end",
        "subscription add-on acme seats 1 --at +1d",
    ),
    "subscription drop-planned acme plan --at NEXT_YEAR-01-31T00:00:00Z": (
        "subscription change acme --plan basic --at NEXT_YEAR-01-31T00:00:00Z",
    ),
    "subscription drop-planned acme": ("subscription cancel acme --at period-end",),
    "subscription pause acme --until +30d": ("subscription drop-planned acme",),
    "revoke acme 01ke2v7q3xw": ("grant acme sso off --id 01ke2v7q3xw --reason x",),
    f"credits refund acme {RECORD} --amount 500 --id r-7": (
        "check acme calls --increment",
        "flush",
    ),
    "flush": ("check acme tokens --increment",),
}
AFTER: Final = {"subscription pause acme --until +30d": ("subscription resume acme",)}


class Example(NamedTuple):
    """A line of a command's help: its words, and the file that its output goes to."""

    text: str
    words: tuple[str, ...]
    output: str


def example(line: str) -> Example:
    """Read one, without `tallyd`. Next year is a year that always comes."""
    next_year = datetime_of_instant(wall_us()).year + 1
    text = line.removeprefix("tallyd ").replace("2027-", "NEXT_YEAR-")
    command, _, output = text.partition(" > ")
    return Example(text, tuple(shlex.split(command.replace("NEXT_YEAR", str(next_year)))), output)


def command_of(name: str) -> click.Command:
    module, _, attribute = main_module.COMMANDS[name].target.partition(":")
    command = getattr(importlib.import_module(module), attribute or "command")
    assert isinstance(command, click.Command)
    return command


def lines_of(command: click.Command) -> Iterator[str]:
    told = (line.strip() for line in (command.epilog or "").splitlines())
    yield from (line for line in told if line.startswith("tallyd "))
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from lines_of(each)


def examples_of(name: str) -> list[Example]:
    return [example(line) for line in lines_of(command_of(name))]


NAMES: Final = [
    *FIRST,
    *(name for name in main_module.COMMANDS if name not in (*FIRST, *ENDLESS, "drain")),
    "drain",  # after it nothing is counted any more
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where commands and daemons run, with the files that the commands name."""
    folder = tmp_path
    (folder / "customers").mkdir()
    (folder / "empty").mkdir()
    (folder / "sold.yaml").write_text(SOLD)
    (folder / "catalog.yaml").write_text(CATALOG)
    (folder / "customers" / "globex.yaml").write_text(CUSTOMERS)
    (folder / "tallyd.toml").touch()
    (folder / "trace.csv").write_text(LLM_TRACE)
    (folder / "access.log").write_text(ACCESS_LOG)
    (folder / "access.log.gz").write_bytes(gzip.compress(ACCESS_LOG.encode()))
    return folder


@pytest.fixture
def system(folder: Path) -> Iterator[System]:
    with System(folder) as running:
        yield running


def burned_record(system: System) -> str:
    told = tallyd("credits", "history", "acme", "--json", "--control", system.control)
    records: list[str] = [event["record"] for event in json.loads(told.stdout)["events"]]
    return next(record for record in reversed(records) if record)


def run(system: System, folder: Path, one: Example) -> tuple[int, str]:
    """Run it with this pair of daemons in place of those that it names."""
    in_place = {"127.0.0.1:7711": system.sidecar, "127.0.0.1:7721": system.control}
    in_place["/var/lib/tallyd/sidecar"] = str(folder / "store")
    if RECORD in one.words:
        in_place[RECORD] = burned_record(system)
    words = [in_place.get(word, word) for word in one.words]
    places = {"TALLYD_SIDECAR": system.sidecar, "TALLYD_CONTROL": system.control}
    done = tallyd(*words, environment=places)
    if one.output:
        (folder / one.output).write_text(done.stdout)
    return done.exit_code, done.stderr


def test_every_example_works(system: System, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One test, since each goes on with what those before it have made."""
    monkeypatch.chdir(folder)
    assert ExitCode.OK == run(system, folder, example("tallyd apply sold.yaml"))[0]
    for name in NAMES:
        monkeypatch.chdir(folder / "empty" if name == "init" else folder)
        examples = examples_of(name)
        assert examples, name
        for one in examples:
            for line in BEFORE.get(one.text, ()):
                assert ExitCode.OK == run(system, folder, example(line))[0], line
            code, told = run(system, folder, one)
            good = (0, 1) if name in DENIED_IS_AN_ANSWER else (0,)
            assert code in good, f"tallyd {one.text}: {told}"
            assert "error" not in told, f"tallyd {one.text}: {told}"
            for line in AFTER.get(one.text, ()):
                assert ExitCode.OK == run(system, folder, example(line))[0], line


@pytest.mark.parametrize("name", ENDLESS)
def test_every_example_of_a_command_that_does_not_end_is_understood(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(folder)
    examples = examples_of(name)
    assert examples

    for one in examples:
        command_of(name).make_context(name, list(one.words[1:]))
