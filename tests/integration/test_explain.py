"""`tallyd explain` against a standalone sidecar, as a real process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli.common import ExitCode
from tests.support.daemons import Standalone
from tests.unit.cli.fakes import tallyd

# Lifetimes rather than months, so that no window ends between two calls.
CATALOG = """
features:
  tokens: {kind: metered, unit: token}
  sso: {kind: boolean}
plans:
  pro:
    entitlements:
      tokens:
        limits:
          monthly: {amount: 1_000, per: month, align: billing}
          per_user: {amount: 5, per: lifetime, each: [user]}
          large: {amount: 50, per: lifetime, when: {model: large}}
        rates:
          burst: {count: 10, per: second, burst: 20}
      sso: false
add_ons:
  boost:
    entitlements:
      tokens: {limits: {monthly: {amount: 500, per: month, align: billing}}}
  night:
    entitlements:
      tokens: {limits: {large: 100}}
      sso: true
companies:
  acme:
    plan: pro
    anchor: 2026-01-31T00:00:00Z
    add_ons: {boost: 2, night: 1}
    overrides:
      tokens:
        replace: true
        limits:
          own: {amount: 70, per: lifetime}
          per_user: {amount: 3, per: lifetime, each: [user]}
        rates:
          slow: {count: 1, per: 30 days, burst: 10}
        expires_at: 2100-01-01T00:00:00Z
"""


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    async with Standalone(tmp_path) as sidecar:
        yield sidecar.address


def count(address: str, quantity: int) -> None:
    done = tallyd(
        *("check", "acme", "tokens", "-n", str(quantity), "-d", "user=ann", "--increment"),
        *("--sidecar", address),
    )
    assert ExitCode.OK == done.exit_code


def explain(address: str, expected: ExitCode, *args: str) -> dict[str, Any]:
    done = tallyd("explain", "acme", *args, "--json", "--sidecar", address)
    assert (expected, "") == (done.exit_code, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def sources(found: dict[str, Any]) -> list[tuple[object, ...]]:
    return [
        (
            source["kind"],
            source["key"],
            source["quantity"],
            source["effect"],
            {limit["id"]: limit["amount"] for limit in source["result"]["limits"]},
        )
        for source in found["sources"]
    ]


def usage(found: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    return {
        status["limit"]: (status["amount"], status["used"], status["remaining"])
        for status in found["limits"]
    }


async def test_an_override_decides_until_it_expires_and_then_plan_and_add_ons(address: str) -> None:
    count(address, 2)
    now = explain(address, ExitCode.NEGATIVE, "tokens", "-n", "2", "-d", "user=ann")
    merged = [
        ("PLAN", "pro", 1, "GRANTED", {"monthly": 1000, "per_user": 5, "large": 50}),
        ("ADD_ON", "boost", 2, "ADDED", {"monthly": 2000, "per_user": 5, "large": 50}),
        (
            *("ADD_ON", "night", 1, "ADDED"),
            {"monthly": 2000, "per_user": 5, "large": 150},
        ),
    ]
    assert [*merged, ("OVERRIDE", "", 1, "REPLACED", {"own": 70, "per_user": 3})] == sources(now)
    assert {"own": (70, 2, 68), "per_user": (3, 2, 1), "slow": (10, 2, 8)} == usage(now)
    assert ("LIMIT_EXCEEDED", "per_user") == (
        now["decision"]["reason"],
        now["decision"]["binding_limit"]["limit"],
    )
    assert "2100-01-01T00:00:00Z" == now["segment"]["until"]

    later = explain(
        *(address, ExitCode.OK, "tokens", "-n", "3", "-d", "user=ann", "--at", "2100-01-01")
    )
    assert merged == sources(later)
    # What does not start again was counted; rates are at rest.
    assert {
        "monthly": (2000, 0, 2000),
        "per_user": (5, 2, 3),
        "burst": (20, 0, 20),
    } == usage(later)
    assert ["large"] == later["other_limits"]
    assert "2100-01-01T00:00:00Z" == later["segment"]["from"]


async def test_people_are_told_in_a_few_lines(address: str) -> None:
    count(address, 2)
    done = tallyd("explain", "acme", "tokens", "-n", "2", "-d", "user=ann", "--sidecar", address)
    assert done.stdout.startswith("acme may not use 2 tokens: LIMIT_EXCEEDED\n")
    expected = """\
override          own: 70 per lifetime                      replaced  what it says
                  per_user: 3 per lifetime, each user
                  slow: 1 per 30 days, 10 at once

LIMIT       ALLOWS                     FOR       ENFORCEMENT  USED  LEFT  RESETS IN
own         70 per lifetime            all       hard            2    68  never
per_user ◂  3 per lifetime             user=ann  hard            2     1  never
slow        1 per 30 days, 10 at once  all       hard            2     8  60 d

The limit per_user has 1 left, less than the 2 asked for; waiting does not help.
"""
    assert done.stdout.endswith(expected)


async def test_a_switch_is_turned_on_by_the_add_on_and_nothing_is_counted(address: str) -> None:
    for _ in range(2):
        found = explain(address, ExitCode.OK, "sso")
        assert ["GRANTED", "SILENT", "REPLACED"] == [each["effect"] for each in found["sources"]]
    assert {"own": (70, 0, 70), "slow": (10, 0, 10)} == usage(
        explain(address, ExitCode.OK, "tokens", "-n", "10")
    )
    status = json.loads(tallyd("status", "--json", "--sidecar", address).stdout)
    assert (0, []) == (status["last_sequence"], status["tallies"])


@pytest.mark.parametrize(
    ("company", "feature", "told"),
    [
        ("nobody", "tokens", "company: no company 'nobody' is known (UNKNOWN_COMPANY)"),
        ("acme", "nothing", "feature: the catalog has no feature 'nothing' (UNKNOWN_FEATURE)"),
    ],
)
async def test_what_is_unknown_is_told(address: str, company: str, feature: str, told: str) -> None:
    done = tallyd("explain", company, feature, "--sidecar", address)
    assert (ExitCode.USAGE, f"error: {told}\n") == (done.exit_code, done.stderr)
