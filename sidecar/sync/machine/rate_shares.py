"""The rate share machine: when the plane is told what is asked of rates here, and of which.

Rules
- What is asked is looked at four times an interval. Demand is smoothed; what was not asked for in
  most of an interval has none.
- A rate that is asked of, and of which no share was told, is told of at once, and at every look
  until there is a share. So is one that comes to rest, one whose share was lowered (only then it is
  another's), and one that the plane wants to hear of. One that runs out is told of twice an
  interval, one that is asked of once, one at rest every 20 seconds: the plane takes a minute's
  silence for the end.
- One exchange is under way at a time, and the answer to one that failed is never taken: so what a
  request says is what is gone by, whatever became of those before. Requests have growing numbers.
- A rate that was at rest for a minute, and has drained, is let go: its next call begins with an
  even part. With the plane away, shares stay.
- Where what the plane knows of shares is another (table), it is told all again. That it was all can
  be said once what processes before this one were told has lapsed: that is in the store alone.
- A sidecar that has nothing to tell asks all the same, every interval while it goes by any share,
  since the plane may want it, else every 5 seconds: so it counts among those that share, and knows
  how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from sidecar.domain.limits.rate_shares import (
    LAPSES_US,
    AskedRate,
    RateDemand,
    RateName,
    RateShare,
)
from sidecar.domain.limits.rates import WHOLE_PPM, drain_us
from sidecar.domain.slices import Slices
from sidecar.domain.time.units import MILLISECOND_US, MINUTE_US, SECOND_US
from sidecar.shared.backoff import Backoff
from sidecar.sync.machine.rate_share_actions import (
    ShareAction,
    ShareMove,
    ShareReading,
    ShareRest,
    TakeAsked,
    TellShares,
)
from sidecar.sync.machine.told_rate import ToldRate

RATES_MAX: Final = 20_000
"""Rates that are told of; of one more, what calls go by stays as it is."""
DEMANDS_MAX: Final = 500
"""Rates in one request."""
_LOOKS: Final = 4
_GATHERED_US: Final = 5 * MILLISECOND_US
_KEPT_US: Final = 20 * SECOND_US
_THERE_US: Final = 5 * SECOND_US
_AT_REST_US: Final = MINUTE_US
_LACKING_US: Final = MINUTE_US
_HALF_FULL_PPM: Final = WHOLE_PPM // 2
_DEMAND_PERIOD_US: Final = 1_000 * SECOND_US


class RateShareMachine:
    """Decides what to tell when. Times in microseconds of any clock that only grows.

    `starts`: how often a process of this store began, this one included. `uniform`: randomness.
    """

    def __init__(
        self, *, interval_us: int, starts: int, uniform: Callable[[], float], now_us: int
    ) -> None:
        self.failures = 0
        self._interval_us = interval_us
        self._uniform = uniform
        self._backoff = Backoff(uniform, first_us=interval_us // _LOOKS)
        self._number = starts << 32
        # What processes before this one were told is not known here, until it has lapsed.
        self._knows_all_us = now_us if starts <= 1 else now_us + LAPSES_US
        self._table = ""
        self._untold: dict[bytes, None] = {}
        self._shared: dict[bytes, ToldRate] = {}
        self._in_use: dict[bytes, None] = {}
        self._urgent: dict[bytes, None] = {}
        self._due: dict[bytes, None] = {}
        self._by_name: dict[RateName, bytes] = {}
        self._under_way: list[tuple[bytes, ShareReading]] = []
        self._looked_us = self._next_look_us = now_us
        self._swept_us = now_us
        self._not_before_us = self._asked_us = now_us
        self._is_new = True

    @property
    def rates(self) -> int:
        """How many rates are told of."""
        return len(self._shared)

    @property
    def table(self) -> str:
        """What the plane called what it knows of shares, in its last answer."""
        return self._table

    def first_asked(self, now_us: int) -> None:
        """A rate is asked of that has no share: look soon, and tell it."""
        self._next_look_us = min(self._next_look_us, now_us + _GATHERED_US)

    def connected(self) -> None:
        """The plane can be reached again."""
        self._not_before_us = 0

    def next_action(self, now_us: int) -> ShareAction:
        """What to do now."""
        if now_us >= self._next_look_us:
            return TakeAsked()
        if now_us < self._not_before_us:
            return ShareRest(min(self._next_look_us, self._not_before_us))
        silent_us = self._interval_us if self._shared else max(_THERE_US, self._interval_us)
        if self._urgent or self._due or self._is_new or now_us - self._asked_us >= silent_us:
            return self._tell(now_us)
        return ShareRest(min(self._next_look_us, self._asked_us + silent_us))

    def looked(self, now_us: int, asked: Mapping[bytes, AskedRate]) -> Slices[None]:
        """Take what was asked since the last look, and find out what is to be told."""
        jitter = 0.9 + 0.2 * self._uniform()
        self._next_look_us = now_us + int(self._interval_us // _LOOKS * jitter)
        is_whole = now_us >= self._looked_us + self._interval_us // (2 * _LOOKS)
        for key, more in asked.items():
            shared = self._shared.get(key)
            if shared is None:
                if len(self._shared) >= RATES_MAX:
                    continue
                shared = self._shared[key] = ToldRate(more.name, more.rate, now_us)
                self._by_name[more.name] = key
                self._urgent[key] = None
                shared.demand = self._per_period(more.quantity, shared, self._interval_us // _LOOKS)
            elif not shared.demand and not shared.told_ppm:
                self._urgent[key] = None
                shared.demand = self._per_period(more.quantity, shared, self._interval_us // _LOOKS)
            else:
                shared.pending += more.quantity
            shared.rate = more.rate
            self._in_use[key] = None
            yield
        if is_whole:
            elapsed_us = now_us - self._looked_us
            self._looked_us = now_us
            for key in list(self._in_use):
                self._smooth(key, self._shared[key], elapsed_us, now_us)
                yield
            if now_us - self._swept_us >= self._interval_us:
                self._swept_us = now_us
                for key, shared in list(self._shared.items()):
                    self._keep_at_rest(key, shared, now_us)
                    yield

    def request(
        self, now_us: int, readings: Sequence[tuple[bytes, ShareReading]]
    ) -> tuple[int, list[RateDemand], bool]:
        """What to send: the request's number, the demands, and whether with them all is told."""
        demands = []
        under_way = []
        for key, reading in readings:
            shared = self._shared.get(key)
            if shared is None:
                continue
            self._urgent.pop(key, None)
            self._due.pop(key, None)
            self._untold.pop(key, None)
            fill_ppm = reading.fill_ppm
            if reading.told_ppm == 0:
                fill_ppm = max(fill_ppm, shared.given_fill_ppm)
            shared.told_ppm, shared.fill_ppm = reading.told_ppm, fill_ppm
            shared.told_us = now_us
            demands.append(
                RateDemand(
                    shared.name,
                    shared.demand,
                    reading.told_ppm,
                    fill_ppm,
                    max(1, drain_us(shared.rate)),
                )
            )
            under_way.append((key, reading))
            if reading.is_let_go:
                self._forget(key)
        self._under_way = under_way
        self._number += 1
        self._asked_us, self._is_new = now_us, False
        knows_all = bool(self._table) and now_us >= self._knows_all_us
        return self._number, demands, knows_all and not self._untold

    def answered(
        self, now_us: int, shares: Sequence[RateShare], wanted: Iterable[RateName], table: str
    ) -> list[ShareMove]:
        """Take the answer to the request under way: what is to be gone by from now on."""
        self._backoff.succeeded()
        moves = []
        for (key, reading), share in zip(self._under_way, shares, strict=True):
            shared = self._shared.get(key)
            if shared is None:
                continue
            shared.given_fill_ppm = 0  # the plane has taken what was given up
            if share.share_ppm not in (None, reading.told_ppm):
                moves.append(ShareMove(key, shared.rate, reading.told_ppm, share))
        self._under_way = []
        for name in wanted:
            key_of_name = self._by_name.get(name)
            if key_of_name is not None:
                self._urgent[key_of_name] = None
        if table != self._table:
            self._table = table
            self._untold = dict.fromkeys(self._shared)
            self._due.update(self._untold)
            self._is_new = True
        return moves

    def taken(self, moves: Sequence[ShareMove], fills_ppm: Sequence[int]) -> None:
        """Shares are gone by: one that was lowered is another's once it is told.

        `fills_ppm`: how full their buckets were before. Of no share it can't be told afterwards.
        """
        for move, fill_ppm in zip(moves, fills_ppm, strict=True):
            shared = self._shared.get(move.key)
            if shared is None:
                continue
            shared.told_ppm = move.share.share_ppm
            shared.given_fill_ppm = fill_ppm
            if (move.share.share_ppm or 0) < (move.from_ppm or 0):
                self._urgent[move.key] = None

    def failed(self, now_us: int) -> None:
        """The request under way was not answered: what it said is said again."""
        self.failures += 1
        for key, _ in self._under_way:
            if key in self._shared:
                self._due[key] = self._untold[key] = None
        self._under_way = []
        self._not_before_us = now_us + self._backoff.failed()

    def lacks(self, now_us: int) -> None:
        """The plane shares no rates: it is asked again after a while, since it may be replaced."""
        self._under_way = []
        self._not_before_us = now_us + _LACKING_US

    def left(self) -> None:
        """The store is another incarnation: it was told nothing."""
        for known in (self._shared, self._in_use, self._urgent, self._due, self._untold):
            known.clear()
        self._by_name.clear()
        self._under_way = []

    def _tell(self, now_us: int) -> TellShares:
        keys: dict[bytes, None] = {}
        for waiting in (self._urgent, self._due):
            for key in waiting:
                if len(keys) >= DEMANDS_MAX:
                    break
                keys[key] = None
        rates = [(key, self._shared[key].rate) for key in keys]
        return TellShares(rates, frozenset(key for key in keys if self._is_to_go(key, now_us)))

    def _is_to_go(self, key: bytes, now_us: int) -> bool:
        shared = self._shared[key]
        return not shared.demand and now_us - shared.rests_since_us >= _AT_REST_US

    def _smooth(self, key: bytes, shared: ToldRate, elapsed_us: int, now_us: int) -> None:
        """Take what was asked in a stretch of time into the demand, and see whether to tell it."""
        asked, shared.pending = shared.pending, 0
        had = shared.demand
        if asked:
            shared.quiet_us = 0
            found = self._per_period(asked, shared, elapsed_us)
            is_alike = had // 2 <= found <= had * 2
            shared.demand = (had * 3 + found) // 4 if is_alike else (had + found + 1) // 2
            if not had:
                shared.demand = found
        else:
            shared.quiet_us += elapsed_us
            if shared.quiet_us >= self._interval_us * 3 // 4 - elapsed_us // 2:
                shared.demand = 0
        if not shared.demand:
            del self._in_use[key]
            shared.rests_since_us, shared.quiet_us = now_us, 0
            self._urgent[key] = None
        elif not shared.told_ppm:
            self._urgent[key] = None
        else:
            is_hungry = shared.fill_ppm >= _HALF_FULL_PPM
            due_us = self._interval_us // 2 if is_hungry else self._interval_us
            if now_us - shared.told_us >= due_us - elapsed_us // 2:
                self._due[key] = None

    def _keep_at_rest(self, key: bytes, shared: ToldRate, now_us: int) -> None:
        if not shared.demand and now_us - shared.told_us >= _KEPT_US:
            self._due[key] = None

    def _per_period(self, quantity: int, shared: ToldRate, elapsed_us: int) -> int:
        """A quantity in a stretch of time as a demand: no more than the rate has, and not 0."""
        whole = max(1, shared.rate.count * _DEMAND_PERIOD_US // shared.rate.period_us)
        return max(1, min(whole, quantity * _DEMAND_PERIOD_US // max(1, elapsed_us)))

    def _forget(self, key: bytes) -> None:
        shared = self._shared.pop(key)
        del self._by_name[shared.name]
        for known in (self._in_use, self._urgent, self._due, self._untold):
            known.pop(key, None)
