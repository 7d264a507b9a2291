"""`tallyd apply`: brings catalog and companies of a control plane to what a file says."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Final

import click

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.catalog_warnings import (
    json_of_problem,
    json_of_warnings,
    print_warnings,
    print_warnings_of_plane,
    warnings_beyond,
)
from sidecar.cli.common import (
    CliError,
    ExitCode,
    control_option,
    examples,
    json_option,
    printable,
    timeout_option_of,
)
from sidecar.cli.conflicts import print_conflicts, take_over_messages, take_over_option
from sidecar.cli.servers import connect
from sidecar.shared.api_json import json_of_message
from sidecar.shared.catalog_file.load import (
    FILE_BYTES_MAX,
    CatalogFile,
    load_catalog_file,
    parse_catalog,
)
from sidecar.shared.catalog_file.problems import CatalogFileError
from sidecar.shared.convert.catalog import catalog_to_message
from sidecar.shared.convert.companies import company_to_message

_MARKS: Final = {
    control_pb2.CHANGE_ACTION_CREATED: ("+", "green", "created"),
    control_pb2.CHANGE_ACTION_UPDATED: ("~", "yellow", "updated"),
    control_pb2.CHANGE_ACTION_REMOVED: ("-", "red", "removed"),
}


@click.command(
    epilog=examples(
        "tallyd apply catalog.yaml --dry-run",
        "tallyd apply catalog.yaml",
        "tallyd apply catalog.yaml --check",
        "tallyd apply catalog.yaml --take-over acme.plan",
    ),
)
@click.argument("file", type=click.Path(allow_dash=True), metavar="FILE")
@click.option("--prune", is_flag=True, help="Remove companies that are not in the file.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--check", is_flag=True, help="Check the file and stop; needs no control plane.")
@take_over_option
@click.option(
    "--fail-on-conflict",
    is_flag=True,
    help="Change nothing, and exit with 1, where something that a call has changed is in conflict.",
)
@control_option
@timeout_option_of("60s")
@json_option
def command(
    file: str,
    prune: bool,
    dry_run: bool,
    check: bool,
    take_over: tuple[str, ...],
    fail_on_conflict: bool,
    control_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Bring catalog and companies to what FILE says ("-" for standard input).

    The catalog is replaced as a whole; companies that are not in the file stay, unless --prune is
    given. Applying the same file again changes nothing. All problems of a file are told at once,
    with line, column and field; `tallyd config schema` prints its JSON Schema. What is taken and is
    likely not meant so is told as a warning, on stderr.

    What calls have changed of a company (`tallyd subscription` and the like) stays as it is. Where
    FILE says otherwise, that is told as a conflict, and the rest is applied; --take-over takes it.
    """
    content = read_catalog(file)
    if not as_json:
        print_warnings(file, content.warnings)
    if check:
        _report_valid(file, content, as_json)
        return
    request = control_pb2.ApplyRequest(
        catalog=catalog_to_message(content.catalog),
        companies=map(company_to_message, content.companies),
        prune_companies=prune,
        dry_run=dry_run,
        take_over=take_over_messages(take_over, [company.id for company in content.companies]),
        refuse_conflicts=fail_on_conflict,
    )
    with connect("control", control_address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = stub.Apply(request, timeout=timeout_s)
    more = warnings_beyond(answer.warnings, content.warnings)
    if as_json:
        told = [*json_of_warnings(content.warnings), *map(json_of_message, more)]
        output.print_json({**json_of_message(answer), "warnings": told, "dry_run": dry_run})
    else:
        print_warnings_of_plane(more)
        _print_changes(answer, dry_run)
    if answer.refused:
        raise click.exceptions.Exit(ExitCode.NEGATIVE)


def read_catalog(file: str) -> CatalogFile:
    """Load a catalog file, `-` for standard input. Raises `CliError` with all its problems."""
    try:
        if file == "-":
            return parse_catalog(sys.stdin.buffer.read(FILE_BYTES_MAX + 1), "standard input")
        return load_catalog_file(file)
    except CatalogFileError as error:
        raise catalog_error(error) from None


def catalog_error(error: CatalogFileError) -> CliError:
    """Turn a file's problems into what to tell."""
    count = len(error.problems) + error.omitted
    problems = [json_of_problem(problem) for problem in error.problems]
    return CliError(
        f"{error.source} cannot be used: {count} problem{'s' * (count != 1)}",
        exit_code=ExitCode.USAGE,
        reason="INVALID_CATALOG",
        lines=error.lines(),
        details={"problems": problems, "omitted": error.omitted},
    )


def _report_valid(file: str, content: CatalogFile, as_json: bool) -> None:
    counts = {
        "features": len(content.catalog.features),
        "plans": len(content.catalog.plans),
        "add_ons": len(content.catalog.add_ons),
        "companies": len(content.companies),
    }
    if as_json:
        warnings = json_of_warnings(content.warnings)
        output.print_json({"valid": True, **counts, "warnings": warnings})
    else:
        told = ", ".join(
            f"{name.replace('_', '-')} {output.number(count)}" for name, count in counts.items()
        )
        output.print_line(f"{file} is good: {told}")


def _print_changes(answer: control_pb2.ApplyResponse, dry_run: bool) -> None:
    for change in answer.changes:
        mark, colour, _ = _MARKS.get(change.action, ("?", "cyan", "changed"))
        line = f"{mark} {change.kind} {printable(change.key)}"
        output.print_line(output.paint(line, colour))
        for field in change.fields:
            output.print_line(f"    {_field_line(field)}")
    hidden = answer.changed - len(answer.changes)
    if hidden > 0:
        output.print_line(f"  and {output.number(hidden)} more")
    print_conflicts(answer)
    output.print_line(_summary(answer, dry_run))


def _field_line(field: control_pb2.FieldChange) -> str:
    before = printable(field.before) if field.HasField("before") else None
    after = printable(field.after) if field.HasField("after") else None
    path = printable(field.path)
    if before is None:
        return output.paint(f"+ {path}: {after}", "green")
    if after is None:
        return output.paint(f"- {path}: {before}", "red")
    return f"~ {path}: {output.paint(before, 'red')} -> {output.paint(after, 'green')}"


def _summary(answer: control_pb2.ApplyResponse, dry_run: bool) -> str:
    revision = f"revision {answer.revision}"
    if answer.refused:
        return f"nothing was changed, because of conflicts ({revision})"
    if not answer.changed:
        return f"nothing to change ({revision})"
    counts = Counter(_MARKS.get(c.action, ("", "", "changed"))[2] for c in answer.changes)
    complete = answer.changed == len(answer.changes)
    kinds = ", ".join(f"{output.number(n)} {name}" for name, n in counts.items())
    told = kinds if complete else f"{output.number(answer.changed)} changed"
    told += f", {output.number(answer.unchanged)} unchanged"
    return f"dry run, nothing was changed; would be: {told}" if dry_run else f"{told}; {revision}"
