"""Credits agree with a model of single coins through any sequence of steps, and none gets lost."""

from __future__ import annotations

from typing import Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.credits.balance import (
    CreditBalance,
    add_grant,
    available,
    debit,
    forget,
    refund,
    void,
)
from sidecar.domain.credits.grants import Burn, CreditGrant, GrantKind, burn_order
from sidecar.domain.errors import Conflict
from tests.property.credit_coins import Coins, Debit, Grant, Refund, Step, Void

GRANTS: Final = st.sampled_from("abcdef")
DEBITS: Final = st.sampled_from("pqrst")
TIMES: Final = st.integers(0, 12)
_AMOUNTS: Final = st.integers(0, 9)


@st.composite
def _grants(draw: st.DrawFn) -> CreditGrant:
    start = draw(st.sampled_from([0, 0, 0, 2, 6]))
    return CreditGrant(
        id=draw(GRANTS),
        amount=draw(st.integers(1, 7)),
        priority=draw(st.integers(0, 2)),
        kind=draw(st.sampled_from(GrantKind)),
        effective_us=start,
        expires_us=draw(st.sampled_from([start + 1, 7, 9, 9, 12, FOREVER_US, FOREVER_US])),
    )


_KINDS: Final[dict[str, st.SearchStrategy[Step]]] = {
    "grant": st.builds(Grant, _grants()),
    "debit": st.builds(Debit, DEBITS, _AMOUNTS, TIMES),
    "refund": st.builds(Refund, DEBITS, _AMOUNTS, TIMES),
    "void": st.builds(Void, GRANTS, TIMES),
}
_OFTEN: Final = ["debit", "refund", "debit", "refund", "debit", "grant", "void"]


@st.composite
def _sequences(draw: st.DrawFn) -> list[Step]:
    """Some grants to start with, then anything: else most debits would be denied."""
    first = draw(st.lists(_KINDS["grant"], min_size=3, max_size=6))
    kinds = draw(st.lists(st.sampled_from(_OFTEN), min_size=5, max_size=25))
    return [*first, *(draw(_KINDS[kind]) for kind in kinds)]


_STEPS: Final = _sequences()


def _pairs(parts: tuple[Burn, ...]) -> list[tuple[str, int]]:
    return [(part.grant, part.amount) for part in parts]


def _carry_out(balance: CreditBalance, step: Step) -> tuple[CreditBalance, object]:
    """The balance after a step, and the answer as the model words it."""
    try:
        match step:
            case Grant(grant):
                balance, added = add_grant(balance, grant)
                return balance, "replayed" if added.replayed else "added"
            case Debit(name, amount, at_us):
                balance, debited = debit(balance, name, amount, at_us)
                return balance, _pairs(debited.burned) if debited.allowed else "denied"
            case Refund(name, amount, at_us):
                balance, back = refund(balance, name, amount, at_us)
                return balance, (_pairs(back.returned), back.lost, back.excess)
            case Void(name, at_us):
                balance, voided = void(balance, name, at_us)
                return balance, voided.voided if voided.found else "not found"
    except Conflict:
        return balance, "conflict"


def _after(steps: list[Step]) -> CreditBalance:
    balance = CreditBalance()
    for step in steps:
        balance, _ = _carry_out(balance, step)
    return balance


def _left(balance: CreditBalance) -> dict[str, int]:
    return {held.grant.id: held.left for held in balance.grants}


@settings(max_examples=400)
@given(_STEPS)
def test_every_answer_agrees_with_the_coins(steps: list[Step]) -> None:
    balance, coins = CreditBalance(), Coins()
    for step in steps:
        before = msgspec.json.encode(balance)
        after, answer = _carry_out(balance, step)
        assert coins.step(step) == answer
        assert coins.heaps == _left(after)
        assert before == msgspec.json.encode(balance)
        balance = after
        for at_us in (0, 6, 12):
            expected = sum(coins.heaps[grant] for grant in coins.spendable(at_us))
            assert expected == available(balance, at_us)


@settings(max_examples=400)
@given(_STEPS, TIMES)
def test_every_credit_granted_is_somewhere(steps: list[Step], now_us: int) -> None:
    """Granted = available + not in force + burned + voided + lost, by what the code itself says."""
    balance = CreditBalance()
    voided = lost = lapsed = 0
    for step in steps:
        left_before = _left(balance)
        balance, answer = _carry_out(balance, step)
        match step, answer:
            case Void(name), int(taken):
                voided += taken
                lapsed += left_before[name] - taken
            case Refund(), (_, int(gone), _):
                lost += gone
        assert all(0 <= held.left <= held.grant.amount for held in balance.grants)
        assert all(0 <= known.refunded <= known.amount for known in balance.debits.values())
    others = [h for h in balance.grants if not _covers(h.grant, now_us)]
    burned = sum(known.amount - known.refunded for known in balance.debits.values())
    granted = sum(held.grant.amount for held in balance.grants)
    elsewhere = sum(held.left for held in others) + burned + voided + lapsed + lost
    assert granted == available(balance, now_us) + elsewhere


def _covers(grant: CreditGrant, at_us: int) -> bool:
    return at_us in range(grant.effective_us, grant.expires_us)


@settings(max_examples=200)
@given(_STEPS, _AMOUNTS, st.lists(_AMOUNTS, max_size=5), TIMES)
def test_a_refund_in_parts_comes_to_the_same_as_one(
    steps: list[Step], amount: int, parts: list[int], at_us: int
) -> None:
    before, answer = _carry_out(_after(steps), Debit("new", amount, at_us))
    if answer == "denied":
        return
    in_parts, returned = before, 0
    for part in parts:
        in_parts, back = refund(in_parts, "new", part, at_us)
        returned += sum(burned.amount for burned in back.returned)
    whole, _ = refund(before, "new", sum(parts), at_us)
    assert whole == in_parts
    assert min(sum(parts), amount) == returned


@settings(max_examples=200)
@given(_STEPS, _AMOUNTS, TIMES)
def test_a_debit_refunded_at_once_leaves_every_grant_as_it_was(
    steps: list[Step], amount: int, at_us: int
) -> None:
    before = _after(steps)
    burned, _ = debit(before, "new", amount, at_us)
    assert before.grants == refund(burned, "new", amount, at_us)[0].grants


@settings(max_examples=200)
@given(_STEPS, TIMES, _STEPS)
def test_what_was_forgotten_is_not_missed(
    steps: list[Step], before_us: int, later: list[Step]
) -> None:
    """Steps that do not reach behind the instant, nor to what was dropped, see no difference."""
    whole = _after(steps)
    rest = forget(whole, before_us)
    held, known = set(_left(rest)), set(rest.debits)
    assert {part.grant for of in rest.debits.values() for part in of.burned} <= held
    for step in later:
        match step:
            case Grant(grant) if grant.id in _left(whole) and grant.id not in held:
                continue
            case Debit(name, _, at_us) | Refund(name, _, at_us):
                if at_us < before_us or (name in whole.debits and name not in known):
                    continue
            case Void(name, at_us):
                if at_us < before_us or name not in held:
                    continue
        whole, expected = _carry_out(whole, step)
        rest, answer = _carry_out(rest, step)
        held, known = set(_left(rest)), set(rest.debits)
        assert expected == answer
        assert available(whole, before_us) == available(rest, before_us)


@given(st.lists(_grants(), max_size=6, unique_by=lambda grant: grant.id))
def test_grants_are_held_in_burn_order_however_they_came(grants: list[CreditGrant]) -> None:
    balance = _after([Grant(grant) for grant in grants])
    assert sorted(grants, key=burn_order) == [held.grant for held in balance.grants]
