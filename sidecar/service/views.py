"""Views: what one company may do, resolved for a stretch of its timeline."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.domain.catalog import Limit
from sidecar.domain.companies import CompanySnapshot, Segment
from sidecar.domain.entitlements import CatalogIndex, Entitlement
from sidecar.domain.rolling import rolling_limits
from sidecar.domain.timeline import segment_at
from sidecar.service.meters import Meter, RateMeter
from sidecar.service.prepared import PreparedFeature
from sidecar.storage.record_wire import encode_owner


class FeatureView:
    """What a company may do with a feature: entitlement, meters, and the record's owner part.

    `counting`: meters of limits that other plans have, and on which usage is counted, too.
    `stale_after_us`: from which silence of the plane on the fail policy decides; `None` for never.
    `prepared`: what the usual check keeps of it, see `usual`.
    """

    __slots__ = (
        "counting",
        "entitlement",
        "meters",
        "owner",
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
        feature = entitlement.feature.key
        self.entitlement = entitlement
        self.policy = entitlement.feature.fail_policy
        self.stale_after_us = self.policy.stale_after_us
        self.meters = tuple(
            Meter(snapshot, segment, feature, limit) for limit in entitlement.limits
        )
        self.counting = tuple(Meter(snapshot, segment, feature, limit) for limit in also_counted)
        self.rates = tuple(
            RateMeter(snapshot.company, feature, limit) for limit in entitlement.rates
        )
        self.owner = encode_owner(snapshot.company, feature)
        self.prepared: PreparedFeature | None = None


class CompanyView:
    """One company in one segment of its timeline.

    `is_default`: it is unknown, and the catalog's default plan stands in.
    """

    __slots__ = ("_features", "_index", "is_default", "segment", "snapshot", "version")

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
        self._features: dict[str, FeatureView] = {}

    def feature(self, key: str) -> FeatureView | None:
        """The view of a feature; `None` for one that the catalog lacks."""
        view = self._features.get(key)
        if view is None:
            entitlement = self._index.resolve(self.segment, key)
            if entitlement is None:
                return None
            view = self._features[key] = FeatureView(
                self.snapshot, self.segment, entitlement, self._index.also_counted(entitlement)
            )
        return view

    def rolling_limit_at(self, feature: str, slot: str, at_us: int) -> Limit | None:
        """The limit whose rest on a slot rolled over at another instant, if there was one."""
        segment = segment_at(self.snapshot, at_us)
        return rolling_limits(self._index, segment, feature).get(slot)
