"""What of a catalog is taken, and is likely not meant so: told beside what a command does."""

from __future__ import annotations

from collections.abc import Iterable

import click

from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import printable
from sidecar.shared.catalog_file.problems import FileProblem


def print_warnings(source: str, warnings: Iterable[FileProblem]) -> None:
    """Print what a file's places were found odd for, on stderr."""
    for warning in warnings:
        _print_warning(warning.text(source))


def print_warnings_of_plane(warnings: Iterable[control_pb2.Warning]) -> None:
    """Print what the control plane found odd, on stderr."""
    for warning in warnings:
        field = f"{warning.field}: " if warning.field else ""
        _print_warning(f"{field}{warning.message}")


def warnings_beyond(
    told: Iterable[control_pb2.Warning], known: Iterable[FileProblem]
) -> list[control_pb2.Warning]:
    """What the control plane found odd, without what was found in the file already."""
    messages = {warning.message for warning in known}
    return [warning for warning in told if warning.message not in messages]


def json_of_warnings(warnings: Iterable[FileProblem]) -> list[dict[str, object]]:
    """What a file's places were found odd for, for scripts."""
    return [json_of_problem(warning) for warning in warnings]


def json_of_problem(problem: FileProblem) -> dict[str, object]:
    """Something about a place of a file, for scripts."""
    at, field, message = problem
    return {"line": at.line, "column": at.column, "field": field, "message": message}


def _print_warning(text: str) -> None:
    click.echo(f"{click.style('warning:', fg='yellow')} {printable(text)}", err=True)
