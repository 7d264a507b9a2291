"""That a balance is low: told by the answer to the call that takes it there, once."""

from __future__ import annotations

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog.model import Limit
from sidecar.domain.credits.low_balance import reached
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER
from tests.support.build import LIFETIME, company
from tests.support.burning import (
    CREDITS,
    costs,
    credits_catalog,
    one_off,
    recurring,
    with_low_balances,
)
from tests.support.inside import Inside


def sidecar(*limits: Limit, low: tuple[int, ...] = (50, 20), overdraft: int = 0) -> Inside:
    """A balance that gets these limits, and has these low balances."""
    content = credits_catalog({"calls": [costs(1)]}, *limits, overdraft=overdraft)
    return Inside(with_low_balances(content, *low), company())


def told(answer: pb.CheckAndIncrementResponse) -> list[int]:
    (burned,) = answer.decision.burned
    return list(burned.low_balance)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (100, 51, ()),
        (51, 50, (50,)),
        (50, 49, ()),
        (51, 20, (50, 20)),
        (21, -5, (20,)),
        (20, -5, ()),
        (10, 60, ()),
    ],
)
def test_a_low_balance_is_reached_from_above(
    before: int, after: int, expected: tuple[int, ...]
) -> None:
    assert expected == reached((50, 20), before, after)


def test_the_call_that_takes_a_balance_there_tells_it_once() -> None:
    inside = sidecar(recurring())
    burned = [40, 10, 5, 30, 15]
    assert [[], [50], [], [20], []] == [told(inside.decide(each)) for each in burned]


def test_one_call_may_tell_several_the_highest_first() -> None:
    inside = sidecar(recurring())
    assert [50, 20] == told(inside.decide(90))


def test_a_balance_is_the_sum_of_its_sources() -> None:
    inside = sidecar(recurring(amount=30))
    inside.grant(one_off("gift", 30, priority=2), one_off("more", 30, priority=3))
    assert [] == told(inside.decide(35))
    assert [50] == told(inside.decide(5))


def test_what_may_be_owed_is_no_balance() -> None:
    inside = sidecar(recurring(), low=(50, 0), overdraft=1_000)
    assert [50] == told(inside.decide(50))
    assert [0] == told(inside.decide(60))
    assert [] == told(inside.decide(60))


def test_all_that_is_owed_is_off_the_balance_also_past_what_may_be() -> None:
    inside = sidecar(recurring(amount=55), overdraft=3)
    inside.opened.count(9, OVERDRAFT_COUNTER, feature=CREDITS)
    assert [] == told(inside.decide(10))  # from 46: by what is owed it was below 50 already


def test_a_balance_that_rose_is_told_again() -> None:
    inside = sidecar(recurring(amount=60), low=(50,))
    assert [50] == told(inside.decide(30))
    inside.grant(one_off("gift", 100, priority=2))
    assert [50] == told(inside.decide(80))


def test_who_is_denied_or_asks_is_told_nothing() -> None:
    inside = sidecar(recurring(amount=60), low=(50,))
    assert [] == told(inside.decide(61))
    assert [] == told(inside.decide(0))


def test_a_balance_of_many_sources_is_told_as_well() -> None:
    inside = sidecar(Limit("none", LIFETIME, 0), low=(15,))
    inside.grant(*(one_off(f"g{at}", 2) for at in range(10)))
    assert [[], [15], []] == [told(inside.decide(each)) for each in (4, 2, 2)]
