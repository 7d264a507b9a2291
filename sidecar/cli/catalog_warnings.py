"""What of a catalog is taken, and is likely not meant so: told beside what a command does."""

from __future__ import annotations

from collections.abc import Iterable

import click

from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import printable
from sidecar.shared.catalog_file.problems import FileProblem


def print_warnings(source: str, warnings: Iterable[FileProblem]) -> None:
    """Print what a file's places were found odd for, on stderr."""
    print_warning_texts(warning.text(source) for warning in warnings)


def print_warning_texts(warnings: Iterable[str]) -> None:
    """Print what was found odd, each in its words, on stderr."""
    for text in warnings:
        click.echo(f"{click.style('warning:', fg='yellow')} {printable(text)}", err=True)


def print_warnings_of_plane(warnings: Iterable[control_pb2.Warning]) -> None:
    """Print what the control plane found odd, on stderr."""
    print_warning_texts(
        f"{warning.field}: {warning.message}" if warning.field else warning.message
        for warning in warnings
    )


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
    file = {"file": at.source} if at.source else {}
    return {**file, "line": at.line, "column": at.column, "field": field, "message": message}
