"""Whatever is moved, named, forgotten and restarted: a level is what a plain sum of items says.

The model keeps items with their ends and one number for what has no name. It knows nothing of
stores, counters and records.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.errors import FailedPrecondition
from tests.support.build import company
from tests.support.inside import Inside
from tests.support.levels import (
    adjust,
    expire,
    items,
    level_catalog,
    level_limit,
    set_to,
    used,
)

_MOST: Final = 12
_EACH: Final = 5
_SECOND: Final = 1_000_000
_NAMES: Final = ("a", "b", "c", "")
_USERS: Final = {"a": "ann", "b": "bob", "c": "ann", "": "bob"}
"""An item keeps its user; what has no name is bob's."""

_STEPS: Final = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["adjust", "set"]),
            st.sampled_from(_NAMES),
            st.integers(-6, 8),
            st.sampled_from([None, 1, 3]),
        ),
        st.tuples(
            st.sampled_from(["wait", "wait", "restart"]),
            st.just(""),
            st.integers(1, 3),
            st.none(),
        ),
    ),
    max_size=25,
)


@dataclass
class Model:
    """Items: how much, and when it is over; what has no name; the time in seconds."""

    unnamed: int = 0
    now: int = 0
    held: dict[str, tuple[int, int | None]] = field(default_factory=dict)

    def forget(self) -> None:
        self.held = {
            name: (level, over)
            for name, (level, over) in self.held.items()
            if over is None or over > self.now
        }

    def of(self, *users: str) -> int:
        named = sum(level for name, (level, _) in self.held.items() if _USERS[name] in users)
        return named + (self.unnamed if _USERS[""] in users else 0)

    def moved(self, how: str, name: str, amount: int, lives: int | None) -> int | None:
        """By how much it changes; `None` where nothing may move."""
        user = _USERS[name]
        before, over = self.held.get(name, (0, None))
        if not name:
            # Adjusted, it is held to the least that any limit shows; set, to what bob has.
            before = min(self.of(user), self.of("ann", "bob"))
        after = amount if how == "set" else before + amount
        if after < 0:
            return None
        change = after - before
        if change > 0 and (
            self.of(user) + change > _EACH or self.of("ann", "bob") + change > _MOST
        ):
            return 0
        if not name:
            self.unnamed += change
        elif after:
            self.held[name] = (after, over if lives is None else self.now + lives)
        else:
            self.held.pop(name, None)
        return change


@settings(max_examples=60, deadline=None)
@given(_STEPS)
async def test_a_level_is_the_sum_of_what_is_in_use(steps: list[Any]) -> None:
    limits = level_limit("all", _MOST), level_limit("each", _EACH, each=["user"])
    sidecar, model = Inside(level_catalog(*limits), company(), authority=True), Model()
    for how, name, amount, lives in steps:
        if how == "wait":
            sidecar.now_us += amount * _SECOND
            model.now += amount
        elif how == "restart":
            sidecar.reopen()
        elif how in ("adjust", "set"):
            # What is over is taken back when it is come by; a limit may lack it until then.
            expire(sidecar)
            model.forget()
            if how == "set" and amount < 0:
                continue
            await _move(sidecar, model, how, name, amount, lives if name else None)
        expire(sidecar)
        model.forget()
        assert {name: level for name, (level, _) in model.held.items()} == await items(sidecar)
        for user in ("ann", "bob"):
            expected = [max(0, model.of("ann", "bob")), max(0, model.of(user))]
            assert expected == await used(sidecar, dimensions={"user": user})
    records = sidecar.records()
    assert model.of("ann", "bob") == sum(record.quantity for record in records)
    assert all(record.HasField("level") for record in records)


async def _move(
    sidecar: Inside, model: Model, how: str, name: str, amount: int, lives: int | None
) -> None:
    ttl_us = None if lives is None else lives * _SECOND
    move = adjust if how == "adjust" else set_to
    dimensions = {"user": _USERS[name]}
    expected = model.moved(how, name, amount, lives)
    try:
        answer = await move(sidecar, amount, name, ttl_us, dimensions=dimensions)
    except FailedPrecondition:
        assert expected is None
    else:
        assert expected == answer.changed
