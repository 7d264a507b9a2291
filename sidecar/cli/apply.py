"""`tallyd apply`: brings catalog and companies of a control plane to what a file says."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

import click

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.catalog_warnings import (
    json_of_problem,
    json_of_warnings,
    print_warnings,
    print_warnings_of_plane,
    warnings_of_plane,
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
from sidecar.cli.conflicts import (
    print_conflicts,
    take_over_messages,
    take_over_option,
    without_files,
)
from sidecar.cli.servers import connect, require_current_plane
from sidecar.domain.catalog.model import Catalog
from sidecar.shared.api_json import json_of_message
from sidecar.shared.catalog_file.load import (
    FILE_BYTES_MAX,
    CatalogFile,
    SoldElsewhere,
    load_catalog_files,
    read_bytes,
    read_catalog_sources,
    with_unread_folders,
)
from sidecar.shared.catalog_file.problems import CatalogFileError
from sidecar.shared.catalog_file.several import files_of
from sidecar.shared.catalog_file.size import require_size
from sidecar.shared.convert.catalog import catalog_from_message, catalog_to_message
from sidecar.shared.convert.companies import company_to_message

_MARKS: Final = {
    control_pb2.CHANGE_ACTION_CREATED: ("+", "green", "created"),
    control_pb2.CHANGE_ACTION_UPDATED: ("~", "yellow", "updated"),
    control_pb2.CHANGE_ACTION_REMOVED: ("-", "red", "removed"),
}


_EXISTING: Final = {
    catalog_pb2.EXISTING_COMPANIES_KEEP: "keep what they have",
    catalog_pb2.EXISTING_COMPANIES_MOVE_NOW: "have the new version now",
    catalog_pb2.EXISTING_COMPANIES_MOVE_AT_PERIOD_END: (
        "have the new version once their billing period ends"
    ),
}


@click.command(
    epilog=examples(
        "tallyd apply catalog.yaml --dry-run",
        "tallyd apply catalog.yaml",
        "tallyd apply catalog.yaml --check",
        "tallyd apply catalog.yaml customers/",
        "tallyd apply catalog.yaml --take-over acme.plan",
    ),
)
@click.argument("files", type=click.Path(allow_dash=True), metavar="FILE...", nargs=-1)
@click.option("--prune", is_flag=True, help="Remove companies that are not in the files.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option(
    "--check",
    is_flag=True,
    help="Check the files and stop; needs no control plane, but for files with companies alone.",
)
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
    files: tuple[str, ...],
    prune: bool,
    dry_run: bool,
    check: bool,
    take_over: tuple[str, ...],
    fail_on_conflict: bool,
    control_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Bring catalog and companies to what FILEs say.

    A FILE is a file, a folder (all of its *.yaml), or "-" for standard input; several are read as
    one. The catalog is replaced as a whole, and stays where they have companies alone. Companies
    that are not in them stay, unless --prune is given. Applying the same again changes nothing. All
    problems are told at once, with file, line, column and field; `tallyd config schema` prints the
    JSON Schema. What is taken and is likely not meant so is told as a warning, on stderr.

    What calls have changed of a company (`tallyd subscription` and the like) stays as it is. Where
    FILE says otherwise, that is told as a conflict, and the rest is applied; --take-over takes it.
    """
    more_files, named = without_files(take_over)
    files = (*files, *more_files)
    if not files:
        raise click.UsageError("Missing argument 'FILE...'.")
    content = read_catalog(files, lambda: _sold(control_address, timeout_s))
    if not as_json:
        print_warnings(content.source, content.warnings)
    if check:
        _require_size(content)
        _report_valid(content, as_json)
        return
    companies = {company.id for company in content.companies}
    request = control_pb2.ApplyRequest(
        catalog=catalog_to_message(content.catalog) if content.has_catalog else None,
        companies=map(company_to_message, content.companies),
        prune_companies=prune,
        dry_run=dry_run,
        take_over=take_over_messages(named, companies),
        refuse_conflicts=fail_on_conflict,
    )
    try:
        with connect("control", control_address) as channel:
            require_current_plane(channel, timeout_s)
            stub = control_pb2_grpc.ControlServiceStub(channel)
            answer = stub.Apply(request, timeout=timeout_s)
    except CliError as error:
        raise _placed(error, content) from None
    more = warnings_of_plane(answer.warnings, content)
    if as_json:
        told = json_of_warnings([*content.warnings, *more])
        output.print_json({**json_of_message(answer), "warnings": told, "dry_run": dry_run})
    else:
        print_warnings_of_plane(content.source, more)
        _print_changes(answer, companies, dry_run)
    if answer.refused:
        raise click.exceptions.Exit(ExitCode.NEGATIVE)


