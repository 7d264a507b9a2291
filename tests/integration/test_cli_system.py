"""The command line against a real control plane and a real sidecar, end to end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli.common import ExitCode
from sidecar.demo.system import System
from tests.unit.cli.fakes import tallyd

CATALOG = """\
features:
  tokens: {kind: metered, unit: token}
  sso: {kind: boolean}
plans:
  pro:
    entitlements:
      tokens:
        limits:
          total: {amount: 1000, per: lifetime, enforcement: hard}
          per_user: {amount: 10_000, per: lifetime, each: [user], enforcement: soft}
      sso: true
companies:
  acme: {plan: pro, anchor: 2026-01-31T00:00:00Z, time_zone: Europe/Berlin}
"""

PATIENCE = "60s"
"""The longest that a flush may be told to take: no command gives up on a busy machine."""

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG)
    return path


@pytest.fixture
def system(tmp_path: Path, file: Path) -> Iterator[System]:
    with System(tmp_path) as running:
        yield running


@pytest.fixture
def ask(system: System) -> Ask:
    """Run a command with --json; its exit code, and the object that it printed."""

    def run(*args: str) -> tuple[int, Any]:
        places = {"TALLYD_SIDECAR": system.sidecar, "TALLYD_CONTROL": system.control}
        result = tallyd(*args, "--json", "--timeout", PATIENCE, environment=places)
        return result.exit_code, json.loads(result.stdout or result.stderr)

    return run


@pytest.fixture
def applied(ask: Ask, system: System, file: Path) -> None:
    _, answer = ask("apply", str(file))
    system.wait_for_revision(answer["revision"])


def test_apply_is_idempotent_and_tells_what_it_does(ask: Ask, file: Path) -> None:
    assert (4, False) == told(ask("apply", str(file), "--dry-run"))
    assert (4, True) == told(ask("apply", str(file)))
    assert (0, False) == told(ask("apply", str(file)))

    file.write_text(CATALOG.replace("amount: 1000,", "amount: 2000,").split("companies:")[0])
    code, answer = ask("apply", str(file), "--prune")

    changes = {(item["kind"], item["key"]): item for item in answer["changes"]}
    assert (ExitCode.OK, 2) == (code, len(changes))
    assert "REMOVED" == changes["company", "acme"]["action"]
    (field,) = changes["plan", "pro"]["fields"]
    assert ("1000", "2000") == (field["before"], field["after"])


def told(answered: tuple[int, Any]) -> tuple[int, bool]:
    """How much changed, and whether the plane's revision is now 1 for the first time."""
    code, answer = answered
    assert ExitCode.OK == code
    return answer["changed"], bool(answer["changed"]) and answer["revision"] == 1


@pytest.mark.usefixtures("applied")
def test_usage_goes_from_a_check_to_the_ledger(ask: Ask) -> None:
    count = ("check", "acme", "tokens", "-n", "600", "-d", "user=joe", "--increment")

    code, first = ask(*count, "--idempotency-key", "k1")
    assert (ExitCode.OK, 600, False) == (code, first["decision"]["granted"], first["replayed"])
    code, again = ask(*count, "--idempotency-key", "k1")
    assert (ExitCode.OK, True) == (code, again["replayed"])
    assert first["record_id"] == again["record_id"]
    code, denied = ask(*count, "--idempotency-key", "k2")
    assert (ExitCode.NEGATIVE, "LIMIT_EXCEEDED") == (code, denied["decision"]["reason"])
    code, some = ask(*count, "--up-to")
    assert (ExitCode.OK, 400) == (code, some["decision"]["granted"])
    code, conflict = ask("check", "acme", "sso", "--increment", "--idempotency-key", "k1")
    assert (ExitCode.USAGE, "IDEMPOTENCY_CONFLICT") == (code, conflict["error"]["reason"])

    assert (ExitCode.OK, {"complete": True, "outbox_records": 0}) == ask("flush")

    _, sums = ask("usage")
    expected = {
        "company": "acme",
        "feature": "tokens",
        "day": "",
        "records": 2,
        "quantity": 1000,
        "overage": 0,
    }
    assert [expected] == sums["sums"]
    _, lines = ask("usage", "acme", "--records")
    assert {600, 400} == {line["quantity"] for line in lines["records"]}
    assert {"k1", ""} == {line["idempotency_key"] for line in lines["records"]}
    _, of_plane = ask("usage", "acme")
    assert {"total": 1000, "per_user": 1000} == {
        usage["limit"]["id"]: usage["used"] for usage in of_plane["limits"]
    }
    _, of_sidecar = ask("usage", "acme", "--source", "sidecar")
    (tokens,) = of_sidecar["features"]
    assert {"total": 0, "per_user": 9000} == {
        limit["limit"]: limit["remaining"] for limit in tokens["limits"]
    }


@pytest.mark.usefixtures("applied")
def test_entitlements_are_those_of_the_file(ask: Ask) -> None:
    code, answer = ask("entitlements", "acme")

    assert (ExitCode.OK, "pro", "ACTIVE") == (code, answer["plan"], answer["status"])
    kinds = {item["feature"]["key"]: item["feature"]["kind"] for item in answer["entitlements"]}
    assert {"sso": "BOOLEAN", "tokens": "METERED"} == kinds
    code, error = ask("entitlements", "acme", "nope")
    assert (ExitCode.USAGE, "feature") == (code, error["error"]["field"])
    code, error = ask("entitlements", "nobody")
    assert (ExitCode.USAGE, "company") == (code, error["error"]["field"])


LONG = "x" * 129
REFUSED = [
    (("check", "", "tokens"), "company"),
    (("check", LONG, "tokens"), "company"),
    (("check", "acme", "to\nkens"), "feature"),
    (("check", "acme", "tokens", "--event-time", "-36d"), "event_time"),
    (("check", "acme", "tokens", "-d", f"user={LONG}{LONG}"), "dimensions"),
    (("check", "acme", "tokens", "--increment", "--idempotency-key", LONG), "idempotency_key"),
    (("usage", LONG), "company"),
]


@pytest.mark.usefixtures("applied")
def test_what_a_server_refuses_names_the_field(ask: Ask) -> None:
    for args, field in REFUSED:
        code, answer = ask(*args)

        assert ExitCode.USAGE == code, args
        assert answer["error"]["field"].startswith(field), args


@pytest.mark.usefixtures("applied")
def test_a_system_that_is_well_says_so_until_it_is_drained(ask: Ask, system: System) -> None:
    code, status = ask("status")
    assert (ExitCode.OK, True, True) == (code, status["ready"], status["plane_connected"])
    code, plane = ask("status", "--control", system.control)
    assert (ExitCode.OK, True, 2) == (code, plane["ready"], plane["features"])
    code, found = ask("doctor")
    assert (ExitCode.OK, True) == (code, found["healthy"])
    # How full its disk is depends on the machine.
    outcomes = {check["outcome"] for check in found["checks"] if "disk" not in check["name"]}
    assert {"ok"} == outcomes

    code, drained = ask("drain")
    assert (ExitCode.OK, True) == (code, drained["complete"])

    code, status = ask("status")
    assert (ExitCode.NEGATIVE, False, True) == (code, status["ready"], status["draining"])
    code, found = ask("doctor")
    assert (ExitCode.NEGATIVE, False) == (code, found["healthy"])
    failed = {check["name"] for check in found["checks"] if check["outcome"] == "fail"}
    assert {"readiness"} == failed
