"""Which counters carry unused amounts over, and by what their windows are closed.

Rules
- A limit rolls over where it says so, has an amount, no dimensions and an end to its windows, and
  the subscription is neither canceled nor ended. A pause does not matter.
- A window is closed by the amount and the rollover that are in force in its last microsecond.
- Carrying ends with a window where no limit on its counter rolls over in that microsecond, and
  where the window after it belongs to another generation.
- It begins, with nothing carried, in the window in which a limit is first seen to roll over. What
  the timeline says of the future counts as seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import msgspec

from sidecar.control.storage.values import CounterKey, RolloverTerms
from sidecar.domain.catalog.model import Catalog, EntitlementGrant
from sidecar.domain.catalog.versions import all_versions
from sidecar.domain.company.model import CompanySnapshot, OverrideSpan
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import CounterRef, slot_of
from sidecar.domain.limits.rolling_limits import rolling_limits
from sidecar.domain.time.company_windows import company_window, generation_of
from sidecar.domain.time.units import MINUTE_US
from sidecar.domain.time.windows import END_INSTANT_US, Window

LEAD_US: Final = MINUTE_US
"""How long before a window's end it is closed for the time being, at the most."""


class Closing(msgspec.Struct, frozen=True):
    """By what a window is closed, and the counter of the window after it."""

    terms: RolloverTerms
    following: CounterKey


class RollingCatalog:
    """A catalog, and which of its features may roll over. Immutable after it was built.

    `signature` differs where plans and add-ons let other limits roll over; empty where none does.
    """

    __slots__ = ("features", "index", "signature")

    def __init__(self, index: CatalogIndex) -> None:
        self.index = index
        self.features = frozenset(_rolling_features(index.catalog))
        said = list(_said_of(self.features, index.catalog)) if self.features else []
        self.signature = sha256(msgspec.json.encode(said)).hexdigest() if said else ""

    def closing(self, snapshot: CompanySnapshot, key: CounterKey) -> Closing | None:
        """How a window is closed; `None` where nothing is carried on from it."""
        slot, window = key.counter.slot, key.counter.window
        if window.end_us >= END_INSTANT_US:
            return None
        last = segment_at(snapshot, window.end_us - 1)
        limit = rolling_limits(self.index, last, key.feature).get(slot)
        if limit is None or limit.rollover is None or limit.amount is None:
            return None
        following = segment_at(snapshot, window.end_us)
        next_window = company_window(snapshot.phases, limit.window, window.end_us)
        same_row = slot_of(limit, generation_of(following, limit.window)) == slot
        if not same_row or next_window.start_us != window.end_us:
            return None
        return Closing(
            RolloverTerms(limit.amount, limit.rollover),
            _counter_of(snapshot.company, key.feature, slot, next_window),
        )

    def beginnings(self, snapshot: CompanySnapshot, since_us: int) -> Iterator[CounterKey]:
        """Counters at which carrying begins, as far as it is known since an instant."""
        own: dict[str, list[OverrideSpan]] = defaultdict(list)
        for span in snapshot.overrides:
            own[span.content.feature].append(span)
        rolling = {
            feature
            for feature, spans in own.items()
            if any(_rolls_over(span.content) for span in spans)
        }
        for feature in sorted(self.features | rolling):
            # Other features' overrides come and go without a part in it.
            narrowed = msgspec.structs.replace(snapshot, overrides=tuple(own.get(feature, ())))
            yield from self._beginnings_of(narrowed, feature, since_us)

    def _beginnings_of(
        self, snapshot: CompanySnapshot, feature: str, since_us: int
    ) -> Iterator[CounterKey]:
        before: set[str] = set()
        for segment in segments_of(snapshot):
            at_us = max(since_us, segment.from_us)
            if not segment.from_us <= at_us < min(segment.until_us, END_INSTANT_US):
                continue
            limits = rolling_limits(self.index, segment, feature)
            for slot, limit in limits.items():
                if slot not in before:
                    window = company_window(snapshot.phases, limit.window, at_us)
                    yield _counter_of(snapshot.company, feature, slot, window)
            before = set(limits)


def due_us(window: Window) -> int:
    """When a window is to be closed for the time being: shortly before its end."""
    return window.end_us - min(LEAD_US, (window.end_us - window.start_us) // 10)


def _rolls_over(grant: EntitlementGrant) -> bool:
    return any(limit.rollover is not None for limit in grant.limits)


def _rolling_features(catalog: Catalog) -> Iterator[str]:
    for plan in all_versions(catalog):
        yield from (grant.feature for grant in plan.entitlements if _rolls_over(grant))
    for add_on in catalog.add_ons:
        yield from (
            given.grant.feature for given in add_on.entitlements if _rolls_over(given.grant)
        )


def _said_of(features: frozenset[str], catalog: Catalog) -> Iterator[tuple[object, ...]]:
    """All that says, of features that may roll over, which of their limits do. Amounts do not."""
    for plan in catalog.plans:
        for grant in plan.entitlements:
            if grant.feature in features:
                yield plan.key, grant.feature, _shape(grant)
    for plan in catalog.plan_versions:
        for grant in plan.entitlements:
            if grant.feature in features:
                yield plan.key, plan.version, grant.feature, _shape(grant)
    for add_on in catalog.add_ons:
        for given in add_on.entitlements:
            grant = given.grant
            if grant.feature in features:
                yield add_on.key, grant.feature, _shape(grant), given.merge, add_on.rank


def _shape(grant: EntitlementGrant) -> list[tuple[str, bool, bool]]:
    shape = [
        (slot_of(limit), limit.amount is None, limit.rollover is not None) for limit in grant.limits
    ]
    return shape + [(change.limit, change.amount is None, False) for change in grant.limit_changes]


def _counter_of(company: str, feature: str, slot: str, window: Window) -> CounterKey:
    return CounterKey(company, feature, CounterRef(slot, (), window))
