"""Leases: what the lease machine says, carried out on virtual time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.errors import FieldError
from sidecar.domain.leases.model import (
    REFUSALS,
    LeaseEntry,
    LeaseNeed,
    LeaseRequest,
    LeaseResult,
    LeaseStatus,
)
from sidecar.domain.limits.counters import CounterName, is_level
from sidecar.domain.slices import pages
from sidecar.domain.time.units import SECOND_US
from sidecar.shared.convert.leases import (
    held_lease_to_message,
    lease_numbers_to_messages,
    lease_request_to_message,
    lease_result_from_message,
)
from sidecar.storage.lease_entry import counter_key_of
from sidecar.storage.lease_terms import LeaseTerms, read_lease_terms, write_lease_terms
from sidecar.storage.leases import LEASES_AT_ONCE, Leases
from sidecar.sync.machine.lease_actions import AskLeases, ReportLeases, Rest
from sidecar.sync.machine.leasing import LeaseMachine
from sidecar.sync.next_windows import carries_on, next_counter
from tests.simulation.leases.alarm import Alarm

if TYPE_CHECKING:
    from tests.simulation.leases.sidecars import Process

LOOK_US: Final = 2 * SECOND_US
Again = Callable[[bool], None]
"""Told whether something was granted."""


class Leasing:
    """Gets leases for a process, and gives them back."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._leases = Leases(process.store)
        self._kept = read_lease_terms(process.store)
        process.status.leases = self._kept.in_use
        self._machine = LeaseMachine(
            process.world.pace,
            process.pod.random.random,
            epoch=self._kept.epoch,
            in_use=self._kept.in_use,
        )
        self._book = process.status.lease_book
        self._book.on_due = lambda: process.after(0, self.wake)
        self._waits: dict[int, _Waiting] = {}
        self._alarm = Alarm(process, self.wake)
        self._draining = False

    def begin(self) -> None:
        """Look at what the store holds, now and then."""
        self._look()

    def greeted(self, epoch: str, *, grants_leases: bool, is_fenced: bool) -> None:
        """The plane has said who it is, and whether this incarnation is over."""
        process = self._process
        waits = self._machine.greeted(
            process.ticks_us, epoch, grants_leases=grants_leases, is_fenced=is_fenced
        )
        self._end(waits)
        self.wake()

    def plane_away(self) -> None:
        """The plane cannot be greeted."""
        self._end(self._machine.plane_away(self._process.ticks_us))

    def leave(self) -> None:
        """The store is about to leave its incarnation, of which nobody else spends anything."""
        self._machine.reports.leave()
        self._keep_terms()
        after = self._leases.lower(b"")
        while after:
            after = self._leases.lower(after)

    def incarnation_left(self) -> None:
        """The store goes on under another incarnation, which has no leases."""
        self._machine.held.clear()
        self._machine.reports.left()
        self.wake()

    def recalled(self, counters: Sequence[CounterName]) -> None:
        """The plane asks for leases back."""
        self._machine.give_back(self._process.ticks_us, counters)
        self.wake()

    def fetch(self, needs: Collection[LeaseNeed], until_us: int, again: Again) -> None:
        """Get what a call needs, within its patience."""
        process, now_us = self._process, self._process.ticks_us
        waiting = _Waiting(again)
        for need in needs:
            number = self._machine.needed(now_us, need, until_us)
            if number is not None:
                waiting.waits[number] = need.counter
                self._waits[number] = waiting
        if not waiting.waits:
            again(False)
            return
        process.after(max(0, until_us - now_us), lambda: self._give_up(waiting))
        self.wake()

    def drain(self) -> None:
        """Give everything back."""
        self._draining = True
        entries = self.entries()
        own = self._process.store.incarnation.id
        held = [each.counter for each in entries if each.incarnation == own]
        self.recalled(held)

    def wake(self) -> None:
        """See what is to be done now."""
        process, machine = self._process, self._machine
        self._keep_terms()
        now_us = process.ticks_us
        if machine.takes_due(now_us) and not self._draining:
            machine.due(now_us, self._book.take_due())
        while True:
            action = machine.next_action(now_us)
            if isinstance(action, Rest):
                # Until the next look, where nothing is under way.
                if self._waits or action.until_us != now_us + SECOND_US:
                    self._alarm.set(action.until_us)
                return
            if isinstance(action, ReportLeases):
                self._report(action.epoch, self.entries())
            else:
                self._ask(action)

    def _keep_terms(self) -> None:
        """Have the disk know on what terms leases are used, and only then use them."""
        terms = LeaseTerms(self._machine.in_use, self._machine.reports.epoch)
        if terms != self._kept:
            write_lease_terms(self._process.store, terms)
            self._kept = terms
        self._process.status.leases = terms.in_use

    def _ask(self, ask: AskLeases) -> None:
        process = self._process
        incarnation = process.store.incarnation.id
        requests: list[LeaseRequest] = []
        for wishes in pages(ask.wishes, LEASES_AT_ONCE):
            requests += self._leases.request(wishes)
        self._machine.asked(process.ticks_us, requests)
        message = sync_pb2.RequestLeasesRequest(
            incarnation=incarnation,
            epoch=ask.epoch,
            requests=map(lease_request_to_message, requests),
        )

        def answered(answer: Any) -> None:
            if process.store.incarnation.id == incarnation:
                self._answered(incarnation, ask, requests, answer)
            else:
                self._machine.left(process.ticks_us, ask)
                self.wake()

        process.ask(
            "RequestLeases",
            message,
            answered,
            lambda answer: self._late(incarnation, ask.epoch, requests, answer),
        )

    def _answered(
        self, incarnation: str, ask: AskLeases, requests: list[LeaseRequest], answer: Any
    ) -> None:
        process, machine, now_us = self._process, self._machine, self._process.ticks_us
        if not isinstance(answer, sync_pb2.RequestLeasesResponse):
            if isinstance(answer, FieldError) and answer.reason == "EPOCH_CHANGED":
                machine.epoch_lost(now_us, ask)
                process.pushing.plane_was_away()
            else:
                self._end(machine.failed(now_us, ask))
            self.wake()
            return
        results = _results(answer, requests)
        outcome = machine.answered(now_us, requests, results)
        for some in pages(outcome.take, LEASES_AT_ONCE):
            self._leases.take(incarnation, some)
        for counter in outcome.drop:
            self._leases.drop(counter)
        for request, result in zip(requests, results, strict=True):
            if result.status is LeaseStatus.GRANTED:
                self._book.note_exact(request.counter.company, result.exact)
        for refusal in outcome.refusals:
            ahead_us = process.now_us - now_us
            key = counter_key_of(refusal.counter)
            until_us = refusal.until_us + ahead_us
            self._book.note(key, refusal.status, until_us, refusal.quantity)
        if outcome.hurry:
            process.pushing.hurry()
        if any(result.status in REFUSALS for result in results):
            process.pushing.plane_was_away()  # it may have fenced this incarnation
        granted = frozenset(counter for counter, _, _ in outcome.take)
        self._end(machine.taken(now_us, ask, requests, results), granted)
        self.wake()

    def _late(
        self, incarnation: str, epoch: str, requests: list[LeaseRequest], answer: Any
    ) -> None:
        """An answer that nobody waits for any more: the store has to know it for one.

        A call that was given up is answered no more once something else was reported.
        """
        if epoch != self._machine.reports.epoch:
            return
        counters = [request.counter for request in requests]
        answered = [
            (counter, result, result.granted)
            for counter, result in zip(counters, _results(answer, requests), strict=True)
        ]
        for some in pages(answered, LEASES_AT_ONCE):
            self._leases.take(incarnation, some)

    def _report(self, epoch: str, entries: Sequence[LeaseEntry]) -> None:
        process = self._process
        message = sync_pb2.ReportLeasesRequest(
            incarnation=process.store.incarnation.id,
            epoch=epoch,
            leases=map(held_lease_to_message, entries),
            complete=True,
            numbers=lease_numbers_to_messages(self._leases.numbers()),
        )

        def reported(answer: Any) -> None:
            now_us = process.ticks_us
            if isinstance(answer, sync_pb2.ReportLeasesResponse):
                self._machine.reported(now_us, epoch)
            else:
                self._machine.report_failed(now_us)
                if isinstance(answer, FieldError):
                    process.pushing.plane_was_away()
            self.wake()

        process.ask("ReportLeases", message, reported)

    def entries(self) -> list[LeaseEntry]:
        """The leases that the disk has, those of before included."""
        found: list[LeaseEntry] = []
        after, more = b"", True
        while more:
            entries, after = self._leases.page(after, LEASES_AT_ONCE)
            found += entries
            more = bool(after)
        return found

    def _look(self) -> None:
        process, machine = self._process, self._machine
        own = process.store.incarnation.id
        entries = [entry for entry in self.entries() if entry.incarnation == own]
        now_us = process.ticks_us
        looked = machine.looked(now_us, process.now_us, entries)
        over = (one for one in looked.over if carries_on(process.directory, one, process.now_us))
        machine.give_back(now_us, over)
        for before in looked.near:
            following = next_counter(process.directory, before, process.now_us)
            if following is not None and not self._draining:
                machine.opens_soon(now_us, following, before)
        self.wake()
        process.after(LOOK_US, self._look)

    def _give_up(self, waiting: _Waiting) -> None:
        """A call's patience is over."""
        for number in tuple(waiting.waits):
            self._machine.gave_up(number)
        self._end(tuple(waiting.waits))

    def _end(self, ended: Sequence[int], granted: Collection[CounterName] = ()) -> None:
        """Waits are over; of which counters something was granted."""
        for number in ended:
            waiting = self._waits.pop(number, None)
            if waiting is not None:
                waiting.is_granted |= waiting.waits.pop(number) in granted
                if not waiting.waits:
                    waiting.again(waiting.is_granted)


class _Waiting:
    """A call that waits, by the numbers of its waits: it goes on once none of them is left."""

    def __init__(self, again: Again) -> None:
        self.waits: dict[int, CounterName] = {}
        self.again = again
        self.is_granted = False


def _results(
    answer: sync_pb2.RequestLeasesResponse, requests: Sequence[LeaseRequest]
) -> list[LeaseResult]:
    return [
        lease_result_from_message(result, "results", falls=is_level(request.counter.counter.slot))
        for request, result in zip(requests, answer.results, strict=True)
    ]
