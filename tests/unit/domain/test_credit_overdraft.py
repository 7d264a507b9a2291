"""What a balance owes: how far an overdraft reaches, who repays it, and what refunds make of it."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.credits import balance as balance_module
from sidecar.domain.credits.balance import CreditBalance, advance, available, balance_at
from sidecar.domain.credits.grants import CreditGrant
from sidecar.domain.credits.held_grants import Burn
from sidecar.domain.credits.operations import CreditDebit, debit, record
from sidecar.domain.errors import OutOfRange
from tests.support.credits import BalanceKeeper, paid

AT: Final = 100
EMPTY: Final = CreditBalance()


def overdrawn(overdraft: int = 20) -> BalanceKeeper:
    """A debit of 25 has burned 10 of "a" and owes 15."""
    result = BalanceKeeper()
    result.grant(paid("a"), 0)
    result.debit("d", 25, AT, overdraft)
    return result


@pytest.mark.parametrize(
    ("amount", "overdraft", "expected"),
    [
        pytest.param(10, 0, CreditDebit((Burn("a", 10),)), id="grants are enough"),
        pytest.param(11, 0, None, id="no overdraft"),
        pytest.param(11, 1, CreditDebit((Burn("a", 10),), 1), id="grants first"),
        pytest.param(30, 20, CreditDebit((Burn("a", 10),), 20), id="to the floor"),
        pytest.param(31, 20, None, id="never below it"),
        pytest.param(
            INT64_MAX + 10, INT64_MAX, CreditDebit((Burn("a", 10),), INT64_MAX), id="the lowest"
        ),
    ],
)
def test_a_debit_overdraws(amount: int, overdraft: int, expected: CreditDebit | None) -> None:
    of = BalanceKeeper()
    of.grant(paid("a"), 0)
    assert expected == of.debit("d", amount, AT, overdraft).debit


def test_what_is_owed_shows_below_0_and_takes_from_what_may_be_overdrawn() -> None:
    of = overdrawn().balance
    assert (-15, 5, 0) == (balance_at(of, AT), available(of, AT, 20), available(of, AT))


def test_an_overdraft_that_was_lowered_allows_nothing_more() -> None:
    of = overdrawn().balance
    assert 0 == available(of, AT, 14)
    assert debit(of, 1, AT, 14)[1].debit is None
    assert debit(of, 0, AT, 14)[1].debit is not None


def test_usage_that_was_is_recorded_past_every_floor() -> None:
    of = BalanceKeeper()
    of.grant(paid("a"), 0)
    assert CreditDebit((Burn("a", 10),), 90) == of.record("d", 100, AT).debit
    assert -90 == balance_at(of.balance, AT)


def test_no_more_can_be_owed_than_the_greatest_integer() -> None:
    owing, _ = record(EMPTY, INT64_MAX, AT)
    with pytest.raises(OutOfRange) as refused:
        record(owing, 1, AT)
    assert "amount" == refused.value.field


@pytest.mark.parametrize(
    ("grants", "at_us", "repaid", "balance"),
    [
        pytest.param([paid("b", 40)], AT, [("b", 15)], 25, id="at once"),
        pytest.param([paid("b", 4)], AT, [("b", 4)], -11, id="as far as it goes"),
        pytest.param([paid("b", 40, start=150)], AT, [], -15, id="not before it is in force"),
        pytest.param([paid("b", 40, end=AT)], AT, [], -15, id="not once it has expired"),
        pytest.param(
            [paid("b", 9, start=150, priority=2), paid("c", 9, start=150, priority=1)],
            150,
            [("c", 9), ("b", 6)],
            3,
            id="in burn order",
        ),
        pytest.param(
            [paid("b", 9, start=140, end=160), paid("c", 9, start=150)],
            500,
            [("b", 9), ("c", 6)],
            3,
            id="each at its own instant, also one that is over by now",
        ),
    ],
)
def test_a_debt_is_repaid(
    grants: list[CreditGrant], at_us: int, repaid: list[tuple[str, int]], balance: int
) -> None:
    of = overdrawn()
    parts = [part for each in grants for part in of.grant(each, AT).effects.repaid]
    after, effects = advance(of.balance, at_us)
    assert repaid == [(part.grant, part.amount) for part in (*parts, *effects.repaid)]
    assert balance == balance_at(of.balance, at_us) == balance_at(after, at_us)


def test_a_grant_that_repays_all_it_has_is_spent() -> None:
    of = overdrawn()
    of.grant(paid("b", 4), AT)
    assert ((), 4) == (of.balance.open, of.held["b"].burned)


def test_late_usage_that_was_not_covered_then_is_repaid_by_what_is_in_force_now() -> None:
    of = BalanceKeeper()
    of.grant(paid("old", 3, end=50), 0)
    of.grant(paid("new", 10, start=50), 60)
    result = of.record("late", 5, 40)
    assert CreditDebit((Burn("old", 3),), 2) == result.debit
    assert ((Burn("new", 2),), 8) == (result.effects.repaid, balance_at(of.balance, 60))


@pytest.mark.parametrize(
    ("repaid_by", "amount", "forgiven", "returned", "lost", "debt"),
    [
        pytest.param(None, 5, 5, [], 0, 10, id="what is owed is forgiven first"),
        pytest.param(None, 18, 15, [("a", 3)], 0, 0, id="then grants get theirs"),
        pytest.param(paid("b", 40), 5, 0, [("b", 5)], 0, 0, id="who repaid gets it back"),
        pytest.param(
            paid("b", 4), 15, 11, [("b", 4)], 0, 0, id="as much as is not forgiven any more"
        ),
        pytest.param(
            paid("b", 40),
            25,
            0,
            [("b", 15), ("a", 10)],
            0,
            0,
            id="in full",
        ),
        pytest.param(paid("b", 40, end=150), 25, 0, [("a", 10)], 15, 0, id="expired since: lost"),
    ],
)
def test_a_refund_of_what_was_overdrawn(
    repaid_by: CreditGrant | None,
    amount: int,
    forgiven: int,
    returned: list[tuple[str, int]],
    lost: int,
    debt: int,
) -> None:
    of = overdrawn()
    if repaid_by is not None:
        of.grant(repaid_by, AT)
    result = of.refund("d", amount, 200)
    assert (forgiven, lost, debt) == (result.forgiven, result.lost, of.balance.debt)
    assert returned == [(part.grant, part.amount) for part in result.returned]


def test_who_repaid_last_gets_back_first() -> None:
    of = overdrawn()
    of.grant(paid("b", 6), AT)
    of.grant(paid("c", 40), AT)
    assert (Burn("c", 9), Burn("b", 2)) == of.refund("d", 11, AT).returned


def test_what_returns_while_something_is_owed_repays_it() -> None:
    of = overdrawn()
    of.record("e", 7, AT)
    result = of.refund("d", 25, AT)
    assert (15, (Burn("a", 10),)) == (result.forgiven, result.returned)
    assert ((Burn("a", 7),), 3) == (result.effects.repaid, balance_at(of.balance, AT))


def test_repayments_that_are_not_remembered_are_lost_to_a_refund(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(balance_module, "REPAYMENTS_MAX", 1)
    of = overdrawn()
    of.grant(paid("b", 6), AT)
    of.grant(paid("c", 40), AT)
    result = of.refund("d", 15, AT)
    assert ((Burn("c", 9),), 6) == (result.returned, result.lost)


def test_a_second_refund_goes_on_with_what_burned_where_the_first_took_what_was_overdrawn() -> None:
    of = overdrawn()
    of.refund("d", 15, AT)
    assert (Burn("a", 4),) == of.refund("d", 4, AT).returned


def test_a_grant_that_burned_and_repaid_loses_both_parts_once_it_has_expired() -> None:
    of = BalanceKeeper()
    of.grant(paid("a", 13, end=200), 0)
    of.debit("e", 3, AT)
    of.debit("d", 12, AT, overdraft=2)
    of.refund("e", 3, AT)
    of.debit("f", 1, AT)
    result = of.refund("d", 12, 200)
    assert ((), 12, 12, 1) == (
        result.returned,
        result.lost,
        of.held["a"].lost,
        of.held["a"].burned,
    )
