"""Limits, windows and what an answer is based on, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli.messages import enum_name, instant_of
from sidecar.cli.output import Cell, Painted, bar, number
from sidecar.cli.times import local_minute, span_of

LIMIT_TITLES: Final = ("limit", "used", "amount", "share", "left", "over", "resets")
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def enforcement_name(value: int) -> str:
    """Name what happens past a limit: `hard`, `soft` or `shadow`."""
    return str(enum_name(catalog_pb2.Enforcement.DESCRIPTOR, value)).lower()


def reason_name(value: int) -> str:
    """Name a reason, such as `LIMIT_EXCEEDED`."""
    return str(enum_name(pb.Reason.DESCRIPTOR, value))


def status_name(value: int) -> str:
    """Name the status of a subscription, such as `active`; `none` where there is none."""
    name = enum_name(catalog_pb2.SubscriptionStatus.DESCRIPTOR, value)
    return "none" if name is None else str(name).lower()


def pairs(mapping: Mapping[str, str]) -> str:
    """Write `a=1 b=2`."""
    return " ".join(f"{name}={mapping[name]}" for name in sorted(mapping))


def limit_name(status: pb.LimitStatus) -> str:
    """Write which limit it is: `monthly (hard, user=joe)`."""
    facts = filter(None, (enforcement_name(status.enforcement), pairs(status.dimensions)))
    return f"{status.limit} ({', '.join(facts)})"


def limit_row(status: pb.LimitStatus) -> list[Cell]:
    """Return a row for LIMIT_TITLES."""
    amount = status.amount if status.HasField("amount") else None
    return [
        limit_name(status),
        status.used,
        "unlimited" if amount is None else amount,
        bar(status.used, amount),
        status.remaining if status.HasField("remaining") else None,
        Painted(number(status.overage), "red") if status.overage else 0,
        local_minute(instant_of(status.resets_at)) if status.HasField("resets_at") else "never",
    ]


def basis_text(basis: pb.Basis) -> str:
    """Say what an answer was decided on, and how exact it is."""
    parts = [str(enum_name(pb.BasisMode.DESCRIPTOR, basis.mode))]
    parts.append(f"revision {basis.snapshot_version}")
    if basis.HasField("plane_age_ms"):
        parts.append(f"plane heard {span_of(basis.plane_age_ms * 1000)} ago")
    else:
        parts.append("its own authority")
    if not basis.HasField("uncertainty"):
        parts.append("others may count too")
    elif basis.uncertainty:
        parts.append(f"true usage up to {number(basis.uncertainty)} higher")
    else:
        parts.append("exact")
    return ", ".join(parts)


def window_text(window: catalog_pb2.Window) -> str:
    """Write a window layout, such as `3 months from the billing anchor`."""
    if window.unit == catalog_pb2.WINDOW_UNIT_LIFETIME:
        return "lifetime"
    unit = str(enum_name(catalog_pb2.WindowUnit.DESCRIPTOR, window.unit)).lower()
    text = unit if window.interval in (0, 1) else f"{window.interval} {unit}s"
    if window.alignment == catalog_pb2.ALIGNMENT_ANCHORED:
        text += " from the billing anchor"
    elif window.first_weekday:
        text += f" from {_WEEKDAYS[window.first_weekday % 7]}"
    return text


def limit_text(limit: catalog_pb2.Limit) -> str:
    """Write a limit in one line: `monthly: 1000 per month, hard, each user`."""
    amount = number(limit.amount) if limit.HasField("amount") else "unlimited"
    parts = [
        f"{limit.id}: {amount} per {window_text(limit.window)}",
        enforcement_name(limit.enforcement),
    ]
    if limit.scope.dimensions:
        parts.append(f"each {' and '.join(limit.scope.dimensions)}")
    if limit.scope.match:
        parts.append(f"when {pairs(limit.scope.match)}")
    return ", ".join(parts)
