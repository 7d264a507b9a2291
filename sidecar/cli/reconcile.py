"""`tallyd reconcile`: compares what a sidecar accepted with what the ledger has."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import click

from sidecar.api.admin.v1 import admin_pb2, admin_pb2_grpc
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import losses, output
from sidecar.cli.common import (
    CliError,
    ExitCode,
    control_option,
    examples,
    json_option,
    sidecar_option,
    timeout_option,
)
from sidecar.cli.completion import complete_company
from sidecar.cli.flush import ANSWER_MARGIN_S, duration_of
from sidecar.cli.reconcile_kinds import Kept, compare_company
from sidecar.cli.servers import connect
from sidecar.shared.api_json import json_of_message

ATTEMPTS_MAX: Final = 10
PAUSE_S: Final = 0.2
"""Between attempts; the sidecar may be counting all the while."""

HELP: Final = """\
Compare what the sidecar's store accepted with what the ledger received of it.

First sends what waits in the outbox, then compares numbers of records and sums of quantities
by feature. Where usage comes in meanwhile, it tries again, a few times. The last line of the
output is one JSON object; "accepted" and "ledger" are records, and "difference" is 0 only where
records and all quantities agree.

With --company, which may come several times, also compares what all records of a company add up
to with what the control plane keeps of its credits, levels and seats: what was burned of each
grant, of limits of credits in their present windows, and what is owed; what is in use of levels;
who has seats. "kept" lists them, and "difference" counts them.

Also shows losses that the control plane knows of: records that it had confirmed and no longer has,
as after a restored or deleted database, and stores that sidecars have lost. They are shown until
--acknowledge-losses says that they were seen to. Ends with 1 where there are some, or a difference.
"""


@dataclass(frozen=True, slots=True)
class Sums:
    """Records and sum of their quantities, in the feature's unit."""

    records: int = 0
    quantity: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One store's usage by feature, on both sides.

    `flushed`: the flush before was complete. `settled`: both sides were read as of the same
    sequence, `accepted_sequence == watermark`, so that a difference is none of timing.
    `kept`: what is compared of companies at the plane; `kept_settled`: nothing came in meanwhile.
    """

    incarnation: str
    accepted: Mapping[str, Sums]
    ledger: Mapping[str, Sums]
    accepted_sequence: int
    watermark: int
    flushed: bool
    waiting: int
    fenced: bool
    losses: control_pb2.ListLossesResponse
    kept: Sequence[Kept] = ()
    kept_settled: bool = True

    @property
    def settled(self) -> bool:
        """Whether both sides were read as of the same sequence, and nothing came in between."""
        same = self.accepted_sequence == self.watermark
        return self.flushed and same and self.kept_settled

    @property
    def features(self) -> list[str]:
        """Every feature that either side knows."""
        return sorted(self.accepted.keys() | self.ledger.keys())

    @property
    def accepted_records(self) -> int:
        """Records that the sidecar accepted."""
        return sum(sums.records for sums in self.accepted.values())

    @property
    def ledger_records(self) -> int:
        """Records that the ledger received."""
        return sum(sums.records for sums in self.ledger.values())

    @property
    def difference(self) -> int:
        """Differences of records, quantities and what is kept, added up without their signs."""
        kept = sum(abs(each.difference) for each in self.kept)
        return kept + sum(
            abs(accepted.records - ledger.records) + abs(accepted.quantity - ledger.quantity)
            for accepted, ledger in (self.of(feature) for feature in self.features)
        )

    def of(self, feature: str) -> tuple[Sums, Sums]:
        """Sums of one feature: accepted, and in the ledger."""
        return self.accepted.get(feature, Sums()), self.ledger.get(feature, Sums())

    def as_dict(self) -> dict[str, object]:
        """Return what scripts read."""
        return {
            "accepted": self.accepted_records,
            "ledger": self.ledger_records,
            "difference": self.difference,
            "quantity": {
                feature: {
                    "accepted": accepted.quantity,
                    "ledger": ledger.quantity,
                    "difference": accepted.quantity - ledger.quantity,
                }
                for feature in self.features
                for accepted, ledger in [self.of(feature)]
            },
            "kept": [each.as_dict() for each in self.kept],
            "incarnation": self.incarnation,
            "flushed": self.flushed,
            "settled": self.settled,
            "fenced": self.fenced,
            "losses": self.losses.unacknowledged,
            "lost_records": self.losses.lost_records,
            "lost": [json_of_message(loss) for loss in self.losses.losses],
        }


@click.command(
    help=HELP,
    epilog=examples(
        "tallyd reconcile",
        "tallyd reconcile --sidecar 127.0.0.1:7711 --control 127.0.0.1:7721",
        "tallyd reconcile --company acme --company globex",
    ),
)
@click.option(
    "--company",
    "companies",
    multiple=True,
    metavar="COMPANY",
    shell_complete=complete_company,
    help="Compare also what is kept of this company's credits, levels and seats.",
)
@sidecar_option
@control_option
@click.option(
    "--acknowledge-losses",
    is_flag=True,
    help="Say that the losses that are shown were seen to; they are not shown again.",
)
@timeout_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    companies: tuple[str, ...],
    sidecar_address: str,
    control_address: str,
    acknowledge_losses: bool,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Compare, print and tell by the exit code."""
    comparison = reconcile(sidecar_address, control_address, timeout_s, companies)
    if not as_json:
        print_comparison(comparison)
    click.echo(json.dumps(comparison.as_dict(), ensure_ascii=False))
    good = comparison.settled and comparison.difference == 0
    if acknowledge_losses:
        with connect("control", control_address) as channel:
            losses.acknowledge(channel, comparison.losses, timeout_s)
    elif comparison.losses.unacknowledged:
        good = False
    ctx.exit(ExitCode.OK if good else ExitCode.NEGATIVE)


