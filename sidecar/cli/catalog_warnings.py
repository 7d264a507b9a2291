"""What of a catalog is taken, and is likely not meant so: told beside what a command does."""

from __future__ import annotations

from collections.abc import Iterable

import click

from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import printable
from sidecar.shared.catalog_file.load import CatalogFile
from sidecar.shared.catalog_file.problems import NOWHERE, FileProblem


def print_warnings(source: str, warnings: Iterable[FileProblem]) -> None:
    """Print what a file's places were found odd for, on stderr."""
    print_warning_texts(warning.text(source) for warning in warnings)


def print_warning_texts(warnings: Iterable[str]) -> None:
    """Print what was found odd, each in its words, on stderr."""
    for text in warnings:
        click.echo(f"{click.style('warning:', fg='yellow')} {printable(text)}", err=True)


def print_warnings_of_plane(source: str, warnings: Iterable[FileProblem]) -> None:
    """Print what the control plane found odd, on stderr; what no file says has no place."""
    print_warning_texts(_text(source, warning) for warning in warnings)


def _text(source: str, warning: FileProblem) -> str:
    if warning.at != NOWHERE:
        return warning.text(source)
    return f"{warning.field}: {warning.message}" if warning.field else warning.message


def warnings_of_plane(
    told: Iterable[control_pb2.Warning], content: CatalogFile
) -> list[FileProblem]:
    """What the control plane found odd, beyond what was found in the files, where they say it.

    The field is the file's where there is a place, and the API's where there is none.
    """
    known = {warning.message for warning in content.warnings}
    news = [warning for warning in told if warning.message not in known]
    return [
        content.placed(warning.field, warning.message)
        or FileProblem(NOWHERE, warning.field, warning.message)
        for warning in news
    ]


def json_of_warnings(warnings: Iterable[FileProblem]) -> list[dict[str, object]]:
    """What was found odd, for scripts; what no file says has a field, and no place."""
    return [
        json_of_problem(warning)
        if warning.at != NOWHERE
        else {"field": warning.field, "message": warning.message}
        for warning in warnings
    ]


def json_of_problem(problem: FileProblem) -> dict[str, object]:
    """Something about a place of a file, for scripts."""
    at, field, message = problem
    file = {"file": at.source} if at.source else {}
    return {**file, "line": at.line, "column": at.column, "field": field, "message": message}
