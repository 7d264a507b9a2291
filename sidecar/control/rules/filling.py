"""Which limits are new to a company, and on which of their counters usage belongs.

Rules
- Limits that count the same thing (equal window and scope) share their counters, whatever their
  name and amount: new is what no limit of the company's feature counted the moment before.
- What is new by a change of the catalog is looked for in all companies; what is new by a change of
  a company, or by what is planned for it, in that company's timeline.
- What a plan counts no more is filled where another limit of a company counts it: usage that comes
  late, of when the company had that plan, is counted by what the plan counts today.
- Usage belongs on the counter of the window and the generation that the timeline has at the time of
  the event, whatever the company was entitled to then. What is older than its generation, as far as
  the timeline remembers, belongs on none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from sidecar.control.storage.filling_values import CountedBy, Filling
from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.canonical import canonical_scope, canonical_window
from sidecar.domain.catalog.model import AddOn, Catalog, FeatureKind, Limit, Plan
from sidecar.domain.catalog.versions import all_versions
from sidecar.domain.company.model import CompanySnapshot, Phase, Segment
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.timeline import phase_at
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import CounterRef, scope_values, slot_of
from sidecar.domain.time.company_windows import company_window, generation_of
from sidecar.domain.time.windows import Window

PLANNED_MAX: Final = 100
"""Planned segments of a timeline that are looked at; what comes later is when something changes."""

_ByFeature: TypeAlias = Mapping[str, frozenset[CountedBy]]


class NewLimit(NamedTuple):
    """What a limit counts that is new to a company, and from when on it is."""

    counted_by: CountedBy
    from_us: int


def recounted_by_catalog(before: Catalog, after: Catalog) -> Iterator[CountedBy]:
    """What limits of plans and add-ons count that they did not before, or count no more.

    Of what is new in the catalog, nothing. What they count no more, another limit of a company may
    count, and late usage of when it had the plan will not name it.
    """
    balances = {each.key for each in after.features if each.kind is FeatureKind.CREDITS}
    for found in _recounted(before, after):
        if found.feature not in balances:  # what is burned of it is usage of other features
            yield found


def _recounted(before: Catalog, after: Catalog) -> Iterator[CountedBy]:
    plans = {plan.key: _of_plan(plan) for plan in after.plans}
    for plan in all_versions(before):  # companies may come from any of its versions
        yield from _different(_of_plan(plan), plans.get(plan.key, {}))
    add_ons = {add_on.key: add_on for add_on in after.add_ons}
    for add_on in before.add_ons:
        now = add_ons.get(add_on.key)
        yield from _different(_of_add_on(add_on), {} if now is None else _of_add_on(now))
        for feature in _merged_otherwise(add_on, now):
            yield from _all_of(after, feature)  # what it replaced counts again, perhaps


def new_in_timeline(
    index: CatalogIndex, snapshot: CompanySnapshot, since_us: int, now_us: int
) -> Iterator[NewLimit]:
    """What limits count that are new since an instant, or will be by what is planned.

    What was new for a while only and is no more needs nothing.
    """
    before: Segment | None = None
    held: frozenset[CountedBy] = frozenset()
    new: frozenset[CountedBy] = frozenset()
    for segment in _without_past(snapshot, since_us, now_us):
        if before is None:
            held = _all_counted(index, segment)
        elif _bought(before) != _bought(segment):
            counted = _all_counted(index, segment)
            new, held = (new & counted) | (counted - held), counted
        before = segment
        if segment.until_us > now_us:
            yield from (NewLimit(each, max(now_us, segment.from_us)) for each in new)
            new = frozenset()


def held_of(
    index: CatalogIndex, snapshot: CompanySnapshot, wanted: Iterable[CountedBy], now_us: int
) -> Iterator[NewLimit]:
    """What of the wanted a company's limits count, now or by what is planned."""
    by_feature = set(wanted)
    features = {counted.feature for counted in by_feature}
    seen: set[CountedBy] = set()
    for segment in _without_past(snapshot, now_us + 1, now_us):
        for feature in features:
            for counted in _counted(index, segment, feature):
                if counted in by_feature and counted not in seen:
                    seen.add(counted)
                    yield NewLimit(counted, max(now_us, segment.from_us))


