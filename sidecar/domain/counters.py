"""Counters: where usage is summed.

A counter is named by company, feature, *slot*, the values of the slot's dimensions, and a window.
The slot says what a limit counts (window layout and scope), not how much it allows: so limits of
different plans that count the same thing share a counter, and a change of plan keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sidecar.domain.catalog import Limit
from sidecar.domain.windows import Window, WindowUnit


class CounterRef(msgspec.Struct, frozen=True):
    """One counter of a company's feature, as sidecar and control plane name it to each other."""

    slot: str
    values: tuple[str, ...]
    window: Window


class CounterTotal(msgspec.Struct, frozen=True):
    """Usage on a counter over all sidecars, and the part of it that one incarnation reported.

    `version` grows with every change of the plane's ledger: of two, the one with more is newer.
    """

    company: str
    feature: str
    counter: CounterRef
    total: int
    own: int
    version: int


def slot_of(limit: Limit) -> str:
    """Canonical text of what a limit counts, such as `MONTH/1/CALENDAR/0|user|model=large`.

    Names and values are percent-encoded where they hold one of the separators.
    """
    window = limit.window
    if window.unit is WindowUnit.LIFETIME:
        layout = window.unit.name
    else:
        layout = f"{window.unit.name}/{window.interval}/{window.alignment.name}"
        if window.first_weekday:
            layout += f"/{window.first_weekday}"
    dimensions = ",".join(_escape(name) for name in limit.scope.dimensions)
    match = ",".join(f"{_escape(name)}={_escape(value)}" for name, value in limit.scope.match)
    return f"{layout}|{dimensions}|{match}"


def scope_values(limit: Limit, dimensions: Mapping[str, str]) -> tuple[str, ...] | None:
    """Values of the limit's dimensions in a request, or `None` where the limit does not apply.

    As with Envoy's descriptors, a limit does not apply to a request that lacks one of its
    dimensions or that differs from one of its fixed values.
    """
    scope = limit.scope
    for name, value in scope.match:
        if dimensions.get(name) != value:
            return None
    if not scope.dimensions:
        return ()
    try:
        return tuple([dimensions[name] for name in scope.dimensions])
    except KeyError:
        return None


def _escape(text: str) -> str:
    for character in "%|,=/":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
