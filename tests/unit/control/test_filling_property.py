"""Whatever becomes of limits, and whenever usage arrives: limits have what was used of them.

The model is a list of what was used. It knows no counters: of a limit it adds up what lies in the
limit's window and scope, and after the last reset. It is asked once the plane has done its work.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final, TypeAlias
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sidecar.control.services import filling, filling_walk
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.domain.catalog.model import EntitlementGrant, Limit, Plan, Scope
from sidecar.domain.company.model import Override
from sidecar.domain.company.subscription_changes import ChangePlan, ResetUsage
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.time.units import HOUR_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit, window_at
from tests.unit.control.filling_plane import ANCHOR_US, FillingPlane, catalog_of, on_plan

WINDOWS: Final = (
    WindowSpec(WindowUnit.WEEK),
    WindowSpec(WindowUnit.MONTH),
    WindowSpec(WindowUnit.MONTH, 1, Alignment.ANCHORED),
    WindowSpec(WindowUnit.LIFETIME),
)
SCOPES: Final = (Scope(), Scope(("user",)), Scope((), (("model", "large"),)))
LIMITS: Final = st.lists(
    st.tuples(st.sampled_from(WINDOWS), st.sampled_from(SCOPES)),
    min_size=1,
    max_size=3,
    unique=True,
).map(
    lambda found: tuple(
        Limit(str(at), window, 10, scope=scope) for at, (window, scope) in enumerate(found)
    )
)
USERS: Final = ("ann", "bob")

Steps: TypeAlias = list[tuple[Any, ...]]

USE: Final = st.tuples(
    st.just("use"),
    st.integers(1, 9),  # quantity
    st.integers(0, 48) | st.integers(0, 24 * 33),  # hours late
    st.integers(0, 2),  # how many changes the sidecar has not heard of
    st.sampled_from(USERS),
    st.booleans(),  # on the large model
    st.sampled_from(["", "", "", "k"]),
)
CHANGE: Final = st.one_of(
    st.tuples(st.just("limits"), LIMITS),
    st.tuples(st.just("limits"), LIMITS),
    st.tuples(st.just("override"), st.none() | LIMITS),
    st.tuples(st.just("plan"), st.sampled_from(["pro", "max"])),
    st.tuples(st.just("reset")),
)
STEP: Final = st.one_of(
    st.just(("step", 1)),
    st.just(("step", 3)),
    st.tuples(st.just("pass"), st.integers(0, 24) | st.integers(0, 24 * 20)),
    st.just(("restart",)),
)
STEPS: Final = st.lists(st.one_of(USE, USE, CHANGE, STEP, STEP), min_size=8, max_size=40)


class Life:
    """A plane and the model, through the same steps."""

    def __init__(self, plane: FillingPlane, limits: tuple[Limit, ...]) -> None:
        self.plane = plane
        self.used: list[tuple[int, int, str, bool]] = []
        self.keys: set[str] = set()
        self.reset_us = 0
        self.max_limits = limits[:1]
        self._apply(limits, company=True)
        plane.settle()
        self.heard = [plane.known()]

    def take(self, step: tuple[Any, ...]) -> None:
        getattr(self, f"_{step[0]}")(*step[1:])

    def _apply(self, limits: tuple[Limit, ...], *, company: bool = False) -> None:
        more = Plan("max", entitlements=(EntitlementGrant("tokens", limits=self.max_limits),))
        companies = (on_plan(),) if company else ()
        self.plane.apply(catalog_of(*limits, more=(more,)), *companies)

    def _limits(self, limits: tuple[Limit, ...]) -> None:
        self._apply(limits)
        self._changed()

    def _override(self, limits: tuple[Limit, ...] | None) -> None:
        overrides: tuple[Override, ...] = ()
        if limits is not None:
            overrides = (Override(EntitlementGrant("tokens", limits=limits)),)
        with self.plane.store.read() as transaction:
            held = transaction.companies(["acme"])["acme"].company
        self.plane.apply(None, replace(held, overrides=overrides))
        self._changed()

    def _plan(self, plan: str) -> None:
        self.plane.change(ChangePlan(plan))
        self._changed()

    def _reset(self) -> None:
        self.plane.now_us += HOUR_US
        self.plane.change(ResetUsage())
        self.reset_us = self.plane.now_us
        self._changed()

    def _step(self, steps: int) -> None:
        for _ in range(steps):
            self.plane.step()

    def _pass(self, hours: int) -> None:
        self.plane.now_us += hours * HOUR_US

    def _restart(self) -> None:
        self.plane.restart()

    def _use(self, quantity: int, late: int, behind: int, user: str, large: bool, key: str) -> None:
        at_us = self.plane.now_us - late * HOUR_US
        known = self.heard[max(0, len(self.heard) - 1 - behind)]
        dimensions = {"user": user, **({"model": "large"} if large else {})}
        self.plane.use(quantity, at_us, dimensions=dimensions, known=known, key=key)
        if key and key in self.keys:
            return
        self.keys.add(key)
        self.used.append((at_us, quantity, user, large))

    def _changed(self) -> None:
        self.plane.now_us += HOUR_US  # changes of one instant replace each other
        self.heard.append(self.plane.known())

    def expected(self, limit: Limit, user: str) -> int:
        window = window_at(limit.window, self.plane.now_us, anchor_us=ANCHOR_US)
        return sum(
            quantity
            for at_us, quantity, by, large in self.used
            if window.start_us <= at_us < window.end_us
            and at_us >= self.reset_us
            and (not limit.scope.dimensions or by == user)
            and (not limit.scope.match or large)
        )


@settings(max_examples=200, deadline=None)
@given(limits=LIMITS, steps=STEPS, lines=st.sampled_from([1, 1, 2, 1_000]))
def test_a_limit_has_what_was_used_of_it(
    limits: tuple[Limit, ...], steps: Steps, lines: int
) -> None:
    small = patch.multiple(filling, LINES=lines, FILLINGS=1)
    with closing(SqliteStore()) as store, small, patch.object(filling_walk, "PAGE", 1):
        life = Life(FillingPlane(store), limits)
        for step in steps:
            life.take(step)
        life.plane.settle()
        index, snapshot = life.plane.known()
        segment = segment_at(snapshot, life.plane.now_us)
        entitlement = index.resolve(segment, "tokens")
        assert entitlement is not None
        for limit in entitlement.limits:
            for user in USERS if limit.scope.dimensions else ("",):
                values = (user,) if user else ()
                assert life.expected(limit, user) == life.plane.used(limit.id, *values)
