"""What a counter's leases are granted by: the limit on it, its ceiling, and until when that holds.

Rules
- Leased are windows that run, those that have ended, for as long as usage may be late, and those
  that open soon. What holds is the segment of now; of a window that is over (also where a reset has
  cut it short) the last one, of one to come the first.
- A lease is good for events until the window ends, or the first segment in which the limit on the
  counter becomes another one.
- Of several limits on one counter the least counts.
- What was carried into a window, and packs, count once the plane has worked it out; less what may
  still be used of the windows before, since all of it may come to be missing.
- What may be owed of a balance of credits is leased as a limit is that never ends.
- A one-off grant of credits is leased as a limit would be in its window: until it expires, and
  ahead of its start. One that was voided is not there any more, so nothing of it is leased.
- Of a window that others follow no more is leased than these have not used already, or been leased.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.control.rules.attribution import limits_at
from sidecar.control.rules.lease_recovery import AHEAD_US_MAX
from sidecar.domain.bounds import EVENT_PAST_US_MAX
from sidecar.domain.catalog.model import FeatureKind, Limit
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.credits.source_slots import OVERDRAFT_SLOT, counter_of_grant, grant_in
from sidecar.domain.credits.sources import grant_source, overdraft_limit
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.leases.account import GrantingTerms
from sidecar.domain.limits.counters import CounterRef, begins_us
from sidecar.domain.limits.packs import Carried, beyond
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.rolling_limits import is_carried_on
from sidecar.domain.limits.rollover_links import passes_on_us
from sidecar.domain.limits.value_amounts import limit_of_values
from sidecar.domain.time.windows import Window

_SEGMENTS_MAX: Final = 16
"""Segments that are looked through for one in which a limit changes: there a lease ends anyway."""


class LeasedSlot(msgspec.Struct, frozen=True):
    """The limits on the counters of a slot and window, whatever their values, and until when."""

    limits: tuple[Limit, ...]
    valid_until_us: int

    def limit_of(self, counter: CounterRef) -> Limit | None:
        """The limit by which a counter is leased, the least of several; `None` for none."""
        if any(len(limit.scope.dimensions) != len(counter.values) for limit in self.limits):
            return None
        found = (limit_of_values(limit, counter.values) for limit in self.limits)
        leased = [limit for limit in found if limit.is_leased]
        return min(leased, key=lambda limit: (limit.amount or 0) + limit.packs, default=None)


def leased_slot(
    index: CatalogIndex,
    snapshot: CompanySnapshot,
    feature: str,
    slot: str,
    window: Window,
    now_us: int,
) -> LeasedSlot | None:
    """What is leased of a slot's counters in a window; `None` where nothing is."""
    if grant_in(slot) is not None:
        return _leased_grant(snapshot, feature, CounterRef(slot, (), window), now_us)
    from_us = begins_us(slot, window)
    ends_us = passes_on_us(snapshot, slot, window)
    if ends_us <= now_us:
        if ends_us + EVENT_PAST_US_MAX <= now_us:
            return None
        limits = _limits_on(index, snapshot, feature, slot, window, ends_us - 1)
        return LeasedSlot(limits, ends_us) if limits else None
    if from_us - now_us > AHEAD_US_MAX or from_us >= ends_us:
        return None
    at_us = max(from_us, now_us)
    limits = _limits_on(index, snapshot, feature, slot, window, at_us)
    if not limits:
        return None
    for _ in range(_SEGMENTS_MAX):
        at_us = segment_at(snapshot, at_us).until_us
        if at_us >= ends_us:
            return LeasedSlot(limits, ends_us)
        if limits != _limits_on(index, snapshot, feature, slot, window, at_us):
            break
    return LeasedSlot(limits, at_us)


def _leased_grant(
    snapshot: CompanySnapshot, feature: str, counter: CounterRef, now_us: int
) -> LeasedSlot | None:
    """What is leased of a one-off grant; `None` where it is not there, or not the time for it."""
    window = counter.window
    if window.start_us - now_us > AHEAD_US_MAX or window.end_us + EVENT_PAST_US_MAX <= now_us:
        return None
    for given in snapshot.credit_grants:
        if given.feature == feature and counter_of_grant(given.grant) == counter:
            return LeasedSlot((grant_source(given.grant).limit,), window.end_us)
    return None


def terms_of(
    limit: Limit, carried: Carried | None, unsettled: int, until_us: int, usable: int | None = None
) -> GrantingTerms:
    """The terms of a limit's leases. `carried`: what came into the window, `None` if unknown.

    `unsettled`: what may still be used of the windows before. `usable`: the most that may be used
    in all since later windows have used the rest, `None` where none does.
    """
    assert limit.amount is not None
    more = 0
    if carried is not None and is_carried_on(limit):
        more = beyond(limit, carried)[0]
    ceiling = limit.amount + more if usable is None else usable
    # Whatever is used before takes no more than what came in, and nothing that it would not take in
    # this window.
    ceiling -= min(more, unsettled)
    if limit.rollover is None and usable is not None:
        ceiling = max(ceiling, min(usable, limit.amount))  # the amount itself is not carried on
    return GrantingTerms(ceiling, limit.amount, until_us)


def _limits_on(
    index: CatalogIndex,
    snapshot: CompanySnapshot,
    feature: str,
    slot: str,
    window: Window,
    at_us: int,
) -> tuple[Limit, ...]:
    """Those limits of an instant that count on a slot's counters in a window."""
    entitlement = index.resolve(segment_at(snapshot, at_us), feature)
    if entitlement is None or entitlement.reason is not Reason.ALLOWED:
        return ()
    if entitlement.feature.kind is FeatureKind.SEATS:
        return ()  # seats are assigned by name: whoever asks for a lease of them is wrong
    if slot == OVERDRAFT_SLOT:
        return (overdraft_limit(entitlement.overdraft),) if entitlement.overdraft else ()
    counted = limits_at(index, snapshot, feature, at_us) or ()
    return tuple(each.limit for each in counted if (each.slot, each.window) == (slot, window))
