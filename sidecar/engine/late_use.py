"""What may be used beyond a limit's amount in a window, by what those behind it have used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from sidecar.directory.meters import Meter
from sidecar.directory.resolved import ResolvedCompany
from sidecar.domain.bounds import EVENT_FUTURE_US_MAX
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.limits.late_use import LATER_WINDOWS_MAX, LaterWindow, most_usable
from sidecar.domain.limits.packs import Allowance, Carried, beyond
from sidecar.domain.time.windows import Window
from sidecar.engine.local_rollover import counter_of
from sidecar.storage.codec import StoredCounter
from sidecar.storage.transaction import Transaction

LaterCounter: TypeAlias = tuple[CounterRef, StoredCounter | None]
"""The counter of a later window; `None`: nothing was counted there, as far as is known."""


class Beyond(NamedTuple):
    """What may be used in a window beyond a limit's amount, and what of it is of packs.

    Below 0 where later windows have used some of the amount itself, which was carried on to them.
    `later`: counters on which it depends.
    """

    amount: int = 0
    packs: int = 0
    later: Sequence[LaterCounter] = ()


_NOTHING: Final = Beyond()


def is_followed(
    transaction: Transaction, company: ResolvedCompany, meter: Meter, window: Window, now_us: int
) -> bool:
    """Whether there may be usage in a window behind this one, of the present or ahead of it."""
    until_us = now_us + EVENT_FUTURE_US_MAX
    # A window may be cut short within the stretch that the event is of.
    is_cut = company.segment.until_us <= until_us
    if not is_cut and window.end_us > until_us:
        return False
    return (
        is_cut
        or window.end_us <= now_us
        or transaction.has_counter_behind(meter.base, window.start_us)
    )


def usable_beyond(
    transaction: Transaction,
    company: ResolvedCompany,
    meter: Meter,
    ref: CounterRef,
    counter: StoredCounter | None,
    carried: Carried | None,
    now_us: int,
) -> Beyond:
    """What may be used of a counter beyond its limit's amount; `carried`: what came into it."""
    if carried is None:
        return _NOTHING
    limit, used = meter.limit_of(ref.values), 0 if counter is None else counter.used
    more, packs = beyond(limit, carried)
    window = ref.window
    if limit.amount is None or not is_followed(transaction, company, meter, window, now_us):
        return Beyond(more, packs)
    counters: list[LaterCounter] = []
    later = _later_windows(transaction, company, meter, window, now_us, counters)
    most = most_usable(carried, used, limit.amount + more, later)
    return Beyond(most - limit.amount, packs, counters)


def _later_windows(
    transaction: Transaction,
    company: ResolvedCompany,
    meter: Meter,
    window: Window,
    now_us: int,
    counters: list[LaterCounter],
) -> Iterator[LaterWindow]:
    """The windows behind one, up to the last that may have usage; notes their counters."""
    slot, until_us = meter.slot, now_us + EVENT_FUTURE_US_MAX
    link = company.link_after(meter.feature, slot, window)
    for _ in range(LATER_WINDOWS_MAX):
        if link is None or link.ends_us > until_us:
            return
        slot, window = link.following_slot, link.following
        counter = counter_of(transaction, company, meter, slot, window)
        counters.append((CounterRef(slot, (), window), counter))
        ahead = company.link_after(meter.feature, slot, window)
        if ahead is not None and ahead.ends_us <= now_us and ahead.allowance.is_in_force:
            held_by: Allowance | None = ahead.allowance
        else:
            held_by = company.held_by(meter.feature, slot, window, now_us)
        yield LaterWindow(
            link.passing,
            link.allowance,
            held_by,
            0 if counter is None else counter.used,
            None if counter is None else counter.came_in,
        )
        link = ahead
    if link is not None and link.ends_us <= until_us:
        yield LaterWindow(link.passing, link.allowance, None, None)
