"""Scenarios for tests: a catalog of one feature or two, a company, and steps."""

from __future__ import annotations

from pathlib import Path

from sidecar.sim.load import parse_scenario
from sidecar.sim.model import Scenario
from sidecar.sim.play import Played, play

CATALOG = """\
catalog:
  features:
    calls: {kind: metered}
    sso: {kind: boolean}
    days: {kind: config}
  plans:
    free: {entitlements: {calls: {limits: {daily: {amount: 10, per: day}}}}}
    pro:
      entitlements:
        {sso: true, days: 30, calls: {limits: {monthly: {amount: 100, per: month, align: billing}}}}
  add_ons:
    pack:
      plans: [pro]
      entitlements: {calls: {limits: {monthly: {amount: 50, per: month, align: billing}}}}
"""
HEAD = f"""\
{CATALOG}
company: {{plan: pro, anchor: 2026-01-31}}
starts_at: 2026-01-31
"""


def scenario(steps: str, head: str = HEAD, folder: Path = Path()) -> Scenario:
    text = f"{head}steps:\n" + "".join(f"  {line}\n" for line in steps.splitlines())
    return parse_scenario(text.encode(), "scenario.yaml", folder)


def played(
    steps: str, head: str = HEAD, *, everything: bool = False, folder: Path = Path()
) -> Played:
    return play(scenario(steps, head, folder), everything=everything)


def texts(result: Played, kind: str) -> list[str]:
    """What was told of one kind of events."""
    return [event.text for event in result.events if event.kind == kind]
