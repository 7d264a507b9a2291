"""Which limits of a feature carry on from window to window: one rule for sidecar and plane."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.model import Segment, SubscriptionStatus
from sidecar.domain.entitlement.held_packs import held_packs, is_fallback
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import slot_of
from sidecar.domain.time.company_windows import generation_of
from sidecar.domain.time.windows import UNENDING

_OVER: Final = (SubscriptionStatus.CANCELED, SubscriptionStatus.ENDED)


class RollingLimit(msgspec.Struct, frozen=True):
    """A limit that carries on, and what packs hold for it with those that are not in force.

    `begins`: whether a chain of windows may begin with it, else it only goes on.
    """

    limit: Limit
    packs_held: int = 0
    begins: bool = True


def rolling_limits(index: CatalogIndex, segment: Segment, feature: str) -> dict[str, RollingLimit]:
    """A feature's limits that carry on in a segment, by slot; of several the first counts.

    Those that roll over, and those with packs. None rolls over once the subscription has come to
    its end; what was used of packs is known for as long as they are held. An override wipes
    nothing: where it takes the place of a limit that rolls over, by none that does, the chain goes
    on by that limit, so that it is there again once the override has ended.
    """
    found: dict[str, RollingLimit] = {}
    for limit in _limits(index, segment, feature):
        if _has_next_window(limit):
            slot = slot_of(limit, generation_of(segment, limit.window))
            found.setdefault(slot, RollingLimit(limit))
    begins = not is_fallback(segment)
    for limit in held_packs(index, segment, feature):
        if _has_next_window(limit):
            slot = slot_of(limit, generation_of(segment, limit.window))
            known = found.get(slot, RollingLimit(limit, begins=begins))
            held = min(INT64_MAX, known.packs_held + limit.packs)
            found[slot] = msgspec.structs.replace(known, packs_held=held)
    return found


def is_carried_on(limit: Limit) -> bool:
    """Whether something of a limit's windows is carried on: what is left, or what of packs is."""
    return (limit.rollover is not None or limit.packs > 0) and _has_next_window(limit)


def _limits(index: CatalogIndex, segment: Segment, feature: str) -> Iterator[Limit]:
    """What is granted and carries on, that which has the say first."""
    over = segment.status in _OVER
    for granted in _granted(index, segment, feature):
        limit = msgspec.structs.replace(granted, rollover=None) if over else granted
        if is_carried_on(limit):
            yield limit
    without = tuple(each for each in segment.overrides if each.feature != feature)
    if len(without) < len(segment.overrides) and not over:
        segment = msgspec.structs.replace(segment, overrides=without)
        yield from (limit for limit in _granted(index, segment, feature) if limit.rollover)


def _granted(index: CatalogIndex, segment: Segment, feature: str) -> Iterator[Limit]:
    entitlement = index.resolve(segment, feature)
    for limit in () if entitlement is None else entitlement.limits:
        if limit.amount is not None:
            yield limit


def _has_next_window(limit: Limit) -> bool:
    return not limit.scope.dimensions and limit.window.unit not in UNENDING
