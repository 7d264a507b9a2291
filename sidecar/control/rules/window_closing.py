"""Which counters carry unused amounts over, and by what their windows are closed.

Rules
- A limit rolls over where it says so, has an amount, no dimensions and an end to its windows, and
  the subscription is neither canceled nor ended. One that has packs carries on what was used of
  them for as long as they are held, also while a plan is in force that follows a trial or a grace.
  An override that takes its place wipes nothing.
- A window is closed by the amount and the rollover that are in force in its last microsecond; also
  where a reset or a new billing cycle cuts it short, for a window of another generation. What goes
  on then, and what a pause has to do with it, is said in `domain/limits/rollover_links.py`.
- Carrying ends with a window where no limit on its counter rolls over in that microsecond.
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
from sidecar.domain.catalog.model import Catalog, EntitlementGrant, Limit
from sidecar.domain.catalog.versions import all_versions
from sidecar.domain.company.model import CompanySnapshot, OverrideSpan
from sidecar.domain.company.spans import segments_of
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import CounterRef, slot_of
from sidecar.domain.limits.rolling_limits import rolling_limits
from sidecar.domain.limits.rollover_links import link_after, link_before, passes_on_us
from sidecar.domain.time.company_windows import company_window
from sidecar.domain.time.units import MINUTE_US
from sidecar.domain.time.windows import END_INSTANT_US, Window

LEAD_US: Final = MINUTE_US
"""How long before a window's end it is closed for the time being, at the most."""


class Closing(msgspec.Struct, frozen=True):
    """By what a window is closed, when, and the counter of the window after it."""

    terms: RolloverTerms
    ends_us: int
    following: CounterKey


class Beginning(msgspec.Struct, frozen=True):
    """A counter at which carrying begins, or goes on from one of another generation.

    `before`: the counter that passes on to it, at `passed_us`; `None` where nothing does.
    """

    key: CounterKey
    before: CounterKey | None = None
    passed_us: int = 0


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
        counter = key.counter
        link = link_after(self.index, snapshot, key.feature, counter.slot, counter.window)
        if link is None:
            return None
        following = CounterRef(link.following_slot, (), link.following)
        terms = RolloverTerms(
            link.allowance.amount,
            link.allowance.rollover,
            link.passing,
            None if link.following_slot == counter.slot else following,
            link.allowance.packs,
            link.allowance.amount_lasting,
            link.allowance.packs_held,
            link.allowance.packs_past,
        )
        following_key = CounterKey(snapshot.company, key.feature, following)
        return Closing(terms, link.ends_us, following_key)

    def beginnings(self, snapshot: CompanySnapshot, since_us: int) -> Iterator[Beginning]:
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
    ) -> Iterator[Beginning]:
        before: set[str] = set()
        for segment in segments_of(snapshot):
            at_us = max(since_us, segment.from_us)
            if not segment.from_us <= at_us < min(segment.until_us, END_INSTANT_US):
                continue
            now: set[str] = set()
            for slot, rolling in rolling_limits(self.index, segment, feature).items():
                limit = rolling.limit
                if slot not in before:
                    if not rolling.begins:
                        continue
                    window = company_window(snapshot.phases, limit.window, at_us)
                    yield self._beginning(snapshot, feature, slot, limit, window)
                now.add(slot)
            before = now

    def _beginning(
        self, snapshot: CompanySnapshot, feature: str, slot: str, limit: Limit, window: Window
    ) -> Beginning:
        company = snapshot.company
        key = CounterKey(company, feature, CounterRef(slot, (), window))
        link = link_before(self.index, snapshot, feature, slot, limit.window, window)
        if link is None or link.slot == slot:
            return Beginning(key)
        before = CounterKey(company, feature, CounterRef(link.slot, (), link.window))
        return Beginning(key, before, link.ends_us)


def due_us(snapshot: CompanySnapshot, counter: CounterRef) -> int:
    """When a window is to be closed for the time being: shortly before it passes on."""
    return lead_us(counter.window, passes_on_us(snapshot, counter.slot, counter.window))


def lead_us(window: Window, ends_us: int) -> int:
    """The same for a window that passes on at an instant."""
    return ends_us - min(LEAD_US, max(0, ends_us - window.start_us) // 10)


def _rolls_over(grant: EntitlementGrant) -> bool:
    return any(limit.rollover is not None for limit in grant.limits)


def _rolling_features(catalog: Catalog) -> Iterator[str]:
    for plan in all_versions(catalog):
        yield from (grant.feature for grant in plan.entitlements if _rolls_over(grant))
    for add_on in catalog.add_ons:
        for given in add_on.entitlements:
            if add_on.once or _rolls_over(given.grant):
                yield given.grant.feature


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
                rank = add_on.rank
                yield add_on.key, grant.feature, _shape(grant), given.merge, rank, add_on.once


def _shape(grant: EntitlementGrant) -> list[tuple[str, bool, bool]]:
    shape = [
        (slot_of(limit), limit.amount is None, limit.rollover is not None) for limit in grant.limits
    ]
    return shape + [(change.limit, change.amount is None, False) for change in grant.limit_changes]
