"""A lease machine with a clock, and what store and plane would say to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.domain.leases.model import (
    LeaseEntry,
    LeaseNeed,
    LeaseRequest,
    LeaseResult,
    LeaseStatus,
)
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.time.units import DAY_US, MILLISECOND_US, SECOND_US
from sidecar.domain.time.windows import Window
from sidecar.sync.machine.held_leases import LeasePace
from sidecar.sync.machine.lease_actions import AskLeases, LeaseRefusal, ReportLeases, Rest
from sidecar.sync.machine.leasing import LeaseMachine
from tests.support.build import NOW_US

T: Final = 1_000_000_000
"""Some instant of the machine's clock."""
GATHERED_US: Final = 10 * MILLISECOND_US
PATIENCE_US: Final = SECOND_US
DAY: Final = Window(NOW_US - NOW_US % DAY_US, NOW_US - NOW_US % DAY_US + DAY_US)
EPOCH: Final = "epoch-1"


def named(number: int = 1, window: Window = DAY, company: str = "acme") -> CounterName:
    return CounterName(
        company, "calls", CounterRef("DAY/1/CALENDAR|user|", (f"u{number}",), window)
    )


A: Final = named(1)


class MachineBench:
    """A machine, a clock, and numbers for requests; held and used as the store would have them."""

    def __init__(self, pace: LeasePace | None = None, epoch: str = EPOCH) -> None:
        self.machine = LeaseMachine(pace or LeasePace(), lambda: 0.5, epoch=epoch, in_use=True)
        self.now_us = T
        self.held: dict[CounterName, int] = {}
        self.used: dict[CounterName, int] = {}
        self._number = 0

    def need(self, quantity: int = 1, counter: CounterName = A) -> int:
        number = self.machine.needed(
            self.now_us, LeaseNeed(counter, quantity), self.now_us + PATIENCE_US
        )
        assert number is not None
        return number

    def next(self) -> AskLeases | ReportLeases | Rest:
        return self.machine.next_action(self.now_us)

    def ask(self) -> AskLeases:
        action = self.next()
        assert isinstance(action, AskLeases), action
        return action

    def gathered(self) -> AskLeases:
        """What is asked for though nobody waits."""
        self.now_us += GATHERED_US
        return self.ask()

    def numbered(self, ask: AskLeases) -> list[LeaseRequest]:
        requests = []
        for wish in ask.wishes:
            self._number += 1
            used = self.used.get(wish.counter, 0)
            if wish.gives_back:
                self.held[wish.counter] = used
            held = self.held.get(wish.counter, 0)
            requests.append(
                LeaseRequest(wish.counter, self._number, held, used, wish.need, wish.want)
            )
        self.machine.asked(self.now_us, requests)
        return requests

    def answer(
        self, ask: AskLeases, status: LeaseStatus, granted: int = 0, retry_after_ms: int = 0
    ) -> tuple[list[int], Sequence[LeaseRefusal]]:
        """Answer all of an exchange alike; waits that are over, and what calls are told."""
        requests = self.numbered(ask)
        results = [
            LeaseResult(
                request.number, status, granted, DAY.end_us, True, retry_after_ms, amount=1_000
            )
            for request in requests
        ]
        outcome = self.machine.answered(self.now_us, requests, results)
        for counter, result, _ in outcome.take:
            self.held[counter] = result.granted
        ended = self.machine.taken(self.now_us, ask, requests, results)
        return ended, outcome.refusals

    def grant(self, granted: int, counter: CounterName = A) -> None:
        """Have the counter hold a lease."""
        self.need(1, counter)
        self.answer(self.ask(), LeaseStatus.GRANTED, granted)

    def look(self, *entries: LeaseEntry, at_us: int = NOW_US) -> list[CounterName]:
        return self.machine.looked(self.now_us, at_us, entries).near

    def entry(self, counter: CounterName = A, valid_until_us: int = DAY.end_us) -> LeaseEntry:
        held, used = self.held.get(counter, 0), self.used.get(counter, 0)
        return LeaseEntry(counter, "life-1", held, used, self._number, valid_until_us)
