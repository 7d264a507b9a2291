"""Leases, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sidecar.api.control.v1 import control_pb2
from sidecar.cli import output
from sidecar.cli.output import NOTHING, Cell, Painted
from sidecar.cli.times import local_minute, local_time, span_of
from sidecar.shared.api_json import instant_of, json_of_message

_COUNTERS: Final = (
    "company",
    "feature",
    "limit",
    "values",
    "window ends",
    "ceiling",
    "used",
    "leased",
    "left",
    "",
)
_HOLDERS: Final = ("of", "node", "store", "granted", "used", "left", "for", "asked", "")
_STORE_CELLS: Final = 8
"""Of a store's UUID, on a narrow terminal: it tells stores apart; --json has all of it."""
_MISSING: Final = ("node", "store", "last heard", "may hold until")


def json_of_leases(
    counters: Sequence[control_pb2.LeasedCounter], *, more: bool
) -> dict[str, object]:
    """Leases for scripts."""
    return {"counters": [json_of_message(counter) for counter in counters], "more": more}


def print_leases(counters: Sequence[control_pb2.LeasedCounter], now_us: int, *, more: bool) -> None:
    """Print counters, and below them who holds what of them. `more`: there are others."""
    if not counters:
        output.print_line("nothing is leased there")
        return
    output.print_table(_COUNTERS, map(_counter_row, counters), tight=True)
    output.print_line()
    output.print_table(_HOLDERS, _holder_rows(counters, now_us), tight=True)
    if more:
        output.print_line("and more: --max, or --company")


def print_recovery(found: control_pb2.GetLeaseRecoveryResponse, *, ended: bool) -> None:
    """Print whom the plane waits for since it lost state."""
    if found.witness_rewrites:
        output.print_text(
            "the file beside the database that knows of leases was deleted, replaced or "
            "overwritten while the plane ran, and written anew: "
            f"{output.number(found.witness_rewrites)} times since it was started. Nothing is lost; "
            "find out who does it"
        )
    if not found.HasField("restored_at"):
        output.print_line("the plane has lost no state")
        return
    restored = local_time(instant_of(found.restored_at))
    told = output.number(found.reported_holders)
    if not found.recovering:
        output.print_text(
            f"the plane lost state, which was found at {restored}, and has recovered: stores of "
            f"sidecars that have told what they hold: {told}"
        )
        return
    output.print_text(f"the plane lost state, which was found at {restored}")
    if not found.holders_known:
        output.print_text(
            "nobody knows who may hold leases: the file beside the database that tells (its name "
            "ends in .leases) was not there, or was restored, too"
        )
    if found.missing_holders:
        missing = output.number(found.missing_holders)
        output.print_text(f"stores that have told what they hold: {told}; that have not: {missing}")
        output.print_table(_MISSING, map(_missing_row, found.missing), tight=True)
    if ended:
        output.print_line("it is waited for them no longer")
        return
    output.print_text(
        "Until they have, nothing is leased in windows that had begun: calls that need a lease are "
        "denied, or as `no_lease` of the feature says. It ends by itself once they are back, or "
        "with the windows. --yes ends it now: what they hold, and have used and not told, then "
        "comes on top of the limits"
    )


def _counter_row(counter: control_pb2.LeasedCounter) -> list[Cell]:
    known = counter.HasField("ceiling")
    return [
        *_named(counter),
        local_minute(instant_of(counter.window.end)) if counter.HasField("window") else "never",
        counter.ceiling if known else NOTHING,
        counter.used,
        counter.outstanding + counter.outstanding_before,
        counter.available if known else NOTHING,
        _note(counter),
    ]


def _note(counter: control_pb2.LeasedCounter) -> Cell:
    if counter.overcommitted:
        return Painted(f"{output.number(counter.overcommitted)} too much", "red")
    if counter.burned:
        return Painted(f"{output.number(counter.burned)} silent", "yellow")
    if counter.outstanding_before:
        return f"{output.number(counter.outstanding_before)} as it counted before"
    return ""


def _holder_rows(
    counters: Iterable[control_pb2.LeasedCounter], now_us: int
) -> Iterator[list[Cell]]:
    for counter in counters:
        for holder in counter.holders:
            since = holder.HasField("held_since")
            store = holder.incarnation
            yield [
                " ".join(name for name in _named(counter) if name != NOTHING),
                holder.node or NOTHING,
                store[:_STORE_CELLS] if output.is_narrow() else store,
                holder.granted,
                holder.own,
                holder.remaining,
                _ago(instant_of(holder.held_since), now_us) if since else NOTHING,
                f"{_ago(instant_of(holder.asked_at), now_us)} ago",
                _silence(holder, now_us),
            ]


def _named(counter: control_pb2.LeasedCounter) -> list[str]:
    return [
        counter.company,
        counter.feature,
        counter.limit or "(gone)",
        ", ".join(counter.values) or NOTHING,
    ]


def _silence(holder: control_pb2.LeaseHolder, now_us: int) -> Cell:
    if not holder.silent:
        return ""
    if not holder.HasField("heard_at"):
        return Painted("silent", "yellow")
    return Painted(f"silent {_ago(instant_of(holder.heard_at), now_us)}", "yellow")


def _missing_row(missing: control_pb2.MissingHolder) -> list[Cell]:
    heard = missing.HasField("heard_at")
    ends = missing.HasField("until")
    return [
        missing.node or NOTHING,
        missing.incarnation,
        local_time(instant_of(missing.heard_at)) if heard else NOTHING,
        local_time(instant_of(missing.until)) if ends else "for ever",
    ]


def _ago(instant_us: int, now_us: int) -> str:
    """How long ago it was, in its largest unit."""
    return " ".join(span_of(max(0, now_us - instant_us)).split()[:2])
