"""What the rate share machine tells when. Virtual time; no store, no plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from sidecar.domain.limits.rate_shares import AskedRate, RateDemand, RateName, RateShare
from sidecar.domain.limits.rates import WHOLE_PPM
from sidecar.domain.slices import whole
from sidecar.domain.time.units import SECOND_US
from sidecar.sync.machine import rate_shares
from sidecar.sync.machine.rate_share_actions import (
    ShareMove,
    ShareReading,
    ShareRest,
    TakeAsked,
    TellShares,
)
from sidecar.sync.machine.rate_shares import RateShareMachine
from tests.support.build import TEN_A_SECOND

KEY: Final = b"rate"
NAME: Final = RateName("acme", "calls", "RATE/1000000/burst||")
HALF: Final = WHOLE_PPM // 2


class Told:
    """A machine, the bucket of one rate, and a plane that answers as the test says."""

    def __init__(self, starts: int = 1) -> None:
        self.now_us = SECOND_US
        self.machine = RateShareMachine(
            interval_us=SECOND_US, starts=starts, uniform=lambda: 0.5, now_us=self.now_us
        )
        self.reading = ShareReading(None, 0)
        self.asked: dict[bytes, AskedRate] = {}
        self.numbers: list[int] = []
        self.complete: list[bool] = []
        self.said: list[tuple[int, RateDemand]] = []
        self.moves: list[ShareMove] = []
        self.fails = False
        self.table = "table"
        self.answer = RateShare()
        self.wanted: Sequence[RateName] = ()
        self.lets_go: list[int] = []

    def ask(self, quantity: int, key: bytes = KEY, name: RateName = NAME) -> None:
        self.asked[key] = AskedRate(name, TEN_A_SECOND, quantity)
        self.machine.first_asked(self.now_us)

    def go(self, seconds: float) -> None:
        """Let time pass, and do what is due."""
        until_us = self.now_us + int(seconds * SECOND_US)
        while True:
            action = self.machine.next_action(self.now_us)
            if isinstance(action, ShareRest):
                assert action.until_us > self.now_us, "a rest that is over"
                if action.until_us > until_us:
                    self.now_us = until_us
                    return
                self.now_us = action.until_us
            elif isinstance(action, TakeAsked):
                asked, self.asked = self.asked, {}
                whole(self.machine.looked(self.now_us, asked))
            else:
                self._tell(action)

    def _tell(self, action: TellShares) -> None:
        if action.lets_go:
            self.lets_go.append(self.now_us)
            self.reading = ShareReading(None, 0, True)
        readings = [(key, self.reading) for key, _ in action.rates]
        number, demands, complete = self.machine.request(self.now_us, readings)
        self.numbers.append(number)
        self.said += [(self.now_us, demand) for demand in demands]
        if self.fails:
            self.machine.failed(self.now_us)
            return
        self.complete.append(complete)
        shares = [self.answer for _ in demands]
        moves = self.machine.answered(self.now_us, shares, self.wanted, self.table)
        self.wanted = ()
        for move in moves:
            self.reading = ShareReading(move.share.share_ppm, self.reading.fill_ppm)
        self.moves += moves
        self.machine.taken(moves, [self.reading.fill_ppm for _ in moves])
        self.answer = RateShare()


def sharing() -> Told:
    """One that goes by half a rate, and is asked for two units a second."""
    told = Told()
    told.go(0.1)
    told.answer = RateShare(HALF)
    told.ask(1)
    told.go(1)
    assert HALF == told.reading.told_ppm
    told.said.clear()
    return told


def busy(told: Told, seconds: float) -> None:
    for _ in range(int(seconds * 4)):
        told.ask(1)
        told.go(0.25)


def test_it_says_that_it_is_there_at_once_and_every_five_seconds() -> None:
    told = Told(starts=3)
    told.go(20)
    assert [(3 << 32) + number for number in range(1, 7)] == told.numbers
    assert [] == told.said


def test_a_rate_without_a_share_is_told_of_within_milliseconds_and_until_it_has_one() -> None:
    told = Told()
    told.go(3)
    told.ask(4)
    told.go(0.01)
    ((at_us, demand),) = told.said
    assert at_us - 4 * SECOND_US < 6_000
    assert (NAME, 10_000, None) == (demand.rate, demand.demand, demand.share_ppm)
    busy(told, 1)
    assert 4 <= len(told.said) <= 6
    told.answer = RateShare(HALF, 7)
    busy(told, 0.5)
    assert [(None, RateShare(HALF, 7))] == [(move.from_ppm, move.share) for move in told.moves]


def test_a_rate_in_use_is_told_of_once_an_interval_and_twice_where_it_runs_out() -> None:
    told = sharing()
    busy(told, 8)
    assert 7 <= len(told.said) <= 9
    told.said.clear()
    told.reading = ShareReading(HALF, 900_000)
    busy(told, 8)
    assert 14 <= len(told.said) <= 17


def test_demand_is_smoothed_and_no_more_than_the_rate_has() -> None:
    told = sharing()
    busy(told, 6)
    assert 3_500 <= told.said[-1][1].demand <= 4_500
    for _ in range(20):
        told.ask(1_000_000)
        told.go(0.25)
    assert 9_000 <= told.said[-1][1].demand <= 10_000


def test_who_comes_to_rest_says_so_within_an_interval() -> None:
    told = sharing()
    busy(told, 3)
    told.said.clear()
    from_us = told.now_us
    told.go(1.1)
    at_us, demand = told.said[-1]
    assert 0 == demand.demand
    assert at_us - from_us <= SECOND_US


def test_a_share_that_was_lowered_is_told_of_at_once_with_how_full_it_was() -> None:
    told = sharing()
    busy(told, 2)
    told.said.clear()
    told.reading = ShareReading(HALF, 600_000)
    told.answer = RateShare(0)
    told.go(3)
    told_of = [(at_us, demand.share_ppm, demand.fill_ppm) for at_us, demand in told.said]
    lowered = next(at for at, (_, share, _) in enumerate(told_of) if share == 0)
    assert (0, 600_000) == told_of[lowered][1:]
    assert told_of[lowered][0] == told_of[lowered - 1][0]


def test_a_rate_at_rest_is_told_of_every_twenty_seconds_and_let_go_after_a_minute() -> None:
    told = sharing()
    told.go(2)
    told.said.clear()
    told.go(90)
    assert 3 <= len(told.said) <= 4
    assert (0, None) == (told.said[-1][1].demand, told.said[-1][1].share_ppm)
    assert 1 == len(told.lets_go)
    assert 0 == told.machine.rates


def test_what_the_plane_wants_to_hear_of_is_told_at_once() -> None:
    told = sharing()
    told.go(2)
    told.said.clear()
    told.wanted = [NAME, RateName("acme", "calls", "another")]
    told.go(1.1)
    assert 1 == len(told.said)


def test_after_a_failure_it_is_said_again_under_a_greater_number() -> None:
    told = sharing()
    told.fails = True
    told.go(5)
    told.fails = False
    told.go(20)
    assert sorted(set(told.numbers)) == told.numbers
    assert 0 == told.said[-1][1].demand
    assert told.machine.failures


def test_another_table_is_told_all_and_then_that_it_was_all() -> None:
    told = sharing()
    told.ask(1, b"other", RateName("globex", "calls", "RATE/1000000/burst||"))
    told.go(1)
    told.said.clear()
    told.complete.clear()
    told.table = "another table"
    told.go(1.2)
    assert {"acme", "globex"} == {demand.rate.company for _, demand in told.said}
    assert told.complete[-1]


def test_not_all_is_told_while_some_of_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_shares, "DEMANDS_MAX", 1)
    told = sharing()
    told.ask(1, b"other", RateName("globex", "calls", "RATE/1000000/burst||"))
    told.go(1)
    told.complete.clear()
    told.table = "another table"
    told.go(1.2)
    first_whole = told.complete.index(True, 1)
    assert False in told.complete[1:first_whole]


def test_after_a_restart_it_can_be_told_that_it_was_all_once_what_was_before_has_lapsed() -> None:
    told = Told(starts=2)
    told.go(45)
    assert not any(told.complete)
    told.go(10)
    assert told.complete[-1]


def test_another_incarnation_was_told_nothing() -> None:
    told = sharing()
    told.machine.left()
    assert 0 == told.machine.rates
    told.go(3)
    assert [] == told.said


def test_a_plane_that_shares_no_rates_is_asked_again_after_a_minute() -> None:
    told = Told()
    told.machine.request(told.now_us, [])
    told.machine.lacks(told.now_us)
    told.go(59)
    assert [] == told.numbers
    told.go(2)
    assert told.numbers


def test_rates_that_are_told_of_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_shares, "RATES_MAX", 2)
    told = Told()
    for at in range(3):
        told.ask(1, bytes([at]), RateName("acme", "calls", f"RATE/{at}/burst||"))
    told.go(1)
    assert 2 == told.machine.rates
