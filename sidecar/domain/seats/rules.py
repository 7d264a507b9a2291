"""When a seat may be had: pure, for whoever decides about seats, the plane or a lone sidecar.

Rules
- Seats of a limit are counted on its counter, of a window: for ever (LIFETIME), where holders are
  named until they give their seat back; or of a month, say, where whoever comes in it is counted
  once (monthly active users), and no seat is given back before it ends.
- The same holder has one seat, however often it is asked for. Who holds one keeps it, whatever
  becomes of the limit; a lowered one refuses those who are new.
- A limit on swaps bounds how many holders there may be within its window, one after the other:
  so many as there are seats, and as many more as there are swaps. Who comes back to a seat that
  was given back within the window is none of them, and nor is who takes a seat that was free.
- Seats that are named outlast a reset of usage: a reset is a favour, and takes no one's seat.
"""

from __future__ import annotations

import msgspec

from sidecar.domain.bounds import BEGINNING_US
from sidecar.domain.catalog.model import Enforcement, FeatureKind, Limit
from sidecar.domain.company.model import Phase
from sidecar.domain.time.company_windows import company_window, generation_of
from sidecar.domain.time.windows import UNENDING, Window, WindowSpec


class SeatPool(msgspec.Struct, frozen=True):
    """Seats of one counter.

    `held`: how many are. `freed`: how many of those who gave theirs back since `freed_since_us`
    have not come back.
    """

    held: int = 0
    freed: int = 0
    freed_since_us: int = BEGINNING_US

    def since(self, swap_window: Window | None) -> SeatPool:
        """The pool as it is in a window of swaps."""
        start_us = BEGINNING_US if swap_window is None else swap_window.start_us
        if start_us <= self.freed_since_us:
            return self
        return SeatPool(self.held, 0, start_us)


class SeatTerms(msgspec.Struct, frozen=True):
    """By what seats of a counter are given at an instant.

    `amount`: `None` for unlimited. `swaps`: in `swap_window`; `None` where they are not limited.
    """

    amount: int | None
    is_hard: bool
    swaps: int | None = None
    swap_window: Window | None = None


def seat_terms(limit: Limit, phases: tuple[Phase, ...], at_us: int) -> SeatTerms:
    """The terms of a limit for a company with a timeline, at an instant."""
    is_hard, swaps = limit.enforcement is Enforcement.HARD, limit.swaps
    if swaps is None:
        return SeatTerms(limit.amount, is_hard)
    swap_window = company_window(phases, swaps.window, at_us)
    return SeatTerms(limit.amount, is_hard, swaps.amount, swap_window)


def joined(terms: SeatTerms, others: SeatTerms) -> SeatTerms:
    """The terms of two limits on one counter: the stricter of both."""
    hard = [each for each in (terms, others) if each.is_hard and each.amount is not None]
    if len(hard) < 2:
        return hard[0] if hard else terms
    return min(hard, key=lambda each: (each.amount, each.swaps is None, each.swaps))


def refuses(pool: SeatPool, terms: SeatTerms, released_us: int | None) -> bool:
    """Whether who holds no seat is refused one.

    `released_us`: when he gave one back; `None` where he never had one.
    """
    if not terms.is_hard or terms.amount is None:
        return False
    if pool.held >= terms.amount:
        return True
    now = pool.since(terms.swap_window)
    if terms.swaps is None or _is_back(now, released_us):
        return False
    return now.held + now.freed >= terms.amount + terms.swaps


def swaps_decide(pool: SeatPool, terms: SeatTerms) -> bool:
    """Whether seats are free, so that only the number of swaps refuses."""
    return terms.amount is not None and pool.held < terms.amount


def with_assigned(pool: SeatPool, terms: SeatTerms, released_us: int | None) -> SeatPool:
    """The pool once a seat was assigned."""
    now = pool.since(terms.swap_window)
    freed = max(0, now.freed - 1) if _is_back(now, released_us) else now.freed
    return SeatPool(now.held + 1, freed, now.freed_since_us)


def with_released(pool: SeatPool, terms: SeatTerms | None) -> SeatPool:
    """The pool once a seat was given back. `terms`: `None` where no limit has it any more."""
    now = pool if terms is None else pool.since(terms.swap_window)
    return SeatPool(max(0, now.held - 1), now.freed + 1, now.freed_since_us)


def can_be_given_back(window: WindowSpec) -> bool:
    """Whether seats of such windows can be given back: those of a month are counted, once used."""
    return window.unit in UNENDING


def generation_counted(phase: Phase, window: WindowSpec, kind: FeatureKind) -> int:
    """The generation of a feature's counters in a phase: named seats outlast a reset of usage."""
    if kind is FeatureKind.SEATS and can_be_given_back(window):
        return 0
    return generation_of(phase, window)


def _is_back(pool: SeatPool, released_us: int | None) -> bool:
    return released_us is not None and released_us >= pool.freed_since_us
