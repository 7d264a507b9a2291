"""Slots tell apart what counts differently, and nothing else."""

from __future__ import annotations

from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.canonical import canonical_window
from sidecar.domain.catalog.model import Scope
from sidecar.domain.limits.counters import generation_in, is_anchored, scope_in, slot_of, window_in
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.support.build import limit

# Separators, what escapes them, and what escapes look like.
_NAMES: Final = st.text(alphabet="%|,=/2C5a", min_size=1, max_size=6)
_VALUES: Final = st.text(alphabet="%|,=/2C5a", max_size=6)
_GENERATIONS: Final = st.sampled_from([0, 1, 2, 1_773_576_000_000_000, INT64_MAX])


@st.composite
def _windows(draw: st.DrawFn) -> WindowSpec:
    unit = draw(st.sampled_from(list(WindowUnit)))
    alignment = draw(st.sampled_from(list(Alignment)))
    weekly = unit is WindowUnit.WEEK and alignment is Alignment.CALENDAR
    weekday = draw(st.integers(0, 6)) if weekly else 0
    return WindowSpec(unit, draw(st.sampled_from([1, 2, 12])), alignment, weekday)


@st.composite
def _scopes(draw: st.DrawFn) -> Scope:
    dimensions = sorted(draw(st.sets(_NAMES, max_size=3)))
    match = draw(st.dictionaries(_NAMES, _VALUES, max_size=3))
    return Scope(tuple(dimensions), tuple(sorted(match.items())))


def _slot(window: WindowSpec, scope: Scope, generation: int = 0) -> str:
    of = limit(window=window, each=scope.dimensions, match=dict(scope.match))
    return slot_of(of, generation)


@example(WindowSpec(WindowUnit.DAY), Scope(("a", "b")), WindowSpec(WindowUnit.DAY), Scope(("a,b",)))
@example(
    WindowSpec(WindowUnit.DAY),
    Scope(match=(("a", "b"), ("c", "d"))),
    WindowSpec(WindowUnit.DAY),
    Scope(match=(("a", "b,c=d"),)),
)
@example(
    WindowSpec(WindowUnit.DAY),
    Scope(("a",)),
    WindowSpec(WindowUnit.DAY),
    Scope(("a|",)),
)
@example(
    WindowSpec(WindowUnit.DAY),
    Scope((",",)),
    WindowSpec(WindowUnit.DAY),
    Scope(("%2C",)),
)
@given(_windows(), _scopes(), _windows(), _scopes())
def test_slots_are_equal_only_for_equal_windows_and_scopes(
    window: WindowSpec, scope: Scope, other_window: WindowSpec, other_scope: Scope
) -> None:
    same = (canonical_window(window), scope) == (canonical_window(other_window), other_scope)
    assert same == (_slot(window, scope) == _slot(other_window, other_scope))


@given(_windows(), _scopes(), _scopes())
def test_scopes_that_differ_have_slots_that_differ(
    window: WindowSpec, scope: Scope, other: Scope
) -> None:
    assert (scope == other) == (_slot(window, scope) == _slot(window, other))


@given(_windows(), _scopes(), _GENERATIONS, _scopes(), _GENERATIONS)
def test_generations_that_differ_have_slots_that_differ(
    window: WindowSpec, scope: Scope, generation: int, other_scope: Scope, other: int
) -> None:
    same = (scope, generation) == (other_scope, other)
    assert same == (_slot(window, scope, generation) == _slot(window, other_scope, other))


@given(_windows(), _scopes(), _GENERATIONS)
def test_a_slot_tells_its_generation_and_whether_it_is_anchored(
    window: WindowSpec, scope: Scope, generation: int
) -> None:
    slot = _slot(window, scope, generation)
    anchored = canonical_window(window).alignment is Alignment.ANCHORED
    assert (generation, anchored) == (generation_in(slot), is_anchored(slot))


@given(_windows(), _scopes(), _GENERATIONS)
def test_what_a_slot_names_can_be_read(window: WindowSpec, scope: Scope, generation: int) -> None:
    slot = _slot(window, scope, generation)
    assert (canonical_window(window), scope) == (window_in(slot), scope_in(slot))


@given(st.text(alphabet="%|,=/2C5a|", max_size=20))
@example("DAY/0/CALENDAR||")
@example("DAY/1||")
@example("DAY/1/CALENDAR/0/0||")
def test_what_is_no_slot_has_some_scope_and_no_window(text: str) -> None:
    assert isinstance(scope_in(text), Scope)
    assert window_in(text) is None
