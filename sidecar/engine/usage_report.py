"""What a company has used, page by page: company-wide limits first, over all features.

Then come those with dimensions, of which there may be as many as there are users: however many one
feature has, they hide no other's company-wide limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, TypeGuard

import msgspec

from sidecar.directory.meters import Meter
from sidecar.directory.resolved import LOOKED_AT_ONCE, ResolvedCompany, ResolvedFeature
from sidecar.domain.catalog.model import FeatureKind
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import Basis
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.slices import Slices
from sidecar.engine.balance_reading import usage_of_balance
from sidecar.engine.limit_usage import company_wide_usage
from sidecar.engine.rate_sharing import RateSharing
from sidecar.storage import keys
from sidecar.storage.counters import Counters
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

USAGES_MAX: Final = 10_000


class UsagePlace(msgspec.Struct, frozen=True):
    """Behind what a report goes on, in the windows of `at_us`.

    `by_values`: all company-wide limits were told; otherwise those up to `feature`. Then it goes on
    with the feature's limit number `meter`, of a slot, behind the counter whose values have a hash.
    """

    at_us: int
    by_values: bool
    feature: str
    meter: int = 0
    slot: str = ""
    behind: bytes = b""


class UsageReport(msgspec.Struct, frozen=True):
    """Usage by feature; `after`: where it goes on, `None` for the last page."""

    features: tuple[tuple[str, tuple[QuotaUsage | RateUsage, ...]], ...]
    basis: Basis
    after: UsagePlace | None


class UsageReader:
    """Collects a page of up to `most` usages of one company, in bounded steps.

    The company-wide limits of a feature always come together.
    """

    def __init__(
        self,
        store: Store,
        counters: Counters,
        company: ResolvedCompany,
        *,
        at_us: int,
        now_us: int,
        most: int,
        authority: bool,
        sharing: RateSharing,
    ) -> None:
        self.found: dict[str, list[QuotaUsage | RateUsage]] = {}
        self.after: UsagePlace | None = None
        self._store = store
        self._counters = counters
        self._company = company
        self._at_us = at_us
        self._now_us = now_us
        self._room = most
        self._looked_at = 0
        self._authority = authority
        self._sharing = sharing

    @property
    def has_ended_windows(self) -> bool:
        """Whether any usage that was found is of a window that is over."""
        return any(
            isinstance(usage, QuotaUsage) and usage.window.end_us <= self._now_us
            for usages in self.found.values()
            for usage in usages
        )

    def read(self, names: Sequence[str], after: UsagePlace | None) -> Slices[None]:
        """Collect what comes behind a place, of features in the order of their keys."""
        if after is None or not after.by_values:
            behind = "" if after is None else after.feature
            yield from self._company_wide([key for key in names if key > behind], behind)
            after = None
        if self.after is None:
            first = "" if after is None else after.feature
            yield from self._by_values([key for key in names if key >= first], after)

    def _company_wide(self, names: Sequence[str], behind: str) -> Slices[None]:
        for key in names:
            feature = self._company.feature_once(key)
            if _is_told(feature):
                usages = self._store.transact(partial(self._company_wide_of, feature))
                if len(usages) > self._room and self.found:
                    self.after = UsagePlace(self._at_us, False, behind)
                    return
                self.found[key] = usages
                self._room = max(0, self._room - len(usages))
                behind = key
            if self._is_due(feature):
                yield

    def _by_values(self, names: Sequence[str], after: UsagePlace | None) -> Slices[None]:
        for key in names:
            feature = self._company.feature_once(key)
            begin = after if after is not None and key == after.feature else None
            for number, meter in enumerate(feature.meters if _is_metered(feature) else ()):
                if not meter.limit.scope.dimensions or (begin and number < begin.meter):
                    continue
                goes_on = begin is not None and (begin.meter, begin.slot) == (number, meter.slot)
                behind = begin.behind if begin is not None and goes_on else b""
                yield from self._of_meter(key, number, meter, behind)
                if self.after is not None:
                    return
            if self._is_due(feature):
                yield

    def _company_wide_of(
        self, feature: ResolvedFeature, transaction: Transaction
    ) -> list[QuotaUsage | RateUsage]:
        if feature.balance is not None:
            sources = usage_of_balance(
                transaction,
                self._company,
                feature.entitlement.feature.key,
                self._at_us,
                self._now_us,
                authority=self._authority,
            )
            return [usage for _, usage in sources]
        return company_wide_usage(
            transaction,
            self._company,
            feature,
            self._at_us,
            self._now_us,
            authority=self._authority,
            sharing=self._sharing,
        )

    def _of_meter(self, key: str, number: int, meter: Meter, behind: bytes) -> Slices[None]:
        window = meter.window(self._at_us)
        rows = yield from self._counters.of_slot(
            self._company.snapshot.company,
            key,
            meter.slot,
            window.start_us,
            self._room + 1,
            behind=behind,
        )
        taken = rows[: self._room]
        self.found.setdefault(key, []).extend(
            QuotaUsage(meter.limit_of(row.values), window, row.used, row.values) for row in taken
        )
        self._room -= len(taken)
        if len(rows) > len(taken):
            if taken:
                behind = keys.values_hash(taken[-1].values)
            self.after = UsagePlace(self._at_us, True, key, number, meter.slot, behind)

    def _is_due(self, feature: ResolvedFeature | None) -> bool:
        """Whether so much was looked at by now that others are due."""
        self._looked_at += 1 if feature is None else feature.weight
        is_due = self._looked_at >= LOOKED_AT_ONCE
        self._looked_at = 0 if is_due else self._looked_at
        return is_due


def _is_told(feature: ResolvedFeature | None) -> TypeGuard[ResolvedFeature]:
    """Whether there is usage to tell: of what is counted, or of a balance's sources."""
    return _is_metered(feature) or (feature is not None and feature.balance is not None)


def _is_metered(feature: ResolvedFeature | None) -> TypeGuard[ResolvedFeature]:
    if feature is None:
        return False
    kind = feature.entitlement.feature.kind
    return kind.is_counted or kind is FeatureKind.SEATS
