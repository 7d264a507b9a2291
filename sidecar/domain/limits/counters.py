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
from sidecar.domain.time.windows import (
    LIFETIME_WINDOW,
    UNENDING,
    Alignment,
    Window,
    WindowSpec,
    WindowUnit,
)

_GENERATION: Final = re.compile("[0-9]{1,19}")
_LEVEL_SLOT: Final = f"{WindowUnit.LEVEL.name}|"
_ESCAPED: Final = re.compile("%([0-9A-F]{2})")


class CounterRef(msgspec.Struct, frozen=True):
    """One counter of a company's feature, as sidecar and control plane name it to each other."""

    slot: str
    values: tuple[str, ...]
    window: Window


WHOLE_LEVEL: Final = CounterRef(f"{_LEVEL_SLOT}|", (), LIFETIME_WINDOW)
"""Counts all that is in use of a level."""


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


def begins_us(slot: str, window: Window) -> int:
    """From when on a slot counts in a window: some of that may be of the generation before."""
    return max(window.start_us, generation_in(slot))


def is_level(slot: str) -> bool:
    """Whether a slot counts what is in use now: its counters fall as well as rise.

    So what one incarnation has counted on them may be below 0: it took back what another counted.
    """
    return slot.startswith(_LEVEL_SLOT)


def differ_by_generation(slot: str, other: str) -> bool:
    """Whether two slots count the same thing, but started anew at different times."""
    return slot != other and slot.split("|")[:3] == other.split("|")[:3]


def window_in(slot: str) -> WindowSpec | None:
    """The layout of windows that a slot names; `None` where it is none that `slot_of` writes."""
    unit, *rest = slot.partition("|")[0].split("/")
    try:
        if not rest:
            return WindowSpec(WindowUnit[unit])
        interval, alignment, first_weekday = rest if len(rest) > 2 else (*rest, "0")
        return WindowSpec(WindowUnit[unit], int(interval), Alignment[alignment], int(first_weekday))
    except (KeyError, ValueError):
        return None


def scope_in(slot: str) -> Scope:
    """The scope that a slot names; an empty one where it is none that `slot_of` writes."""
    parts = slot.split("|")
    if len(parts) < 3:
        return Scope()
    dimensions, match = parts[1:3]
    pairs = (pair.partition("=") for pair in match.split(",") if pair)
    return Scope(
        tuple(unescaped(name) for name in dimensions.split(",") if name),
        tuple((unescaped(name), unescaped(value)) for name, _, value in pairs),
    )


def is_anchored(slot: str) -> bool:
    """Whether a slot counts on windows that start from the billing anchor."""
    return slot.partition("|")[0].split("/")[2:3] == [Alignment.ANCHORED.name]


def rate_slot_of(rate: RateLimit) -> str:
    """Canonical text of what a rate measures, such as `RATE/60000000/burst|user|`.

    The speed is not in it: where it changes, what has been used of the rate stays.
    """
    return f"RATE/{rate.rate.period_us}/{escaped(rate.id)}|{_scope_text(rate.scope)}"


def throttle_slot_of(limit: Limit, generation: int = 0) -> str:
    """Canonical text of what the rate past a THROTTLE limit measures."""
    period_us = 0 if limit.throttle is None else limit.throttle.period_us
    return f"THROTTLE/{period_us}/{escaped(limit.id)}/{slot_of(limit, generation)}"


def _scope_text(scope: Scope) -> str:
    dimensions = ",".join(escaped(name) for name in scope.dimensions)
    match = ",".join(f"{escaped(name)}={escaped(value)}" for name, value in scope.match)
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


def escaped(text: str) -> str:
    """A name or value as it stands in a slot, without the characters that separate."""
    for character in "%|,=/":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def unescaped(text: str) -> str:
    """The name or value that stands in a slot."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
