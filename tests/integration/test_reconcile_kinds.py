"""What `reconcile` and `replay` say of credits, levels and seats, of real processes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.demo.system import System, wait_until
from tests.support.bounds import HANG_SECONDS_MAX
from tests.unit.cli.fakes import tallyd

CATALOG: Final = """\
features:
  credits: {kind: credits}
  calls:
    kind: metered
    dimensions: {model: required}
    costs: {credits: {by: {model: {small: 1, large: 10}}}}
  jobs: {kind: level}
  members: {kind: seats}
plans:
  pro:
    entitlements:
      calls: unlimited
      credits: {limits: {monthly: {amount: 25, per: month}}, overdraft: 5}
      jobs: {limits: {at_once: {amount: 10}}}
      members: {limits: {named: {amount: 3}}}
companies:
  acme: {plan: pro}
"""
CALLS: Final = ("large", "large", "small", "large", "small", "large", "large")
HAD: Final = 25 + 12 + 5
"""What recurs, the grant and the overdraft, in micro-credits."""


class _Ask:
    """Commands that end with a line of JSON, and that line."""

    def __init__(self, system: System) -> None:
        self._places = {"TALLYD_SIDECAR": system.sidecar, "TALLYD_CONTROL": system.control}

    def __call__(self, *words: str, exit_code: int = 0) -> dict[str, Any]:
        done = tallyd(*words, "--json", "--timeout", "60s", environment=self._places)
        assert exit_code == done.exit_code, done.output
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def shown(self, *words: str) -> str:
        """What people read."""
        return tallyd(*words, environment=self._places).stdout

    def kept(self, **wanted: int) -> dict[str, tuple[int, int]]:
        """What records add up to and what is kept, by feature and place."""
        told = self("reconcile", "--company", "acme", **wanted)
        assert told["settled"]
        return {
            f"{each['feature']}: {each['what']}": (each["recorded"], each["kept"])
            for each in told["kept"]
        }


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[_Ask]:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    with System(tmp_path) as system:
        asking = _Ask(system)
        applied = asking("apply", str(tmp_path / "catalog.yaml"))
        system.wait_for_revision(applied["revision"])
        yield asking


def test_what_is_kept_is_what_records_add_up_to_until_somebody_changes_it(
    ask: _Ask, tmp_path: Path
) -> None:
    trace = tmp_path / "calls.jsonl"
    trace.write_text(
        "\n".join(
            json.dumps({"company": "acme", "feature": "calls", "dimensions": {"model": model}})
            for model in CALLS
        )
    )
    ask("credits", "grant", "acme", "credits", "12", "--id", "welcome", "--priority", "500")
    for holder in ("ann", "bob"):
        ask("seats", "acquire", "acme", "members", holder)
    for change in ("6", "-2"):
        ask("level", "adjust", "acme", "jobs", change)

    told: list[int] = []

    def all_burned() -> bool:
        replayed = ask("replay", str(trace), "--format", "jsonl", "--concurrency", "1")
        told.append(replayed["burned"].get("credits", 0))
        return sum(told) == HAD

    wait_until(all_burned, "some of the balance is left", HANG_SECONDS_MAX)

    kept = ask.kept()
    assert kept == {
        "credits: debt": (5, 5),
        "credits: grant welcome": (12, 12),
        "credits: limit monthly": (25, 25),
        "jobs: limit at_once": (4, 4),
        "members: limit named": (2, 2),
    }

    # A debt is repaid in part, what was burned last given back, and what is left of a grant void.
    ask("credits", "grant", "acme", "credits", "3", "--id", "more")
    events = ask("credits", "history", "acme")["events"]
    record = next(event["record"] for event in reversed(events) if event["record"])
    ask("credits", "refund", "acme", record)
    ask("credits", "void", "acme", "more")
    ask("seats", "release", "acme", "members", "bob")
    ask("level", "set", "acme", "jobs", "9")
    kept = ask.kept()
    assert all(recorded == held for recorded, held in kept.values()), kept
    assert sum(held for place, (_, held) in kept.items() if "debt" in place) < 5
    assert ((9, 9), (1, 1)) == (kept["jobs: limit at_once"], kept["members: limit named"])

    with closing(sqlite3.connect(tmp_path / "control.db")) as database, database:
        database.execute("UPDATE counter SET total = total + 1 WHERE slot LIKE 'GRANT|%'")
    recorded, held = ask.kept(exit_code=1)["credits: grant welcome"]
    assert held == recorded + 1
    rows = [line.split() for line in ask.shown("reconcile", "--company", "acme").splitlines()]
    row = ["acme", "credits", "grant", "welcome", str(recorded), str(held), "-1"]
    assert row in rows
    assert "CREDITS" in ask.shown("replay", str(trace), "--format", "jsonl").upper()
