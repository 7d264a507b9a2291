"""What sidecars of before are told of overrides: whole ones, one of a feature at a time.

They know neither changes nor several overrides of a feature at a time. So what comes of them is
worked out by the catalog, for each stretch of the timeline in which nothing changes, and told as
one that replaces. It holds for that catalog alone: with another one it is told anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from typing import Final

import msgspec

from sidecar.domain.catalog.model import Feature
from sidecar.domain.company.model import CompanySnapshot, OverrideSpan, Span
from sidecar.domain.company.spans import arranged, segments_of
from sidecar.domain.entitlement.earlier_readers import plain_grant
from sidecar.domain.entitlement.resolve import CatalogIndex

STRETCHES_MAX: Final = 10_000
"""Most stretches of a company that are worked out. Of earlier ones, changes are left out."""

_replace = msgspec.structs.replace


def has_changes(snapshot: CompanySnapshot) -> bool:
    """Whether what such sidecars are told of a company depends on the catalog."""
    return any(span.content.is_change for span in snapshot.overrides)


def snapshot_without_changes(
    snapshot: CompanySnapshot, catalog: CatalogIndex | None
) -> CompanySnapshot:
    """A timeline with overrides alone that replace, one of each feature at a time.

    Of several that replace, the last one has the say. `catalog`: the one in force, if there is one.
    """
    by_feature: defaultdict[str, list[OverrideSpan]] = defaultdict(list)
    for span in snapshot.overrides:
        by_feature[span.content.feature].append(span)
    changed = {span.content.feature for span in snapshot.overrides if span.content.is_change}
    stretches_max = STRETCHES_MAX // max(1, len(changed))
    told: list[OverrideSpan] = []
    for key, spans in by_feature.items():
        feature = None if catalog is None else catalog.features.get(key)
        if catalog is None or feature is None or key not in changed:
            whole = [span for span in spans if not span.content.is_change]
            told += [
                _replace(span, content=plain_grant(span.content)) for span in _uppermost(whole)
            ]
        else:
            told += _worked_out(snapshot, spans, feature, catalog, stretches_max)
    return _replace(snapshot, overrides=arranged(told))


def _worked_out(
    snapshot: CompanySnapshot,
    spans: Sequence[OverrideSpan],
    feature: Feature,
    catalog: CatalogIndex,
    stretches_max: int,
) -> Iterator[OverrideSpan]:
    """What is granted of a feature, wherever overrides of it are in force."""
    segments = list(segments_of(_replace(snapshot, overrides=tuple(spans))))
    told: OverrideSpan | None = None
    for left, segment in zip(range(len(segments), 0, -1), segments, strict=True):
        whole = [override for override in segment.overrides if not override.is_change]
        content = whole[-1] if whole else None
        if left <= stretches_max and len(whole) < len(segment.overrides):
            *_, last = catalog.sources(segment, feature)
            content = last.result
        if content is not None:
            content = plain_grant(content)
            if told is not None and (told.content, told.until_us) == (content, segment.from_us):
                told = _replace(told, until_us=segment.until_us)
                continue
        if told is not None:
            yield told
        told = None if content is None else Span(content, segment.from_us, segment.until_us)
    if told is not None:
        yield told


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
