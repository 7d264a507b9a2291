"""Burning: what is decided where usage has a cost, once limits, rates and leases let it pass.

A request counts on its limits and burns its cost of each balance, all or none. What has happened is
burned as far as what is held here covers it; the plane burns the rest once it hears of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from sidecar.directory.resolved import ResolvedFeature
from sidecar.domain.catalog.model import FailAction
from sidecar.domain.leases.model import LeaseNeed
from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.decision import CreditsBurned, Decision
from sidecar.domain.limits.reasons import (
    Basis,
    BasisMode,
    FallbackCause,
    GrantMode,
    Reason,
    by_default,
)
from sidecar.domain.limits.requests import Check
from sidecar.domain.limits.usage import LEASE_WAIT_US
from sidecar.engine.admission import Admission
from sidecar.engine.balance_reading import balances_of
from sidecar.engine.balance_usage import BalanceUsage
from sidecar.engine.limit_usage import LimitUsage
from sidecar.engine.needs import LEASE_TRIES_MAX, NOTHING, Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.storage.record_wire import encode_cost
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

_ALLOWED: Final = Reason.ALLOWED
_UNLEASED: Final = Reason.LEASE_UNAVAILABLE
_EXHAUSTED: Final = Reason.CREDITS_EXHAUSTED
_RECORD_ONLY: Final = GrantMode.RECORD_ONLY
_NONE: Final[frozenset[LeaseNeed]] = frozenset()


def burning(
    told: tuple[Decision, Basis] | Needs,
    reading: LimitUsage,
    balances: Sequence[BalanceUsage],
    feature: ResolvedFeature,
    check: Check,
    mode: GrantMode,
    now_us: int,
    asked: Needs,
    status: PlaneStatus,
) -> tuple[Decision, Basis] | Needs:
    """What is decided once a request's cost is looked at; or what of leases is needed first.

    `told`: what was decided on limits, or what they need: what balances need is asked for with it.
    Where a lease is lacking that can't be had, the feature's fail policy decides.
    """
    if not balances:
        return told
    up_to = mode is GrantMode.UP_TO
    if isinstance(told, Needs):
        return told.with_more(Needs(leases=_needs(balances, check.quantity, up_to=up_to)))
    decision, basis = told
    if not decision.allowed:
        return told
    basis = _basis_of(balances, feature, basis, status)
    if mode is _RECORD_ONLY:
        return _recorded(decision, balances), basis
    needs = _needs(balances, decision.granted, up_to=up_to)
    if needs and asked.lease_tries < LEASE_TRIES_MAX and not needs & asked.leases:
        return Needs(leases=needs)
    if status.connected and not asked.lease_tries and (sooner := _sooner(balances, decision)):
        return Needs(leases=sooner)
    return _decided(decision, basis, reading, balances, feature, mode, now_us, status)


def _decided(
    decision: Decision,
    basis: Basis,
    reading: LimitUsage,
    balances: Sequence[BalanceUsage],
    feature: ResolvedFeature,
    mode: GrantMode,
    now_us: int,
    status: PlaneStatus,
) -> tuple[Decision, Basis]:
    """What is decided by what is held of balances; where a lease is lacking, by the fail policy."""
    granted = decision.granted
    if mode is GrantMode.UP_TO and granted:
        affordable = min(balance.affordable(granted) for balance in balances)
        if 0 < affordable < granted:
            decision = _decided_again(decision, reading, affordable, mode, now_us)
        granted = decision.granted if affordable else 1
    costs = [balance.cost(granted) for balance in balances]
    short = [
        balance.shortage(cost)
        for balance, cost in zip(balances, costs, strict=True)
        if balance.lacking(cost)
    ]
    if not short:
        return replace(decision, burned=_burned(balances, costs)), basis
    if _EXHAUSTED not in short and feature.policy.no_lease is FailAction.ALLOW:
        allowed = replace(_recorded(decision, balances), reason=_ALLOWED, would_deny=_UNLEASED)
        fallback = status.fallback_basis(now_us, FallbackCause.NO_LEASE, basis.snapshot_version)
        return allowed, by_default(fallback, basis.default_plan)
    reason = _EXHAUSTED if _EXHAUSTED in short else _UNLEASED
    return _denied(reason, balances, costs, now_us), basis


def answer_to_costly_question(
    told: tuple[Decision, Basis],
    reading: LimitUsage,
    store: Store,
    admission: Admission,
    feature: ResolvedFeature,
    question: Check,
    now_us: int,
    status: PlaneStatus,
) -> tuple[Decision, Basis]:
    """What is told to who asks and burns nothing, on top of what limits let pass.

    No lease is asked for on that account: what the balance has is told, whoever holds it; while the
    plane is away, what a check gets now.
    """
    if not feature.entitlement.feature.costs:
        return told

    def work(transaction: Transaction) -> tuple[Decision, Basis]:
        leased = not status.connected and question.quantity > 0
        balances = balances_of(
            transaction, admission, feature, question, now_us, status, leased=leased
        )
        nothing_more = NOTHING.without_leases()
        answer = burning(
            told, reading, balances, feature, question, admission.mode, now_us, nothing_more, status
        )
        assert not isinstance(answer, Needs), "no lease is asked for"
        return answer

    return store.transact(work)


def burn(balances: Sequence[BalanceUsage], burned: Sequence[CreditsBurned]) -> bytes:
    """Burn what was decided; the parts of the record that say so."""
    if not balances:
        return b""
    burns = [balance.burn(each.amount) for balance, each in zip(balances, burned, strict=True)]
    costs = [encode_cost(each.feature, each.needed) for each in burned if each.needed]
    return b"".join([*burns, *costs])


def _needs(balances: Sequence[BalanceUsage], quantity: int, *, up_to: bool) -> frozenset[LeaseNeed]:
    """Leases that are worth asking for: none where one of the balances cannot do anyway."""
    needs: set[LeaseNeed] = set()
    for balance in balances:
        amount = balance.cost(quantity)
        found = balance.needs(amount, up_to=up_to)
        if not found and balance.lacking(balance.cost(1) if up_to else amount):
            return _NONE
        needs.update(found)
    return frozenset(needs)


def _sooner(balances: Sequence[BalanceUsage], decision: Decision) -> frozenset[LeaseNeed]:
    """Leases that are worth waiting for once, so that a cost burns in order."""
    costs = [(balance, balance.cost(decision.granted)) for balance in balances]
    if any(balance.lacking(cost) for balance, cost in costs):
        return _NONE
    return frozenset(need for balance, cost in costs for need in balance.sooner(cost))


def _recorded(decision: Decision, balances: Sequence[BalanceUsage]) -> Decision:
    """What is told of what is burned past what there is: as much as is held here."""
    costs = [balance.cost(decision.granted, has_happened=True) for balance in balances]
    is_past = any(map(BalanceUsage.lacks_for_certain, balances, costs))
    reason = _EXHAUSTED if is_past and decision.reason is _ALLOWED else decision.reason
    return replace(decision, reason=reason, burned=_burned(balances, costs))


def _burned(balances: Sequence[BalanceUsage], costs: Sequence[int]) -> tuple[CreditsBurned, ...]:
    return tuple(balance.burned(cost) for balance, cost in zip(balances, costs, strict=True))


def _denied(
    reason: Reason, balances: Sequence[BalanceUsage], costs: Sequence[int], now_us: int
) -> Decision:
    """What is told of a denial: each cost, and what there is. No waiting helps but for a window."""
    retry_after_us: int | None = LEASE_WAIT_US
    if reason is _EXHAUSTED:
        waits = [
            balance.wait_us(cost, now_us)
            for balance, cost in zip(balances, costs, strict=True)
            if balance.lacking(cost)
        ]
        known = [wait_us for wait_us in waits if wait_us is not None]
        retry_after_us = max(known) if len(known) == len(waits) else None
    burned = tuple(
        balance.burned(cost, denied=True) for balance, cost in zip(balances, costs, strict=True)
    )
    return Decision(False, reason, 0, retry_after_us=retry_after_us, burned=burned)


def _decided_again(
    decision: Decision, reading: LimitUsage, granted: int, mode: GrantMode, now_us: int
) -> Decision:
    """What limits decide about the part of a quantity that balances pay."""
    usages = reading.deciding
    if decision.would_deny is not None:  # the fail policy has let it pass without a lease
        usages = [replace(usage, lease=None) for usage in usages]
    again = decide(granted, mode, usages, now_us, reading.rates)
    return replace(again, would_deny=decision.would_deny)


def _basis_of(
    balances: Sequence[BalanceUsage], feature: ResolvedFeature, basis: Basis, status: PlaneStatus
) -> Basis:
    """The basis where leases of balances decided as well; they say nothing of what limits used."""
    if basis.mode is not BasisMode.LOCAL or all(balance.book is None for balance in balances):
        return basis
    return status.leased_basis(basis, feature.company, exact=False)
