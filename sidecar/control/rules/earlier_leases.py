"""Which leases on other counters may still be spent on a counter, by what the plane knows now.

Rules
- Where a limit comes to count otherwise (another window or scope, another plan, a time zone, a
  moved anchor, a reset), who has not heard of it spends the lease that it has on the counter of
  before; and its records then belong on the new counter too. So what is outstanding there counts
  here.
- Meant are all slots of the company's feature that no limit in force is leased on, whatever their
  limits were called: who has heard of all holds nothing of them. Of the counter's own slot it is
  windows that overlap with it: of one slot, there are none such by one time zone.
- What is leased by another limit that is in force is not: who spends it has a lease here as well.
  So it is with what that limit had before it started anew (a reset, a moved anchor).
- Left out is what cannot be the same usage: windows apart, other values of a dimension that both
  have, and leases that were over when the counter began, as a reset has them that was planned.
- What a balance of credits has beside limits, its grants and what is owed, is no limit's counter:
  it was none before, and becomes none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sidecar.control.rules.attribution import limits_at
from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.credits.source_slots import is_of_balance
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import CounterRef, begins_us, differ_by_generation, scope_in
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.rollover_links import passes_on_us
from sidecar.domain.time.windows import Window


def slots_not_in_force(
    index: CatalogIndex,
    snapshot: CompanySnapshot,
    feature: str,
    slot: str,
    window: Window,
    slots: Iterable[str],
    now_us: int,
) -> tuple[str, ...]:
    """Those of a feature's slots that nothing is leased on any more, for a slot's leased window."""
    if is_of_balance(slot):
        return ()
    instants = _instants(snapshot, slot, window, now_us)
    in_force = {
        leased for at_us in instants for leased in _leased_slots(index, snapshot, feature, at_us)
    }
    elsewhere = in_force - {slot}
    return tuple(
        other
        for other in slots
        if other != slot
        and other not in in_force
        and not is_of_balance(other)
        and not any(differ_by_generation(other, leased) for leased in elsewhere)
    )


def counters_of_usage(
    index: CatalogIndex, snapshot: CompanySnapshot, key: CounterKey, now_us: int
) -> list[CounterKey]:
    """The counters on which usage of one is counted: itself, and those that limits have now.

    Of these, where no limit has it any more, those whose values are all known by it. Usage is of
    one generation: of a limit that started anew it is on the counter of now alone.
    """
    counter = key.counter
    if is_of_balance(counter.slot):
        return [key]
    in_force = [
        each
        for each in limits_at(index, snapshot, key.feature, now_us) or ()
        if _is_leased(each.limit)
    ]
    if counter.slot in {each.slot for each in in_force}:
        return [key]
    anew = [each for each in in_force if differ_by_generation(each.slot, counter.slot)]
    found = []
    for each in anew or in_force:
        possible, values = values_in(each.slot, counter)
        span, before = each.window, counter.window
        overlap = span.start_us < before.end_us and before.start_us < span.end_us
        if overlap and possible and values is not None:
            ref = CounterRef(each.slot, values, each.window)
            found.append(CounterKey(key.company, key.feature, ref))
    return found if anew and found else [key, *found]


def values_in(earlier_slot: str, counter: CounterRef) -> tuple[bool, tuple[str, ...] | None]:
    """Whether usage on a counter can be usage in another slot, too, and its values there.

    `None` where not all of these are known by the counter's.
    """
    earlier, scope = scope_in(earlier_slot), scope_in(counter.slot)
    known: dict[str, set[str]] = {}
    for name, value in (*zip(scope.dimensions, counter.values, strict=False), *scope.match):
        known.setdefault(name, set()).add(value)
    fixed: dict[str, set[str]] = {}
    for name, value in earlier.match:
        fixed.setdefault(name, set()).add(value)
    if any(name in known and not known[name] & fixed[name] for name in fixed):
        return False, None
    if any(len(known.get(name, ())) != 1 for name in earlier.dimensions):
        return True, None
    return True, tuple(next(iter(known[name])) for name in earlier.dimensions)


def _instants(snapshot: CompanySnapshot, slot: str, window: Window, now_us: int) -> tuple[int, ...]:
    """When the limit on a window is in force: now, or at its first or last instant.

    Of one that is over also now: usage that is late goes by the limits of then.
    """
    ends_us = passes_on_us(snapshot, slot, window)
    if ends_us <= now_us:
        return ends_us - 1, now_us
    return (max(begins_us(slot, window), now_us),)


def _leased_slots(
    index: CatalogIndex, snapshot: CompanySnapshot, feature: str, at_us: int
) -> Iterator[str]:
    entitlement = index.resolve(segment_at(snapshot, at_us), feature)
    if entitlement is not None and entitlement.reason is Reason.ALLOWED:
        for each in limits_at(index, snapshot, feature, at_us) or ():
            if _is_leased(each.limit):
                yield each.slot


def _is_leased(limit: Limit) -> bool:
    return limit.is_leased or (limit.is_exact and bool(limit.amounts))
