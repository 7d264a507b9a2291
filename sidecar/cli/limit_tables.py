"""Limits with their usage as a table for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli.describe import carried_besides_packs, drains_us, is_rate, limit_name, wait_text
from sidecar.cli.output import NOTHING, Cell, Painted, bar, is_narrow, number
from sidecar.cli.times import local_minute
from sidecar.shared.api_json import instant_of

LIMIT_TITLES: Final = ("limit", "used", "amount", "share", "left", "over", "resets")


def limit_row(status: pb.LimitStatus) -> list[Cell]:
    """Return a row for LIMIT_TITLES."""
    amount = status.amount if status.HasField("amount") else None
    return [
        limit_name(status),
        status.used,
        "unlimited" if amount is None else amount,
        bar(status.used, None if amount is None else amount + status.carried),
        status.remaining if status.HasField("remaining") else None,
        Painted(number(status.overage), "red") if status.overage else 0,
        _resets(status),
    ]


def limit_table(limits: Iterable[pb.LimitStatus]) -> tuple[list[str], list[list[Cell]]]:
    """Return titles and rows; what was carried in, or is left of packs, where there is any."""
    statuses = list(limits)
    titles, rows = list(LIMIT_TITLES), [limit_row(status) for status in statuses]
    at = titles.index("amount") + 1
    columns = {
        "packs left": [status.packs_left for status in statuses],
        "carried": [carried_besides_packs(status) for status in statuses],
    }
    for title, cells in columns.items():
        if any(cells):
            titles.insert(at, title)
            for row, cell in zip(rows, cells, strict=True):
                row.insert(at, cell)
    if len(titles) > len(LIMIT_TITLES) and is_narrow():
        at = titles.index("share")
        titles.remove("share")
        for row in rows:
            del row[at]
    return titles, rows


def _resets(status: pb.LimitStatus) -> str:
    if is_rate(status):
        return f"in {wait_text(drains_us(status))}" if status.used else NOTHING
    return local_minute(instant_of(status.resets_at)) if status.HasField("resets_at") else "never"
