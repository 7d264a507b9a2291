"""From catalog and timeline to what a company may do: the entitlement of one feature.

Sources are merged in this order; each says what it did, which `tallyd explain` shows.
1. The plan, in the version that the company has.
2. Add-ons. Of features with limits those that replace come first, then those that add; of BOOLEAN
   and CONFIG all of them by rank. Among equals by rank and key, so that the highest comes last and
   has the say.
3. The company's overrides: those that replace everything, then what is set, then what is added.

Rules
- Limits: an add-on adds its amounts, times the quantity held, to limits that it names, or to those
  that count the same thing (equal window and scope). Unlimited plus anything is unlimited. Limits
  of another window or scope would apply beside them: that buying more is never less is seen to
  where a catalog is applied (`domain.catalog.add_on_rules`).
- A pack's amounts are given once, for all windows together (`Limit.packs`).
- BOOLEAN: on where any source says so; an override wins either way.
- CONFIG: the last source has the say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from sidecar.domain.bounds import LIMITS_MAX
from sidecar.domain.catalog.dimensions import declared_dimensions
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Merge,
    Plan,
    RateLimit,
    Scope,
)
from sidecar.domain.company.model import AddOnSubscription, Segment, SubscriptionStatus
from sidecar.domain.entitlement.add_on_amounts import increased, packed, scaled
from sidecar.domain.entitlement.arrangement import Arrangement, arranged
from sidecar.domain.entitlement.limit_changes import changed, meets
from sidecar.domain.entitlement.overrides import in_order
from sidecar.domain.entitlement.sources import Source, SourceEffect, SourceKind
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.slices import Slices, whole
from sidecar.domain.time.windows import WindowSpec

_NO_GRANTS: Final[Mapping[str, EntitlementGrant]] = {}
_COUNTED_APART: Final = (FeatureKind.CREDITS, FeatureKind.SEATS)
_DENIES_ALL = {
    SubscriptionStatus.CANCELED: Reason.SUBSCRIPTION_CANCELED,
    SubscriptionStatus.ENDED: Reason.SUBSCRIPTION_CANCELED,
}


class Entitlement(msgspec.Struct, frozen=True):
    """What a company may do with a feature, limits aside: `reason` is ALLOWED, or why it may not.

    `config_value` is for CONFIG, `limits` for all other features but BOOLEAN, `rates` for METERED
    ones, for CREDITS `overdraft` (micro-credits that may be owed) and `low_balance`. Limits are
    known also where the feature is denied for now, since usage is reported all the same.
    """

    feature: Feature
    reason: Reason
    config_value: str = ""
    limits: tuple[Limit, ...] = ()
    rates: tuple[RateLimit, ...] = ()
    granted: bool = False
    """Whether what was merged grants the feature, whatever the status says."""
    overdraft: int = 0
    low_balance: tuple[int, ...] = ()

    @property
    def entitled(self) -> bool:
        """Whether the feature may be used at all."""
        return self.reason is Reason.ALLOWED


class CatalogIndex:
    """A catalog, arranged for look-ups. Immutable after it was built.

    `version` is the control plane's revision; `dimensions`: what features declare, by their keys.
    `add_ons`: by their keys. `packs`: those of them that last, by feature.
    """

    __slots__ = (
        "_company_wide",
        "_earlier_plans",
        "_plans",
        "add_ons",
        "catalog",
        "dimensions",
        "features",
        "packs",
        "version",
    )

    def __init__(
        self, catalog: Catalog, version: int, arrangement: Arrangement | None = None
    ) -> None:
        arrangement = arrangement or whole(arranged(catalog))
        self.catalog = catalog
        self.version = version
        self.features: dict[str, Feature] = {feature.key: feature for feature in catalog.features}
        self.dimensions = declared_dimensions(catalog)
        self._plans = arrangement.plans
        self._earlier_plans = arrangement.earlier_plans
        self.add_ons = arrangement.add_ons
        self.packs = arrangement.packs
        self._company_wide: dict[str, tuple[Limit, ...]] = {}

    @classmethod
    def in_slices(cls, catalog: Catalog, version: int) -> Slices[CatalogIndex]:
        """The same in slices, for a catalog that is large."""
        return cls(catalog, version, (yield from arranged(catalog)))

    def pieces(self) -> list[tuple[Plan | AddOn, object]]:
        """What holds nearly all of its memory, to be let go of piece by piece."""
        plans = zip(self.catalog.plans, self._plans.values(), strict=False)
        add_ons = zip(self.catalog.add_ons, self.add_ons.values(), strict=False)
        earlier = [grants for versions in self._earlier_plans.values() for _, grants in versions]
        return [*plans, *zip(self.catalog.plan_versions, earlier, strict=False), *add_ons]

    def plan_grants(self, plan: str, version: int) -> Mapping[str, EntitlementGrant]:
        """What a plan grants by feature, in the version that a company has; nothing if unknown.

        That is the earliest version kept that is not before it, else the plan as it is now.
        """
        for kept, grants in self._earlier_plans.get(plan, ()):
            if version <= kept:
                return grants
        return self._plans.get(plan, _NO_GRANTS)

    def resolve(self, segment: Segment, feature_key: str) -> Entitlement | None:
        """The entitlement of a feature in a segment; `None` for a feature the catalog lacks."""
        feature = self.features.get(feature_key)
        if feature is None:
            return None
        *_, last = self.sources(segment, feature)
        grant = last.result
        granted = grant is not None and (grant.enabled or feature.kind is not FeatureKind.BOOLEAN)
        reason = _reason(segment, feature, granted=granted)
        if grant is None:
            return Entitlement(feature, reason)
        value = grant.config_value if reason is Reason.ALLOWED else ""
        return Entitlement(
            feature,
            reason,
            value,
            grant.limits,
            grant.rates,
            granted,
            grant.overdraft,
            grant.low_balance,
        )

    def also_counted(self, entitlement: Entitlement) -> tuple[Limit, ...]:
        """Limits of other plans and add-ons that count what none of the entitlement's own does.

        Usage is counted on them too, so that a company that changes its plan, from an unlimited one
        say, is known to have used what it has used. Only limits without dimensions: counters for
        each user of everybody, that no limit asks for, would cost more than they tell. All of them,
        where the catalog passed `CountedLimits`; of one that an earlier version took, the first.
        None of CREDITS, which burn one grant at a time, and of SEATS, which are no usage.
        """
        if entitlement.feature.kind in _COUNTED_APART:
            return ()
        key = entitlement.feature.key
        others = self._company_wide.get(key)
        if others is None:
            others = self._company_wide[key] = tuple(self._limits_without_dimensions(key))
        own = {(limit.window, limit.scope) for limit in entitlement.limits}
        found = [limit for limit in others if (limit.window, limit.scope) not in own]
        return tuple(found[: max(0, LIMITS_MAX - len(entitlement.limits))])

    def _limits_without_dimensions(self, feature: str) -> Iterator[Limit]:
        grants = [plan.get(feature) for plan in self._plans.values()]
        for versions in self._earlier_plans.values():
            grants += [plan.get(feature) for _, plan in versions]
        for add_on in self.add_ons.values():
            given = add_on.by_feature.get(feature)
            grants.append(None if given is None else given.grant)
        seen: set[tuple[WindowSpec, Scope]] = set()
        for grant in grants:
            for limit in () if grant is None else grant.limits:
                counts = (limit.window, limit.scope)
                counted = limit.is_counted and not limit.scope.dimensions
                if counted and counts not in seen:
                    seen.add(counts)
                    yield limit

    def sources(self, segment: Segment, feature: Feature) -> Iterator[Source]:
        """Every source of a feature's entitlement in a segment, in the order of merging.

        There is at least one; the last one's `result` is what is granted.
        """
        grant = self.plan_grants(segment.plan, segment.plan_version).get(feature.key)
        effect = SourceEffect.SILENT if grant is None else SourceEffect.GRANTED
        yield Source(SourceKind.PLAN, segment.plan, 1, effect, grant, grant)
        for add_on_subscription, given in self._held(segment, feature):
            if given is None:
                effect, result = SourceEffect.SILENT, grant
            else:
                once = self.add_ons[add_on_subscription.add_on].once
                effect, result = _joined(feature, grant, given, add_on_subscription, once=once)
            said = None if given is None else given.grant
            yield Source(
                SourceKind.ADD_ON,
                add_on_subscription.add_on,
                add_on_subscription.quantity,
                effect,
                said,
                result,
            )
            grant = result
        if not segment.overrides:
            return
        own = [override for override in segment.overrides if override.feature == feature.key]
        for override in in_order(own):
            effect, grant = _overridden(grant, override)
            yield Source(SourceKind.OVERRIDE, override.id, 1, effect, override, grant)

    def _held(
        self, segment: Segment, feature: Feature
    ) -> list[tuple[AddOnSubscription, AddOnEntitlement | None]]:
        """The add-ons held, in the order of merging, with what they say of a feature."""
        if not segment.add_ons:
            return []
        ranked: list[tuple[tuple[bool, int, str], AddOnSubscription, AddOnEntitlement | None]] = []
        for add_on_subscription in segment.add_ons:
            add_on = self.add_ons.get(add_on_subscription.add_on)
            if add_on is None:
                continue
            given = add_on.by_feature.get(feature.key)
            adds = given is not None and given.merge is Merge.INCREMENT
            late = feature.kind.has_limits and adds
            ranked.append(
                ((late, add_on.rank, add_on_subscription.add_on), add_on_subscription, given)
            )
        ranked.sort(key=lambda entry: entry[0])
        return [(add_on_subscription, given) for _, add_on_subscription, given in ranked]


def _joined(
    feature: Feature,
    before: EntitlementGrant | None,
    given: AddOnEntitlement,
    add_on_subscription: AddOnSubscription,
    *,
    once: bool,
) -> tuple[SourceEffect, EntitlementGrant | None]:
    """What an add-on makes of what was granted before it; `once`: it is a pack."""
    grant = given.grant
    if grant.is_change:
        if before is None:
            return SourceEffect.SILENT, None
        result = changed(before, grant, add_on_subscription.quantity, once=once)
        return _effect_of_change(before, grant, result, SourceEffect.ADDED), result
    if feature.kind.has_limits and given.merge is Merge.INCREMENT:
        if before is None:
            brought = scaled(grant, add_on_subscription.quantity)
            return SourceEffect.GRANTED, packed(brought) if once else brought
        result = increased(before, grant, add_on_subscription, once=once)
        return (SourceEffect.OUTRANKED if result == before else SourceEffect.ADDED), result
    if before is None:
        return SourceEffect.GRANTED, grant
    if feature.kind is FeatureKind.BOOLEAN and (before.enabled or not grant.enabled):
        return SourceEffect.OUTRANKED, before
    return SourceEffect.REPLACED, grant


def _overridden(
    before: EntitlementGrant | None, override: EntitlementGrant
) -> tuple[SourceEffect, EntitlementGrant | None]:
    """What an override makes of what was granted before it."""
    if not override.is_change:
        return SourceEffect.GRANTED if before is None else SourceEffect.REPLACED, override
    if before is None:
        return SourceEffect.SILENT, None
    result = changed(before, override)
    adds = any(each.adds for each in override.limit_changes)
    adds = adds or any(each.adds for each in override.rate_changes)
    adds = adds or (override.overdraft_change is not None and override.overdraft_change.adds)
    done = SourceEffect.ADDED if adds else SourceEffect.REPLACED
    return _effect_of_change(before, override, result, done), result


def _effect_of_change(
    before: EntitlementGrant, change: EntitlementGrant, after: EntitlementGrant, done: SourceEffect
) -> SourceEffect:
    """What a change did: nothing where it names what there is not, or is not more than there is."""
    if after != before:
        return done
    return SourceEffect.OUTRANKED if meets(before, change) else SourceEffect.SILENT


def _reason(segment: Segment, feature: Feature, *, granted: bool) -> Reason:
    if segment.status in _DENIES_ALL:
        return Reason.TRIAL_ENDED if segment.after_trial else _DENIES_ALL[segment.status]
    if segment.past_grace:
        return Reason.SUBSCRIPTION_PAST_DUE
    if not granted:
        return Reason.NOT_ENTITLED
    if segment.status is SubscriptionStatus.PAUSED and feature.kind.has_limits:
        return Reason.SUBSCRIPTION_PAUSED
    return Reason.ALLOWED
