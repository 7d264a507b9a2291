"""`tallyd replay`: drives recorded traffic through a sidecar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from sidecar.cli import output
from sidecar.cli.common import (
    CliError,
    ExitCode,
    examples,
    json_option,
    sidecar_option,
    timeout_option,
)
from sidecar.cli.times import span_of
from sidecar.domain.bounds import BATCH_MAX, EVENT_PAST_US_MAX
from sidecar.domain.time.units import MINUTE_US
from sidecar.shared.wall_clock import wall_us
from sidecar.traces.driver import ReplayPlan, jobs_of
from sidecar.traces.driver import replay as send_all
from sidecar.traces.formats import COMPANIES_DEFAULT, FORMATS
from sidecar.traces.model import SkippedLine, TraceError, TraceRow
from sidecar.traces.summary import ReplaySummary
from sidecar.traces.trace import Trace, TraceScan

SKIPPED_SHOWN_MAX: Final = 100
"""How many lines that cannot be used are named; the rest is counted."""
CONCURRENCY_MAX: Final = 256
REPLAY_US_MAX: Final = 10 * MINUTE_US
"""Kept free of the 35 days, so that the oldest event is still young enough when it is sent."""


HELP: Final = """\
Send the checks that a file of recorded traffic stands for to a sidecar.

The file may be compressed (.gz), and of any size. Lines that cannot be used are named on
stderr and counted as skipped. The last line of the output is one JSON object; "replayed"
counts those of the "allowed" that were stored answers to the same idempotency key, and
"quantity", "overage" and "burned" (micro-credits) include them; "asked" counts checks of
quantity 0, which count nothing and whose keys are not remembered. --timeout is how long to wait
for the sidecar at first.

\b
Formats:
  azure-llm   CSV with TIMESTAMP, ContextTokens, GeneratedTokens: three checks a row, of
              context_tokens, generated_tokens and llm_requests (1). Row n, from 0, belongs
              to company-<n modulo --companies>: company-00, company-01, ...
  access-log  common or combined log format: company is the client's address, dimension
              "endpoint" the path without query string, percent-encoded where not printable
              and cut to 256 bytes ("-" if there is none); one check of http_requests (1) and
              one of response_bytes, left out where it is 0 or "-".
  jsonl       one JSON object a line, with the fields of CheckAndIncrementRequest.
"""


@click.command(
    help=HELP,
    epilog=examples(
        "tallyd replay trace.csv --format azure-llm --batch 100 --idempotency-from row",
        "tallyd replay access.log.gz --format access-log --event-time now --concurrency 32",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(FORMATS)),
    required=True,
    help="What the file is; see above.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, CONCURRENCY_MAX),
    default=8,
    show_default=True,
    help="Calls in flight. With 1, checks are counted in the order of the file.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, BATCH_MAX),
    help="Checks a call, with BatchCheckAndIncrement.  [default: calls of one check]",
)
@click.option(
    "--event-time",
    type=click.Choice(["shifted", "now"]),
    default="shifted",
    show_default=True,
    help="shifted: as in the trace, moved so that its last event is now. now: send none.",
)
@click.option(
    "--idempotency-from",
    type=click.Choice(["row"]),
    help="Send idempotency keys made of the trace, the line and the feature, in place of any in "
    "the file: a second replay of the same file is all replayed. Only with keys is a call that "
    "found the sidecar away sent again.",
)
@click.option(
    "--companies",
    type=click.IntRange(1, 1_000_000),
    default=COMPANIES_DEFAULT,
    show_default=True,
    help="azure-llm: how many companies to spread the rows over.",
)
@click.option("--limit-rows", type=click.IntRange(0), help="Only the first so many rows.")
@sidecar_option
@timeout_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    format_name: str,
    concurrency: int,
    batch: int | None,
    event_time: str,
    idempotency_from: str | None,
    companies: int,
    limit_rows: int | None,
    sidecar_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Read the trace twice: first all of it, then to send."""
    trace = Trace(file, format_name, companies)
    try:
        scan = scan_trace(trace, limit_rows)
        plan = ReplayPlan(
            concurrency=concurrency,
            batch=batch or 0,
            shift_us=None if event_time == "now" else shift_us_of(scan),
            row_keys=idempotency_from == "row",
        )
        tally = replay_trace(trace, scan, plan, sidecar_address, timeout_s)
    except TraceError as error:
        raise CliError(str(error), exit_code=ExitCode.USAGE, field="FILE") from None
    if not as_json:
        print_tally(tally)
    # On one line also on a terminal: the last line is what scripts take.
    summary = {**tally.as_dict(), "rows": scan.rows, "skipped": scan.skipped}
    click.echo(json.dumps(summary, ensure_ascii=False))
    ctx.exit(ExitCode.NEGATIVE if tally.errors else ExitCode.OK)


