"""What is wrong with a scenario is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.shared.catalog_file.problems import CatalogFileError
from sidecar.shared.instants import instant_of_text
from sidecar.sim.instants import ScenarioClock
from sidecar.sim.load import load_scenario
from tests.unit.sim.support import CATALOG, HEAD, scenario

STEPS_LINE = HEAD.count("\n") + 2
"""The line of the first step."""

WRONG_STEPS = {
    "an unknown word": (
        "- chnge: pro",
        "5: steps[0].chnge: is not a field here; did you mean change?",
    ),
    "two things": (
        "- {paid: {}, cancel: {}}",
        "16: steps[0].cancel: stands beside paid; a step does one thing: write two",
    ),
    "nothing": ("- at: +1d", "5: steps[0]: does nothing, and expects nothing"),
    "no instant": (
        "- {at: soon, paid: {}}",
        "10: steps[0].at: 'soon' is not a date-time such as ",
    ),
    "an instant before": (
        "- {at: 2026-01-30, paid: {}}",
        "10: steps[0].at: is before the step above, or the start",
    ),
    "an unknown feature": (
        "- usage: {feature: cals}",
        "22: steps[0].usage.feature: the catalog has no feature 'cals'",
    ),
    "an end of nothing": (
        "- usage: {feature: calls, until: +1d}",
        "29: steps[0].usage.until: needs every",
    ),
    "an end before": (
        "- usage: {feature: calls, every: 1h, until: 2026-01-31}",
        "47: steps[0].usage.until: must be after at",
    ),
    "no length of time": (
        "- usage: {feature: calls, every: often}",
        "36: steps[0].usage.every: must be a length of time such as second, 10 seconds, ",
    ),
    "an answer to no question": (
        "- expect: {allowed: true}",
        "14: steps[0].expect.allowed: needs a feature",
    ),
    "an answer to much": (
        "- usage: {feature: calls, every: 1h}\n  expect: {allowed: true}",
        "5: steps[0].expect: stands beside usage that comes again; write it as a step",
    ),
    "an unknown reason": (
        "- expect: {feature: calls, reason: NO}",
        "38: steps[0].expect.reason: must be one of ALLOWED, ",
    ),
    "an override of nothing": (
        "- overrides: {cals: unlimited}",
        "17: steps[0].overrides.cals: the catalog has no feature 'cals'",
    ),
    "a wrong override": (
        "- overrides: {sso: 5}",
        "22: steps[0].overrides.sso: must be true or false, sso is boolean; is 5",
    ),
    "a wrong catalog": (
        "- catalog: {plans: {pro: {entitlements: {cals: unlimited}}}}",
        "44: steps[0].catalog.plans.pro.entitlements.cals: the catalog has no feature 'cals'",
    ),
    "no such file": (
        "- catalog: nowhere.yaml",
        "nowhere.yaml: cannot be read: No such file or directory",
    ),
    "too often": (
        "- usage: {feature: calls, every: 1s, until: +30d}",
        "1: steps: use 2592000 times; the most is 100000",
    ),
    "too long": ("- {at: +2000d, paid: {}}", "1: steps: the scenario is longer than five years"),
}


@pytest.mark.parametrize(("steps", "problem"), WRONG_STEPS.values(), ids=WRONG_STEPS)
def test_a_wrong_step_is_told_with_its_place(steps: str, problem: str) -> None:
    with pytest.raises(CatalogFileError) as refused:
        scenario(steps)

    (line,) = refused.value.lines()
    assert problem in line
    assert line.startswith(("nowhere.yaml", "scenario.yaml:"))


WRONG_HEADS = {
    "no catalog": ("company: {}\nstarts_at: 2026-01-31\n", "1:1: catalog: is missing"),
    "an unknown plan": (
        f"{CATALOG}company: {{plan: por, anchor: +1d}}\nstarts_at: 2026-01-31\n",
        "company.plan: the catalog has no plan 'por'",
    ),
    "a trial that ends never": (
        f"{CATALOG}company: {{plan: pro, trial_ends_at: later}}\nstarts_at: 2026-01-31\n",
        "company.",
    ),
    "an unknown zone": (
        f"{CATALOG}company: {{time_zone: Berlin}}\nstarts_at: 2026-01-31\n",
        "company.time_zone: unknown time zone 'Berlin'",
    ),
    "a start that counts from nothing": (
        f"{CATALOG}company: {{}}\nstarts_at: +3d\n",
        "starts_at: '+3d' is not a date-time",
    ),
    "a company of no file": (
        f"{CATALOG}company: acme\nstarts_at: 2026-01-31\n",
        "company: the catalog has no company 'acme'",
    ),
    "an end before the start": (
        f"{HEAD}ends_at: 2026-01-01\n",
        "ends_at: is before starts_at",
    ),
}


@pytest.mark.parametrize(("head", "problem"), WRONG_HEADS.values(), ids=WRONG_HEADS)
def test_a_wrong_beginning_is_told_with_its_place(head: str, problem: str) -> None:
    with pytest.raises(CatalogFileError) as refused:
        scenario("- expect: {status: none}", head)

    assert problem in refused.value.lines()[0]


def test_what_a_patch_breaks_in_another_file_is_told_where_the_patch_is(tmp_path: Path) -> None:
    content = "".join(line[2:] + "\n" for line in CATALOG.splitlines()[1:])
    (tmp_path / "catalog.yaml").write_text(content)
    head = "catalog: catalog.yaml\ncompany: {}\nstarts_at: 2026-01-31\n"

    with pytest.raises(CatalogFileError) as refused:
        scenario("- catalog: {features: {sso: null}}", head, tmp_path)

    problem = "steps[0].catalog.plans.pro.entitlements.sso: the catalog has no feature 'sso'"
    assert [f"scenario.yaml:5:14: {problem}"] == refused.value.lines()


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CatalogFileError, match="cannot be read"):
        load_scenario(tmp_path / "nothing.yaml")


START = instant_of_text("2026-03-20T15:00:00+01:00")
INSTANTS = {
    "2026-03-28": "2026-03-28T00:00:00+01:00",
    "2026-03-29 12:00": "2026-03-29T12:00:00+02:00",
    "2026-03-29T12:00:30": "2026-03-29T12:00:30+02:00",
    "2026-03-29T12:00:00Z": "2026-03-29T12:00:00Z",
    "day 1": "2026-03-20T00:00:00+01:00",
    "day 11 09:30": "2026-03-30T09:30:00+02:00",
    "+3d": "2026-03-24T15:00:00+01:00",
    "fri": "2026-03-27T00:00:00+01:00",
    "+90 minutes": "2026-03-21T16:30:00+01:00",
}


@pytest.mark.parametrize("text", INSTANTS)
def test_instants_are_by_the_companys_clocks(text: str) -> None:
    clock = ScenarioClock("Europe/Berlin", START)

    assert instant_of_text(INSTANTS[text]) == clock.instant(text, START + DAY_US)


@pytest.mark.parametrize(
    "text", ["day 0", "-99999d", "+3 moons", "2026-02-30", "day 3 25:00", "+999999999d", ""]
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    clock = ScenarioClock("UTC", START)

    with pytest.raises(ValueError, match="is "):
        clock.instant(text, START + HOUR_US)
