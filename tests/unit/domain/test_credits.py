"""A balance of credits, by outcome: what ids, refunds and voids do, and what is bounded."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.credits import operations
from sidecar.domain.credits.balance import CreditBalance, advance, available, balance_at
from sidecar.domain.credits.grants import CreditGrant
from sidecar.domain.credits.held_grants import Burn
from sidecar.domain.credits.operations import DebitResult, debit, record, refund
from sidecar.domain.errors import Conflict, Exhausted, InvalidInput, OutOfRange
from tests.support.credits import BalanceKeeper, paid

AT: Final = 100
EMPTY: Final = CreditBalance()


def keeper(*grants: CreditGrant) -> BalanceKeeper:
    result = BalanceKeeper()
    for each in grants:
        result.grant(each, 0)
    return result


def two() -> BalanceKeeper:
    """ "a" expires at 200, "b" at 300."""
    return keeper(paid("a", end=200), paid("b", end=300))


def burned() -> BalanceKeeper:
    """A debit of 14 has burned 10 of "a" and 4 of "b"."""
    result = two()
    result.debit("d", 14, AT)
    return result


def left(of: BalanceKeeper) -> dict[str, int]:
    return {name: held.left for name, held in of.held.items()}


def test_an_empty_balance_has_nothing() -> None:
    assert (0, 0) == (available(EMPTY, AT), balance_at(EMPTY, AT))
    assert (EMPTY, DebitResult()) == debit(EMPTY, 1, AT)


def test_grants_add_up_while_they_are_in_force() -> None:
    of = keeper(paid("a", 1, end=AT), paid("b", 20), paid("c", 300), paid("d", 4, start=AT + 1))
    at_times = [available(of.balance, at_us) for at_us in (AT - 1, AT, AT + 1)]
    assert [21 + 300, 320, 324] == at_times


def test_a_balance_is_the_same_in_whatever_order_grants_came() -> None:
    grants = [paid("a", priority=2), paid("b", priority=1), paid("c", end=500)]
    assert keeper(*grants).balance == keeper(*reversed(grants)).balance


def test_a_grant_that_comes_again_changes_nothing() -> None:
    spent, voided = burned(), two()
    voided.void("a", AT)
    for of in (two(), spent, voided):
        before = of.balance
        result = of.grant(paid("a", end=200), AT)
        assert (True, (), before) == (result.replayed, result.effects.changed, of.balance)


@pytest.mark.parametrize(
    "other",
    [paid("a", 11, end=200), paid("a", priority=9, end=200), paid("a", end=201)],
)
def test_another_grant_under_a_known_id_is_a_conflict(other: CreditGrant) -> None:
    for of in (two(), burned()):
        with pytest.raises(Conflict) as refused:
            of.grant(other, AT)
        assert "grant.id" == refused.value.field


def test_a_debit_tells_what_it_burned() -> None:
    of = two()
    debited = of.debit("d", 14, AT).debit
    assert debited is not None
    assert ((Burn("a", 10), Burn("b", 4)), 0, 14) == (
        debited.burned,
        debited.overdrawn,
        debited.amount,
    )
    assert ({"a": 0, "b": 6}, 6) == (left(of), available(of.balance, AT))


def test_what_is_spent_is_not_in_the_balance_any_more() -> None:
    assert ["b"] == [held.grant.id for held in burned().balance.open]


def test_a_debit_above_what_is_available_leaves_no_trace() -> None:
    before = two().balance
    assert (before, DebitResult()) == debit(before, 21, AT + 50)


def test_a_debit_of_nothing_is_allowed_on_an_empty_balance() -> None:
    debited = debit(EMPTY, 0, AT)[1].debit
    assert debited is not None
    assert 0 == debited.amount


def test_late_usage_burns_what_was_in_force_then() -> None:
    of = keeper(paid("old", end=50), paid("new", start=50))
    of.debit("on time", 1, 60)
    debited = of.debit("late", 3, 49).debit
    assert debited is not None
    assert (Burn("old", 3),) == debited.burned


@pytest.mark.parametrize(
    ("amount", "at_us", "returned", "lost", "excess", "left_after"),
    [
        pytest.param(3, AT, [("b", 3)], 0, 0, {"a": 0, "b": 9}, id="last burned first"),
        pytest.param(
            14, AT, [("b", 4), ("a", 10)], 0, 0, {"a": 10, "b": 10}, id="in full, to every grant"
        ),
        pytest.param(9, 200, [("b", 4)], 5, 0, {"a": 0, "b": 10}, id="expired: lost"),
        pytest.param(14, 300, [], 14, 0, {"a": 0, "b": 6}, id="both expired: all lost"),
        pytest.param(
            20, AT, [("b", 4), ("a", 10)], 0, 6, {"a": 10, "b": 10}, id="no more than was burned"
        ),
        pytest.param(0, AT, [], 0, 0, {"a": 0, "b": 6}, id="nothing"),
    ],
)
def test_a_refund_returns(
    amount: int,
    at_us: int,
    returned: list[tuple[str, int]],
    lost: int,
    excess: int,
    left_after: dict[str, int],
) -> None:
    of = burned()
    result = of.refund("d", amount, at_us)
    assert returned == [(part.grant, part.amount) for part in result.returned]
    assert (lost, excess, amount - excess) == (result.lost, result.excess, result.debit.refunded)
    assert left_after == left(of)


def test_a_second_refund_goes_on_where_the_first_ended() -> None:
    of = burned()
    of.refund("d", 3, AT)
    assert (Burn("b", 1), Burn("a", 2)) == of.refund("d", 3, AT).returned
    last = of.refund("d", 9, AT)
    assert ((Burn("a", 8),), 1) == (last.returned, last.excess)


def test_what_was_lost_is_not_refunded_again() -> None:
    of = burned()
    of.refund("d", 9, 200)
    again = of.refund("d", 9, 199)
    assert ((Burn("a", 5),), 4) == (again.returned, again.excess)


def test_a_refund_of_all_that_was_refunded_changes_nothing() -> None:
    of = burned()
    of.refund("d", 14, AT)
    before = of.balance
    result = of.refund("d", 14, AT)
    assert (14, (), before) == (result.excess, result.effects.changed, of.balance)


def test_a_refund_opens_a_spent_grant_again() -> None:
    of = burned()
    of.refund("d", 14, AT)
    assert ["a", "b"] == [held.grant.id for held in of.balance.open]


def test_a_refund_to_a_grant_that_nobody_knows_any_more_is_lost() -> None:
    of = burned()
    _, result = refund(of.balance, of.debits["d"], 14, AT, lambda _: None)
    assert ((Burn("b", 4),), 10) == (result.returned, result.lost)


def test_a_void_takes_what_is_left_and_a_second_one_nothing() -> None:
    of = burned()
    assert [6, 0] == [of.void("b", AT).voided, of.void("b", AT).voided]
    assert ({"a": 0, "b": 0}, ()) == (left(of), of.balance.open)


def test_a_refund_to_a_voided_grant_is_lost() -> None:
    of = burned()
    of.void("b", AT)
    result = of.refund("d", 5, AT)
    assert ((Burn("a", 1),), 4) == (result.returned, result.lost)
    assert {"a": 1, "b": 0} == left(of)


def test_a_refund_to_a_grant_that_was_spent_and_then_voided_is_lost() -> None:
    of = burned()
    assert 0 == of.void("a", AT).voided
    assert 10 == of.refund("d", 14, AT).lost


def test_a_void_of_an_expired_grant_takes_nothing_and_closes_it_to_late_usage() -> None:
    of = two()
    assert 0 == of.void("a", 200).voided
    assert 10 == available(of.balance, AT)


def test_a_void_of_an_unknown_grant_finds_nothing() -> None:
    of = two()
    before = of.balance
    assert (False, before) == (of.void("never", AT).found, of.balance)


@pytest.mark.parametrize(
    ("before_us", "over"),
    [
        pytest.param(200, ["a"], id="what has expired by then"),
        pytest.param(199, [], id="what has not stays"),
        pytest.param(10**9, ["a", "b"], id="never what is left for ever"),
    ],
)
def test_forgotten(before_us: int, over: list[str]) -> None:
    of = two()
    of.grant(paid("c"), 0)
    assert over == [held.grant.id for held in of.forget(before_us)]


def test_a_refund_does_not_bring_back_what_was_forgotten() -> None:
    of = keeper(paid("a", end=200))
    of.debit("d", 4, AT)
    of.forget(200)
    assert 3 == of.refund("d", 3, 250).lost
    assert ((), 3) == (of.balance.open, of.held["a"].lost)


def test_a_full_balance_refuses_what_is_new_and_replays_what_it_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operations, "OPEN_GRANTS_MAX", 2)
    of = two()
    assert of.grant(paid("a", end=200), AT).replayed
    with pytest.raises(Exhausted):
        of.grant(paid("c"), AT)
    of.debit("d", 10, AT)
    of.grant(paid("c"), AT)


def test_grants_may_add_up_to_the_greatest_integer_and_no_further() -> None:
    of = keeper(paid("a", INT64_MAX - 1), paid("b", 1))
    assert INT64_MAX == available(of.balance, AT)
    with pytest.raises(OutOfRange) as refused:
        of.grant(paid("c", 1), AT)
    assert "grant.amount" == refused.value.field
    of.void("b", AT)
    of.grant(paid("c", 1), AT)
    assert INT64_MAX == available(of.balance, AT)


def test_what_is_available_is_never_told_beyond_the_greatest_integer() -> None:
    of = keeper(paid("a", INT64_MAX))
    of.debit("d", INT64_MAX, AT)
    of.grant(paid("b", INT64_MAX), AT)
    of.refund("d", INT64_MAX, AT)
    assert INT64_MAX == available(of.balance, AT, overdraft=INT64_MAX)
    assert 2 * INT64_MAX == balance_at(of.balance, AT)


@pytest.mark.parametrize("amount", [-1, -(2**63)])
def test_amounts_below_0_are_refused_by_field(amount: int) -> None:
    of = burned()
    for attempt in (
        lambda: debit(of.balance, amount, AT),
        lambda: record(of.balance, amount, AT),
        lambda: of.refund("d", amount, AT),
    ):
        with pytest.raises(InvalidInput, match=r"^amount: must be 0 or more"):
            attempt()


@pytest.mark.parametrize("overdraft", [-1, INT64_MAX + 1])
def test_overdrafts_out_of_bounds_are_refused_by_field(overdraft: int) -> None:
    with pytest.raises(InvalidInput, match=r"^overdraft: "):
        debit(EMPTY, 1, AT, overdraft)
    with pytest.raises(InvalidInput, match=r"^overdraft: "):
        available(EMPTY, AT, overdraft)


@pytest.mark.parametrize("at_us", [-1, FOREVER_US])
def test_times_that_cannot_be_are_refused_by_field(at_us: int) -> None:
    of = burned()
    for attempt in (
        lambda: debit(of.balance, 1, at_us),
        lambda: of.refund("d", 1, at_us),
        lambda: of.void("a", at_us),
        lambda: of.grant(paid("c"), at_us),
        lambda: advance(of.balance, at_us),
    ):
        with pytest.raises(InvalidInput, match=r"^at_us: "):
            attempt()
