"""Credits by the command line, with a real control plane and a real sidecar that burns them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.demo.system import System, wait_until
from tests.support.bounds import HANG_SECONDS_MAX
from tests.unit.cli.fakes import tallyd

CATALOG: Final = """\
features:
  credits: {kind: credits}
  calls: {kind: metered, costs: {credits: {price: 1000}}}
plans:
  bare:
    entitlements:
      calls: unlimited
      credits: {limits: {nothing: {amount: 0, per: lifetime}}}
companies:
  acme: {plan: bare}
"""


class _Ask:
    """Commands with --json, and the objects that they print."""

    def __init__(self, system: System) -> None:
        self._system = system

    def __call__(self, *words: str) -> dict[str, Any]:
        places = {"TALLYD_SIDECAR": self._system.sidecar, "TALLYD_CONTROL": self._system.control}
        done = tallyd(*words, "--json", "--timeout", "60s", environment=places)
        told: dict[str, Any] = json.loads(done.stdout or done.stderr)
        return told

    def call(self) -> bool:
        """Whether a call is allowed; it costs 1,000 micro-credits."""
        allowed: bool = self("check", "acme", "calls", "--increment")["decision"]["allowed"]
        return allowed

    def until(self, holds: Callable[[], bool]) -> None:
        wait_until(holds, "it does not come to that", HANG_SECONDS_MAX)

    def grant(self, id_: str, amount: int, *more: str) -> None:
        told = self("credits", "grant", "acme", "credits", str(amount), "--id", id_, *more)
        assert told["changed"], told

    def leased(self) -> int:
        """What is left here of leases of the balance, as the status says."""
        held = {each["feature"]: each["left"] for each in self("status")["leases"]}
        return int(held.get("credits", 0))

    def accounts(self) -> dict[str, dict[str, int]]:
        """Accounts of all grants, once all that was counted is at the plane."""
        self("flush")
        listed = self("credits", "show", "acme", "--grants")["grants"]
        accounts = {each["grant"]["id"]: each["account"] for each in listed}
        for each in accounts.values():
            gone = each["expired"] + each["voided"] + each["lost"]
            where = each["burned"] + each["leased"] + each["left"] + gone
            assert each["amount"] + each["overcommitted"] == where
        return accounts


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[_Ask]:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    with System(tmp_path) as system:
        asking = _Ask(system)
        applied = asking("apply", str(tmp_path / "catalog.yaml"))
        system.wait_for_revision(applied["revision"])
        yield asking


def test_credits_that_are_granted_are_burned_to_the_last(ask: _Ask) -> None:
    assert not ask.call()
    ask.grant("welcome", 2_500)
    ask.until(ask.call)
    ask.until(lambda: ask.leased() == ask.accounts()["welcome"]["leased"])
    assert ask.call()
    assert not ask.call()

    ask.grant("more", 1_500, "--paid")
    ask.until(ask.call)
    assert ask.call()
    assert not ask.call()

    accounts = ask.accounts()
    assert {id_: account["burned"] for id_, account in accounts.items()} == {
        "welcome": 2_500,
        "more": 1_500,
    }
    burned = [event for event in ask("credits", "history", "acme")["events"] if event["record"]]
    assert [event["amount"] for event in burned] == [1_000] * 4
    assert [part["grant"] for part in burned[2]["parts"]] == ["welcome", "more"]


def test_nothing_is_burned_of_a_grant_that_was_voided(ask: _Ask) -> None:
    ask.grant("welcome", 10_000)
    ask.until(ask.call)

    ask("credits", "void", "acme", "welcome")

    ask.until(lambda: not ask.call())
    ask.until(lambda: ask("credits", "void", "acme", "welcome")["complete"])
    account = ask.accounts()["welcome"]
    assert account["leased"] == account["left"] == 0
    assert account["burned"] + account["voided"] == 10_000
    events = ask("credits", "history", "acme")["events"]
    assert sum(event["amount"] for event in events if event["record"]) == account["burned"]


def test_what_is_refunded_can_be_burned_again(ask: _Ask) -> None:
    ask.grant("welcome", 1_000)
    ask.until(ask.call)
    assert not ask.call()
    ask("flush")
    (record,) = [event["record"] for event in ask("credits", "history", "acme")["events"][1:]]

    refunded = ask("credits", "refund", "acme", record, "--id", "r-1")
    again = ask("credits", "refund", "acme", record, "--id", "r-1")

    assert (refunded["returned"], refunded["changed"]) == (1_000, True)
    assert (again["returned"], again["changed"]) == (1_000, False)
    ask.until(ask.call)
    assert not ask.call()
    assert ask.accounts()["welcome"]["burned"] == 1_000
