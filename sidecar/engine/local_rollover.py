"""What rolls over from window to window, worked out on the sidecar until the plane is heard."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.directory.meters import Meter
from sidecar.directory.resolved import ResolvedCompany
from sidecar.domain.bounds import ROLLOVER_WINDOWS_MAX
from sidecar.domain.limits.rollover import passed_on
from sidecar.domain.limits.rollover_links import Link
from sidecar.domain.time.windows import Window
from sidecar.storage import keys
from sidecar.storage.codec import StoredCounter
from sidecar.storage.transaction import Transaction

_WINDOWS_BACK_MAX: Final = ROLLOVER_WINDOWS_MAX + 4
"""Most windows that are gone back over in search of the last of which it is known what came in.
More than a rollover lasts: of what came into one before them, nothing is left.
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
) -> tuple[int, ...] | None:
    """What rolled over into a window, by age; `None` where nothing does, or it cannot be known.

    The plane tells it once it has worked it out. Until then it is worked out here, by the same
    rules, from the last window of which it is known and what was used since. That chain begins,
    with nothing carried, where the timeline says that the limit began to roll over. Where it does
    not say, that is for the plane to tell; the authority begins with the first window that it sees.
    """
    if meter.limit.rollover is None:
        return None
    if counter is not None and counter.carried is not None:
        return counter.carried
    if meter.chainless is window:
        return None
    begun = _has_begun(transaction, company, meter, window)
    if authority and not begun:
        return ()
    carried = _carried_by_chain(transaction, company, meter, window, begun=begun)
    if carried is None:
        # For as long as the company stays resolved: going back over the windows takes its time.
        meter.chainless = window
    return carried


def carry_on(
    transaction: Transaction, company: ResolvedCompany, meter: Meter, window: Window, now_us: int
) -> None:
    """Take what was just used in a window that is over from what the windows after it carry.

    Late usage only takes away: where they carry less already, by the plane's word say, it stays.
    The one after the present one counts as well: the plane may have told of it already.
    """
    slot = meter.slot
    counter = _counter(transaction, company, meter, slot, window)
    carried = None if counter is None else counter.carried
    for _ in range(_WINDOWS_ON_MAX):
        if carried is None or window.start_us > now_us:
            return
        link = company.link_after(meter.feature, slot, window)
        if link is None:
            return
        carried = _folded(carried, [(link, 0 if counter is None else counter.used)])
        slot, window = link.following_slot, link.following
        counter = _counter(transaction, company, meter, slot, window)
        if counter is not None and counter.carried is not None:
            if sum(carried) >= sum(counter.carried):
                return
            counter = msgspec.structs.replace(counter, carried=carried)
            transaction.put_counter(_key(company, meter, slot, window), counter)


def _has_begun(
    transaction: Transaction, company: ResolvedCompany, meter: Meter, window: Window
) -> bool:
    """Whether it is known of an earlier window what was carried into it."""
    slot = meter.slot
    for _ in range(_GENERATIONS_BACK_MAX):
        base = keys.counter_base(company.snapshot.company, meter.feature, slot, ())
        if transaction.is_carried_before(base, window.start_us):
            return True
        link = company.link_before(meter.feature, slot, meter.limit.window, window)
        if link is None or link.slot == slot:
            return False
        slot, window = link.slot, link.window
        counter = _counter(transaction, company, meter, slot, window)
        if counter is not None and counter.carried is not None:
            return True
    return False


def _carried_by_chain(
    transaction: Transaction, company: ResolvedCompany, meter: Meter, window: Window, *, begun: bool
) -> tuple[int, ...] | None:
    """The same, worked out. `begun`: it is known what was carried into some earlier window."""
    # From the newest to the oldest: windows that have ended since the chain's last known one.
    ended: list[tuple[Link, int]] = []
    slot = meter.slot
    for _ in range(_WINDOWS_BACK_MAX):
        link = company.link_before(meter.feature, slot, meter.limit.window, window)
        if link is None:
            return _folded((), ended)
        slot, window = link.slot, link.window
        earlier = _counter(transaction, company, meter, slot, window)
        ended.append((link, 0 if earlier is None else earlier.used))
        if earlier is not None and earlier.carried is not None:
            return _folded(earlier.carried, ended)
    return _folded((), ended) if begun else None


def _folded(carried: tuple[int, ...], ended: list[tuple[Link, int]]) -> tuple[int, ...]:
    for link, used in reversed(ended):
        limit = link.limit
        if limit.rollover is not None and limit.amount is not None:
            carried = passed_on(link.passing, limit.rollover, limit.amount, carried, used)
    return carried


def _counter(
    transaction: Transaction, company: ResolvedCompany, meter: Meter, slot: str, window: Window
) -> StoredCounter | None:
    return transaction.counter(_key(company, meter, slot, window), ())


def _key(company: ResolvedCompany, meter: Meter, slot: str, window: Window) -> bytes:
    if slot == meter.slot:
        return meter.key((), window)
    base = keys.counter_base(company.snapshot.company, meter.feature, slot, ())
    return keys.counter_key(base, window.start_us)
