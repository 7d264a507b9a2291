"""Settings of the daemons as command-line options, and their problems as an error."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click
from msgspec import Struct

from sidecar.cli.common import CliError, ExitCode
from sidecar.shared.config import ConfigError, SettingField, fields
from sidecar.shared.config.units import unit_of_name

F = TypeVar("F", bound=Callable[..., Any])


def settings_options(config: type[Struct]) -> Callable[[F], F]:
    """Add --config and an option for each setting; what is not given is `None`.

    Values are checked by the configuration's own rules, the same for a flag, the environment and
    a file; here is only what the help shows.
    """

    def add(command: F) -> F:
        for field in reversed(fields(config)):
            command = _option(field)(command)
        return click.option(
            "--config",
            metavar="FILE",
            help="Settings file (TOML). Flags win over the environment, and that over the file. "
            "[env: TALLYD_CONFIG]",
        )(command)

    return add


def config_error(error: ConfigError) -> CliError:
    """Turn the problems of a configuration into what to tell."""
    count = len(error.problems)
    problems = [
        {"source": problem.source, "field": problem.field, "message": problem.message}
        for problem in error.problems
    ]
    return CliError(
        f"the configuration cannot be used: {count} problem{'s' * (count != 1)}",
        exit_code=ExitCode.USAGE,
        reason="INVALID_CONFIG",
        lines=[str(problem) for problem in error.problems],
        details={"problems": problems},
    )


def environment() -> dict[str, str]:
    """Return the environment that settings are read from."""
    return dict(os.environ)


def _option(field: SettingField) -> Callable[[F], F]:
    default = "none" if field.default == "" else field.default
    unit = unit_of_name(field.name) if field.type is int else ""
    number = {"": "NUMBER", "bytes": "SIZE"}.get(unit, "DURATION")
    metavar = "|".join(field.choices) or (number if field.type is int else "TEXT")
    return click.option(
        field.flag,
        field.name,
        metavar=metavar,
        help=f"{field.description} [env: {field.variable}; default: {default}]",
    )