def reconcile(
    sidecar_address: str, control_address: str, timeout_s: float, companies: Sequence[str] = ()
) -> Comparison:
    """Flush and compare, again while usage comes in, `ATTEMPTS_MAX` times at most.

    Raises `CliError` if one of the two cannot be asked.
    """
    for attempt in range(ATTEMPTS_MAX):
        if attempt:
            time.sleep(PAUSE_S)
        with connect("sidecar", sidecar_address) as channel:
            admin = admin_pb2_grpc.AdminServiceStub(channel)
            status = admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=timeout_s)
            if status.standalone:
                raise CliError(
                    "the sidecar runs standalone: there is no ledger to compare with",
                    exit_code=ExitCode.USAGE,
                )
            flush = admin.Flush(
                admin_pb2.FlushRequest(timeout=duration_of(timeout_s)),
                timeout=timeout_s + ANSWER_MARGIN_S,
            )
            status = admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=timeout_s)
        with connect("control", control_address) as channel:
            control = control_pb2_grpc.ControlServiceStub(channel)
            request = control_pb2.GetIncarnationRequest(incarnation=status.incarnation)
            held = control.GetIncarnation(request, timeout=timeout_s)
            lost = losses.losses_of(channel, timeout_s)
            kept = [compare_company(channel, each, timeout_s) for each in dict.fromkeys(companies)]
        comparison = _compare(status, flush, held, lost, kept)
        if comparison.settled or not flush.complete:
            break
    return comparison


def print_comparison(comparison: Comparison) -> None:
    """Print the comparison for people."""
    rows = []
    for feature in comparison.features:
        accepted, ledger = comparison.of(feature)
        for what, here, there in (
            ("records", accepted.records, ledger.records),
            ("quantity", accepted.quantity, ledger.quantity),
        ):
            rows.append((feature, what, here, there, here - there))
    output.print_table(("feature", "", "accepted", "ledger", "difference"), rows)
    if comparison.kept:
        output.print_line()
        output.print_table(
            ("company", "feature", "", "recorded", "kept", "difference"),
            [
                (*each.place[:2], each.place.what, each.recorded, each.kept, each.difference)
                for each in comparison.kept
            ],
        )
    losses.print_losses(comparison.losses)
    if comparison.fenced:
        output.print_line("The control plane has fenced this store: it is a copy or was restored.")
    if not comparison.flushed:
        waiting = output.number(comparison.waiting)
        output.print_line(f"Not all is sent: {waiting} records still wait in the outbox.")
    elif not comparison.settled:
        output.print_line("Usage kept coming in while both sides were read; try again later.")


def _compare(
    status: admin_pb2.GetStatusResponse,
    flush: admin_pb2.FlushResponse,
    held: control_pb2.GetIncarnationResponse,
    lost: control_pb2.ListLossesResponse,
    kept: Sequence[tuple[Sequence[Kept], bool]],
) -> Comparison:
    return Comparison(
        incarnation=status.incarnation,
        accepted={tally.feature: Sums(tally.records, tally.quantity) for tally in status.tallies},
        ledger={tally.feature: Sums(tally.records, tally.quantity) for tally in held.tallies},
        accepted_sequence=status.last_sequence,
        watermark=held.watermark,
        flushed=flush.complete,
        waiting=flush.outbox_records,
        fenced=held.fenced,
        losses=lost,
        kept=[each for rows, _ in kept for each in rows],
        kept_settled=all(settled for _, settled in kept),
    )
