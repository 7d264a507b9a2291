"""Timelines agree at every instant with a model that knows no segments."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.company.model import Company, CompanySnapshot, Segment
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.timeline import (
    HISTORY_US,
    compile_snapshot,
    continue_snapshot,
    cut_instants,
    segment_at,
)
from sidecar.domain.time.units import HOUR_US
from tests.support.build import NOW_US
from tests.support.company_model import Step, fresh_starts, in_force, state_at
from tests.support.strategies import companies

# Few instants, so that they meet; many days, so that history is forgotten.
_INSTANTS: Final = st.integers(0, 60).map(lambda number: NOW_US + number * 49 * HOUR_US)
_HISTORIES: Final = st.lists(
    st.builds(Step, _INSTANTS, companies(_INSTANTS), st.booleans()), min_size=1, max_size=6
).map(lambda steps: sorted(steps, key=lambda step: step.at_us))


def _timelines(history: list[Step]) -> list[CompanySnapshot]:
    """The timeline after each step; the company is new with the first one."""
    found = [compile_snapshot(history[0].company, 1)]
    for version, step in enumerate(history[1:], start=2):
        found.append(
            continue_snapshot(
                found[-1], step.company, version, step.at_us, resets_usage=step.resets
            )
        )
    return found


def _kept_instants(history: list[Step]) -> list[int]:
    """Every instant at which something may change and the one before it, as far as history goes."""
    edges = {NOW_US, *(step.at_us for step in history)}
    for step in history:
        edges |= cut_instants(step.company)
    oldest_us = history[-1].at_us - HISTORY_US if len(history) > 1 else BEGINNING_US
    return sorted(at_us for edge in edges for at_us in (edge - 1, edge) if at_us >= oldest_us)


def _content(segment: Segment) -> Segment:
    """What a segment says, wherever it begins and ends."""
    return msgspec.structs.replace(segment, from_us=BEGINNING_US, until_us=FOREVER_US)


@given(_HISTORIES)
def test_at_every_instant_the_state_that_was_in_force_decides(history: list[Step]) -> None:
    timeline = _timelines(history)[-1]
    for at_us in _kept_instants(history):
        found = _content(segment_at(timeline, at_us))
        found = msgspec.structs.replace(found, generation=0, anchored_generation=0)
        assert state_at(in_force(history, at_us), at_us) == found


@given(_HISTORIES)
def test_a_generation_for_every_fresh_start_and_no_other(history: list[Step]) -> None:
    timeline = _timelines(history)[-1]
    expected = fresh_starts(history)
    instants = _kept_instants(history)
    segments = [segment_at(timeline, at_us) for at_us in instants]
    for starts, generations in (
        (expected.all_us, [segment.generation for segment in segments]),
        (expected.anchored_us, [segment.anchored_generation for segment in segments]),
    ):
        counts = [bisect_right(sorted(starts), at_us) for at_us in instants]
        for (count, generation), (later_count, later) in pairwise(
            zip(counts, generations, strict=True)
        ):
            assert generation <= later
            assert (count == later_count) == (generation == later)


@settings(max_examples=50)
@given(_HISTORIES)
def test_a_generation_never_stands_for_two_stretches(history: list[Step]) -> None:
    starts: dict[tuple[str, int], int] = {}
    for timeline in _timelines(history):
        for name in ("generation", "anchored_generation"):
            for earlier, later in pairwise(segments_of(timeline)):
                if getattr(earlier, name) != getattr(later, name):
                    generation = (name, getattr(later, name))
                    assert later.from_us == starts.setdefault(generation, later.from_us)


@settings(max_examples=50)
@given(_HISTORIES)
def test_what_was_in_force_stays(history: list[Step]) -> None:
    timelines = _timelines(history)
    for number in range(1, len(history)):
        before, after = timelines[number - 1 : number + 1]
        for at_us in _kept_instants(history[: number + 1]):
            if at_us < history[number].at_us:
                expected = _content(segment_at(before, at_us))
                assert expected == _content(segment_at(after, at_us))


@settings(max_examples=50)
@given(_HISTORIES, _INSTANTS)
def test_the_same_state_again_changes_nothing(history: list[Step], later_us: int) -> None:
    timeline = _timelines(history)[-1]
    again = Step(max(later_us, history[-1].at_us), history[-1].company)
    same = continue_snapshot(timeline, again.company, 99, again.at_us)
    for at_us in _kept_instants([*history, again]):
        assert _content(segment_at(timeline, at_us)) == _content(segment_at(same, at_us))


@settings(max_examples=50)
@given(_HISTORIES)
def test_segments_cover_all_time_and_differ_from_their_neighbours(history: list[Step]) -> None:
    for timeline in _timelines(history):
        segments = list(segments_of(timeline))
        assert (BEGINNING_US, FOREVER_US) == (segments[0].from_us, segments[-1].until_us)
        for earlier, later in pairwise(segments):
            assert earlier.from_us < earlier.until_us == later.from_us < later.until_us
            assert _content(earlier) != _content(later)


@settings(max_examples=50)
@given(companies(_INSTANTS), companies(_INSTANTS), _INSTANTS)
def test_a_change_made_at_once_leaves_no_trace(wrong: Company, right: Company, now_us: int) -> None:
    first = continue_snapshot(compile_snapshot(wrong, 1), wrong, 2, now_us)
    for at_us in (now_us, now_us + 1):
        found = segment_at(continue_snapshot(first, right, 3, now_us), at_us)
        assert state_at(right, at_us) == msgspec.structs.replace(
            _content(found), generation=0, anchored_generation=0
        )
