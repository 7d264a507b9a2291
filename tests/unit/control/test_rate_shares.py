"""Shares of one rate as the plane tells them, by what came of it. Virtual time; no network."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.control.services import rate_shares
from sidecar.control.services.rate_shares import Caller, RateShares
from sidecar.domain.limits.rate_shares import RateDemand, RateName, RateShare
from sidecar.domain.limits.rates import WHOLE_PPM
from sidecar.domain.time.units import SECOND_US

NAME: Final = RateName("acme", "calls", "RATE/1000000/burst||")
DRAIN_US: Final = 10 * SECOND_US
FULL: Final = WHOLE_PPM
NONE: Final = RateShare()


class Table:
    """A plane, and sidecars that say how they stand."""

    def __init__(self, *expected: str) -> None:
        self.now_us = 1
        self.shares = RateShares("table", self.now_us)
        self.shares.expect(expected)
        self._number = 0

    def greet(self, who: str, *, complete: bool = False, number: int | None = None) -> Caller:
        self._number += 1
        caller = Caller(who, self._number if number is None else number, "table", complete)
        assert self.shares.greet(caller, self.now_us) is (number is None)
        return caller

    def say(
        self, who: str, demand: int, share_ppm: int | None, fill_ppm: int = 0, name: RateName = NAME
    ) -> RateShare:
        said = RateDemand(name, demand, share_ppm, fill_ppm, DRAIN_US)
        (share,) = self.shares.share(self.greet(who), [said])
        return share

    def go(self, seconds: float) -> None:
        """Let time pass, in which somebody else asks now and then."""
        until_us = self.now_us + int(seconds * SECOND_US)
        while self.now_us < until_us:
            self.now_us = min(until_us, self.now_us + 5 * SECOND_US)
            self.greet("another")

    def wanted(self, who: str) -> list[RateName]:
        self.greet(who)
        return list(self.shares.take_wanted(who))


def shared_by_halves(each: int = 5) -> Table:
    table = Table()
    assert RateShare(WHOLE_PPM, 0) == table.say("a", each, None)
    assert NONE == table.say("b", each, None), "nothing is free"
    assert RateShare(500_000) == table.say("a", each, WHOLE_PPM)
    assert NONE == table.say("b", each, None), "who is to go by less has not said that it does"
    assert NONE == table.say("a", each, 500_000)
    assert RateShare(500_000, 0) == table.say("b", each, None)
    return table


def test_the_first_gets_all_and_a_second_its_half_once_the_first_goes_by_the_other() -> None:
    shared_by_halves()


def test_shares_follow_demand_and_small_differences_move_nothing() -> None:
    table = shared_by_halves(100)
    assert NONE == table.say("a", 105, 500_000)
    assert NONE == table.say("b", 95, 500_000)
    assert NONE == table.say("a", 300, 500_000), "nothing is free yet"
    assert RateShare(245_696) == table.say("b", 95, 500_000)
    assert NONE == table.say("b", 95, 245_696)
    told = table.say("a", 300, 500_000)
    assert RateShare(754_303, 0) == told


def test_whoever_asks_at_all_has_a_floor() -> None:
    table = Table()
    table.say("a", 1_000_000, None)
    table.say("b", 1, None)
    assert RateShare(989_999) == table.say("a", 1_000_000, WHOLE_PPM)
    table.say("a", 1_000_000, 989_999)
    assert RateShare(10_000, 0) == table.say("b", 1, None)


def test_the_share_of_one_at_rest_flows_where_it_runs_out_and_is_asked_for_at_once() -> None:
    table = shared_by_halves()
    assert NONE == table.say("a", 0, 500_000), "nobody needs it"
    assert NONE == table.say("b", 5, 500_000, FULL)
    assert [NAME] == table.wanted("a")
    assert [] == table.wanted("a")
    assert RateShare(0) == table.say("a", 0, 500_000)
    assert NONE == table.say("a", 0, 0)
    assert RateShare(WHOLE_PPM, 0) == table.say("b", 5, 500_000, FULL)


def test_one_at_rest_keeps_its_part_while_others_do_not_run_out() -> None:
    table = Table()
    table.say("a", 5, None)
    table.say("a", 0, WHOLE_PPM)
    assert NONE == table.say("b", 5, None)
    assert [NAME] == table.wanted("a")
    assert RateShare(500_000) == table.say("a", 0, WHOLE_PPM), "half, since b has none"
    table.say("a", 0, 500_000)
    assert RateShare(500_000, 0) == table.say("b", 5, None)
    assert NONE == table.say("a", 0, 500_000)


def test_one_alone_keeps_its_share_when_it_rests_however_full_it_was() -> None:
    table = Table()
    table.say("a", 5, None)
    table.say("a", 5, WHOLE_PPM, FULL)
    assert NONE == table.say("a", 0, WHOLE_PPM, FULL)


def test_a_share_comes_as_full_as_it_was_given_up_and_drains_meanwhile() -> None:
    table = Table()
    table.say("a", 5, None)
    table.say("b", 5, None)
    table.say("a", 5, WHOLE_PPM, 800_000)
    table.say("a", 5, 500_000, 800_000)
    table.now_us += DRAIN_US // 10
    assert RateShare(500_000, 700_000) == table.say("b", 5, None)


def test_a_share_that_was_told_and_not_taken_comes_back_as_it_was() -> None:
    table = Table()
    table.say("a", 5, None)
    assert RateShare(WHOLE_PPM, 0) == table.say("a", 5, None), "the answer before was lost"
    assert RateShare(WHOLE_PPM, 0) == table.say("a", 5, None, FULL)


def test_a_share_that_is_let_go_is_another_s() -> None:
    table = shared_by_halves()
    assert NONE == table.say("a", 0, None)
    assert RateShare(WHOLE_PPM, 0) == table.say("b", 5, 500_000)


def test_who_is_silent_for_a_minute_holds_nothing_and_what_it_had_comes_full() -> None:
    table = shared_by_halves()
    table.go(59)
    assert NONE == table.say("b", 5, 500_000)
    table.go(1)
    assert RateShare(WHOLE_PPM, FULL) == table.say("b", 5, 500_000)


def test_a_plane_that_was_stopped_takes_nobody_for_silent() -> None:
    table = shared_by_halves()
    table.now_us += 3_600 * SECOND_US
    assert NONE == table.say("b", 5, 500_000)


def test_a_request_that_was_overtaken_moves_nothing() -> None:
    table = shared_by_halves()
    overtaken = table.greet("a")
    table.greet("a")
    said = RateDemand(NAME, 0, 1, 0, DRAIN_US)
    assert [NONE] == table.shares.share(overtaken, [said])
    table.greet("a", number=1)
    assert NONE == table.say("b", 5, 500_000), "nothing became free"


def test_after_a_start_nothing_is_free_until_all_have_said_what_they_go_by() -> None:
    table = Table("a", "b")
    assert 2 == table.shares.sidecars
    assert NONE == table.say("c", 5, None)
    table.say("a", 5, 600_000)
    table.shares.complete(table.greet("a", complete=True))
    assert NONE == table.say("c", 5, None)
    table.shares.complete(table.greet("b", complete=True))
    table.say("a", 5, 600_000)
    assert RateShare(400_000, FULL) == table.say("c", 5, None)


def test_after_a_start_what_is_given_up_is_free_at_once() -> None:
    table = Table("a", "b")
    table.say("a", 5, WHOLE_PPM)
    table.say("c", 5, None)
    assert RateShare(500_000) == table.say("a", 5, WHOLE_PPM)
    table.say("a", 5, 500_000)
    assert RateShare(500_000, 0) == table.say("c", 5, None)


def test_after_a_minute_what_nobody_claimed_is_free() -> None:
    table = Table("gone")
    assert NONE == table.say("a", 5, None)
    table.go(61)
    assert RateShare(WHOLE_PPM, 0) == table.say("a", 5, None)


def test_sidecars_that_go_by_more_than_there_is_are_lowered_and_none_is_raised() -> None:
    table = Table()
    table.say("a", 5, WHOLE_PPM)
    assert RateShare(500_000) == table.say("copy", 5, WHOLE_PPM)
    assert NONE == table.say("c", 5, None)
    assert RateShare(333_333) == table.say("a", 5, WHOLE_PPM)


def test_rates_are_bounded_and_those_that_nobody_shares_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_shares, "RATES_MAX", 2)
    table = Table()
    names = [RateName("acme", "calls", f"RATE/1/{at}||") for at in range(3)]
    for name in names[:2]:
        assert RateShare(WHOLE_PPM, 0) == table.say("a", 5, None, name=name)
    assert NONE == table.say("a", 5, None, name=names[2]), "it goes by an even part"
    table.say("a", 0, None, name=names[0])
    table.go(11)
    assert RateShare(WHOLE_PPM, 0) == table.say("a", 5, None, name=names[2])
    assert 2 == table.shares.rates


def test_who_was_silent_for_long_is_no_sharer_any_more() -> None:
    table = shared_by_halves()
    assert 2 == table.shares.sidecars
    table.go(61)
    assert 1 == table.shares.sidecars
