"""The scenarios that come along play as it is written beside them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import sidecar.sim
from sidecar.sim.load import load_scenario, parse_scenario
from sidecar.sim.play import play
from sidecar.sim.report import report_lines

FOLDER = Path(sidecar.sim.__file__).parent / "scenarios"
NAMES = sorted(file.stem for file in FOLDER.glob("*.yaml"))


def output(name: str) -> str:
    played = play(load_scenario(FOLDER / f"{name}.yaml"))
    return "".join(f"{line.text}\n" for line in report_lines(played))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_plays_as_is_written_beside_it(name: str) -> None:
    expected = FOLDER / f"{name}.txt"
    told = output(name)
    if os.environ.get("UPDATE_SCENARIOS"):
        expected.write_text(told)

    assert expected.read_text() == told


@pytest.mark.parametrize("name", NAMES)
def test_all_that_an_example_expects_is_so(name: str) -> None:
    played = play(load_scenario(FOLDER / f"{name}.yaml"))

    assert [] == played.unmet
    assert played.expected > 0


@pytest.mark.parametrize("name", NAMES)
def test_an_example_fits_80_columns(name: str) -> None:
    assert [] == [line for line in output(name).splitlines() if len(line) > 80]


def test_every_example_is_in_the_readme() -> None:
    page = (FOLDER.parent / "README.md").read_text()

    assert [] == [name for name in NAMES if f"`{name}`" not in page]


def test_the_scenario_of_the_readme_plays() -> None:
    page = (FOLDER.parent / "README.md").read_text()
    text = page.split("```yaml\n", 1)[1].split("```", 1)[0]

    played = play(parse_scenario(text.encode(), "README.md", FOLDER))

    assert [] == played.unmet


def test_nothing_else_is_beside_the_examples() -> None:
    expected = {f"{name}{ending}" for name in NAMES for ending in (".yaml", ".txt")}

    assert expected == {file.name for file in FOLDER.iterdir() if file.is_file()}
