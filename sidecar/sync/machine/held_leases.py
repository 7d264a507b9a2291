"""What a sidecar holds of counters, as the lease machine remembers it between two looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from sidecar.domain.credits.source_slots import grant_in
from sidecar.domain.leases.model import LeaseEntry, LeaseNeed, LeaseRequest, LeaseResult, LeaseWish
from sidecar.domain.leases.sizing import lead_us, refill_at, smoothed, wanted
from sidecar.domain.limits.counters import CounterName, is_level
from sidecar.domain.time.units import DAY_US, MILLISECOND_US, SECOND_US

_SHORT_US: Final = 5 * SECOND_US
"""For how long a lease is to do where little is left: others may need it as well."""
_REFILL_REST_US: Final = SECOND_US
"""After a refill that brought nothing, no other is tried for so long."""
_SETTLED_US: Final = DAY_US
"""For so long after its window what was leased of it counts as taken, for what is carried on."""
_BEHIND_US: Final = 20 * MILLISECOND_US
_BEHIND_DOUBLINGS: Final = 3


class LeasePace(msgspec.Struct, frozen=True):
    """How a sidecar goes about leases; the settings `lease_seconds` and so on.

    `horizon_us`: how long a lease is to do. `idle_us`: what was not used for so long is given back.
    `leases_max`: as many are held; beyond, those not used for the longest time are given back.
    """

    horizon_us: int = 120 * SECOND_US
    idle_us: int = 3_600 * SECOND_US
    leases_max: int = 100_000


class Looked(NamedTuple):
    """What was seen of what the store holds.

    `wishes`: what to give back or ask for. `near`: whose next window is near. `over`: of whose
    window something is held though it has ended: it may be carried into later ones.
    """

    wishes: list[LeaseWish]
    near: list[CounterName]
    over: list[CounterName]


class _Held(msgspec.Struct, gc=False):
    """A lease, as last seen; instants by the machine's clock."""

    granted: int
    used: int
    seen_us: int
    used_us: int
    answered_us: int
    demand: int = 0
    quantity: int = 1
    amount: int = 0
    has_next: bool = False
    no_refill_until_us: int = 0
    unanswered: bool = False
    unspent: int = 0
    """How often in a row a call could not spend it, though it reached far enough."""

    @property
    def left(self) -> int:
        return max(0, self.granted - self.used)


