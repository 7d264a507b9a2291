"""The lease machine through any sequence of events: who waits, what is under way, and obeyed."""

from __future__ import annotations

from itertools import count
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.domain.leases.model import LeaseNeed, LeaseRequest, LeaseResult, LeaseStatus
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import MILLISECOND_US
from sidecar.sync.machine.held_leases import LeasePace
from sidecar.sync.machine.lease_actions import AskLeases, ReportLeases, Rest
from sidecar.sync.machine.lease_asks import ASKS_MAX
from sidecar.sync.machine.leasing import LeaseMachine
from tests.support.lease_machine import DAY, EPOCH, named

COUNTERS: Final = tuple(named(number) for number in range(4))
counters = st.sampled_from(COUNTERS)
ROUNDS: Final = 400
"""In which all that waits has to be through, once the plane grants."""


class MachineRules(RuleBasedStateMachine):
    """A machine, and what may be said of it by whoever only sees events and actions."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = LeaseMachine(LeasePace(), lambda: 0.5, epoch=EPOCH, in_use=True)
        self.now_us = 1_000_000_000
        self.under_way: dict[int, tuple[AskLeases, list[LeaseRequest]]] = {}
        self.waiting: dict[int, LeaseNeed] = {}
        self.recalled: set[CounterName] = set()
        self.held: dict[CounterName, int] = {}
        self.used: dict[CounterName, int] = {}
        self.reporting = ""
        self.numbers = count(1)

    @rule(counter=counters, quantity=st.integers(1, 20), patience_ms=st.integers(1, 2_000))
    def need(self, counter: CounterName, quantity: int, patience_ms: int) -> None:
        need = LeaseNeed(counter, quantity)
        until_us = self.now_us + patience_ms * MILLISECOND_US
        number = self.machine.needed(self.now_us, need, until_us)
        if number is not None:
            assert number not in self.waiting
            self.waiting[number] = need

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[number]
        self.machine.gave_up(number)

    @rule(counter=counters)
    def mark(self, counter: CounterName) -> None:
        self.machine.due(self.now_us, [counter])

    @rule(counter=counters)
    def recall(self, counter: CounterName) -> None:
        self.machine.give_back(self.now_us, [counter])
        self.recalled.add(counter)

    @rule(counter=counters, quantity=st.integers(0, 30))
    def spend(self, counter: CounterName, quantity: int) -> None:
        used = self.used.get(counter, 0)
        self.used[counter] = max(used, min(self.held.get(counter, 0), used + quantity))

    @rule(passed_ms=st.sampled_from([1, 5, 30, 200, 2_000, 400_000]))
    def pass_time(self, passed_ms: int) -> None:
        self.now_us += passed_ms * MILLISECOND_US

    @rule()
    def act(self) -> None:
        action = self.machine.next_action(self.now_us)
        if isinstance(action, Rest):
            assert action.until_us > self.now_us
        elif isinstance(action, ReportLeases):
            assert not self.under_way, "an answer may still add to what is held"
            assert not self.reporting
            self.reporting = action.epoch
        else:
            self.begin(action)

    def begin(self, ask: AskLeases) -> None:
        assert not self.reporting
        asked = [wish.counter for wish in ask.wishes]
        busy = {wish.counter for other, _ in self.under_way.values() for wish in other.wishes}
        assert len(set(asked)) == len(asked)
        assert not busy.intersection(asked), "a counter in two exchanges at a time"
        requests = []
        for wish in ask.wishes:
            if wish.counter in self.recalled:
                assert wish.gives_back, "a recall is not obeyed in the next message"
                self.recalled.remove(wish.counter)
            used = self.used.get(wish.counter, 0)
            if wish.gives_back:
                self.held[wish.counter] = used
            held = max(self.held.get(wish.counter, 0), used)
            assert 0 <= wish.need <= max(wish.want, wish.need)
            requests.append(
                LeaseRequest(wish.counter, next(self.numbers), held, used, wish.need, wish.want)
            )
        self.machine.asked(self.now_us, requests)
        self.under_way[ask.number] = (ask, requests)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.under_way)))
        statuses = st.sampled_from(list(LeaseStatus))
        self.answered(number, [data.draw(statuses) for _ in self.under_way[number][1]])

    def answered(self, number: int, statuses: list[LeaseStatus]) -> None:
        ask, requests = self.under_way.pop(number)
        results = [
            LeaseResult(
                request.number,
                status,
                max(request.held, request.used + request.want),
                DAY.end_us,
                amount=1_000,
            )
            for request, status in zip(requests, statuses, strict=True)
        ]
        outcome = self.machine.answered(self.now_us, requests, results)
        taken = [counter for counter, _, _ in outcome.take]
        assert taken == [
            request.counter
            for request, status in zip(requests, statuses, strict=True)
            if status is LeaseStatus.GRANTED
        ]
        for counter, result, _ in outcome.take:
            self.held[counter] = result.granted
        for counter in outcome.drop:
            self.held[counter] = self.used.get(counter, 0)
        about = {request.counter for request in requests}
        for ended in self.machine.taken(self.now_us, ask, requests, results):
            assert self.waiting.pop(ended).counter in about

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        ask, _ = self.under_way.pop(data.draw(st.sampled_from(sorted(self.under_way))))
        self.recalled -= {wish.counter for wish in ask.wishes}
        for ended in self.machine.failed(self.now_us, ask):
            del self.waiting[ended]

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def lose_epoch(self, data: st.DataObject) -> None:
        ask, _ = self.under_way.pop(data.draw(st.sampled_from(sorted(self.under_way))))
        self.machine.epoch_lost(self.now_us, ask)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ask, _ = self.under_way.pop(data.draw(st.sampled_from(sorted(self.under_way))))
        self.recalled -= {wish.counter for wish in ask.wishes}
        self.machine.left(self.now_us, ask)

    @rule(epoch=st.sampled_from([EPOCH, "epoch-2"]), is_fenced=st.booleans())
    def greet(self, epoch: str, is_fenced: bool = False) -> None:
        for ended in self.machine.greeted(
            self.now_us, epoch, grants_leases=True, is_fenced=is_fenced
        ):
            del self.waiting[ended]

    @rule()
    def lose_contact(self) -> None:
        for ended in self.machine.plane_away(self.now_us):
            del self.waiting[ended]

    @precondition(lambda self: self.reporting)
    @rule(well=st.booleans())
    def report(self, well: bool) -> None:
        epoch, self.reporting = self.reporting, ""
        if well:
            self.machine.reported(self.now_us, epoch)
        else:
            self.machine.report_failed(self.now_us)

    @invariant()
    def no_more_is_under_way_than_may_be(self) -> None:
        assert len(self.under_way) <= ASKS_MAX

    def teardown(self) -> None:
        """Once the plane grants all that is wanted, nobody waits for ever."""
        self.machine.connected()
        self.greet(self.machine.reports.epoch)
        for _ in range(ROUNDS):
            if not self.waiting and not self.recalled:
                return
            if self.reporting:
                self.report(well=True)
            for number in sorted(self.under_way):
                granted = [LeaseStatus.GRANTED] * len(self.under_way[number][1])
                self.answered(number, granted)
            self.now_us += 10 * MILLISECOND_US
            self.act()
        assert not self.waiting, f"somebody waits after {ROUNDS} rounds"
        assert not self.recalled, "a recall was forgotten"


TestMachine = MachineRules.TestCase
