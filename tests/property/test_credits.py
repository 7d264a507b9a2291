"""Credits agree with a model of single coins through any sequence of steps, and none gets lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.credits.balance import advance, available, balance_at
from sidecar.domain.credits.grants import CreditGrant, GrantKind, burn_order
from sidecar.domain.credits.held_grants import Burn
from sidecar.domain.credits.operations import debit
from sidecar.domain.errors import Conflict
from tests.property.credit_coins import Coins, Debit, Grant, Refund, Step, Void
from tests.support.credits import BalanceKeeper

GRANTS: Final = st.sampled_from("abcdefgh")
DEBITS: Final = st.sampled_from("pqrst")
TIMES: Final = st.integers(0, 12)
_AMOUNTS: Final = st.integers(0, 9)
_OVERDRAFTS: Final = st.sampled_from([0, 0, 3, 12, None])


@st.composite
def _grants(draw: st.DrawFn) -> CreditGrant:
    start = draw(st.sampled_from([0, 0, 3, 6, 9, 11]))
    ends = [end for end in (7, 9, 12, FOREVER_US, FOREVER_US) if end > start]
    return CreditGrant(
        id=draw(GRANTS),
        amount=draw(st.integers(1, 7)),
        priority=draw(st.integers(0, 2)),
        kind=draw(st.sampled_from(GrantKind)),
        effective_us=start,
        expires_us=draw(st.sampled_from([start + 1, *ends])),
    )


_KINDS: Final[dict[str, st.SearchStrategy[Step]]] = {
    "grant": st.builds(Grant, _grants(), TIMES),
    "debit": st.builds(Debit, DEBITS, _AMOUNTS, TIMES, _OVERDRAFTS),
    "refund": st.builds(Refund, DEBITS, _AMOUNTS, TIMES),
    "void": st.builds(Void, GRANTS, TIMES),
}
_OFTEN: Final = ["debit", "refund", "debit", "refund", "debit", "grant", "grant", "void"]


@st.composite
def _sequences(draw: st.DrawFn) -> list[Step]:
    """Some grants to start with, then anything: mostly in order of time, and each debit once."""
    first = draw(st.lists(_KINDS["grant"], min_size=1, max_size=4))
    kinds = draw(st.lists(st.sampled_from(_OFTEN), min_size=5, max_size=25))
    late = draw(st.booleans())
    steps: list[Step] = [each._replace(at_us=0) for each in first]
    rest = [draw(_KINDS[kind]) for kind in kinds]
    if not late:
        rest.sort(key=lambda step: step.at_us)
    return [*steps, *_debits_once(rest)]


def _debits_once(steps: list[Step]) -> Iterator[Step]:
    """The same with a name of its own for each debit; refunds are of those before them."""
    names: list[str] = []
    for step in steps:
        match step:
            case Debit(name):
                names.append(f"{name}{len(names)}")
                yield step._replace(name=names[-1])
            case Refund(name) if names:
                yield step._replace(name=names[ord(name) % len(names)])
            case _:
                yield step


_STEPS: Final = _sequences()


def _pairs(parts: tuple[Burn, ...]) -> list[tuple[str, int]]:
    return [(part.grant, part.amount) for part in parts]


def _carry_out(keeper: BalanceKeeper, step: Step) -> object:
    """The answer as the model words it."""
    match step:
        case Grant(grant, at_us):
            try:
                return "replayed" if keeper.grant(grant, at_us).replayed else "added"
            except Conflict:
                return "conflict"
        case Debit(name, amount, at_us, None):
            debited = keeper.record(name, amount, at_us).debit
        case Debit(name, amount, at_us, int(overdraft)):
            debited = keeper.debit(name, amount, at_us, overdraft).debit
        case Refund(name, amount, at_us):
            back = keeper.refund(name, amount, at_us)
            return _pairs(back.returned), back.forgiven, back.lost, back.excess
        case Void(name, at_us):
            voided = keeper.void(name, at_us)
            return voided.voided if voided.found else "not found"
    return "denied" if debited is None else (_pairs(debited.burned), debited.overdrawn)


def _after(steps: list[Step]) -> BalanceKeeper:
    keeper = BalanceKeeper()
    for step in steps:
        _carry_out(keeper, step)
    return keeper


def _left(keeper: BalanceKeeper) -> dict[str, int]:
    return {name: held.left for name, held in keeper.held.items()}


@settings(max_examples=300)
@given(_STEPS)
def test_every_answer_agrees_with_the_coins(steps: list[Step]) -> None:
    keeper, coins = BalanceKeeper(), Coins()
    for step in steps:
        balance, before = keeper.balance, msgspec.json.encode(keeper.balance)
        answer = _carry_out(keeper, step)
        assert coins.step(step) == answer
        assert before == msgspec.json.encode(balance)
        assert {name: len(heap) for name, heap in coins.heaps.items()} == _left(keeper)
        assert coins.promises == keeper.balance.debt
        for at_us in {0, coins.now_us // 2, coins.now_us}:
            expected = sum(len(coins.heaps[grant]) for grant in coins.spendable(at_us))
            assert expected == available(keeper.balance, at_us)
            assert expected - coins.promises == balance_at(keeper.balance, at_us)


@settings(max_examples=150)
@given(_STEPS, TIMES, st.integers(0, 9))
def test_what_is_available_later_is_what_the_coins_say_then(
    steps: list[Step], at_us: int, overdraft: int
) -> None:
    keeper, coins = _after(steps), Coins()
    for step in steps:
        coins.step(step)
    coins.step(Refund("never", 0, at_us))
    spendable = sum(len(coins.heaps[grant]) for grant in coins.spendable(at_us))
    most = spendable + max(0, overdraft - coins.promises)
    assert most == available(keeper.balance, at_us, overdraft)
    assert debit(keeper.balance, most, at_us, overdraft)[1].debit is not None
    assert debit(keeper.balance, most + 1, at_us, overdraft)[1].debit is None


@settings(max_examples=150)
@given(_STEPS, TIMES)
def test_every_micro_credit_is_accounted_for(steps: list[Step], now_us: int) -> None:
    """Of each grant, and over all: what debits have cost has burned, or is owed."""
    keeper, coins = _after(steps), Coins()
    for step in steps:
        coins.step(step)
    for name, held in keeper.held.items():
        account = held.account(now_us)
        parts = (account.left, account.burned, account.expired, account.voided, account.lost)
        assert min(parts) >= 0
        assert held.grant.amount == sum(parts)
        assert account.lost == sum(coin.grant == name for coin in coins.lost)
        assert account.voided == sum(coin.grant == name for coin in coins.voided)
    burned = sum(held.burned for held in keeper.held.values())
    cost = sum(debited.amount - debited.refunded for debited in keeper.debits.values())
    assert cost == burned + keeper.balance.debt


@settings(max_examples=150)
@given(_STEPS)
def test_no_debit_that_is_checked_passes_its_floor_or_burns_what_is_over(
    steps: list[Step],
) -> None:
    keeper = BalanceKeeper()
    for step in steps:
        debt_before = keeper.balance.debt
        answer = _carry_out(keeper, step)
        if not isinstance(step, Debit) or answer == "denied":
            continue
        debited = keeper.debits[step.name]
        for part in debited.burned:
            held = keeper.held[part.grant]
            assert step.at_us in range(held.grant.effective_us, held.grant.expires_us)
            assert not held.is_voided
        if step.overdraft is not None and debited.overdrawn:
            assert keeper.balance.debt <= max(step.overdraft, debt_before)


@settings(max_examples=100)
@given(_STEPS, st.lists(TIMES, max_size=4))
def test_looking_in_between_changes_nothing(steps: list[Step], looks: list[int]) -> None:
    """What came into force has repaid at its own instant, whoever looks and whenever."""
    keeper = _after(steps)
    after = keeper.balance
    for at_us in sorted(looks):
        after, _ = advance(after, at_us)
    assert advance(keeper.balance, 12)[0] == advance(after, 12)[0]


@settings(max_examples=100)
@given(_STEPS, _AMOUNTS, st.lists(_AMOUNTS, max_size=5), TIMES, st.integers(0, 9))
def test_a_refund_in_parts_comes_to_the_same_as_one(
    steps: list[Step], amount: int, parts: list[int], at_us: int, overdraft: int
) -> None:
    in_parts, whole = _after(steps), _after(steps)
    if in_parts.debit("new", amount, at_us, overdraft).debit is None:
        return
    whole.debit("new", amount, at_us, overdraft)
    results = [in_parts.refund("new", part, at_us) for part in parts]
    once = whole.refund("new", sum(parts), at_us)
    assert min(sum(parts), amount) == sum(part.amount for part in once.returned) + (
        once.forgiven + once.lost
    )
    for word in ("forgiven", "lost", "excess"):
        assert getattr(once, word) == sum(getattr(result, word) for result in results)
    assert whole.balance == in_parts.balance
    assert whole.held == in_parts.held


@settings(max_examples=100)
@given(_STEPS, _AMOUNTS, TIMES)
def test_a_debit_refunded_at_once_leaves_every_grant_as_it_was(
    steps: list[Step], amount: int, at_us: int
) -> None:
    keeper = _after(steps)
    before = advance(keeper.balance, at_us)[0]
    keeper.debit("new", amount, at_us, overdraft=9)
    keeper.refund("new", amount, at_us)
    assert before.open == advance(keeper.balance, at_us)[0].open
    assert before.debt == advance(keeper.balance, at_us)[0].debt


@settings(max_examples=100)
@given(_STEPS, TIMES, _STEPS)
def test_what_was_forgotten_is_not_missed(
    steps: list[Step], before_us: int, later: list[Step]
) -> None:
    """Steps at the instant or after it see no difference."""
    whole, rest = _after(steps), _after(steps)
    over = rest.forget(before_us)
    assert all(held.grant.expires_us <= before_us for held in over)
    for step in later:
        if step.at_us < before_us or isinstance(step, Grant):
            continue
        assert _carry_out(whole, step) == _carry_out(rest, step)
        assert available(whole.balance, before_us) == available(rest.balance, before_us)


@given(st.lists(_grants(), max_size=6, unique_by=lambda grant: grant.id))
def test_grants_are_held_in_burn_order_however_they_came(grants: list[CreditGrant]) -> None:
    keeper = _after([Grant(grant, 0) for grant in grants])
    assert sorted(grants, key=burn_order) == [held.grant for held in keeper.balance.open]
