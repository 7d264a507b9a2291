"""What is carried from window to window, worked out on the sidecar until the plane is heard."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import msgspec

from sidecar.directory.meters import Meter
from sidecar.directory.resolved import ResolvedCompany
from sidecar.domain.bounds import EVENT_FUTURE_US_MAX, ROLLOVER_WINDOWS_MAX
from sidecar.domain.company.timeline import HISTORY_US
from sidecar.domain.limits.packs import Carried, allowance_of, carried_on
from sidecar.domain.limits.rollover import Passing
from sidecar.domain.limits.rollover_links import Link, first_window
from sidecar.domain.time.windows import Window
from sidecar.storage import keys
from sidecar.storage.codec import StoredCounter
from sidecar.storage.transaction import Transaction

_Ended: TypeAlias = tuple[Link, StoredCounter | None]
"""A window that has passed on, and its counter."""


class _Known(NamedTuple):
    """A window of which it is known what came into it."""

    slot: str
    window: Window
    counter: StoredCounter


_WINDOWS_BACK_MAX: Final = ROLLOVER_WINDOWS_MAX + 4
"""Most windows that are gone back over in search of the last of which it is known what came in.
More than a rollover lasts: of what was left before them, nothing is.
"""
_GENERATIONS_BACK_MAX: Final = 8
"""Most resets that are gone back over in search of whether anything is known."""
_WINDOWS_ON_MAX: Final = 200
"""Most windows through which late usage is carried on; what lies behind them the plane tells."""


def carried_into(
    transaction: Transaction,
    company: ResolvedCompany,
    meter: Meter,
    window: Window,
    counter: StoredCounter | None,
    *,
    authority: bool,
) -> Carried | None:
    """What came into a window from those before; `None` where nothing does, or it is not known.

    The plane tells it once it has worked it out. Until then it is worked out here, by the same
    rules, from the last window of which it is known and what was used since. That chain begins,
    with nothing carried, where the timeline says that the limit began to carry on. Where it does
    not say, that is for the plane to tell; the authority begins with the first window that it sees.
    """
    if not meter.carries_on:
        return None
    if counter is not None and counter.carried is not None:
        return counter.came_in
    if meter.chainless is window:
        return None
    known = _last_known(transaction, company, meter, window)
    if authority and known is None:
        return Carried()
    carried = _carried_by_chain(transaction, company, meter, window, known)
    if carried is None:
        # For as long as the company stays resolved: going back over the windows takes its time.
        meter.chainless = window
    return carried


def carry_on(
    transaction: Transaction, company: ResolvedCompany, meter: Meter, window: Window, now_us: int
) -> None:
    """Take what was just used in a window that others follow from what the windows after it carry.

    Late usage only takes away: where they carry less already, by the plane's word say, it stays.
    Those to come soon count as well: the plane may have told of them already, and so may usage.
    """
    slot = meter.slot
    counter = counter_of(transaction, company, meter, slot, window)
    carried = None if counter is None else counter.came_in
    for _ in range(_WINDOWS_ON_MAX):
        if carried is None or window.start_us > now_us + EVENT_FUTURE_US_MAX:
            return
        link = company.link_after(meter.feature, slot, window)
        if link is None:
            return
        carried = _folded(carried, [(link, counter)])
        slot, window = link.following_slot, link.following
        counter = counter_of(transaction, company, meter, slot, window)
        known = None if counter is None else counter.came_in
        if counter is not None and known is not None:
            carried = _less(known, carried)
            if carried == known:
                return
            counter = msgspec.structs.replace(
                counter, carried=carried.by_age, packs_used=carried.packs_used
            )
            transaction.put_counter(_key(company, meter, slot, window), counter)


def _last_known(
    transaction: Transaction, company: ResolvedCompany, meter: Meter, window: Window
) -> _Known | None:
    """The last earlier window of which it is known what came into it, if there is one."""
    slot, spec = meter.slot, meter.limit.window
    for _ in range(_GENERATIONS_BACK_MAX):
        base = keys.counter_base(company.snapshot.company, meter.feature, slot, ())
        found = transaction.carried_before(base, window.start_us)
        if found is not None:
            start_us, counter = found
            return _Known(slot, Window(start_us, counter.window_end_us), counter)
        first = first_window(company.snapshot, slot, spec)
        link = company.link_before(meter.feature, slot, spec, first)
        if link is None or link.slot == slot:
            return None
        slot, window = link.slot, link.window
        last = counter_of(transaction, company, meter, slot, window)
        if last is not None and last.carried is not None:
            return _Known(slot, window, last)
    return None


def _carried_by_chain(
    transaction: Transaction,
    company: ResolvedCompany,
    meter: Meter,
    window: Window,
    known: _Known | None,
) -> Carried | None:
    """The same, worked out. `known`: the last earlier window of which it is known."""
    # From the newest to the oldest: windows that have ended since the chain's last known one.
    ended: list[_Ended] = []
    slot, at = meter.slot, window
    for _ in range(_WINDOWS_BACK_MAX):
        link = company.link_before(meter.feature, slot, meter.limit.window, at)
        if link is None:
            # What a timeline says of what was longer ago than it remembers is no beginning.
            forgotten = known is not None and at.start_us < window.start_us - HISTORY_US
            if forgotten:
                return _folded(_long_after(company, meter, known, window), ended)
            return _folded(Carried(), ended)
        slot, at = link.slot, link.window
        earlier = counter_of(transaction, company, meter, slot, at)
        ended.append((link, earlier))
        if earlier is not None and (came_in := earlier.came_in) is not None:
            return _folded(came_in, ended)
    return None if known is None else _folded(_long_after(company, meter, known, window), ended)


def _long_after(
    company: ResolvedCompany, meter: Meter, known: _Known | None, window: Window
) -> Carried:
    """What came into a window after a long rest: nothing that was left, and packs as used before.

    Where the timeline does not know any more by what the last window passed on, it is taken to have
    passed on by what is in force, and packs to have been held since: nothing is used twice then.
    """
    if known is None or not meter.limit.packs:
        return Carried()
    link = company.link_after(meter.feature, known.slot, known.window)
    passing = Passing.REST if link is None else link.passing
    if link is None or link.ends_us < window.start_us - HISTORY_US:
        allowance = allowance_of(meter.limit)
    else:
        allowance = link.allowance
    counter = known.counter
    carried = carried_on(passing, allowance, counter.came_in or Carried(), counter.used)
    return Carried((), carried.packs_used)


def _folded(carried: Carried, ended: list[_Ended]) -> Carried:
    for link, counter in reversed(ended):
        used = 0 if counter is None else counter.used
        carried = carried_on(link.passing, link.allowance, carried, used)
    return carried


def _less(known: Carried, worked_out: Carried) -> Carried:
    """What late usage leaves of what was known to have come in: it gives nothing back."""
    lost = sum(worked_out.by_age) < sum(known.by_age)
    return Carried(
        worked_out.by_age if lost else known.by_age, max(known.packs_used, worked_out.packs_used)
    )


def counter_of(
    transaction: Transaction, company: ResolvedCompany, meter: Meter, slot: str, window: Window
) -> StoredCounter | None:
    """The counter of a meter's windows, or of those of another generation; `None` for none."""
    return transaction.counter(_key(company, meter, slot, window), ())


def _key(company: ResolvedCompany, meter: Meter, slot: str, window: Window) -> bytes:
    if slot == meter.slot:
        return meter.key((), window)
    base = keys.counter_base(company.snapshot.company, meter.feature, slot, ())
    return keys.counter_key(base, window.start_us)
