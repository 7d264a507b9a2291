"""`tallyd demo`: the whole system on sample traffic, or on a recorded trace."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from sidecar.cli import output
from sidecar.cli.common import CliError, ExitCode, examples
from sidecar.demo import story, trace
from sidecar.demo.ledger import heading
from sidecar.demo.system import DemoFailed, System, terminated_as_interrupted
from sidecar.traces.formats import FORMATS

HELP: Final = """\
Run the whole system on sample traffic, show what it does, and check that it is right.

Starts a control plane and a sidecar of its own in a temporary folder, applies a catalog, sends
traffic, shows decisions and usage, lets a second sidecar share a limit, a balance of credits, seats
and a level, and reconciles. Ends by itself; 0 if all was as it should be.

With --trace, real traffic: a catalog is made for the companies of the file, with SOFT limits, so
that nothing is turned away and the overage shows where one was passed. The ledger's sums are
compared with the file's own, and the file is sent a second time to show that nothing counts twice.
"""


@click.command(
    help=HELP,
    epilog=examples(
        "tallyd demo",
        "tallyd demo --trace access.log --format access-log",
    ),
)
@click.option(
    "--trace",
    "trace_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of recorded traffic.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(FORMATS)),
    help="What the file is; see tallyd replay --help.",
)
@click.option("--keep", is_flag=True, help="Keep the folder with stores and logs.")
@click.pass_context
def command(
    ctx: click.Context, trace_file: Path | None, format_name: str | None, keep: bool
) -> None:
    """Run one of the two demos in a temporary folder."""
    if (trace_file is None) != (format_name is None):
        raise click.UsageError("--trace and --format belong together")
    started = time.monotonic()
    if trace_file is None or format_name is None:
        tell = story.tell
    else:
        tell = trace.TraceDemo(trace_file, format_name).tell
    with terminated_as_interrupted():
        folder = Path(tempfile.mkdtemp(prefix="tallyd-demo-"))
        try:
            good = _run(System(folder), tell)
        finally:
            if keep:
                output.print_line(f"Kept: {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
    if good:
        output.print_line(f"Done in {time.monotonic() - started:.1f} s.")
    ctx.exit(ExitCode.OK if good else ExitCode.NEGATIVE)


def _run(system: System, tell: Callable[[System], None]) -> bool:
    """Start, tell, stop; what goes wrong is told after the ends of all logs."""
    try:
        heading("A control plane and a sidecar, each with a store of its own")
        with system:
            output.print_line(f"control plane: {system.control}")
            output.print_line(f"sidecar:       {system.sidecar}")
            tell(system)
            heading("The end: all stop, sidecars send what they still have")
        output.print_line("All stopped in good order.")
    except (DemoFailed, CliError) as failure:
        for line in system.logs():
            click.echo(line, err=True)
        told = failure.format_message() if isinstance(failure, CliError) else str(failure)
        click.echo(f"failed: {told}", err=True)
        return False
    return True
