"""Whatever happens in a scenario: its periods, what was held in them and what was used add up."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sidecar.sim.play import Played
from sidecar.sim.report import report_json
from tests.unit.sim.support import HEAD, played

ACTIONS = st.sampled_from(
    (
        "change: free",
        "change: {plan: pro, move_anchor: true}",
        "change: {plan: pro, reset_usage: true, when: period-end}",
        "add_on: {key: pack, quantity: 2}",
        "add_on: {key: pack, quantity: 0, when: +9d}",
        "pause: {until: +12d, move_anchor: true}",
        "pause: {}",
        "resume: {}",
        "cancel: {}",
        "cancel: {when: period-end}",
        "renew: {move_anchor: true}",
        "past_due: {grace_until: +5d}",
        "paid: {}",
        "reset_usage: {}",
        "drop_planned: {}",
        "overrides: {calls: {replace: true, limits: {w: {amount: 9, per: week}}, expires_at: +9d}}",
        "overrides: {calls: null}",
        "catalog: {plans: {free: {entitlements: {calls: unlimited}}}}",
        "usage: {feature: calls, quantity: 40, mode: up_to}",
        "usage: {feature: calls, quantity: 9, mode: record}",
    )
)
STEPS = st.lists(st.tuples(st.integers(0, 20), ACTIONS), max_size=8)
DAYS = 100


def play_of(steps: list[tuple[int, str]], *, everything: bool = False) -> Played:
    lines = ["- usage: {feature: calls, quantity: 5, every: 29h}"]
    lines += [f"- {{at: +{days}d, {action}}}" for days, action in steps]
    return played("\n".join(lines), f"{HEAD}ends_at: +{DAYS}d\n", everything=everything)


def within(steps: list[tuple[int, str]]) -> bool:
    return sum(days for days, _ in steps) <= DAYS


@given(STEPS.filter(within))
def test_periods_plans_and_checks_leave_no_gap(steps: list[tuple[int, str]]) -> None:
    result = play_of(steps, everything=True)

    edges = [(period.from_us, period.until_us) for period in result.periods]
    assert (result.scenario.starts_us, result.scenario.ends_us) == (edges[0][0], edges[-1][1])
    assert all(before[1] == after[0] for before, after in pairwise(edges))
    for period in result.periods:
        held = sorted((of.from_us, of.until_us) for of in period.held if of.kind == "plan")
        assert all(before[1] == after[0] for before, after in pairwise(held))
        whole = [(held[0][0], held[-1][1])] if held else []
        assert whole == ([] if period.ends_us is None else [(period.from_us, period.until_us)])
    answers = [event for event in result.events if event.kind in ("allowed", "denied")]
    sums = [period.features["calls"] for period in result.periods if period.features]
    assert result.checks == len(answers)
    assert result.checks == sum(found.records + found.denied for found in sums)


@given(STEPS.filter(within))
def test_what_is_told_in_full_changes_nothing(steps: list[tuple[int, str]]) -> None:
    short, full = play_of(steps), play_of(steps, everything=True)

    assert report_json(short)["periods"] == report_json(full)["periods"]
    assert short.unmet == full.unmet
