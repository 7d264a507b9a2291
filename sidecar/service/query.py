"""Query: what a company may do and has used, as far as this sidecar knows. Counts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sidecar.domain.catalog import FeatureKind, SubscriptionStatus
from sidecar.domain.decide import decide, decide_unmetered
from sidecar.domain.decision import Basis, Decision, Gauge, Reason
from sidecar.domain.entitlements import Entitlement
from sidecar.domain.errors import NotFound
from sidecar.domain.requests import Check
from sidecar.service.directory import CompanyView, Directory, FeatureView
from sidecar.service.standing import Standing
from sidecar.storage.store import Store
from sidecar.storage.totals import Counters
from sidecar.storage.transaction import Transaction

GAUGES_MAX: Final = 10_000


class CheckResult(msgspec.Struct, frozen=True):
    """What a check would be answered, and every limit that applies, as it is now."""

    decision: Decision
    gauges: tuple[Gauge, ...]
    basis: Basis


class UsageReport(msgspec.Struct, frozen=True):
    """Usage by feature; `truncated` where there was more than the bound allows."""

    features: tuple[tuple[str, tuple[Gauge, ...]], ...]
    basis: Basis
    truncated: bool


class EntitlementReport(msgspec.Struct, frozen=True):
    """What a company may do."""

    entitlements: tuple[Entitlement, ...]
    status: SubscriptionStatus
    plan: str
    basis: Basis


class Queries:
    """Answers questions from a store. Runs on the thread that owns the store."""

    def __init__(
        self, store: Store, counters: Counters, directory: Directory, standing: Standing
    ) -> None:
        self._store = store
        self._counters = counters
        self._directory = directory
        self._standing = standing

    def check(self, check: Check, now_us: int) -> CheckResult:
        """What `check_and_increment` would answer to a check without an idempotency key."""
        company = self._directory.company(check.company, check.event_time_us)
        if company is None:
            basis = self._standing.fallback_basis(now_us)
            return CheckResult(decide_unmetered(Reason.UNKNOWN_COMPANY), (), basis)
        basis = self._standing.basis(company.version, now_us)
        feature = company.feature(check.feature)
        if feature is None:
            return CheckResult(decide_unmetered(Reason.UNKNOWN_FEATURE), (), basis)
        entitlement = feature.entitlement
        if not entitlement.entitled or entitlement.feature.kind is not FeatureKind.METERED:
            return CheckResult(decide_unmetered(entitlement.reason), (), basis)
        gauges = self._gauges(feature, check)
        return CheckResult(decide(check.quantity, check.mode, gauges, now_us), gauges, basis)

    def usage(self, company_id: str, feature_key: str, at_us: int, now_us: int) -> UsageReport:
        """Usage in the windows that hold an instant; of every feature if the key is empty.

        Raises `NotFound` for an unknown company or feature.
        """
        company = self._require_company(company_id, at_us)
        keys = [feature_key] if feature_key else self._feature_keys()
        room = GAUGES_MAX
        truncated = False
        features: list[tuple[str, tuple[Gauge, ...]]] = []
        for key in keys:
            feature = self._require_feature(company, key)
            if feature.entitlement.feature.kind is not FeatureKind.METERED:
                continue
            gauges = self._all_gauges(company_id, feature, at_us, room + 1)
            if len(gauges) > room:
                truncated, gauges = True, gauges[:room]
            room -= len(gauges)
            features.append((key, gauges))
        basis = self._standing.basis(company.version, now_us)
        return UsageReport(tuple(features), basis, truncated)

    def entitlements(
        self, company_id: str, feature_key: str, at_us: int, now_us: int
    ) -> EntitlementReport:
        """What a company may do with a feature, or with every feature if the key is empty.

        Raises `NotFound` for an unknown company or feature.
        """
        company = self._require_company(company_id, at_us)
        keys = [feature_key] if feature_key else self._feature_keys()
        return EntitlementReport(
            entitlements=tuple(self._require_feature(company, key).entitlement for key in keys),
            status=company.segment.status,
            plan=company.segment.plan,
            basis=self._standing.basis(company.version, now_us),
        )

    def _feature_keys(self) -> Sequence[str]:
        index = self._directory.index
        return sorted(index.features) if index else ()

    def _require_company(self, company_id: str, at_us: int) -> CompanyView:
        company = self._directory.company(company_id, at_us)
        if company is None:
            raise NotFound("company", f"no company {company_id!r} is known", "UNKNOWN_COMPANY")
        return company

    def _require_feature(self, company: CompanyView, key: str) -> FeatureView:
        feature = company.feature(key)
        if feature is None:
            raise NotFound("feature", f"the catalog has no feature {key!r}", "UNKNOWN_FEATURE")
        return feature

    def _gauges(self, feature: FeatureView, check: Check) -> tuple[Gauge, ...]:
        def work(transaction: Transaction) -> tuple[Gauge, ...]:
            gauges = []
            for meter in feature.meters:
                place = meter.place(check.dimensions, check.event_time_us)
                if place is not None:
                    counter = transaction.counter(place.key, place.ref.values)
                    used = 0 if counter is None else counter.used
                    gauges.append(Gauge(meter.limit, place.ref.window, used, place.ref.values))
            return tuple(gauges)

        return self._store.transact(work)

    def _all_gauges(
        self, company_id: str, feature: FeatureView, at_us: int, most: int
    ) -> tuple[Gauge, ...]:
        gauges: list[Gauge] = []
        for meter in feature.meters:
            window = meter.window(at_us)
            if not meter.limit.scope.dimensions:
                used = self._counters.single(company_id, meter.feature, meter.slot, window.start_us)
                gauges.append(Gauge(meter.limit, window, used))
                continue
            rows = self._counters.of_slot(
                company_id, meter.feature, meter.slot, window.start_us, most - len(gauges)
            )
            gauges.extend(Gauge(meter.limit, window, row.used, row.values) for row in rows)
        return tuple(gauges[:most])
