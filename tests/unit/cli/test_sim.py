"""`tallyd sim`."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from sidecar.cli.common import ExitCode
from sidecar.cli.sim import EXAMPLES
from sidecar.shared.catalog_file import yaml_tree
from sidecar.shared.catalog_file.schema import schema_text
from tests.unit.cli.fakes import tallyd
from tests.unit.sim.support import HEAD

EXPECTS_TOO_MUCH = f"{HEAD}steps:\n  - expect: {{plan: free}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(f"{HEAD}steps:\n  - expect: {{plan: pro}}\n")
    return path


def test_a_scenario_is_played(file: Path) -> None:
    result = tallyd("sim", str(file))

    assert ExitCode.OK == result.exit_code, result.output
    assert "2026-01-31 00:00  starts     active, plan pro" in result.stdout
    assert result.stdout.endswith("0 checks; 1 expectation met\n")


def test_what_is_not_as_expected_ends_with_1(file: Path) -> None:
    file.write_text(EXPECTS_TOO_MUCH)

    result = tallyd("sim", str(file))

    assert ExitCode.NEGATIVE == result.exit_code
    assert "steps[0].expect.plan: expected free, is pro" in result.stdout


def test_a_script_gets_one_object(file: Path) -> None:
    file.write_text(EXPECTS_TOO_MUCH)

    result = tallyd("sim", str(file), "--json")

    played = json.loads(result.stdout)
    assert ExitCode.NEGATIVE == result.exit_code
    assert ["expected free, is pro"] == [unmet["message"] for unmet in played["unmet"]]
    assert "starts" == played["events"][0]["kind"]


def test_a_wrong_scenario_ends_with_2_and_its_places(file: Path) -> None:
    file.write_text(f"{HEAD}steps:\n  - paidd:\n")

    result = tallyd("sim", str(file))

    assert ExitCode.USAGE == result.exit_code
    assert "19:5: steps[0].paidd: is not a field here; did you mean paid?" in result.stderr
    assert "(INVALID_SCENARIO)" in result.stderr


def test_a_scenario_may_come_from_standard_input() -> None:
    result = tallyd("sim", "-", stdin=f"{HEAD}steps:\n  - expect: {{plan: pro}}\n")

    assert ExitCode.OK == result.exit_code, result.output


def test_what_of_a_catalog_is_likely_not_meant_so_is_told(file: Path) -> None:
    odd = HEAD.replace(
        "{monthly: {amount: 100,", "{weekly: {amount: 500, per: week}, monthly: {amount: 100,"
    )
    file.write_text(f"{odd}steps:\n  - catalog: {{plans: {{other: {{}}}}}}\n")

    result = tallyd("sim", str(file))

    assert ExitCode.OK == result.exit_code
    assert 1 == result.stderr.count("warning:"), result.stderr
    assert "scenario.yaml:10:" in result.stderr
    assert "catalog.plans.pro.entitlements.calls.limits.weekly: " in result.stderr


def test_examples_are_printed_ready_to_be_played() -> None:
    printed = tallyd("sim", "--example", EXAMPLES[0]).stdout

    assert ExitCode.OK == tallyd("sim", "-", stdin=printed).exit_code


def test_an_unknown_example_is_refused_with_those_there_are() -> None:
    result = tallyd("sim", "--example", "tryal")

    assert ExitCode.USAGE == result.exit_code
    assert "'trial', 'upgrade'" in result.stderr


def test_without_a_file_it_is_said_what_there_is() -> None:
    result = tallyd("sim")

    assert ExitCode.USAGE == result.exit_code
    assert "--example" in result.stderr


def test_the_scenarios_schema_defines_nothing_that_the_catalogs_does() -> None:
    text = resources.files("sidecar.sim").joinpath("scenario.schema.json").read_text()
    ours, theirs = json.loads(text)["$defs"], json.loads(schema_text())["$defs"]

    assert set() == ours.keys() & theirs.keys()


def test_the_examples_fit_the_schema_that_is_printed() -> None:
    schema = json.loads(tallyd("sim", "--schema").stdout)
    Draft202012Validator.check_schema(schema)

    for name in EXAMPLES:
        tree, _ = yaml_tree.parse(tallyd("sim", "--example", name).stdout)
        assert [] == list(Draft202012Validator(schema).iter_errors(yaml_tree.plain(tree)))