class HeldLeases:
    """The leases of one sidecar, the one used last at the end.

    `remaining`: what is left of all of a feature. `oldest_us`: when the plane last answered about
    the one about which it did so first, as of the last round of looks.
    """

    def __init__(self, pace: LeasePace) -> None:
        self._pace = pace
        self._held: dict[CounterName, _Held] = {}
        self._with_room = 0
        self._oldest_us: int | None = None
        self.remaining: dict[str, int] = {}
        self.oldest_us: int | None = None

    def __len__(self) -> int:
        return self._with_room

    def left(self, counter: CounterName) -> int:
        """What is left of a lease, as last seen; 0 where none is known."""
        held = self._held.get(counter)
        return 0 if held is None else held.left

    def wish(self, counter: CounterName, needs: Sequence[int], *, gives_back: bool) -> LeaseWish:
        """Ask for what calls wait for, each for so much; for none: for more, before one waits.

        Of several calls that wait the one with the least is what is needed, so that none is kept
        out by a larger one; what all of them want is wanted.
        """
        held = self._held.get(counter)
        need = min(needs, default=0)
        return self._asking(counter, held, sum(needs), need, gives_back=gives_back)

    def asked(self, now_us: int, request: LeaseRequest) -> None:
        """A request tells what has been used, and what is held still."""
        before = self._held.get(request.counter)
        reached = 0 if before is None else before.granted
        held = self._see(now_us, request.counter, request.held, request.used)
        held.quantity = request.need or held.quantity
        held.unanswered = True
        if request.need:
            held.unspent = held.unspent + 1 if request.used + request.need <= reached else 0

    def granted(self, now_us: int, request: LeaseRequest, result: LeaseResult) -> int:
        """More was granted; the usage from which on to ask for more again."""
        held = self._see(now_us, request.counter, result.granted, request.used)
        held.answered_us, held.unanswered, held.amount = now_us, False, result.amount
        if result.granted <= request.held:
            held.no_refill_until_us = now_us + _REFILL_REST_US
        return refill_at(request.held, result.granted, request.used)

    def not_granted(self, now_us: int, counter: CounterName) -> None:
        """Nothing was granted: there is no use in asking at once, but for a call that waits."""
        held = self._held.get(counter)
        if held is not None:
            held.unanswered = False
            held.no_refill_until_us = now_us + _REFILL_REST_US

    def not_before_us(self, need: LeaseNeed) -> int:
        """When to ask for what a call needs; 0 for at once.

        Where a lease cannot be spent though it was just granted, this sidecar is behind the plane:
        a raised amount was not heard here yet, and looks like one that was lowered. That takes a
        moment.
        """
        held = self._held.get(need.counter)
        if held is None or not held.unspent or held.left < need.quantity:
            return 0
        return held.answered_us + (_BEHIND_US << min(held.unspent - 1, _BEHIND_DOUBLINGS))

    def may_refill(self, now_us: int, counter: CounterName) -> bool:
        """Whether asking for more, while no call waits, may bring some."""
        held = self._held.get(counter)
        return held is None or now_us >= held.no_refill_until_us

    def begins_with(self, counter: CounterName, before: CounterName, now_us: int) -> LeaseWish:
        """Ask for the next window's lease, for as much as is used in this one."""
        now = self._held.get(before)
        if now is not None:
            now.has_next = True
        if counter not in self._held:
            demand, quantity = (0, 1) if now is None else (now.demand, now.quantity)
            self._held[counter] = _Held(0, 0, now_us, now_us, now_us, demand, quantity)
        return self._asking(counter, now)

    def forget(self, counter: CounterName) -> None:
        """Nothing is held of it any more."""
        held = self._held.pop(counter, None)
        if held is not None:
            self._note_left(counter, held.left, 0)

    def clear(self) -> None:
        """Nothing is known of what is held: the store is another."""
        self._held.clear()
        self.remaining.clear()
        self._with_room = 0

    def round_ended(self) -> None:
        """All that the store holds has been looked at."""
        self.oldest_us, self._oldest_us = self._oldest_us, None

    def looked(self, now_us: int, at_us: int, entries: Iterable[LeaseEntry]) -> Looked:
        """What the store holds. `at_us`: the time gone by."""
        looked = Looked([], [], [])
        for entry in entries:
            if entry.counter.counter.window.end_us <= at_us:
                self._is_over(at_us, entry, looked)
                continue
            wish = self._looked_at(now_us, at_us, entry)
            if wish is not None:
                looked.wishes.append(wish)
            elif self._is_near(at_us, entry):
                looked.near.append(entry.counter)
        return looked

    def beyond(self) -> list[LeaseWish]:
        """What is to be given back since more is held than may be: what was not used for long."""
        too_many = self._with_room - self._pace.leases_max
        if too_many <= 0:
            return []
        oldest = (name for name, held in self._held.items() if held.left)
        gone = list(islice(oldest, too_many))
        for counter in gone:
            self.forget(counter)
        return [LeaseWish(counter, gives_back=True) for counter in gone]

    def _is_over(self, at_us: int, entry: LeaseEntry, looked: Looked) -> None:
        """A window has ended."""
        counter = entry.counter
        self.forget(counter)
        if not entry.waits and entry.granted <= entry.own:
            return
        if grant_in(counter.counter.slot) is not None:
            # Late usage may burn of a grant what nobody holds.
            looked.wishes.append(LeaseWish(counter, gives_back=True))
        elif at_us < counter.counter.window.end_us + _SETTLED_US:
            looked.over.append(counter)

    def _looked_at(self, now_us: int, at_us: int, entry: LeaseEntry) -> LeaseWish | None:
        """What one lease wants."""
        counter, window = entry.counter, entry.counter.counter.window
        known = self._held.get(counter)
        if entry.waits and (known is None or known.unanswered):
            # What the plane may have granted lies there for nobody until it is told.
            if known is None:
                return LeaseWish(counter, gives_back=True)
            return self._asking(counter, known)
        if known is None and entry.granted <= entry.own:
            return None  # nothing is left of it, and nobody asks for it
        held = self._see(now_us, counter, entry.granted, entry.own)
        if at_us < window.start_us:
            held.used_us = now_us  # nobody can have used it yet
        if held.left and held.answered_us < (self._oldest_us or now_us):
            self._oldest_us = held.answered_us
        in_use = now_us - held.used_us < self._pace.idle_us
        if held.left and at_us >= entry.valid_until_us:
            if not in_use:
                return LeaseWish(counter, gives_back=True)
            return self._asking(counter, held, gives_back=True)
        if in_use:
            return None
        self.forget(counter)
        return LeaseWish(counter, gives_back=True) if entry.granted > entry.own else None

    def _is_near(self, at_us: int, entry: LeaseEntry) -> bool:
        """Whether the next window's lease is to be had, since this one's is in use."""
        held, window = self._held.get(entry.counter), entry.counter.counter.window
        ahead_us = window.end_us - at_us
        return (
            held is not None
            and not held.has_next
            and entry.own > 0
            and 0 < ahead_us <= lead_us(window)
        )

    def _asking(
        self,
        counter: CounterName,
        held: _Held | None,
        needed: int = 0,
        need: int = 0,
        *,
        gives_back: bool = False,
    ) -> LeaseWish:
        """What to ask for; `needed`: by all calls that wait, `need`: by one of them."""
        demand, quantity, amount = (0, 1, 0)
        if held is not None:
            demand, quantity, amount = held.demand, held.quantity, held.amount
        quantity, horizon_us = need or quantity, self._pace.horizon_us
        want = wanted(needed, demand, quantity, min(_SHORT_US, horizon_us))
        ahead = wanted(needed, demand, quantity, horizon_us, amount)
        return LeaseWish(counter, need, want, gives_back, ahead)

    def _see(self, now_us: int, counter: CounterName, granted: int, used: int) -> _Held:
        held = self._held.get(counter)
        if held is None:
            held = self._held[counter] = _Held(granted, used, now_us, now_us, now_us)
            self._note_left(counter, 0, held.left)
            return held
        before = held.left
        if used > held.used:
            held.used_us = now_us
            # As the one used last it goes to the end.
            self._held[counter] = self._held.pop(counter)
        held.demand = smoothed(held.demand, used - held.used, now_us - held.seen_us)
        if not is_level(counter.counter.slot):
            used = max(used, held.used)
        held.granted, held.used, held.seen_us = granted, used, now_us
        self._note_left(counter, before, held.left)
        return held

    def _note_left(self, counter: CounterName, before: int, left: int) -> None:
        self._with_room += bool(left) - bool(before)
        self.remaining[counter.feature] = self.remaining.get(counter.feature, 0) + left - before
