"""Replays through a real sidecar, compared with the ledger of a real control plane."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sidecar.cli.main import main
from sidecar.demo.system import System

ROWS = 40
CATALOG = """
features:
  context_tokens: {kind: metered}
  generated_tokens: {kind: metered}
  llm_requests: {kind: metered}
plans:
  only:
    entitlements:
      context_tokens: {limits: {total: {amount: 500, per: lifetime, enforcement: soft}}}
      generated_tokens: {limits: {}}
      llm_requests: {limits: {total: {amount: 15, per: lifetime, enforcement: hard}}}
companies:
  company-00: {plan: only, anchor: "2026-01-01T00:00:00Z"}
  company-01: {plan: only, anchor: "2026-01-01T00:00:00Z"}
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with System(tmp_path) as system:
        catalog = tmp_path / "catalog.yaml"
        catalog.write_text(CATALOG)
        applied = json.loads(
            system.run_cli("apply", str(catalog), "--control", system.control, "--json")
        )
        system.wait_for_revision(applied["revision"])
        yield system


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    rows = [f"2023-11-16 18:17:{n:02}.5000000,{n},1" for n in range(ROWS)]
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]))
    return path


def replay(system: System, trace: Path, *options: str) -> dict[str, Any]:
    arguments = ["replay", str(trace), "--format", "azure-llm", "--companies", "2"]
    arguments += ["--sidecar", system.sidecar, "--concurrency", "1", *options]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert 0 == result.exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def reconcile(system: System) -> dict[str, Any]:
    arguments = ["reconcile", "--sidecar", system.sidecar, "--control", system.control]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert 0 == result.exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("options", [(), ("--batch", "7")])
def test_a_replay_is_decided_counted_and_replayed(
    system: System, trace: Path, options: tuple[str, ...]
) -> None:
    quantity = {"context_tokens": sum(range(ROWS)), "generated_tokens": ROWS, "llm_requests": 30}
    first = replay(system, trace, "--idempotency-from", "row", *options)
    assert {"LIMIT_EXCEEDED": ROWS - 30} == first["denied_by_reason"]
    assert quantity == first["quantity"]
    # Of 0+2+...+38 = 380 and 1+3+...+39 = 400 nothing lies above 500.
    assert 0 == first["overage"]["context_tokens"]
    held = reconcile(system)
    counted = 2 * ROWS + 30 - 1  # the first row's 0 tokens ask, and count nothing
    assert (counted, 0) == (held["accepted"], held["difference"])
    again = replay(system, trace, "--idempotency-from", "row", *options)
    assert (counted, 1) == (again["replayed"], again["asked"])
    assert quantity == again["quantity"]
    assert held == reconcile(system)


def test_overage_is_what_lies_above_a_soft_limit(system: System, trace: Path) -> None:
    replay(system, trace)
    assert {"context_tokens": 2 * 780 - 1000, "generated_tokens": 0, "llm_requests": 0} == replay(
        system, trace
    )["overage"]
    assert 0 == reconcile(system)["difference"]
