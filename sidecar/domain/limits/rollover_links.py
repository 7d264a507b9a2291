"""Which window passes on to which, of a company's limit that rolls over: forwards and backwards.

One rule for sidecar and control plane.

Rules
- A window passes on when it ends, by the limit that is in force in its last microsecond. Where it
  ends in a pause, its own amount is lost, unless the rollover says otherwise.
- Of its own amount no more goes on than there is without overrides that add or set for a time.
- The window after it may be of another generation: a reset or a new billing cycle that falls on a
  window's end wipes nothing.
- A reset within a window starts the window anew: all that was carried into it is there again.
- A new billing cycle within a window cuts it short: what was carried into it and is not used goes
  on, as old as it was. Its own amount does not, since the new cycle brings one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.model import CompanySnapshot, Segment, SubscriptionStatus
from sidecar.domain.company.spans import key_of
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.entitlement.held_packs import is_fallback
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import generation_in, slot_of
from sidecar.domain.limits.packs import Allowance, allowance_of
from sidecar.domain.limits.rolling_limits import rolling_limits
from sidecar.domain.limits.rollover import Passing
from sidecar.domain.time.company_windows import (
    company_window,
    generation_of,
    generation_of_slot,
)
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US, Window, WindowSpec

_SEGMENTS_MAX: Final = 16
"""Segments of a window that are looked through for the last with a limit."""


class Link(msgspec.Struct, frozen=True):
    """A window (`slot`, `window`) that passes on, at `ends_us`, to the one that is `following`."""

    slot: str
    window: Window
    allowance: Allowance
    passing: Passing
    ends_us: int
    following_slot: str
    following: Window


def link_after(
    index: CatalogIndex, snapshot: CompanySnapshot, feature: str, slot: str, window: Window
) -> Link | None:
    """What a window passes on to; `None` where nothing is carried on from it."""
    ends_us = passes_on_us(snapshot, slot, window)
    if ends_us >= END_INSTANT_US or ends_us <= window.start_us:
        return None
    return _link(index, snapshot, feature, slot, window, ends_us)


def link_before(
    index: CatalogIndex,
    snapshot: CompanySnapshot,
    feature: str,
    slot: str,
    spec: WindowSpec,
    window: Window,
) -> Link | None:
    """What is passed on to a window of a limit with such windows; `None` for nothing."""
    begins_us = max(window.start_us, _begun_us(snapshot, slot))
    if begins_us <= FIRST_INSTANT_US:
        return None
    last = segment_at(snapshot, begins_us - 1)
    generation = generation_of(last, spec)
    for held_slot, rolling in rolling_limits(index, last, feature).items():
        limit = rolling.limit
        same = limit.window == spec and slot_of(limit, generation_in(slot)) == slot
        if same and generation_in(held_slot) == generation:
            before = company_window(snapshot.phases, spec, begins_us - 1)
            return _link(index, snapshot, feature, held_slot, before, begins_us)
    return None


def held_by(
    index: CatalogIndex,
    snapshot: CompanySnapshot,
    feature: str,
    slot: str,
    window: Window,
    now_us: int,
) -> Allowance | None:
    """By what usage of a window is held to now, or was last; `None` where no limit carries on.

    Of a window to come, by what it begins with.
    """
    at_us = min(passes_on_us(snapshot, slot, window) - 1, max(now_us, window.start_us))
    for _ in range(_SEGMENTS_MAX):
        segment = segment_at(snapshot, at_us)
        rolling = rolling_limits(index, segment, feature).get(slot)
        if rolling is not None and rolling.limit.amount is not None:
            return allowance_of(rolling.limit)
        if segment.from_us <= window.start_us:
            break
        at_us = segment.from_us - 1
    return None


def passes_on_us(snapshot: CompanySnapshot, slot: str, window: Window) -> int:
    """When a window passes on: at its end, or where another generation begins before that."""
    generation = generation_in(slot)
    for phase in snapshot.phases:
        if phase.from_us >= window.end_us:
            break
        if generation_of_slot(phase, slot) > generation:
            return phase.from_us
    return window.end_us


def first_window(snapshot: CompanySnapshot, slot: str, spec: WindowSpec) -> Window:
    """The window in which a slot's generation begins, as far as the timeline knows."""
    return company_window(snapshot.phases, spec, _begun_us(snapshot, slot))


def _link(
    index: CatalogIndex,
    snapshot: CompanySnapshot,
    feature: str,
    slot: str,
    window: Window,
    ends_us: int,
) -> Link | None:
    last, first = segment_at(snapshot, ends_us - 1), segment_at(snapshot, ends_us)
    rolling = rolling_limits(index, last, feature).get(slot)
    if rolling is None:
        return None
    limit = rolling.limit
    following_slot = slot_of(limit, generation_of(first, limit.window))
    following = company_window(snapshot.phases, limit.window, ends_us)
    if following_slot == slot and following.start_us != ends_us:
        return None
    passing = _passing(limit, last, first, is_cut=ends_us < window.end_us)
    allowance = msgspec.structs.replace(
        allowance_of(limit),
        amount_lasting=_amount_lasting(index, snapshot, last, feature, slot, limit),
        packs_held=rolling.packs_held,
    )
    if is_fallback(last):
        before = _before_fallback(index, snapshot, feature, slot, window, ends_us)
        if before is not None:
            allowance = msgspec.structs.replace(
                allowance, packs=before.packs, packs_past=before.amount
            )
    return Link(slot, window, allowance, passing, ends_us, following_slot, following)


def _before_fallback(
    index: CatalogIndex,
    snapshot: CompanySnapshot,
    feature: str,
    slot: str,
    window: Window,
    ends_us: int,
) -> Limit | None:
    """The limit that a window had last before a plan fell back; `None` where that was before it."""
    for phase in reversed(snapshot.phases):
        if phase.until_us <= window.start_us:
            break
        if phase.from_us < ends_us and not is_fallback(phase):
            segment = segment_at(snapshot, min(ends_us, phase.until_us) - 1)
            rolling = rolling_limits(index, segment, feature).get(slot)
            return None if rolling is None else rolling.limit
    return None


def _amount_lasting(
    index: CatalogIndex,
    snapshot: CompanySnapshot,
    last: Segment,
    feature: str,
    slot: str,
    limit: Limit,
) -> int | None:
    """A limit's amount without overrides that add or set for a time; `None` where all of it is."""
    if limit.rollover is None:
        return None
    passing_by = {
        key_of(span.content)
        for span in snapshot.overrides
        if span.until_us < FOREVER_US and span.content.is_change and span.content in last.overrides
    }
    lasting = tuple(each for each in last.overrides if key_of(each) not in passing_by)
    if len(lasting) == len(last.overrides):
        return None
    without = msgspec.structs.replace(last, overrides=lasting)
    rolling = rolling_limits(index, without, feature).get(slot)
    return None if rolling is None else rolling.limit.amount


def _passing(limit: Limit, last: Segment, first: Segment, *, is_cut: bool) -> Passing:
    if is_cut:
        return Passing.ALL if last.generation != first.generation else Passing.UNUSED
    earns = limit.rollover is None or limit.rollover.while_paused
    if last.status is SubscriptionStatus.PAUSED and not earns:
        return Passing.REST_OF_CARRIED
    return Passing.REST


def _begun_us(snapshot: CompanySnapshot, slot: str) -> int:
    """Where a slot's generation begins, as far as the timeline knows."""
    generation = generation_in(slot)
    for phase in snapshot.phases:
        if generation_of_slot(phase, slot) >= generation:
            return phase.from_us
    return snapshot.phases[-1].from_us
