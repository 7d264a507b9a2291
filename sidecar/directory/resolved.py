"""Resolved: what one company may do, resolved for a stretch of its timeline."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecar.directory.balances import Balance
from sidecar.directory.meters import Meter, RateMeter
from sidecar.directory.prepared import PreparedFeature
from sidecar.domain.bounds import ROLLOVER_WINDOWS_MAX
from sidecar.domain.catalog.model import FeatureKind, Limit
from sidecar.domain.company.model import CompanySnapshot, Segment
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.limits.packs import Allowance
from sidecar.domain.limits.rolling_limits import is_carried_on
from sidecar.domain.limits.rollover_links import Link, held_by, link_after, link_before
from sidecar.domain.time.windows import Window, WindowSpec
from sidecar.storage.record_wire import encode_owner

LOOKED_AT_ONCE: Final = 50
"""Weight of the features that one step of a long reading looks at: about two milliseconds."""


class ResolvedFeature:
    """What a company may do with a feature: entitlement, meters, and the record's owner part.

    `counting`: meters of limits that other plans have, and on which usage is counted, too.
    `per_request`: limits that each request is held to by itself.
    `stale_after_us`: from which silence of the plane on the fail policy decides; `None` for never.
    `balance`: of a credits feature, what usage of others burns from; else `None`.
    `prepared`: what the usual check keeps of it, see `engine.usual_check`.
    """

    __slots__ = (
        "balance",
        "company",
        "counting",
        "entitlement",
        "meters",
        "owner",
        "per_request",
        "policy",
        "prepared",
        "rates",
        "stale_after_us",
    )

    def __init__(
        self,
        snapshot: CompanySnapshot,
        segment: Segment,
        entitlement: Entitlement,
        also_counted: Iterable[Limit],
    ) -> None:
        feature, kind = entitlement.feature.key, entitlement.feature.kind
        self.company = snapshot.company
        self.entitlement = entitlement
        self.policy = entitlement.feature.fail_policy
        self.stale_after_us = self.policy.stale_after_us
        limits = entitlement.limits
        self.meters = tuple(
            Meter(snapshot, segment, feature, limit, kind) for limit in limits if limit.is_counted
        )
        self.per_request = tuple(limit for limit in limits if not limit.is_counted)
        self.counting = tuple(
            Meter(snapshot, segment, feature, limit, kind) for limit in also_counted
        )
        self.rates = tuple(
            RateMeter(snapshot.company, feature, limit) for limit in entitlement.rates
        )
        self.owner = encode_owner(snapshot.company, feature)
        self.balance: Balance | None = None
        if entitlement.feature.kind is FeatureKind.CREDITS:
            self.balance = Balance(snapshot, segment, entitlement, self.meters)
        self.prepared: PreparedFeature | None = None

    def counter_name(self, ref: CounterRef) -> CounterName:
        """One of the feature's counters, as it is called elsewhere."""
        return CounterName(self.company, self.entitlement.feature.key, ref)

    @property
    def weight(self) -> int:
        """How much there is to build and to read: limits and rates, and windows that carry on."""
        limits = self.entitlement.limits
        rolling = sum(is_carried_on(limit) for limit in limits)
        others = len(self.counting) + len(self.rates)
        return 1 + len(limits) + others + rolling * ROLLOVER_WINDOWS_MAX


class ResolvedCompany:
    """One company in one segment of its timeline.

    `is_default`: it is unknown, and the catalog's default plan stands in. `features`: those that
    were looked at; `feature` has all.
    """

    __slots__ = ("_index", "features", "is_default", "segment", "snapshot", "version")

    def __init__(
        self,
        snapshot: CompanySnapshot,
        segment: Segment,
        index: CatalogIndex,
        *,
        is_default: bool = False,
    ) -> None:
        self.snapshot = snapshot
        self.segment = segment
        self.version = max(snapshot.version, index.version)
        self.is_default = is_default
        self._index = index
        self.features: dict[str, ResolvedFeature] = {}

    @property
    def default_plan(self) -> str:
        """The plan that stands in for a company that is unknown; empty for one that is not."""
        return self.segment.plan if self.is_default else ""

    def feature(self, key: str) -> ResolvedFeature | None:
        """A feature, resolved; `None` for one that the catalog lacks."""
        resolved = self.features.get(key)
        if resolved is None:
            resolved = self.feature_once(key)
            if resolved is not None:
                self.features[key] = resolved
        return resolved

    def feature_once(self, key: str) -> ResolvedFeature | None:
        """The same for a look at many features: what is made for it is not kept."""
        resolved = self.features.get(key)
        if resolved is not None:
            return resolved
        entitlement = self._index.resolve(self.segment, key)
        if entitlement is None:
            return None
        others = self._index.also_counted(entitlement)
        return ResolvedFeature(self.snapshot, self.segment, entitlement, others)

    def entitlement(self, key: str) -> Entitlement | None:
        """What the company may do with a feature; `None` for one that the catalog lacks."""
        resolved = self.features.get(key)
        if resolved is not None:
            return resolved.entitlement
        return self._index.resolve(self.segment, key)

    def link_after(self, feature: str, slot: str, window: Window) -> Link | None:
        """What a window of a limit that rolls over passes on to, if it does."""
        return link_after(self._index, self.snapshot, feature, slot, window)

    def held_by(self, feature: str, slot: str, window: Window, now_us: int) -> Allowance | None:
        """By what usage of such a window is held to now, or was last."""
        return held_by(self._index, self.snapshot, feature, slot, window, now_us)

    def link_before(self, feature: str, slot: str, spec: WindowSpec, window: Window) -> Link | None:
        """What is passed on to such a window, if anything is."""
        return link_before(self._index, self.snapshot, feature, slot, spec, window)
