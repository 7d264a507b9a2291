"""What sidecars of before are told of what they cannot read: less, rather than more.

They know neither changes of what is granted, nor several overrides of a feature at a time, nor
amounts by value. A grant of changes alone would read as unlimited.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import pairwise

import msgspec

from sidecar.domain.catalog.model import AddOn, Catalog, EntitlementGrant, Limit, Plan
from sidecar.domain.company.model import CompanySnapshot, OverrideSpan, Span
from sidecar.domain.company.spans import arranged

_replace = msgspec.structs.replace


def catalog_without_changes(catalog: Catalog) -> Catalog:
    """A catalog without what add-ons change of limits, and with one amount for each limit."""
    return _replace(
        catalog,
        plans=tuple(map(_plan, catalog.plans)),
        add_ons=tuple(map(_add_on, catalog.add_ons)),
        plan_versions=tuple(map(_plan, catalog.plan_versions)),
    )


def snapshot_without_changes(snapshot: CompanySnapshot) -> CompanySnapshot:
    """A timeline with the overrides alone that replace, one of each feature at a time.

    Of several at a time the last one is told, which has the say.
    """
    by_feature: defaultdict[str, list[OverrideSpan]] = defaultdict(list)
    for span in snapshot.overrides:
        if not span.content.is_change:
            by_feature[span.content.feature].append(
                _replace(span, content=_with_one_amount(span.content))
            )
    overrides = [span for spans in by_feature.values() for span in _uppermost(spans)]
    return _replace(snapshot, overrides=arranged(overrides))


def _plan(plan: Plan) -> Plan:
    return _replace(plan, entitlements=tuple(map(_with_one_amount, plan.entitlements)))


def _add_on(add_on: AddOn) -> AddOn:
    entitlements = tuple(
        _replace(given, grant=_with_one_amount(given.grant))
        for given in add_on.entitlements
        if not given.grant.is_change
    )
    return _replace(add_on, entitlements=entitlements)


def _with_one_amount(grant: EntitlementGrant) -> EntitlementGrant:
    if not any(limit.amounts for limit in grant.limits):
        return grant
    return _replace(grant, limits=tuple(map(_with_least_amount, grant.limits)))


def _with_least_amount(limit: Limit) -> Limit:
    amounts = [limit.amount, *(amount for _, amount in limit.amounts)]
    least = min((amount for amount in amounts if amount is not None), default=None)
    return _replace(limit, amount=least, amounts=())


def _uppermost(spans: Sequence[OverrideSpan]) -> Iterator[OverrideSpan]:
    """Of spans of one feature, at each instant the last one by id; `spans` are in that order."""
    starting: defaultdict[int, list[tuple[int, OverrideSpan]]] = defaultdict(list)
    for at, span in enumerate(spans):
        starting[span.from_us].append((-at, span))
    edges = sorted({edge for span in spans for edge in (span.from_us, span.until_us)})
    open_spans: list[tuple[int, OverrideSpan]] = []
    told: OverrideSpan | None = None
    for from_us, until_us in pairwise(edges):
        for entry in starting[from_us]:
            heappush(open_spans, entry)
        while open_spans and open_spans[0][1].until_us <= from_us:
            heappop(open_spans)
        if not open_spans:
            continue
        content = open_spans[0][1].content
        if told is not None and told.content == content and told.until_us == from_us:
            told = _replace(told, until_us=until_us)
            continue
        if told is not None:
            yield told
        told = Span(content, from_us, until_us)
    if told is not None:
        yield told