def slot_text(counted_by: CountedBy, generation: int = 0) -> str:
    """The slot of limits that count something."""
    return slot_of(Limit("", counted_by.window, scope=counted_by.scope), generation)


class FilledCounters:
    """The counters of a filling, by a company's timeline.

    Fastest for usage of one window after the other: the last one is kept.
    """

    def __init__(self, filling: Filling, snapshot: CompanySnapshot) -> None:
        self._filling = filling
        self._snapshot = snapshot
        self._phase: Phase | None = None
        self._span = Window(0, 0)
        self._slot = ""

    def of(
        self, event_time_us: int, dimensions: Callable[[], Mapping[str, str]]
    ) -> CounterKey | None:
        """The counter that usage belongs on; `None` for none.

        `dimensions` are asked for only where the scope needs them.
        """
        filling, scope = self._filling, self._filling.counted_by.scope
        if event_time_us < filling.from_us:
            return None
        values: tuple[str, ...] | None = ()
        if scope.dimensions or scope.match:
            values = scope_values(scope, dimensions())
        if values is None:
            return None
        phase = phase_at(self._snapshot, event_time_us)
        if phase is not self._phase or not (
            self._span.start_us <= event_time_us < self._span.end_us
        ):
            self._find(phase, event_time_us)
        if generation_of(phase, filling.counted_by.window) > event_time_us:
            return None
        counter = CounterRef(self._slot, values, self._span)
        return CounterKey(filling.company, filling.feature, counter)

    def _find(self, phase: Phase, event_time_us: int) -> None:
        counted_by = self._filling.counted_by
        self._phase = phase
        self._span = company_window(self._snapshot.phases, counted_by.window, event_time_us)
        self._slot = slot_text(counted_by, generation_of(phase, counted_by.window))


def _of_plan(plan: Plan) -> _ByFeature:
    return {
        grant.feature: frozenset(_counted_by(grant.feature, grant.limits))
        for grant in plan.entitlements
    }


def _of_add_on(add_on: AddOn) -> _ByFeature:
    grants = (given.grant for given in add_on.entitlements)
    return {grant.feature: frozenset(_counted_by(grant.feature, grant.limits)) for grant in grants}


def _different(before: _ByFeature, after: _ByFeature) -> Iterator[CountedBy]:
    for feature in {*before, *after}:
        yield from before.get(feature, frozenset()) ^ after.get(feature, frozenset())


def _merged_otherwise(before: AddOn, after: AddOn | None) -> Iterator[str]:
    now = {} if after is None else {each.grant.feature: each.merge for each in after.entitlements}
    for given in before.entitlements:
        if given.merge is not now.get(given.grant.feature):
            yield given.grant.feature


def _all_of(catalog: Catalog, feature: str) -> Iterator[CountedBy]:
    for plan in catalog.plans:
        for grant in plan.entitlements:
            if grant.feature == feature:
                yield from _counted_by(feature, grant.limits)
    for add_on in catalog.add_ons:
        for given in add_on.entitlements:
            if given.grant.feature == feature:
                yield from _counted_by(feature, given.grant.limits)


def _without_past(snapshot: CompanySnapshot, since_us: int, now_us: int) -> Iterator[Segment]:
    """Segments from the one before an instant on; of those to come the first."""
    planned = 0
    for segment in segments_of(snapshot):
        if segment.until_us >= since_us:
            yield segment
            planned += segment.from_us > now_us
            if planned == PLANNED_MAX:
                return


def _all_counted(index: CatalogIndex, segment: Segment) -> frozenset[CountedBy]:
    counted_on = (each.key for each in index.features.values() if each.kind.is_counted)
    return frozenset(counted for key in counted_on for counted in _counted(index, segment, key))


def _counted(index: CatalogIndex, segment: Segment, feature: str) -> Iterator[CountedBy]:
    entitlement = index.resolve(segment, feature)
    if entitlement is not None:
        yield from _counted_by(feature, entitlement.limits)


def _counted_by(feature: str, limits: Iterable[Limit]) -> Iterator[CountedBy]:
    for limit in limits:
        if limit.is_counted:
            window, scope = canonical_window(limit.window), canonical_scope(limit.scope)
            yield CountedBy(feature, window, scope)


def _bought(segment: Segment) -> tuple[object, ...]:
    """All of a segment that says which limits there are."""
    return segment.plan, segment.plan_version, segment.add_ons, segment.overrides
