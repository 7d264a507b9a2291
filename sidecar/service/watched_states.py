"""Reading what is told to those who watch: the states of a company's features."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog import FeatureKind
from sidecar.domain.companies import Segment
from sidecar.domain.company_windows import generation_of
from sidecar.domain.decision import RateGauge, Reason
from sidecar.domain.entitlements import Entitlement
from sidecar.domain.errors import NotFound
from sidecar.domain.requests import NO_ATTRIBUTES
from sidecar.service.directory import Directory
from sidecar.service.readings import read_gauges
from sidecar.service.standing import Standing
from sidecar.service.views import CompanyView, FeatureView
from sidecar.service.watching import FeatureState, LimitState
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

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
    """States of features, and the end of the segment of the timeline that they were read in."""

    features: list[FeatureState]
    until_us: int = FOREVER_US


class StateReader:
    """Reads states from a store. Runs on the thread that owns the store."""

    def __init__(self, store: Store, directory: Directory, standing: Standing) -> None:
        self._store = store
        self._directory = directory
        self._standing = standing

    def require_features(self, subject: Subject) -> None:
        """Raise `NotFound` for a feature that the catalog lacks, once there is a catalog."""
        index = self._directory.index
        for at, key in enumerate(subject.features):
            if index is not None and key not in index.features:
                raise NotFound(
                    f"features[{at}]", f"the catalog has no feature {key!r}", "UNKNOWN_FEATURE"
                )

    def read(
        self,
        subject: Subject,
        told: Collection[str],
        touched: Collection[str] | None,
        now_us: int,
    ) -> CompanyState:
        """States of the features that were touched; with `None` of every one that is watched.

        `told`: features that were read before: they stay watched.
        """

        def work(transaction: Transaction) -> CompanyState:
            company = self._company(subject.company, now_us)
            keys = self._watched(subject, company, told) if touched is None else touched
            return CompanyState(
                [self._state(transaction, subject, company, key, now_us) for key in keys],
                FOREVER_US if company is None else company.segment.until_us,
            )

        return self._store.transact(work)

    def _company(self, name: str, now_us: int) -> CompanyView | None:
        company = self._directory.company(name, now_us)
        if company is None and self._directory.is_absent(name, now_us, final=True):
            return self._directory.default_company(name)
        return company

    def _watched(
        self, subject: Subject, company: CompanyView | None, told: Collection[str]
    ) -> Collection[str]:
        if subject.features:
            return dict.fromkeys(subject.features)
        watched = dict.fromkeys(told)
        if company is None:
            return watched
        for key in self._named(company.segment):
            if len(watched) >= FEATURES_MAX:
                break
            feature = company.feature(key)
            if feature is not None and feature.entitlement.entitled:
                watched[key] = None
        return watched

    def _named(self, segment: Segment) -> list[str]:
        """Keys of the features that a source of entitlements names, in order; no other counts."""
        index = self._directory.index
        if index is None:
            return []
        keys = {override.feature for override in segment.overrides}
        keys.update(index.plans.get(segment.plan, ()))
        held = {holding.add_on for holding in segment.add_ons}
        for add_on in index.catalog.add_ons if held else ():
            if add_on.key in held:
                keys.update(given.grant.feature for given in add_on.entitlements)
        return sorted(keys)

    def _state(
        self,
        transaction: Transaction,
        subject: Subject,
        company: CompanyView | None,
        key: str,
        now_us: int,
    ) -> FeatureState:
        if company is None:
            index = self._directory.index
            feature = None if index is None else index.features.get(key)
            if feature is None:
                return FeatureState(key)
            return FeatureState(key, Entitlement(feature, Reason.UNKNOWN_COMPANY))
        segment = company.segment
        view = company.feature(key)
        if view is None:
            return FeatureState(key, None, segment.status, segment.plan)
        limits, rates = self._usage(transaction, subject, company, view, now_us)
        return FeatureState(
            feature=key,
            entitlement=view.entitlement,
            status=segment.status,
            plan=segment.plan,
            limits=limits,
            rates=rates,
            until_us=min((limit.gauge.window.end_us for limit in limits), default=FOREVER_US),
        )

    def _usage(
        self,
        transaction: Transaction,
        subject: Subject,
        company: CompanyView,
        view: FeatureView,
        now_us: int,
    ) -> tuple[tuple[LimitState, ...], tuple[RateGauge, ...]]:
        if view.entitlement.feature.kind is not FeatureKind.METERED:
            return (), ()
        reading = read_gauges(
            transaction,
            company,
            view,
            subject.dimensions,
            now_us,
            now_us,
            authority=self._standing.authority,
        )
        limits = tuple(
            LimitState(gauge, generation_of(company.segment, gauge.limit.window))
            for gauge in reading.gauges
        )
        return limits, tuple(reading.rates)
