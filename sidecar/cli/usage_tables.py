"""Usage as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli import output
from sidecar.cli.describe import basis_text, pairs
from sidecar.cli.limit_tables import limit_table
from sidecar.cli.output import Cell, Painted, bar
from sidecar.cli.times import local_time
from sidecar.domain.time.units import datetime_of_instant
from sidecar.domain.time.windows import LIFETIME_WINDOW, Window
from sidecar.shared.api_json import instant_of


def print_company_usage(
    company: str,
    answer: control_pb2.GetCompanyUsageResponse,
    rest: Sequence[control_pb2.UsageSum],
    month: Window,
    at_us: int,
) -> None:
    """Print what the control plane knows of a company's limits in the windows of an instant.

    `rest`: sums of a month, of features on whose limits nothing was counted, or that have none.
    """
    if output.is_terminal():
        output.print_line(f"{output.printable(company)} at {local_time(at_us)}")
    if answer.company_unknown:
        output.print_line(
            f"there is no company {output.printable(company)} (any more); "
            "its usage stands against the default plan"
        )
    limits = [(usage.feature, _status(usage)) for usage in answer.limits]
    _print_limits(limits, answer.truncated, rest, month, _amounts(answer, rest))


def print_sidecar_usage(answer: pb.GetUsageResponse) -> None:
    """Print what a sidecar knows of a company's limits."""
    limits = [(usage.feature, limit) for usage in answer.features for limit in usage.limits]
    _print_limits(limits, answer.truncated)
    output.print_line(f"basis: {basis_text(answer.basis)}")


def print_sums(
    answer: control_pb2.QueryUsageResponse,
    groups: Sequence[str],
    from_us: int | None,
    until_us: int | None,
) -> None:
    """Print sums of the ledger, which are always by feature, under the time that they are of."""
    if output.is_terminal() and (from_us is not None or until_us is not None):
        first = "the beginning" if from_us is None else local_time(from_us)
        last = "now" if until_us is None else local_time(until_us)
        output.print_line(f"from {first} to {last}")
    keys = [name for name in ("company", "feature", "day") if name == "feature" or name in groups]
    rows = [
        [
            *(getattr(usage, key) for key in keys),
            usage.records,
            usage.quantity,
            Painted(output.number(usage.overage), "red") if usage.overage else 0,
        ]
        for usage in answer.sums
    ]
    _print_rows((*keys, "records", "quantity", "overage"), rows, "no usage", answer.truncated)


def print_records(records: Sequence[control_pb2.LedgerRecord], truncated: bool) -> None:
    """Print lines of the ledger."""
    rows = [
        [
            local_time(instant_of(record.event_time)),
            record.feature,
            record.quantity,
            record.overage,
            pairs(record.dimensions),
            Painted("damaged", "red") if record.damaged else record.idempotency_key,
            record.id,
            f"of {record.duplicate_of}" if record.duplicate_of else None,
        ]
        for record in records
    ]
    titles = (
        "time", "feature", "quantity", "overage", "dimensions", "key", "id", "duplicate",
    )  # fmt: skip
    _print_rows(titles, rows, "no records", truncated)


def _print_limits(
    limits: Sequence[tuple[str, pb.LimitStatus]],
    truncated: bool,
    rest: Sequence[control_pb2.UsageSum] = (),
    month: Window = LIFETIME_WINDOW,
    amounts: Mapping[str, str] | None = None,
) -> None:
    """Print limits, and what was carried into their windows where anything was."""
    titles, statuses = limit_table(status for _, status in limits)
    rows = [[feature, *row] for (feature, _), row in zip(limits, statuses, strict=True)]
    for usage in rest:
        amount = (amounts or {}).get(usage.feature)
        known: dict[str, Cell] = {
            "limit": f"{'none' if amount else 'all'}, in {_month_text(month)}",
            "used": usage.quantity,
            "amount": amount,
            "share": bar(usage.quantity, None),
        }
        rows.append([usage.feature, *(known.get(title) for title in titles)])
    _print_rows(("feature", *titles), rows, "no limits, and no usage", truncated)


def _amounts(
    answer: control_pb2.GetCompanyUsageResponse, rest: Sequence[control_pb2.UsageSum]
) -> dict[str, str]:
    """What is known of the amounts of features that no limit in the answer is of."""
    unlimited, ungranted = set(answer.unlimited_features), set(answer.ungranted_features)
    there = unlimited.union(ungranted, answer.limited_features)
    told = {}
    for feature in (usage.feature for usage in rest):
        if feature in unlimited:
            told[feature] = "unlimited"
        elif feature in ungranted or (answer.company_unknown and not there):
            told[feature] = "not granted"
        elif there and feature not in there:
            told[feature] = "no such feature"
    return told


def _month_text(month: Window) -> str:
    middle_us = (month.start_us + month.end_us) // 2  # in the same month in every zone
    return f"{datetime_of_instant(middle_us):%b %Y}"


def _print_rows(
    titles: Sequence[str], rows: Sequence[Sequence[Cell]], nothing: str, truncated: bool
) -> None:
    if not rows:
        output.print_line(nothing)
        return
    output.print_table(titles, rows)
    if truncated:
        output.print_line(f"only the first {output.number(len(rows))} are shown")


def _status(usage: control_pb2.LimitUsage) -> pb.LimitStatus:
    """Return the plane's usage in the form in which sidecars tell theirs."""
    limit = usage.limit
    status = pb.LimitStatus(
        limit=limit.id,
        enforcement=limit.enforcement,
        used=usage.used,
        carried=usage.carried,
        packs_left=usage.packs_left,
        dimensions=usage.dimensions,
    )
    if limit.HasField("throttle"):
        status.rate.CopyFrom(limit.throttle)
    if limit.HasField("amount"):
        status.amount = limit.amount
        left = limit.amount + usage.carried - usage.used
        status.remaining = max(0, left)
        status.overage = max(0, -left)
    if usage.window.HasField("end"):
        status.resets_at.CopyFrom(usage.window.end)
    return status
