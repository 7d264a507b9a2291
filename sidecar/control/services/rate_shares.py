"""Shares of rates: which part of each rate a sidecar goes by, so that all of them pass no more.

Held in memory alone: after a start the sidecars say what they go by. What nobody has claimed by
then may be gone by still. So it is not free before all who were heard lately have said all that
they go by, or a minute has passed.

Time passes by at most ten seconds between two requests: a plane that was stopped meanwhile takes
nobody for silent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from sidecar.control.rules.shared_rate import SILENT_US, SharedRate
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.limits.rate_shares import RateDemand, RateName, RateShare
from sidecar.domain.limits.rates import WHOLE_PPM
from sidecar.domain.time.units import MINUTE_US, SECOND_US

LATELY_US: Final = 10 * MINUTE_US
"""Who was not heard for so long before the last that was heard goes by no share any more: it had a
use for none, or was out of reach and counts as silent."""
RATES_MAX: Final = 200_000
"""Rates of which shares are told; of one more, each sidecar goes by an even part."""
SIDECARS_MAX: Final = 4_096
WANTED_MAX: Final = 1_000
"""Rates that a sidecar is asked about at once."""
_GAP_US: Final = 10 * SECOND_US
_SWEPT_AT_ONCE: Final = 2


class Caller(msgspec.Struct, frozen=True):
    """Who asks for shares. `number`: of its request. `complete`: it has said all to `table`."""

    incarnation: str
    number: int
    table: str
    complete: bool


def sharers_lately(store: PlaneStore) -> list[str]:
    """Incarnations that may go by shares still, as far as is known at a start."""
    with store.read() as transaction:
        return transaction.heard_lately(LATELY_US)


class _Sidecar:
    """One that shares rates. `wanted`: what it is to be asked about."""

    __slots__ = ("heard_us", "number", "wanted")

    def __init__(self) -> None:
        self.number = -1
        self.heard_us = 0
        self.wanted: dict[RateName, None] = {}


class RateShares:
    """All shares that a plane tells. `table`: its identity, another after each start.

    `moved`: how often a share was told that differs from what its holder went by.

    For the event loop alone.
    """

    def __init__(self, table: str, now_us: int) -> None:
        self.table = table
        self.moved = 0
        self._expected: set[str] = set()
        self._known_before = 0
        self._rates: OrderedDict[RateName, SharedRate] = OrderedDict()
        self._sidecars: OrderedDict[str, _Sidecar] = OrderedDict()
        self._seen_us = now_us
        self._now_us = 0

    def expect(self, incarnations: Collection[str]) -> None:
        """Say, at a start, which incarnations may go by shares of a table before."""
        self._expected = set(incarnations)
        self._known_before = len(self._expected)

    @property
    def rates(self) -> int:
        """How many rates are shared."""
        return len(self._rates)

    @property
    def sidecars(self) -> int:
        """How many sidecars share rates, as far as is known."""
        known_before = 0 if self.is_settled else self._known_before
        return max(1, known_before, len(self._sidecars))

    @property
    def is_settled(self) -> bool:
        """Whether all that sidecars went by before the start is known, or over."""
        return not self._expected or self._now_us >= SILENT_US

    def greet(self, caller: Caller, now_us: int) -> bool:
        """Hear of a sidecar; False where what it says is not to be taken.

        A later request of it has overtaken this one, or it was said to a table before this one: it
        may have been on its way since, and things may be otherwise by now.
        """
        self._now_us += min(_GAP_US, max(0, now_us - self._seen_us))
        self._seen_us = now_us
        sidecar = self._sidecars.get(caller.incarnation)
        if sidecar is None:
            sidecar = self._sidecars[caller.incarnation] = _Sidecar()
        if caller.number <= sidecar.number:
            return False
        sidecar.number, sidecar.heard_us = caller.number, self._now_us
        self._sidecars.move_to_end(caller.incarnation)
        self._forget_silent()
        return caller.table == self.table

    def complete(self, caller: Caller) -> None:
        """Take note that a sidecar has said all that it goes by, if it says so."""
        if caller.complete:
            self._expected.discard(caller.incarnation)

    def share(self, caller: Caller, demands: Iterable[RateDemand]) -> list[RateShare]:
        """Take what a sidecar says of rates, and say which shares it is told.

        None where a later request of it has come meanwhile.
        """
        if self._sidecars[caller.incarnation].number != caller.number:
            return [RateShare() for _ in demands]
        return [self._share(caller.incarnation, said) for said in demands]

    def take_wanted(self, incarnation: str) -> Sequence[RateName]:
        """The rates that a sidecar is to be asked about."""
        sidecar = self._sidecars[incarnation]
        wanted, sidecar.wanted = list(sidecar.wanted), {}
        return wanted

    def _share(self, incarnation: str, said: RateDemand) -> RateShare:
        now_us = self._now_us
        rate = self._rates.get(said.rate)
        if rate is None:
            self._sweep()
            if len(self._rates) >= RATES_MAX or (said.share_ppm is None and not said.demand):
                return RateShare()
            unclaimed_ppm = 0 if self.is_settled else WHOLE_PPM
            rate = self._rates[said.rate] = SharedRate(unclaimed_ppm, now_us)
        self._rates.move_to_end(said.rate)
        if self.is_settled:
            rate.unclaimed_ppm = 0
        rate.go_on(now_us)
        holder = rate.hear(incarnation, said, now_us)
        if said.share_ppm is None and not said.demand:
            rate.leave(incarnation)
            return RateShare()
        share = rate.tell(holder, said)
        self.moved += share.share_ppm is not None
        if holder.demand:
            self._want(said.rate, rate)
        return share

    def _want(self, name: RateName, rate: SharedRate) -> None:
        """Have those be asked who hold at rest what others want."""
        if rate.active == len(rate.holders):
            return
        for incarnation, holder in rate.holders.items():
            sidecar = self._sidecars.get(incarnation)
            if sidecar is None or len(sidecar.wanted) >= WANTED_MAX:
                continue
            if rate.is_wanted(holder):
                sidecar.wanted[name] = None

    def _forget_silent(self) -> None:
        while len(self._sidecars) > 1:
            incarnation, sidecar = next(iter(self._sidecars.items()))
            is_silent = self._now_us - sidecar.heard_us >= SILENT_US
            if not is_silent and len(self._sidecars) <= SIDECARS_MAX:
                return
            del self._sidecars[incarnation]

    def _sweep(self) -> None:
        """Forget rates that nobody shares any more, those first that were asked of longest ago."""
        for _ in range(min(_SWEPT_AT_ONCE, len(self._rates))):
            name = next(iter(self._rates))
            if self._rates[name].is_over(self._now_us):
                del self._rates[name]
            else:
                self._rates.move_to_end(name)
