"""What usage costs agrees with fractions, and splitting a call is never cheaper."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from hypothesis import assume, given
from hypothesis import strategies as st

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.credits.costs import affordable, cost, price_of
from sidecar.domain.credits.prices import Price
from sidecar.domain.errors import OutOfRange

_ANY: Final = st.integers(0, INT64_MAX) | st.integers(0, 20)
_POSITIVE: Final = st.integers(1, INT64_MAX) | st.integers(1, 20)
PRICES: Final = st.builds(lambda micro, per: price_of("costs", micro, per), _ANY, _POSITIVE)
SMALL: Final = st.builds(
    lambda micro, per: price_of("costs", micro, per), st.integers(0, 30), st.integers(1, 30)
)


def _exact(price: Price, quantity: int) -> Fraction:
    return Fraction(price.micro_credits, price.per) * quantity


@given(PRICES, _ANY)
def test_a_call_costs_its_exact_price_and_less_than_one_micro_credit_more(
    price: Price, quantity: int
) -> None:
    exact = _exact(price, quantity)
    if exact > INT64_MAX:
        try:
            cost(price, quantity)
        except OutOfRange:
            return
        raise AssertionError("costs more than there can be")
    assert exact <= cost(price, quantity) < exact + 1


@given(SMALL, st.integers(0, 60))
def test_the_cost_is_that_of_laying_down_coins_until_they_pay(price: Price, quantity: int) -> None:
    """Each coin pays `per` parts, each unit wants `micro_credits` parts."""
    coins, paid = 0, 0
    for _ in range(quantity):
        paid -= price.micro_credits
    while paid < 0:
        coins, paid = coins + 1, paid + price.per
    assert coins == cost(price, quantity)


@given(PRICES, st.lists(st.integers(0, 2**40), min_size=1, max_size=8))
def test_splitting_a_call_is_never_cheaper_and_at_most_one_micro_credit_a_call_dearer(
    price: Price, parts: list[int]
) -> None:
    assume(_exact(price, sum(parts)) <= INT64_MAX)
    whole = cost(price, sum(parts))
    assert whole <= sum(cost(price, part) for part in parts) <= whole + len(parts) - 1


@given(PRICES, _ANY, _ANY)
def test_more_never_costs_less(price: Price, one: int, other: int) -> None:
    assume(_exact(price, max(one, other)) <= INT64_MAX)
    assert cost(price, min(one, other)) <= cost(price, max(one, other))


@given(PRICES, _ANY)
def test_what_an_amount_pays_for_costs_no_more_and_one_unit_more_does(
    price: Price, micro_credits: int
) -> None:
    quantity = affordable(price, micro_credits)
    assert cost(price, quantity) <= micro_credits
    assert quantity == INT64_MAX or _exact(price, quantity + 1) > micro_credits


@given(_ANY, _POSITIVE, st.integers(1, 1000))
def test_equal_prices_are_equal_values(micro_credits: int, per: int, times: int) -> None:
    assume(per * times <= INT64_MAX)
    assert price_of("a", micro_credits, per) == price_of("b", micro_credits * times, per * times)
