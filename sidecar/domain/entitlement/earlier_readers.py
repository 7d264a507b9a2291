"""What sidecars of before are told of what they cannot read: less, rather than more.

They know neither changes of what is granted, nor several overrides of a feature at a time, nor
amounts by value, nor limits on any of several values, nor packs. A grant of changes would read as
unlimited, a pack as one for each window, and a limit on several values as one on all usage: they
have one for each value. Limits for each request are left out: a unit that they do not know would
keep them from the whole catalog.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import count, islice, pairwise, product
from typing import TypeVar

import msgspec

from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX, LIMITS_MAX
from sidecar.domain.catalog.model import (
    AddOn,
    Catalog,
    EntitlementGrant,
    Limit,
    Plan,
    RateLimit,
)
from sidecar.domain.company.model import CompanySnapshot, OverrideSpan, Span
from sidecar.domain.company.spans import arranged

_replace = msgspec.structs.replace
_Ceiling = TypeVar("_Ceiling", Limit, RateLimit)


def catalog_without_changes(catalog: Catalog) -> Catalog:
    """A catalog without what add-ons change of limits, and with one amount and value of each."""
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
            by_feature[span.content.feature].append(_replace(span, content=_plain(span.content)))
    overrides = [span for spans in by_feature.values() for span in _uppermost(spans)]
    return _replace(snapshot, overrides=arranged(overrides))


def _plan(plan: Plan) -> Plan:
    return _replace(plan, entitlements=tuple(map(_plain, plan.entitlements)))


def _add_on(add_on: AddOn) -> AddOn:
    entitlements = tuple(
        _replace(given, grant=_plain(given.grant))
        for given in add_on.entitlements
        if not given.grant.is_change and not add_on.once
    )
    return _replace(add_on, entitlements=entitlements)


def _plain(grant: EntitlementGrant) -> EntitlementGrant:
    limits, rates = tuple(limit for limit in grant.limits if limit.is_counted), grant.rates
    if any(limit.amounts for limit in limits):
        limits = tuple(map(_with_least_amount, limits))
    taken = {limit.id for limit in limits} | {rate.id for rate in rates}
    limits, rates = _by_value(limits, taken), _by_value(rates, taken)
    return _replace(grant, limits=limits, rates=rates)


def _by_value(ceilings: Sequence[_Ceiling], taken: set[str]) -> tuple[_Ceiling, ...]:
    """One for each combination of the values that a scope fixes, as far as the bound goes."""
    found: list[_Ceiling] = []
    for ceiling in ceilings:
        values: dict[str, list[tuple[str, str]]] = {}
        for name, value in ceiling.scope.match:
            values.setdefault(name, []).append((name, value))
        for number, match in enumerate(islice(product(*values.values()), LIMITS_MAX)):
            scope = _replace(ceiling.scope, match=match)
            name = _free_name(ceiling.id, taken) if number else ceiling.id
            found.append(_replace(ceiling, id=name, scope=scope))
    return tuple(found[:LIMITS_MAX])


def _free_name(name: str, taken: set[str]) -> str:
    """The name with the first number that is free; it is taken then."""
    for number in count(2):
        end = f".{number}"
        free = name.encode()[: IDENTIFIER_BYTES_MAX - len(end)].decode(errors="ignore") + end
        if free not in taken:
            break
    taken.add(free)
    return free


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
