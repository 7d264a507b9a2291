"""Packs that a company holds, whatever its plan grants at the moment.

What was used of a pack is not forgotten while it is held: not after a cancellation, nor by a plan
without the limit that it adds to. All plans that it is sold with count alike what it adds to
(`domain.catalog.pack_rules`), so any of them says on which counter.

Under a plan that follows a trial or a grace nothing beside it is in force, and a timeline does not
say what was bought and will be back. So all packs there are count as held then, without an end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import EntitlementGrant, Limit
from sidecar.domain.company.model import AddOnSubscription, Phase, Segment, SubscriptionStatus
from sidecar.domain.entitlement.arrangement import AddOnIndex
from sidecar.domain.entitlement.ceilings import as_pack, limit_times
from sidecar.domain.entitlement.resolve import CatalogIndex

_OVER: Final = (SubscriptionStatus.CANCELED, SubscriptionStatus.ENDED)

_replace = msgspec.structs.replace


def held_packs(index: CatalogIndex, segment: Segment, feature: str) -> Iterator[Limit]:
    """Limits with what packs of a feature hold, and without an amount of their own.

    With INT64_MAX where it is not said how many are held.
    """
    if is_fallback(segment):
        for key, pack in index.packs.get(feature, {}).items():
            grant = pack.by_feature[feature].grant
            for limit in _limits(index, pack, AddOnSubscription(key), grant):
                yield _replace(limit, packs=INT64_MAX)
        return
    for held in segment.add_ons:
        add_on = index.add_ons.get(held.add_on)
        given = None if add_on is None or not add_on.once else add_on.by_feature.get(feature)
        if add_on is not None and given is not None:
            yield from _limits(index, add_on, held, given.grant)


def is_fallback(phase: Phase) -> bool:
    """Whether the plan is what a trial or a grace fell back to."""
    return (phase.after_trial or phase.after_grace) and phase.status not in _OVER


def _limits(
    index: CatalogIndex, add_on: AddOnIndex, held: AddOnSubscription, grant: EntitlementGrant
) -> Iterator[Limit]:
    for limit in grant.limits:
        yield _suspended(as_pack(limit_times(limit, held.quantity)))
    for change in grant.limit_changes:
        met = _named(index, add_on, grant.feature, change.limit)
        if met is not None:
            own = _replace(met, amount=change.amount, rollover=None)
            yield _suspended(as_pack(limit_times(own, held.quantity)))


def _named(index: CatalogIndex, add_on: AddOnIndex, feature: str, name: str) -> Limit | None:
    """The limit of a name, of the first plan that has it and that an add-on is sold with."""
    for plan in add_on.plans or (plan.key for plan in index.catalog.plans):
        grant = index.plan_grants(plan, INT64_MAX).get(feature)
        for limit in () if grant is None else grant.limits:
            if limit.id == name:
                return limit
    return None


def _suspended(limit: Limit) -> Limit:
    return _replace(limit, amount=None)
