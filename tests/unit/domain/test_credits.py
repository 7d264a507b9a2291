"""A balance of credits, by outcome: what ids, refunds and voids do, and what is bounded."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.credits import balance as credits_module
from sidecar.domain.credits.balance import (
    CreditBalance,
    CreditDebit,
    DebitResult,
    GrantResult,
    RefundResult,
    VoidResult,
    add_grant,
    available,
    debit,
    forget,
    refund,
    void,
)
from sidecar.domain.credits.grants import Burn, CreditGrant, GrantKind, HeldGrant
from sidecar.domain.errors import Conflict, Exhausted, InvalidInput, OutOfRange

AT: Final = 100
EMPTY: Final = CreditBalance()


def grant(
    name: str, amount: int = 10, *, priority: int = 10, start: int = 0, end: int = FOREVER_US
) -> CreditGrant:
    return CreditGrant(name, amount, priority, GrantKind.PAID, start, end)


def balance(*grants: CreditGrant) -> CreditBalance:
    result = EMPTY
    for each in grants:
        result, _ = add_grant(result, each)
    return result


def debited(of: CreditBalance, name: str, amount: int, at_us: int = AT) -> CreditBalance:
    after, result = debit(of, name, amount, at_us)
    assert result.allowed
    return after


def left(of: CreditBalance) -> dict[str, int]:
    return {held.grant.id: held.left for held in of.grants}


# "a" expires at 200, "b" at 300; a debit of 14 burns 10 of "a" and 4 of "b".
TWO: Final = balance(grant("a", end=200), grant("b", end=300))
BURNED: Final = debited(TWO, "d", 14)


def test_an_empty_balance_has_nothing() -> None:
    assert (0, DebitResult(False)) == (available(EMPTY, AT), debit(EMPTY, "d", 1, AT)[1])


def test_grants_add_up_while_they_are_in_force() -> None:
    of = balance(
        grant("a", 1, end=AT), grant("b", 20), grant("c", 300), grant("d", 4, start=AT + 1)
    )
    assert [21 + 300, 320, 324] == [available(of, at_us) for at_us in (AT - 1, AT, AT + 1)]


def test_a_balance_is_the_same_in_whatever_order_grants_came() -> None:
    grants = [grant("a", priority=2), grant("b", priority=1), grant("c", end=500)]
    assert balance(*grants) == balance(*reversed(grants))


def test_a_grant_that_comes_again_changes_nothing() -> None:
    for before in (TWO, BURNED, void(TWO, "a", AT)[0]):
        assert (before, GrantResult(replayed=True)) == add_grant(before, grant("a", end=200))


@pytest.mark.parametrize(
    "other",
    [grant("a", 11, end=200), grant("a", priority=9, end=200), grant("a", end=201)],
)
def test_another_grant_under_a_known_id_is_a_conflict(other: CreditGrant) -> None:
    with pytest.raises(Conflict):
        add_grant(TWO, other)


def test_a_debit_tells_what_it_burned() -> None:
    after, result = debit(TWO, "d", 14, AT)
    assert DebitResult(True, (Burn("a", 10), Burn("b", 4))) == result
    assert ({"a": 0, "b": 6}, 6) == (left(after), available(after, AT))


def test_a_debit_above_what_is_available_leaves_no_trace() -> None:
    assert (TWO, DebitResult(False)) == debit(TWO, "d", 21, AT)


def test_a_denied_debit_is_evaluated_anew() -> None:
    before, _ = debit(TWO, "d", 21, AT)
    topped_up, _ = add_grant(before, grant("c", 1))
    assert debit(topped_up, "d", 21, AT)[1].allowed


def test_a_debit_of_nothing_is_allowed_on_an_empty_balance() -> None:
    assert DebitResult(True) == debit(EMPTY, "d", 0, AT)[1]


def test_late_usage_burns_what_was_in_force_then() -> None:
    of = balance(grant("old", end=50), grant("new", start=50))
    assert (Burn("old", 3),) == debit(of, "late", 3, 49)[1].burned


def test_a_debit_that_comes_again_gets_its_first_answer_and_counts_nothing() -> None:
    first = DebitResult(True, (Burn("a", 10), Burn("b", 4)), replayed=True)
    for before in (BURNED, refund(BURNED, "d", 14, AT)[0], void(BURNED, "a", AT)[0]):
        assert (before, first) == debit(before, "d", 14, AT + 60)


def test_another_amount_under_a_known_id_is_a_conflict() -> None:
    with pytest.raises(Conflict):
        debit(BURNED, "d", 13, AT)


@pytest.mark.parametrize(
    ("amount", "at_us", "expected", "left_after"),
    [
        pytest.param(
            3, AT, RefundResult((Burn("b", 3),)), {"a": 0, "b": 9}, id="last burned first"
        ),
        pytest.param(
            14,
            AT,
            RefundResult((Burn("b", 4), Burn("a", 10))),
            {"a": 10, "b": 10},
            id="in full, to every grant",
        ),
        pytest.param(
            9, 200, RefundResult((Burn("b", 4),), lost=5), {"a": 0, "b": 10}, id="expired: lost"
        ),
        pytest.param(14, 300, RefundResult(lost=14), {"a": 0, "b": 6}, id="both expired: all lost"),
        pytest.param(
            20,
            AT,
            RefundResult((Burn("b", 4), Burn("a", 10)), excess=6),
            {"a": 10, "b": 10},
            id="no more than was burned",
        ),
        pytest.param(0, AT, RefundResult(), {"a": 0, "b": 6}, id="nothing"),
    ],
)
def test_a_refund_returns(
    amount: int, at_us: int, expected: RefundResult, left_after: dict[str, int]
) -> None:
    after, result = refund(BURNED, "d", amount, at_us)
    assert (expected, left_after) == (result, left(after))


def test_a_second_refund_goes_on_where_the_first_ended() -> None:
    once, _ = refund(BURNED, "d", 3, AT)
    twice, result = refund(once, "d", 3, AT)
    assert RefundResult((Burn("b", 1), Burn("a", 2))) == result
    assert RefundResult((Burn("a", 8),), excess=1) == refund(twice, "d", 9, AT)[1]


def test_what_was_lost_is_not_refunded_again() -> None:
    once, _ = refund(BURNED, "d", 9, 200)
    assert RefundResult((Burn("a", 5),), excess=4) == refund(once, "d", 9, 199)[1]


def test_a_refund_of_all_that_was_refunded_changes_nothing() -> None:
    once, _ = refund(BURNED, "d", 14, AT)
    assert (once, RefundResult(excess=14)) == refund(once, "d", 14, AT)


def test_a_refund_of_an_unknown_debit_returns_nothing() -> None:
    assert (TWO, RefundResult(excess=5)) == refund(TWO, "never", 5, AT)


def test_a_refund_can_be_burned_again() -> None:
    once, _ = refund(BURNED, "d", 14, AT)
    assert {"a": 0, "b": 5} == left(debited(once, "again", 15))


def test_a_void_takes_what_is_left() -> None:
    after, result = void(BURNED, "b", AT)
    assert (VoidResult(6), {"a": 0, "b": 0}) == (result, left(after))


def test_a_refund_to_a_voided_grant_is_lost() -> None:
    voided, _ = void(BURNED, "b", AT)
    after, result = refund(voided, "d", 5, AT)
    assert (RefundResult((Burn("a", 1),), lost=4), {"a": 1, "b": 0}) == (result, left(after))


def test_a_second_void_takes_nothing() -> None:
    once, _ = void(TWO, "a", AT)
    assert (once, VoidResult(0)) == void(once, "a", AT)


def test_a_void_of_an_expired_grant_takes_nothing_and_closes_it_to_late_usage() -> None:
    after, result = void(TWO, "a", 200)
    assert (VoidResult(0), 10) == (result, available(after, AT))


def test_a_void_of_an_unknown_grant_finds_nothing() -> None:
    assert (TWO, VoidResult(0, found=False)) == void(TWO, "never", AT)


def test_nothing_changes_the_balance_that_it_was_given() -> None:
    before = CreditBalance(
        (HeldGrant(grant("a", end=200), 0), HeldGrant(grant("b", end=300), 6)),
        {"d": CreditDebit(14, AT, (Burn("a", 10), Burn("b", 4)))},
    )
    add_grant(BURNED, grant("c"))
    debit(BURNED, "e", 3, AT)
    refund(BURNED, "d", 7, AT)
    void(BURNED, "b", AT)
    forget(BURNED, 1000)
    assert before == BURNED


@pytest.mark.parametrize(
    ("before_us", "grants", "debits"),
    [
        pytest.param(AT, ["a", "b", "c"], ["d"], id="nothing ended before"),
        pytest.param(AT + 1, ["b", "c"], [], id="a debit, and the grant that it had spent"),
        pytest.param(300, ["c"], [], id="a grant that expired with credits left"),
        pytest.param(10**9, ["c"], [], id="never what is left for ever"),
    ],
)
def test_forgotten(before_us: int, grants: list[str], debits: list[str]) -> None:
    of, _ = add_grant(BURNED, grant("c"))
    after = forget(of, before_us)
    assert (grants, debits) == (list(left(after)), list(after.debits))


def test_a_voided_grant_is_not_forgotten_before_it_expires() -> None:
    voided, _ = void(TWO, "b", AT)
    assert [{"b": 0}, {}] == [left(forget(voided, before_us)) for before_us in (299, 300)]


@pytest.mark.parametrize("bound", ["GRANTS_MAX", "DEBITS_MAX"])
def test_a_full_balance_refuses_what_is_new_and_replays_what_it_knows(
    monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    of = debited(balance(grant("a"), grant("b")), "d1", 1)
    of = debited(of, "d2", 1)
    monkeypatch.setattr(credits_module, bound, 2)
    assert add_grant(of, grant("a"))[1].replayed
    assert debit(of, "d1", 1, AT)[1].replayed
    with pytest.raises(Exhausted):
        debit(add_grant(of, grant("c"))[0], "d3", 1, AT)


def test_grants_may_add_up_to_the_greatest_integer_and_no_further() -> None:
    full = balance(grant("a", INT64_MAX - 1), grant("b", 1))
    assert INT64_MAX == available(full, AT)
    with pytest.raises(OutOfRange):
        add_grant(full, grant("c", 1))
    roomier, _ = void(full, "b", AT)
    assert INT64_MAX == available(add_grant(roomier, grant("c", 1))[0], AT)


def test_what_could_be_refunded_counts_towards_the_greatest_sum() -> None:
    spent = debited(balance(grant("a", INT64_MAX)), "d", INT64_MAX)
    with pytest.raises(OutOfRange):
        add_grant(spent, grant("b", 1))


@pytest.mark.parametrize("amount", [-1, -(2**63)])
def test_amounts_below_0_are_refused(amount: int) -> None:
    with pytest.raises(InvalidInput):
        debit(BURNED, "e", amount, AT)
    with pytest.raises(InvalidInput):
        refund(BURNED, "d", amount, AT)


@pytest.mark.parametrize("name", ["", "a\tb", "x" * 129])
def test_debits_need_an_identifier(name: str) -> None:
    with pytest.raises(InvalidInput):
        debit(BURNED, name, 1, AT)
