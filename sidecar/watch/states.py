"""Reading what is told to those who watch: the states of a company's features."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from sidecar.directory.balances import BalanceSource
from sidecar.directory.deciding import deciding_company
from sidecar.directory.directory import Directory
from sidecar.directory.resolved import LOOKED_AT_ONCE, ResolvedCompany, ResolvedFeature
from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.company.model import Segment
from sidecar.domain.credits.low_balance import part_of_balance
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from sidecar.domain.errors import NotFound
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.requests import NO_ATTRIBUTES
from sidecar.domain.limits.usage import QuotaUsage, remaining
from sidecar.domain.nearest import lacks
from sidecar.domain.seats.rules import generation_counted
from sidecar.domain.slices import Slices
from sidecar.domain.time.company_windows import generation_of
from sidecar.engine.balance_reading import debt_of, usage_of_balance
from sidecar.engine.limit_usage import read_limit_usage
from sidecar.engine.plane_status import PlaneStatus
from sidecar.storage.store import Store
from sidecar.watch.events import BalanceState, FeatureState, LimitState

FEATURES_MAX: Final = 100
"""Most features of a watch."""


class Subject(msgspec.Struct, frozen=True):
    """What is watched. No `features`: whatever the company is entitled to, up to the bound.

    Limits with dimensions are watched for the values in `dimensions` alone.
    """

    company: str
    features: tuple[str, ...] = ()
    dimensions: Mapping[str, str] = NO_ATTRIBUTES


class CompanyState(msgspec.Struct, frozen=True):
    """States of features, and the end of the segment of the timeline that they were read in.

    `company`: the first id of whom they are of.
    """

    features: list[FeatureState]
    company: str
    until_us: int = FOREVER_US


class StateReader:
    """Reads states from a store. Runs on the thread that owns the store."""

    def __init__(self, store: Store, directory: Directory, plane_status: PlaneStatus) -> None:
        self._store = store
        self._directory = directory
        self._plane_status = plane_status

    def require_features(self, subject: Subject) -> None:
        """Raise `NotFound` for a feature that the catalog lacks, once there is a catalog."""
        index = self._directory.index
        for at, key in enumerate(subject.features):
            if index is not None and key not in index.features:
                message = lacks("feature", key, index.features)
                raise NotFound(f"features[{at}]", message, "UNKNOWN_FEATURE")

    def read(
        self,
        subject: Subject,
        told: Collection[str],
        touched: Collection[str] | None,
        now_us: int,
    ) -> Slices[CompanyState]:
        """States of the features that were touched; with `None` of every one that is watched.

        `told`: features that were read before: they stay watched. Read in bounded steps, all of
        one revision; what is counted meanwhile touches the watch again.
        """
        company, index = self._company(subject.company, now_us), self._directory.index
        keys = touched
        if keys is None:
            keys = yield from _watched(subject, company, index, told)
        states = []
        looked_at = 0
        for key in keys:
            states.append(self._state(subject, company, index, key, now_us))
            looked_at += 1 if company is None else _weight(company, key)
            if looked_at >= LOOKED_AT_ONCE:
                looked_at = 0
                yield
        until_us = FOREVER_US if company is None else company.segment.until_us
        known = subject.company if company is None else company.snapshot.company
        return CompanyState(states, known, until_us)

    def _company(self, name: str, now_us: int) -> ResolvedCompany | None:
        return deciding_company(self._directory, name, now_us, now_us, final=True)

    def _state(
        self,
        subject: Subject,
        company: ResolvedCompany | None,
        index: CatalogIndex | None,
        key: str,
        now_us: int,
    ) -> FeatureState:
        if company is None:
            feature = None if index is None else index.features.get(key)
            if feature is None:
                return FeatureState(key)
            return FeatureState(key, Entitlement(feature, Reason.UNKNOWN_COMPANY))
        segment = company.segment
        resolved = company.feature(key)
        if resolved is None:
            return FeatureState(key, None, segment.status, segment.plan)
        limits: tuple[LimitState, ...] = ()
        rates: tuple[RateUsage, ...] = ()
        balance: BalanceState | None = None
        if resolved.balance is not None:
            limits, balance = self._balance(company, resolved, now_us)
        else:
            limits, rates = self._usage(subject, company, resolved, now_us)
        return FeatureState(
            feature=key,
            entitlement=resolved.entitlement,
            status=segment.status,
            plan=segment.plan,
            limits=limits,
            rates=rates,
            until_us=_until_us(resolved, limits, now_us),
            balance=balance,
        )

    def _balance(
        self, company: ResolvedCompany, resolved: ResolvedFeature, now_us: int
    ) -> tuple[tuple[LimitState, ...], BalanceState]:
        """The sources of a balance, each as a limit is told; grants never start anew. Their sum."""
        key = resolved.entitlement.feature.key
        authority = self._plane_status.authority
        found, debt = self._store.transact(
            lambda transaction: (
                usage_of_balance(transaction, company, key, now_us, now_us, authority=authority),
                debt_of(transaction, company, key),
            )
        )
        limits = tuple(
            LimitState(
                usage,
                generation_of(company.segment, usage.limit.window) if each.source.by_limit else 0,
            )
            for each, usage in found
        )
        return limits, balance_state(found, debt)

    def _usage(
        self, subject: Subject, company: ResolvedCompany, resolved: ResolvedFeature, now_us: int
    ) -> tuple[tuple[LimitState, ...], tuple[RateUsage, ...]]:
        kind = resolved.entitlement.feature.kind
        if not kind.has_limits:
            return (), ()
        reading = self._store.transact(
            lambda transaction: read_limit_usage(
                transaction,
                company,
                resolved,
                subject.dimensions,
                now_us,
                now_us,
                authority=self._plane_status.authority,
                sharing=self._plane_status.rate_sharing,
            )
        )
        limits = tuple(
            LimitState(usage, generation_counted(company.segment, usage.limit.window, kind))
            for usage in reading.usages
        )
        return limits, tuple(reading.rates)


def balance_state(found: Sequence[tuple[BalanceSource, QuotaUsage]], debt: int) -> BalanceState:
    """What the sources of a balance are together, less what is owed."""
    left, available = -debt, 0
    granted: dict[tuple[bool, str], int] = {}
    for each, usage in found:
        source, rest = each.source, remaining(usage)
        available += INT64_MAX if rest is None else rest
        if source.counter != OVERDRAFT_COUNTER:
            left += part_of_balance(source, usage)
            limit = source.limit
            granted[source.by_limit, limit.id] = (limit.amount or 0) + limit.packs
    return BalanceState(min(INT64_MAX, left), min(INT64_MAX, available), granted)


def _until_us(resolved: ResolvedFeature, limits: Sequence[LimitState], now_us: int) -> int:
    """Until when nothing but usage changes what was read."""
    until_us = min((limit.usage.window.end_us for limit in limits), default=FOREVER_US)
    if resolved.balance is not None:
        until_us = min(until_us, resolved.balance.span(now_us)[1])
    return until_us


def _watched(
    subject: Subject,
    company: ResolvedCompany | None,
    index: CatalogIndex | None,
    told: Collection[str],
) -> Slices[Collection[str]]:
    if subject.features:
        return dict.fromkeys(subject.features)
    watched = dict.fromkeys(told)
    if company is None or index is None:
        return watched
    for at, key in enumerate(_named(index, company.segment), start=1):
        if len(watched) >= FEATURES_MAX:
            break
        entitlement = company.entitlement(key)
        if entitlement is not None and entitlement.entitled:
            watched[key] = None
        if at % LOOKED_AT_ONCE == 0:
            yield
    return watched


def _named(index: CatalogIndex, segment: Segment) -> list[str]:
    """Keys of the features that a source of entitlements names, in order; no other counts."""
    keys = dict.fromkeys(index.plan_grants(segment.plan, segment.plan_version))
    held = {add_on_subscription.add_on for add_on_subscription in segment.add_ons}
    for add_on in index.catalog.add_ons if held else ():
        if add_on.key in held:
            keys.update((given.grant.feature, None) for given in add_on.entitlements)
    keys.update((override.feature, None) for override in segment.overrides)
    return sorted(keys)


def _weight(company: ResolvedCompany, key: str) -> int:
    resolved = company.feature(key)
    return 1 if resolved is None else resolved.weight
