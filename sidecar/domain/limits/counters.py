"""Counters: where usage is summed.

A counter is named by company, feature, *slot*, the values of the slot's dimensions, and a window.
The slot says what a limit counts (window layout and scope), not how much it allows: so limits of
different plans that count the same thing share a counter, and a change of plan keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from sidecar.domain.catalog.model import Limit, RateLimit, Scope
from sidecar.domain.time.windows import UNENDING, Alignment, Window

_GENERATION: Final = re.compile("[0-9]{1,19}")


class CounterRef(msgspec.Struct, frozen=True):
    """One counter of a company's feature, as sidecar and control plane name it to each other."""

    slot: str
    values: tuple[str, ...]
    window: Window


class CounterName(msgspec.Struct, frozen=True):
    """A counter, and whose it is."""

    company: str
    feature: str
    counter: CounterRef


class CounterTotal(msgspec.Struct, frozen=True):
    """Usage on a counter over all sidecars, and the part of it that one incarnation reported.

    `version` grows with every change of the plane's ledger: of two, the one with more is newer.
    `carried`: what rolled over into the window, by age, the youngest first; `None` where the plane
    has not worked it out, or where nothing rolls over. `corrections`: the part of the total that is
    the plane's own; without it a counter only grows. `None` where the plane does not say.
    `packs_used`: what windows before it have used of packs, known where `carried` is.
    """

    company: str
    feature: str
    counter: CounterRef
    total: int
    own: int
    version: int
    carried: tuple[int, ...] | None = None
    corrections: int | None = 0
    packs_used: int = 0


def slot_of(limit: Limit, generation: int = 0) -> str:
    """Canonical text of what a limit counts, such as `MONTH/1/CALENDAR|user|model=large`.

    Where any of several values will do, each is named: `...|model=large,model=small`.

    Names and values are percent-encoded where they hold one of the separators. A generation above 0
    comes last: `...|model=large|1773576000000000`. As a part of the name it needs no care anywhere
    else, and usage that arrives late finds the counters of its own generation.
    """
    window = limit.window
    if window.unit in UNENDING:
        layout = window.unit.name
    else:
        layout = f"{window.unit.name}/{window.interval}/{window.alignment.name}"
        if window.first_weekday:
            layout += f"/{window.first_weekday}"
    slot = f"{layout}|{_scope_text(limit.scope)}"
    return f"{slot}|{generation}" if generation else slot


def generation_in(slot: str) -> int:
    """The generation that a slot names; 0 where it names none."""
    parts = slot.split("|")
    if len(parts) == 4 and _GENERATION.fullmatch(parts[3]):
        return int(parts[3])
    return 0


def is_anchored(slot: str) -> bool:
    """Whether a slot counts on windows that start from the billing anchor."""
    return slot.partition("|")[0].split("/")[2:3] == [Alignment.ANCHORED.name]


def rate_slot_of(rate: RateLimit) -> str:
    """Canonical text of what a rate measures, such as `RATE/60000000/burst|user|`.

    The speed is not in it: where it changes, what has been used of the rate stays.
    """
    return f"RATE/{rate.rate.period_us}/{_escape(rate.id)}|{_scope_text(rate.scope)}"


def throttle_slot_of(limit: Limit, generation: int = 0) -> str:
    """Canonical text of what the rate past a THROTTLE limit measures."""
    period_us = 0 if limit.throttle is None else limit.throttle.period_us
    return f"THROTTLE/{period_us}/{_escape(limit.id)}/{slot_of(limit, generation)}"


def _scope_text(scope: Scope) -> str:
    dimensions = ",".join(_escape(name) for name in scope.dimensions)
    match = ",".join(f"{_escape(name)}={_escape(value)}" for name, value in scope.match)
    return f"{dimensions}|{match}"


def scope_values(scope: Scope, dimensions: Mapping[str, str]) -> tuple[str, ...] | None:
    """Values of a scope's dimensions in a request, or `None` where the scope leaves it out.

    As with Envoy's descriptors, a limit does not apply to a request that lacks one of its
    dimensions, or whose value of a fixed one is none of those that the limit has.
    """
    met = missed = ""
    for name, value in scope.match:  # sorted: the values of a name come together
        if dimensions.get(name) == value:
            met = name
            if missed == name:
                missed = ""
        elif met != name:
            if missed and missed != name:
                return None
            missed = name
    if missed:
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
