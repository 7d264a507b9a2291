"""`tallyd sim`: plays a scenario, a customer's life on virtual time, by the real rules."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import Final

import click

from sidecar.cli import output
from sidecar.cli.catalog_warnings import print_warning_texts
from sidecar.cli.common import CliError, ExitCode, examples, json_option, printable
from sidecar.domain.errors import FieldError
from sidecar.shared.catalog_file.load import FILE_BYTES_MAX
from sidecar.shared.catalog_file.problems import CatalogFileError
from sidecar.sim.load import load_scenario, parse_scenario
from sidecar.sim.model import Scenario
from sidecar.sim.play import play
from sidecar.sim.report import report_json, report_lines
from sidecar.sim.schema import scenario_schema_text

_COLOURS: Final = {
    "denied": "red",
    "not met": "red",
    "refused": "red",
    "overage": "yellow",
    "overdraft": "yellow",
    "expires": "yellow",
    "low": "yellow",
    "threshold": "yellow",
    "throttled": "yellow",
    "becomes": "cyan",
    "change": "cyan",
    "reset": "green",
    "repaid": "green",
}


_SCENARIOS: Final = resources.files("sidecar.sim").joinpath("scenarios")
EXAMPLES: Final = sorted(
    file.name.removesuffix(".yaml") for file in _SCENARIOS.iterdir() if file.name.endswith(".yaml")
)
"""The scenarios that come along."""


@click.command(
    epilog=examples(
        "tallyd sim --example trial > trial.yaml",
        "tallyd sim trial.yaml",
        "tallyd sim trial.yaml --all",
        "tallyd sim --schema > scenario.schema.json",
    ),
)
@click.argument("file", type=click.Path(allow_dash=True), metavar="[FILE]", required=False)
@click.option("--all", "everything", is_flag=True, help="Tell each decision and each window.")
@click.option(
    "--example", type=click.Choice(EXAMPLES), help="Print a scenario to begin with, and stop."
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of scenarios, and stop.")
@json_option
def command(
    file: str | None,
    everything: bool,
    example: str | None,
    schema: bool,
    as_json: bool,
) -> None:
    """Play the scenario in FILE ("-" for standard input): months in seconds, with no server.

    A scenario is a catalog, a company, and what happens to it: changes of the subscription, other
    prices, usage. It is played by the rules that sidecars and control plane go by, and says what
    was denied, what reset and rolled over, and what would be billed. Of many decisions alike the
    first in a billing period is told. Ends with 1 where something is not as the scenario expects.
    """
    if schema:
        output.print_line(scenario_schema_text().rstrip())
    elif example is not None:
        file_of_example = _SCENARIOS.joinpath(f"{example}.yaml")
        output.print_line(file_of_example.read_text("utf-8").rstrip())
    elif file is None:
        raise click.UsageError("Missing argument 'FILE', or --example, --schema.")
    else:
        _play(_read(file), everything, as_json)


def _play(scenario: Scenario, everything: bool, as_json: bool) -> None:
    try:
        played = play(scenario, everything=everything)
    except FieldError as error:
        raise CliError(
            f"{scenario.source} cannot be played: {error.message}",
            exit_code=ExitCode.USAGE,
            reason=error.reason,
            field=error.field,
        ) from None
    if as_json:
        output.print_json(report_json(played))
    else:
        print_warning_texts(scenario.warnings)
        for line in report_lines(played):
            colour = _COLOURS.get(line.kind)
            text = printable(line.text)
            output.print_line(output.paint(text, colour) if colour else text)
    if played.unmet:
        click.get_current_context().exit(ExitCode.NEGATIVE)


def _read(file: str) -> Scenario:
    try:
        if file == "-":
            data = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
            return parse_scenario(data, "standard input", Path())
        return load_scenario(file)
    except CatalogFileError as error:
        raise _scenario_error(error) from None


def _scenario_error(error: CatalogFileError) -> CliError:
    from sidecar.cli.apply import catalog_error

    told = catalog_error(error)
    told.reason = "INVALID_SCENARIO"
    return told