def scan_trace(
    trace: Trace,
    limit_rows: int | None = None,
    on_item: Callable[[TraceRow | SkippedLine], None] = lambda item: None,
) -> TraceScan:
    """Look at the whole trace before anything is sent; names lines that cannot be used.

    Raises `TraceError` if the file cannot be read, or has lines but none that can be used.
    """
    told: list[str] = []

    def look(item: TraceRow | SkippedLine) -> None:
        if isinstance(item, SkippedLine) and len(told) < SKIPPED_SHOWN_MAX:
            told.append(f"line {item.line}: {output.printable(item.problem)}")
        on_item(item)

    scan = trace.scan(limit_rows, look)
    if scan.skipped and not scan.rows:
        raise TraceError(f"no line is a row of the format {trace.format_name}; {told[0]}")
    for line in told:
        click.echo(f"skipped {line}", err=True)
    if scan.skipped > len(told):
        click.echo(f"skipped {scan.skipped - len(told)} more lines", err=True)
    return scan


def shift_us_of(scan: TraceScan) -> int:
    """Return what to add to event times so that the last is now.

    Raises `CliError` where that leaves the first too old for a sidecar.
    """
    if scan.span_us > EVENT_PAST_US_MAX - REPLAY_US_MAX:
        raise CliError(
            f"the trace spans {span_of(scan.span_us)}, and a sidecar takes events of the last 35 "
            f"days, {span_of(REPLAY_US_MAX)} of which the replay may take; nothing was sent",
            exit_code=ExitCode.USAGE,
            field="--event-time",
            hint="Without the trace's times: --event-time now",
        )
    return 0 if scan.last_us is None else wall_us() - scan.last_us


def replay_trace(
    trace: Trace, scan: TraceScan, plan: ReplayPlan, address: str, timeout_s: float = 10.0
) -> ReplaySummary:
    """Send a trace, with progress on a terminal, and tell of errors on stderr.

    Raises `CliError` if the sidecar cannot be reached at first.
    """
    try:
        with _progress(scan.checks) as on_sent:
            tally = send_all(address, jobs_of(trace, scan, plan), plan, on_sent, timeout_s)
    except TimeoutError:
        raise CliError(
            f"cannot reach the sidecar at {address}",
            exit_code=ExitCode.UNREACHABLE,
            reason="UNAVAILABLE",
            hint="Is it running there? Another address: --sidecar",
        ) from None
    for problem in tally.problems:
        click.echo(f"error {output.printable(problem)}", err=True)
    if tally.errors > len(tally.problems):
        click.echo(f"error {tally.errors - len(tally.problems)} more checks", err=True)
    if tally.gave_up:
        click.echo(
            "gave up: the sidecar went away. The same command goes on from here by its keys.",
            err=True,
        )
    return tally


def print_tally(tally: ReplaySummary) -> None:
    """Print what came of a replay, for people."""
    output.print_table(
        ("feature", "quantity", "overage"),
        [
            (feature, tally.quantity[feature], tally.overage[feature])
            for feature in sorted(tally.quantity)
        ],
    )
    if tally.burned:
        output.print_table(("credits", "burned"), sorted(tally.burned.items()))
    reasons = ", ".join(f"{count} {name}" for name, count in tally.denied_by_reason.most_common())
    output.print_facts(
        [
            ("sent", tally.sent),
            ("allowed", tally.allowed),
            ("replayed", tally.replayed),
            ("asked (quantity 0)", tally.asked),
            ("denied", f"{output.number(tally.denied)} ({reasons})" if reasons else tally.denied),
            ("errors", tally.errors),
            (
                "time",
                f"{tally.seconds:.1f} s, {tally.sent / max(tally.seconds, 1e-6):.0f} checks/s",
            ),
        ]
    )


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Draw a bar on stderr if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    # Here, since a replay in a script has no use for it and rich takes its time to import.
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("checks", total=total)
        yield lambda count: progress.update(task, advance=count)
