"""Deliberate bugs of credits, each of which the simulator has to find.

What each does wrong is its first line; see `leases/mutations.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from typing import Any, Final
from unittest.mock import patch

from msgspec.structs import replace

from sidecar.control.rules import leases as lease_rules
from sidecar.control.services import credit_grants, credit_refunds
from sidecar.control.services.balances import Balances
from sidecar.control.services.burns import Burns
from sidecar.control.storage.values import CORRECTIONS, CounterKey
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.credits.prices import Price
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER
from sidecar.domain.credits.sources import CreditSources, sources_at
from sidecar.domain.leases.account import LeaseAccount, LeaseVerdict, judge
from sidecar.domain.leases.model import LeaseRequest
from sidecar.domain.time.units import SECOND_US
from sidecar.engine import balance_usage, usual_check
from sidecar.engine.balance_usage import BalanceUsage
from tests.simulation.credits.generate import schedule_of
from tests.simulation.credits.player import play
from tests.simulation.leases.mutating import Mutations


def _play_seed(seed: int, only: Collection[str]) -> str:
    return play(schedule_of(seed, only)).violation


MUTATIONS: Final = Mutations(_play_seed)


@MUTATIONS.add
def spent_past_expiry(stack: ExitStack) -> None:
    """Grants are in force, and leased, for a while longer than they are said to be."""
    leased = lease_rules._leased_grant

    def longer(*arguments: Any) -> Any:
        slot = leased(*arguments)
        if slot is None or slot.valid_until_us == FOREVER_US:
            return slot
        return replace(slot, valid_until_us=slot.valid_until_us + 20 * SECOND_US)

    stack.enter_context(patch.object(lease_rules, "_leased_grant", longer))
    _shift_sources(stack, -10 * SECOND_US)


@MUTATIONS.add
def spent_before_its_start(stack: ExitStack) -> None:
    """What is leased of a grant ahead of its start is spent, too."""
    _shift_sources(stack, 10 * SECOND_US)


def _shift_sources(stack: ExitStack, by_us: int) -> None:
    """Have sidecars burn what is in force at another instant."""

    def shifted(snapshot: Any, phase: Any, entitlement: Any, at_us: int) -> CreditSources:
        found = sources_at(snapshot, phase, entitlement, at_us + by_us)
        return replace(found, from_us=at_us, until_us=at_us + 1)

    stack.enter_context(patch("sidecar.directory.balances.sources_at", shifted))


@MUTATIONS.add
def burned_out_of_order(stack: ExitStack) -> None:
    """Sidecars burn the last source first."""

    def backwards(snapshot: Any, phase: Any, entitlement: Any, at_us: int) -> CreditSources:
        found = sources_at(snapshot, phase, entitlement, at_us)
        return replace(found, sources=found.sources[::-1])

    stack.enter_context(patch("sidecar.directory.balances.sources_at", backwards))


@MUTATIONS.add
def void_not_told(stack: ExitStack) -> None:
    """A void is noted, and sidecars go on hearing of the grant, and get leases of it."""
    voided = credit_grants._voided

    def silent(*arguments: Any) -> Any:
        return replace(voided(*arguments), told=True)

    stack.enter_context(patch.object(credit_grants, "_voided", silent))


@MUTATIONS.add
def refunded_again(stack: ExitStack) -> None:
    """What a record gave back before is given back once more."""
    burned = credit_refunds._burned

    def forgetful(*arguments: Any) -> Any:
        feature, parts, _ = burned(*arguments)
        return feature, parts, 0

    stack.enter_context(patch.object(credit_refunds, "_burned", forgetful))


@MUTATIONS.add
def refunded_twice(stack: ExitStack) -> None:
    """A refund is taken off counters twice."""
    carry_out = credit_refunds._carry_out

    def generous(
        transaction: Any, company: Any, feature: str, wanted: Any, plan: Any, *rest: Any
    ) -> None:
        carry_out(transaction, company, feature, wanted, plan, *rest)
        version = transaction.next_ledger_version(0)
        for part in plan.parts:
            if not part.is_lost:
                key = CounterKey(company.company.id, feature, part.counter)
                transaction.add_to_counters(CORRECTIONS, {key: -part.amount}, version)

    stack.enter_context(patch.object(credit_refunds, "_carry_out", generous))


@MUTATIONS.add
def rounded_down(stack: ExitStack) -> None:
    """A part of a micro-credit is free."""

    def cost(price: Price, quantity: int) -> int:
        return quantity * price.micro_credits // price.per

    stack.enter_context(patch.object(balance_usage, "cost", cost))
    stack.enter_context(patch.object(usual_check, "usual_burn", lambda *_: None))


@MUTATIONS.add
def part_is_enough(stack: ExitStack) -> None:
    """Who can pay a part of a cost is let pass."""
    lacking = BalanceUsage.lacking

    def lenient(self: BalanceUsage, amount: int) -> int:
        missing = lacking(self, amount)
        return missing if missing == amount else 0

    stack.enter_context(patch.object(BalanceUsage, "lacking", lenient))


@MUTATIONS.add
def debt_not_repaid(stack: ExitStack) -> None:
    """What is owed stays owed, whatever comes in."""
    stack.enter_context(patch.object(Balances, "repay", lambda *_: None))


@MUTATIONS.add
def burned_again_on_retry(stack: ExitStack) -> None:
    """What a repeated record burned is not taken back."""
    book = Burns.book

    def hasty(self: Burns, *arguments: Any, duplicated: bool) -> None:
        book(self, *arguments, duplicated=False)

    stack.enter_context(patch.object(Burns, "book", hasty))


@MUTATIONS.add
def owed_is_lent_again(stack: ExitStack) -> None:
    """Of the overdraft all of it is leased, whatever is owed already."""

    def generous(request: LeaseRequest, account: LeaseAccount, terms: Any) -> LeaseVerdict:
        if request.counter.counter == OVERDRAFT_COUNTER:
            account = replace(account, used=account.own)
        return judge(request, account, terms)

    stack.enter_context(patch("sidecar.control.services.leases.judge", generous))
