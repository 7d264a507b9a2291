"""Leases on the way of a check: what it lacks of them, and what is decided and told by them."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from sidecar.directory.resolved import ResolvedFeature
from sidecar.domain.catalog.model import FailAction
from sidecar.domain.leases.model import LeaseNeed
from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.reasons import Basis, FallbackCause, GrantMode, Reason, by_default
from sidecar.domain.limits.requests import Check
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.engine.lease_book import LeaseBook
from sidecar.engine.lease_headroom import lease_wanted
from sidecar.engine.limit_usage import LimitUsage
from sidecar.engine.needs import LEASE_TRIES_MAX, Needs
from sidecar.engine.plane_status import PlaneStatus

_UNLEASED: Final = Reason.LEASE_UNAVAILABLE
_NONE: Final[frozenset[LeaseNeed]] = frozenset()


def decided(
    reading: LimitUsage,
    feature: ResolvedFeature,
    check: Check,
    mode: GrantMode,
    now_us: int,
    asked: Needs,
    basis: Basis,
    status: PlaneStatus,
) -> tuple[Decision, Basis] | Needs:
    """What is decided on limits, rates and leases, and on what basis; or what is needed first.

    Where a lease is lacking that can't be had, the feature's fail policy decides.
    """
    decision = decide(check.quantity, mode, reading.deciding, now_us, reading.rates)
    if not reading.leased:
        return decision, basis
    if decision.granted < check.quantity and asked.lease_tries < LEASE_TRIES_MAX:
        needs = _lease_needs(reading, feature, check, now_us)
        if needs and not needs & asked.leases:
            return Needs(leases=needs)
    return _by_lease_or_policy(reading, feature, check, now_us, decision, basis, status)


def answer_to_question(
    reading: LimitUsage,
    feature: ResolvedFeature,
    question: Check,
    mode: GrantMode,
    now_us: int,
    basis: Basis,
    status: PlaneStatus,
) -> tuple[Decision, Basis]:
    """What is told to who asks and counts nothing: no lease is asked for on that account.

    Where the lease that is held does not cover it, what limits alone let pass is told, and nothing
    of what is left: a check asks for a lease, and what it gets, the plane says then. While that is
    away, it is told what a check gets now.
    """
    decision = decide(question.quantity, mode, reading.deciding, now_us, reading.rates)
    if not reading.leased:
        return decision, basis
    if (
        status.connected
        and decision.granted < question.quantity
        and _lease_needs(reading, feature, question, now_us)
    ):
        allowed = by_limits_alone(reading, question, now_us)
        is_exact = isinstance(allowed.binding, QuotaUsage) and allowed.binding.limit.is_leased
        return allowed, status.leased_basis(basis, feature.company, exact=is_exact)
    return _by_lease_or_policy(reading, feature, question, now_us, decision, basis, status)


def _by_lease_or_policy(
    reading: LimitUsage,
    feature: ResolvedFeature,
    check: Check,
    now_us: int,
    decision: Decision,
    basis: Basis,
    status: PlaneStatus,
) -> tuple[Decision, Basis]:
    """What is decided by leases, and on what basis; where one is lacking, by the fail policy."""
    if decision.reason is _UNLEASED and feature.policy.no_lease is FailAction.ALLOW:
        allowed = replace(by_limits_alone(reading, check, now_us), would_deny=_UNLEASED)
        fallback = status.fallback_basis(now_us, FallbackCause.NO_LEASE, basis.snapshot_version)
        return allowed, by_default(fallback, basis.default_plan)
    return decision, leased_basis(reading, feature, decision, basis, status)


def by_limits_alone(reading: LimitUsage, check: Check, now_us: int) -> Decision:
    """What would be decided if no limit needed a lease."""
    usages = [replace(usage, lease=None) for usage in reading.deciding]
    return decide(check.quantity, check.mode, usages, now_us, reading.rates)


def _lease_needs(
    reading: LimitUsage, feature: ResolvedFeature, check: Check, now_us: int
) -> frozenset[LeaseNeed]:
    """What of leases is worth asking for, so that the check gets what its limits let pass."""
    granted = by_limits_alone(reading, check, now_us).granted
    least = 1 if check.mode is GrantMode.UP_TO else check.quantity
    if granted < least:
        return _NONE
    needs = set()
    for usage, address in reading.leased:
        assert usage.lease is not None
        wanted = lease_wanted(granted, least, usage.lease)
        if wanted:
            needs.add(LeaseNeed(feature.counter_name(address.ref), wanted))
        elif usage.lease.left < least:
            return _NONE  # it is denied, whatever else is had
    return frozenset(needs)


def leased_basis(
    reading: LimitUsage,
    feature: ResolvedFeature,
    decision: Decision,
    basis: Basis,
    status: PlaneStatus,
) -> Basis:
    """The basis of what was decided by leases, with what the smallest of them has left."""
    binding = decision.binding
    exact = (
        decision.reason is not _UNLEASED
        and isinstance(binding, QuotaUsage)
        and binding.lease is not None
    )
    left = min(usage.lease.left for usage, _ in reading.leased if usage.lease is not None)
    leased = status.leased_basis(basis, feature.company, exact=exact)
    return replace(leased, lease_remaining=max(0, left - decision.granted))


def mark_due(reading: LimitUsage, feature: ResolvedFeature, granted: int, book: LeaseBook) -> None:
    """Mark the leases that are to be refilled once a quantity is counted."""
    for _, address in reading.leased:
        counter = reading.counted[address.key][1]
        lease = None if counter is None else counter.lease
        if counter is None or lease is None or counter.own + granted < lease.refill_at:
            continue
        if not book.is_due(address.key):
            book.mark_due(address.key, feature.counter_name(address.ref))