def read_catalog(files: Sequence[str], sold: SoldElsewhere) -> CatalogFile:
    """Load catalog files, `-` for standard input. Raises `CliError` with all their problems.

    `sold` tells the catalog where the files have companies alone.
    """
    try:
        if "-" not in files:
            return load_catalog_files(files, sold)
        piped = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
        named = [file for file in files if file != "-"]
        others = [(file, read_bytes(file)) for file in files_of(named)]
        content = read_catalog_sources([*others, ("standard input", piped)], sold)
        return with_unread_folders(content, named)
    except CatalogFileError as error:
        raise catalog_error(error) from None


def _placed(error: CliError, content: CatalogFile) -> CliError:
    """An error, with the place in the files that it is about, if there is one."""
    problem = content.placed(error.field, error.message) if error.field else None
    if problem is None:
        return error
    return CliError(
        f"{content.source} is refused by the control plane",
        exit_code=ExitCode.USAGE,
        reason=error.reason,
        lines=[problem.text(content.source)],
        details={"problems": [json_of_problem(problem)]},
    )


def _sold(control_address: str, timeout_s: float) -> Catalog:
    """The catalog of the control plane."""
    with connect("control", control_address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = stub.GetCatalog(control_pb2.GetCatalogRequest(), timeout=timeout_s)
    if not answer.HasField("catalog"):
        raise CliError(
            "the control plane has no catalog yet",
            exit_code=ExitCode.USAGE,
            hint="Files with companies alone need one: apply features and plans first",
        )
    return catalog_from_message(answer.catalog.catalog, "catalog")


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


def _require_size(content: CatalogFile) -> None:
    try:
        require_size(content)
    except CatalogFileError as error:
        raise catalog_error(error) from None


def _report_valid(content: CatalogFile, as_json: bool) -> None:
    sections = {
        "features": len(content.catalog.features),
        "plans": len(content.catalog.plans),
        "add_ons": len(content.catalog.add_ons),
    }
    counts = sections if content.has_catalog else {}
    counts["companies"] = len(content.companies)
    if as_json:
        warnings = json_of_warnings(content.warnings)
        output.print_json({"valid": True, **counts, "warnings": warnings})
    else:
        told = ", ".join(
            f"{name.replace('_', '-')} {output.number(count)}" for name, count in counts.items()
        )
        output.print_line(f"{content.source} is good: {told}")


def _print_changes(
    answer: control_pb2.ApplyResponse, companies: Collection[str], dry_run: bool
) -> None:
    for change in answer.changes:
        mark, colour, _ = _MARKS.get(change.action, ("?", "cyan", "changed"))
        line = f"{mark} {change.kind} {printable(change.key)}"
        output.print_line(output.paint(line, colour))
        for field in change.fields:
            output.print_line(f"    {_field_line(field)}")
        if change.HasField("existing"):
            output.print_line(f"    {_existing_line(change)}")
    hidden = answer.changed - len(answer.changes)
    if hidden > 0:
        output.print_line(f"  and {output.number(hidden)} more")
    print_conflicts(answer, companies)
    output.print_line(_summary(answer, dry_run))


def _existing_line(change: control_pb2.Change) -> str:
    existing = change.existing
    if change.kind == "add_on" and existing.companies:
        return f"companies that hold it ({output.number(existing.companies)}) have it so now"
    if not existing.companies:
        return "no company has it"
    becomes = _EXISTING.get(existing.change, "change in a way that this version does not know")
    return f"companies that have it ({output.number(existing.companies)}) {becomes}"


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
