"""What rolls over from window to window, worked out on the sidecar until the plane is heard."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.directory.meters import Meter
from sidecar.directory.resolved import ResolvedCompany
from sidecar.domain.bounds import ROLLOVER_WINDOWS_MAX
from sidecar.domain.catalog.model import Limit
from sidecar.domain.limits.rollover import carry
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US, Window
from sidecar.storage.codec import StoredCounter
from sidecar.storage.transaction import Transaction

_WINDOWS_BACK_MAX: Final = ROLLOVER_WINDOWS_MAX + 4
"""Most windows that are gone back over in search of the last of which it is known what came in.
More than a rollover lasts: of what came into one before them, nothing is left.
"""
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
    begun = transaction.is_carried_before(meter.base, window.start_us)
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
    counter = transaction.counter(meter.key((), window), ())
    carried = None if counter is None else counter.carried
    for _ in range(_WINDOWS_ON_MAX):
        limit = company.rolling_limit_at(meter.feature, meter.slot, window.end_us - 1)
        if carried is None or limit is None or not _has_next(window, now_us):
            return
        carried = _folded(carried, [(limit, 0 if counter is None else counter.used)])
        window = meter.window_elsewhere(window.end_us)
        key = meter.key((), window)
        counter = transaction.counter(key, ())
        if counter is not None and counter.carried is not None:
            if sum(carried) >= sum(counter.carried):
                return
            counter = msgspec.structs.replace(counter, carried=carried)
            transaction.put_counter(key, counter)


def _carried_by_chain(
    transaction: Transaction, company: ResolvedCompany, meter: Meter, window: Window, *, begun: bool
) -> tuple[int, ...] | None:
    """The same, worked out. `begun`: it is known what was carried into some earlier window."""
    # From the newest to the oldest: windows that have ended since the chain's last known one.
    ended: list[tuple[Limit, int]] = []
    for _ in range(_WINDOWS_BACK_MAX):
        at_us = window.start_us - 1
        if at_us < FIRST_INSTANT_US:
            return _folded((), ended)
        limit = company.rolling_limit_at(meter.feature, meter.slot, at_us)
        if limit is None:
            return _folded((), ended)
        window = meter.window_elsewhere(at_us)
        earlier = transaction.counter(meter.key((), window), ())
        ended.append((limit, 0 if earlier is None else earlier.used))
        if earlier is not None and earlier.carried is not None:
            return _folded(earlier.carried, ended)
    return _folded((), ended) if begun else None


def _folded(carried: tuple[int, ...], ended: list[tuple[Limit, int]]) -> tuple[int, ...]:
    for limit, used in reversed(ended):
        if limit.rollover is not None and limit.amount is not None:
            carried = carry(limit.rollover, limit.amount, carried, used)
    return carried


def _has_next(window: Window, now_us: int) -> bool:
    return window.start_us <= now_us and window.end_us < END_INSTANT_US
