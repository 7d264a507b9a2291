"""Spans of a timeline: add-ons and overrides, each with when it is in force.

A timeline names each of them once. What holds at an instant is found by a look at all of them, so
it takes as long as there are spans; a list for each stretch in which nothing changes would grow
with their square. Spans are in the order of (key, start), and those of one key do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.company.model import (
    AddOnSpan,
    AddOnSubscription,
    CompanySnapshot,
    OverrideSpan,
    Phase,
    Segment,
    Span,
)

Content: TypeAlias = AddOnSubscription | EntitlementGrant
C = TypeVar("C", AddOnSubscription, EntitlementGrant)

HISTORY_SPANS_MAX: Final = 2_000
"""Most spans of a timeline that are over; past it the oldest are forgotten."""
HISTORY_BYTES_MAX: Final = 256 << 10
"""Most bytes that they take, as a sidecar stores them."""

_replace = msgspec.structs.replace
_encode = msgspec.msgpack.Encoder().encode


def key_of(content: Content) -> tuple[str, str]:
    """What a span is of: an add-on, or an override of a feature, told apart by its id."""
    if isinstance(content, AddOnSubscription):
        return content.add_on, ""
    return content.feature, content.id


def in_force(spans: Sequence[Span[C]], at_us: int) -> tuple[C, ...]:
    """What is in force at an instant, in the order of the keys."""
    return tuple([span.content for span in spans if span.from_us <= at_us < span.until_us])


def stretch_at(
    snapshot: CompanySnapshot, phase: Phase, at_us: int
) -> tuple[int, int, tuple[AddOnSubscription, ...], tuple[EntitlementGrant, ...]]:
    """Start and end of the stretch around an instant of a phase, and what is in force in it."""
    start_us, end_us = phase.from_us, phase.until_us
    for edge_us in edges_of(snapshot):
        if start_us < edge_us <= at_us:
            start_us = edge_us
        elif at_us < edge_us < end_us:
            end_us = edge_us
    return start_us, end_us, in_force(snapshot.add_ons, at_us), in_force(snapshot.overrides, at_us)


def edges_of(snapshot: CompanySnapshot) -> Iterator[int]:
    """Every instant at which an add-on or an override comes or goes, in no order."""
    for add_on_span in snapshot.add_ons:
        yield add_on_span.from_us
        yield add_on_span.until_us
    for override_span in snapshot.overrides:
        yield override_span.from_us
        yield override_span.until_us


class SpanBuilder(Generic[C]):
    """Makes spans of lists, each of which says all that holds from an instant on."""

    def __init__(self) -> None:
        self._closed: list[Span[C]] = []
        self._open: dict[tuple[str, str], tuple[int, C]] = {}

    def add(self, at_us: int, held: Iterable[C]) -> None:
        """From an instant on this holds, and nothing else; of two of one key the first."""
        before, self._open = self._open, {}
        for content in held:
            key = key_of(content)
            if key in self._open:
                continue
            since = before.get(key)
            if since is not None and (since[1] is content or since[1] == content):
                del before[key]
                self._open[key] = since
            else:
                self._open[key] = (at_us, content)
        self._close(before, at_us)

    def spans(self) -> tuple[Span[C], ...]:
        """All of them; what holds last has no end."""
        self._close(self._open, FOREVER_US)
        self._open = {}
        return arranged(self._closed)

    def _close(self, held: Mapping[tuple[str, str], tuple[int, C]], at_us: int) -> None:
        self._closed += [
            Span(content, since_us, at_us)
            for since_us, content in held.values()
            if since_us < at_us
        ]


def arranged(spans: Iterable[Span[C]]) -> tuple[Span[C], ...]:
    """Spans in their order."""
    return tuple(sorted(spans, key=lambda span: (key_of(span.content), span.from_us)))


def continued(
    held: Iterable[Span[C]], new: Iterable[Span[C]], now_us: int, horizon_us: int
) -> tuple[Span[C], ...]:
    """What was held up to now, and from then on what is new.

    What ended by the horizon is forgotten; what was in force there is taken to have been always.
    """
    spans: list[Span[C]] = [
        _replace(
            span,
            from_us=BEGINNING_US if span.from_us <= horizon_us else span.from_us,
            until_us=min(span.until_us, now_us),
        )
        for span in held
        if span.from_us < now_us and span.until_us > horizon_us
    ]
    joined: list[Span[C]] = []
    spans += new
    for span in arranged(spans):
        if joined:
            last = joined[-1]
            if last.until_us == span.from_us and last.content == span.content:
                joined[-1] = _replace(last, until_us=span.until_us)
                continue
        joined.append(span)
    return tuple(joined)


def without_oldest(
    add_ons: tuple[AddOnSpan, ...], overrides: tuple[OverrideSpan, ...], now_us: int
) -> tuple[tuple[AddOnSpan, ...], tuple[OverrideSpan, ...]]:
    """Both without the spans that ended longest ago, where those that are over pass a bound."""
    over: list[AddOnSpan | OverrideSpan] = []
    over += [span for span in add_ons if span.until_us <= now_us]
    over += [span for span in overrides if span.until_us <= now_us]
    over.sort(key=lambda span: span.until_us, reverse=True)
    room = HISTORY_BYTES_MAX
    since_us = BEGINNING_US
    for number, span in enumerate(over):
        room -= len(_encode(span))
        if number >= HISTORY_SPANS_MAX or room < 0:
            since_us = span.until_us
            break
    return (
        tuple(span for span in add_ons if span.until_us > since_us),
        tuple(span for span in overrides if span.until_us > since_us),
    )


def segments_of(snapshot: CompanySnapshot) -> Iterator[Segment]:
    """The stretches of a timeline in which nothing changes, one after the other.

    Each takes as long as there are spans: for people, and for sidecars of before.
    """
    edges = {phase.from_us for phase in snapshot.phases}
    edges.update(edges_of(snapshot))
    edges -= {BEGINNING_US, FOREVER_US}
    phases = iter(snapshot.phases)
    phase = next(phases)
    for start_us, end_us in pairwise([BEGINNING_US, *sorted(edges), FOREVER_US]):
        while start_us >= phase.until_us:
            phase = next(phases)
        add_ons = in_force(snapshot.add_ons, start_us)
        yield segment_of(phase, start_us, end_us, add_ons, in_force(snapshot.overrides, start_us))


def segment_of(
    phase: Phase,
    from_us: int,
    until_us: int,
    add_ons: tuple[AddOnSubscription, ...],
    overrides: tuple[EntitlementGrant, ...],
) -> Segment:
    """A stretch of a phase."""
    return Segment(
        from_us,
        until_us,
        phase.status,
        phase.after_trial,
        phase.past_grace,
        phase.plan,
        phase.time_zone,
        phase.anchor_us,
        phase.generation,
        phase.anchored_generation,
        phase.plan_version,
        phase.after_grace,
        add_ons,
        overrides,
    )


def snapshot_of(company: str, version: int, segments: Iterable[Segment]) -> CompanySnapshot:
    """A timeline from segments, each of which says all that holds: their form of before."""
    phases: list[Phase] = []
    add_ons: SpanBuilder[AddOnSubscription] = SpanBuilder()
    overrides: SpanBuilder[EntitlementGrant] = SpanBuilder()
    for segment in segments:
        phases.append(phase_of(segment))
        add_ons.add(segment.from_us, segment.add_ons)
        overrides.add(segment.from_us, segment.overrides)
    return CompanySnapshot(
        company, version, tuple(joined_phases(phases)), add_ons.spans(), overrides.spans()
    )


def joined_phases(phases: Iterable[Phase]) -> list[Phase]:
    """Neighbours that say the same, made one."""
    joined: list[Phase] = []
    for phase in phases:
        if joined:
            last = joined[-1]
            whole = _replace(last, until_us=phase.until_us)
            if whole == _replace(phase, from_us=last.from_us):
                joined[-1] = whole
                continue
        joined.append(phase)
    return joined


def phase_of(segment: Segment) -> Phase:
    """A segment without its add-ons and overrides."""
    return Phase(
        segment.from_us,
        segment.until_us,
        segment.status,
        segment.after_trial,
        segment.past_grace,
        segment.plan,
        segment.time_zone,
        segment.anchor_us,
        segment.generation,
        segment.anchored_generation,
        segment.plan_version,
        segment.after_grace,
    )
