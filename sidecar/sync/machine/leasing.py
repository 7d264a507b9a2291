"""The lease machine: asks the plane for leases, refills them, and gives them back.

Rules
- A counter is in one exchange at a time. What calls wait for goes at once, or behind what is under
  way (`lease_asks.py`); what nobody waits for gathers for a few milliseconds.
- A message carries as many counters as there are, up to 250; of those that calls wait for one of
  each company in turn. Of calls that wait for the same counter the smallest is what is needed, what
  all of them want is wanted: so none is kept out by a larger one, and where there is enough one
  answer does for all.
- Calls go on once what was granted is on disk (`taken`). Where others hold what is needed they wait
  and it is asked again, as long as they have patience; where the plane does not answer they do not
  wait, and neither do others for half a second.
- A call that waits though its lease seems to have enough cannot spend it: it is over, or the limit
  was lowered. It is given back, and asked for anew, in the same request.
- A recall is obeyed in the next message, for all that is not used; what is recalled is asked for
  again only when a call needs it. So are leases that were idle for long, or are too many.
- Where the plane's state is another (epoch), nothing is asked until all that is held was reported
  (`lease_reports.py`); and that begins once no exchange is under way whose answer might add to it.
- Who is refused may be fenced, which a greeting tells: calls wait for that, and if it is so, for a
  lease of the next incarnation.
- What became of a request that was not answered is not known, and need not be: the next one says
  what is held. What nobody waits for is asked for again after a back-off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from sidecar.domain.leases.model import (
    HAS_TOO_LITTLE,
    REFUSALS,
    WITHOUT_LEASE,
    LeaseEntry,
    LeaseNeed,
    LeaseRequest,
    LeaseResult,
    LeaseStatus,
    LeaseWish,
)
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import MILLISECOND_US, SECOND_US
from sidecar.shared.backoff import Backoff
from sidecar.sync.machine.held_leases import HeldLeases, LeasePace, Looked
from sidecar.sync.machine.lease_actions import (
    AskLeases,
    LeaseAction,
    LeaseOutcome,
    ReportLeases,
    Rest,
    refusal_of,
    retry_after_us,
)
from sidecar.sync.machine.lease_asks import ASKS_MAX, LeaseAsks
from sidecar.sync.machine.lease_reports import LeaseReports
from sidecar.sync.machine.lease_waits import LeaseWaits

REQUESTS_MAX: Final = 250
"""Counters in one message: as many as the plane answers at once, so that no exchange lasts long."""
_WISHES_MAX: Final = 100_000
"""Counters to be asked about, or given back, though no call waits: marks beyond are made again."""
_GATHERED_US: Final = 5 * MILLISECOND_US
_REST_US: Final = SECOND_US // 2
_RETRY_US: Final = 20 * MILLISECOND_US


class LeaseMachine:
    """Decides what to ask for when. Times in microseconds of any clock that only grows.

    `reports`: whether the plane knows all that is held, by its epoch. `in_use`: whether it grants
    leases. `uniform`: randomness for the back-off.
    """

    def __init__(
        self, pace: LeasePace, uniform: Callable[[], float], *, epoch: str, in_use: bool
    ) -> None:
        self.held = HeldLeases(pace)
        self.reports = LeaseReports(epoch, is_stranger=in_use and not epoch)
        self.in_use = in_use
        self._waits = LeaseWaits()
        self._backoff = Backoff(uniform)
        self._wishes: dict[CounterName, LeaseWish] = {}
        self._asks = LeaseAsks()
        self._calls_rest_us = self._rest_us = 0
        self._gathering_since_us = 0

    def greeted(
        self, now_us: int, epoch: str, *, grants_leases: bool, is_fenced: bool = False
    ) -> Sequence[int]:
        """The plane has said who it is, and whether this incarnation is over; waits in vain."""
        self.in_use = grants_leases
        self.reports.greeted(epoch)
        if not grants_leases:
            self._wishes.clear()
            return self._waits.end_all(but=lambda _: False)
        if is_fenced:
            self._waits.again_refused(now_us + _RETRY_US)
        return self._waits.end_refused()

    def needed(self, now_us: int, need: LeaseNeed, until_us: int) -> int | None:
        """A call waits, until an instant at most; the wait's number, `None` where in vain."""
        if not self.in_use or now_us < self._calls_rest_us or until_us <= now_us:
            return None
        wait = self._waits.add(need, until_us, is_asked=need.counter in self._asks)
        not_before_us = self.held.not_before_us(need)
        if not_before_us > now_us:
            self._waits.put_off(need.counter, not_before_us)
        return wait

    def gave_up(self, wait: int) -> None:
        """A call waits no longer."""
        self._waits.end(wait)

    def takes_due(self, now_us: int) -> bool:
        """Whether refills that are due would be asked for: else they may stay where they are."""
        return self.in_use and now_us >= self._rest_us and self.reports.knows_plane

    def due(self, now_us: int, counters: Iterable[CounterName]) -> None:
        """Leases are half spent: get more before a call waits."""
        for counter in counters:
            if (
                counter not in self._wishes
                and counter not in self._asks
                and self.held.may_refill(now_us, counter)
            ):
                self._wish(now_us, self.held.wish(counter, (), gives_back=False))

    def give_back(self, now_us: int, counters: Iterable[CounterName]) -> None:
        """The plane asks for leases back, or what windows that are over have left is carried on."""
        for counter in counters:
            self._wish(now_us, LeaseWish(counter, gives_back=True))

    def looked(self, now_us: int, at_us: int, entries: Sequence[LeaseEntry]) -> Looked:
        """What the store holds, for what is to be looked up of it. `at_us`: the time gone by."""
        quiet = (entry for entry in entries if entry.counter not in self._asks)
        looked = self.held.looked(now_us, at_us, quiet)
        for wish in (*looked.wishes, *self.held.beyond()):
            self._wish(now_us, wish)
        return looked

    def opens_soon(self, now_us: int, counter: CounterName, before: CounterName) -> None:
        """The window after the one of a counter is near: have its lease before it opens."""
        self._wish(now_us, self.held.begins_with(counter, before, now_us))

    def next_action(self, now_us: int) -> LeaseAction:
        """What to do now."""
        if not self.in_use or self.reports.keeps_waiting:
            return Rest(now_us + SECOND_US)
        to_report = self.reports.to_report
        if to_report is not None:
            if self._asks or now_us < self._rest_us:
                return Rest(max(now_us + _RETRY_US, self._rest_us))
            self.reports.begun()
            return ReportLeases(to_report)
        from_us = self._asks.awaited_from_us()
        if from_us is not None and from_us <= now_us:
            awaited = self._waits.take_ready(now_us, REQUESTS_MAX)
            if awaited:
                return self._ask(now_us, awaited, serves_calls=True)
        return self._unawaited(now_us)

    def asked(self, now_us: int, requests: Sequence[LeaseRequest]) -> None:
        """The requests have their numbers, and are sent."""
        for request in requests:
            self.held.asked(now_us, request)

    def answered(
        self, now_us: int, requests: Sequence[LeaseRequest], results: Sequence[LeaseResult]
    ) -> LeaseOutcome:
        """The plane has answered an exchange, each request in its place."""
        self._backoff.succeeded()
        self._calls_rest_us = self._rest_us = 0
        take, drop, refusals = [], [], []
        hurry = False
        for request, result in zip(requests, results, strict=True):
            counter, status = request.counter, result.status
            if status is LeaseStatus.GRANTED:
                refill_at = self.held.granted(now_us, request, result)
                take.append((counter, result, refill_at))
            elif status in WITHOUT_LEASE:
                self.held.forget(counter)
                drop.append(counter)
            else:
                self.held.not_granted(now_us, counter)
            refusal = refusal_of(now_us, request, result)
            if refusal is not None:
                refusals.append(refusal)
            hurry |= status is LeaseStatus.BEHIND
        return LeaseOutcome(take, drop, refusals, hurry)

    def taken(
        self,
        now_us: int,
        ask: AskLeases,
        requests: Sequence[LeaseRequest],
        results: Sequence[LeaseResult],
    ) -> list[int]:
        """What was answered is on disk: the exchange is over. Waits that are over."""
        self._asks.end(now_us, ask)
        ended: list[int] = []
        for request, result in zip(requests, results, strict=True):
            ended += self._waits_ended(now_us, request, result)
        return ended

    def failed(self, now_us: int, ask: AskLeases) -> list[int]:
        """An exchange has failed; waits that are in vain."""
        self._asks.end(now_us, ask)
        self._backs_off(now_us)
        for wish in ask.wishes:
            if not wish.need and wish.counter not in self._wishes:
                self._wish(now_us, wish)
        return self._waits.end_all(but=lambda counter: counter in self._asks)

    def epoch_lost(self, now_us: int, ask: AskLeases) -> None:
        """The plane's state is not the one that was known: it is to be greeted first."""
        self.left(now_us, ask)
        self._backs_off(now_us)
        self._calls_rest_us = 0
        self.reports.epoch_lost()

    def left(self, now_us: int, ask: AskLeases) -> None:
        """An exchange is over with the incarnation that it was of: calls need one of the next."""
        self._asks.end(now_us, ask)
        for wish in ask.wishes:
            self._waits.again(wish.counter)

    def reported(self, now_us: int, epoch: str) -> None:
        """All that the store holds was reported under an epoch."""
        self.reports.ended(epoch)
        self._backoff.succeeded()
        self._rest_us = 0

    def report_failed(self, now_us: int) -> None:
        """It was not, or not all of it."""
        self.reports.ended(None)
        self._backs_off(now_us)
        self._calls_rest_us = 0

    def plane_away(self, now_us: int) -> list[int]:
        """The plane cannot be greeted; waits that are in vain, where it has to be first."""
        if not self.in_use or self.reports.knows_plane:
            return self._waits.end_refused()
        self._calls_rest_us = now_us + _REST_US
        return self._waits.end_all(but=lambda counter: counter in self._asks)

    def connected(self) -> None:
        """The plane can be reached again: there is no more reason to wait."""
        self._calls_rest_us = self._rest_us = 0

    def _wish(self, now_us: int, wish: LeaseWish) -> None:
        before = self._wishes.get(wish.counter)
        if before is None:
            if len(self._wishes) >= _WISHES_MAX:
                return
        elif before.gives_back and not wish.gives_back:
            return  # it is asked for again when a call needs it
        if not self._wishes:
            self._gathering_since_us = now_us
        self._wishes[wish.counter] = wish

    def _unawaited(self, now_us: int) -> LeaseAction:
        """What nobody waits for, once it has gathered."""
        until_us = self._until_us(now_us)
        if not self._wishes or not self._asks.has_room_for_unawaited():
            return Rest(until_us)
        ripe_us = max(self._rest_us, self._gathering_since_us + _GATHERED_US)
        if now_us < ripe_us:
            return Rest(min(until_us, ripe_us))
        looked_at = islice(self._wishes, (1 + ASKS_MAX) * REQUESTS_MAX)
        counters = [counter for counter in looked_at if counter not in self._asks]
        if not counters:
            return Rest(until_us)
        return self._ask(now_us, counters[:REQUESTS_MAX], serves_calls=False)

    def _until_us(self, now_us: int) -> int:
        """Until when nothing can be asked for that calls wait for."""
        until_us = now_us + SECOND_US
        if self._waits.any_ready(now_us):
            until_us = min(until_us, self._asks.awaited_from_us() or until_us)
        return min(until_us, self._waits.next_us() or until_us)

    def _ask(
        self, now_us: int, counters: Sequence[CounterName], *, serves_calls: bool
    ) -> AskLeases:
        wishes = []
        for counter in counters:
            wish = self._wishes.pop(counter, None)
            needs = self._waits.quantities(counter)
            if needs:
                unspendable = self.held.left(counter) >= min(needs)
                gives_back = unspendable or (wish is not None and wish.gives_back)
                wish = self.held.wish(counter, needs, gives_back=gives_back)
                self._waits.asked(counter)
            assert wish is not None, "nobody wishes for it"
            wishes.append(wish)
        return self._asks.begin(now_us, self.reports.epoch, wishes, serves_calls=serves_calls)

    def _backs_off(self, now_us: int) -> None:
        self._rest_us = now_us + self._backoff.failed()
        self._calls_rest_us = now_us + _REST_US

    def _waits_ended(self, now_us: int, request: LeaseRequest, result: LeaseResult) -> list[int]:
        """The waits that an answer ends; for the others it is asked again."""
        waits, counter, status = self._waits, request.counter, result.status
        if counter not in waits:
            return []
        if status is LeaseStatus.GRANTED:
            left = result.granted - request.used
            ended = waits.end_of(counter, lambda quantity, _: quantity <= left)
            waits.again(counter)
            return ended
        if status in HAS_TOO_LITTLE and request.need:
            ended = waits.end_of(counter, lambda quantity, _: quantity >= request.need)
            waits.again(counter)
            return ended
        if status in REFUSALS:
            waits.refused(counter)
            return []
        if status in WITHOUT_LEASE:
            return waits.end_of(counter)
        again_us = now_us + retry_after_us(result, _RETRY_US)
        ended = waits.end_of(counter, lambda _, until_us: until_us <= again_us)
        waits.again(counter, again_us)
        return ended
