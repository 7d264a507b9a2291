"""Two sidecars and their plane agree on what is left of packs, over window ends and outages.

A limit of 100 a month, and packs of 50 for it.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.catalog.model import AddOn, AddOnEntitlement, EntitlementGrant, LimitChange
from sidecar.domain.company.subscription_changes import NOW, SetAddOn
from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.simulation.world import World
from tests.support.pack_model import PackModel
from tests.unit.control.rollover_plane import catalog_of, monthly, on_plan, utc

MORE: Final = EntitlementGrant("tokens", limit_changes=(LimitChange("monthly", 50, adds=True),))
PACK: Final = AddOn("pack", entitlements=(AddOnEntitlement(MORE),), once=True)
CONTENT: Final = msgspec.structs.replace(catalog_of(pro=monthly(None)), add_ons=(PACK,))
STARTS: Final = [utc(2026, month, 1) for month in range(1, 13)]

STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.integers(0, 1), st.sampled_from([20, 50, 60, 100])),
        st.tuples(st.just("use"), st.integers(0, 1), st.integers(1, 130)),
        st.tuples(st.just("buy"), st.integers(0, 3)),
        st.tuples(st.just("pass"), st.sampled_from([1, 10, 30, 40])),
        st.tuples(st.just("online"), st.booleans()),
    ),
    min_size=4,
    max_size=25,
)


def month_of(at_us: int) -> int:
    return sum(start <= at_us for start in STARTS) - 1


class Told:
    """What happened: usage of each month, and how many packs were held at its end."""

    def __init__(self) -> None:
        self.used = [0] * len(STARTS)
        self.packs = [0] * len(STARTS)

    def model(self, month: int) -> PackModel:
        """The model, at a month."""
        model = PackModel(100, 50, 0)
        for earlier in range(month):
            model.used = self.used[earlier]
            model.ends(self.packs[earlier])
        model.used = self.used[month]
        return model


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_two_sidecars_and_the_plane_agree(steps: list[tuple[Any, ...]]) -> None:
    with closing(World(utc(2026, 1, 10), pods=2)) as world:
        world.apply(CONTENT, [on_plan()])
        world.sync()
        _play(world, steps)


def _play(world: World, steps: list[tuple[Any, ...]]) -> None:
    told, known = Told(), True  # known: each sidecar knows what the other one has counted
    for kind, *what in steps:
        month = month_of(world.now_us)
        if kind == "use":
            pod, quantity = what
            allowed = world.check("acme", "tokens", quantity, {}, pod).allowed
            if known:
                assert allowed == (quantity <= told.model(month).room(told.packs[month]))
            told.used[month] += quantity if allowed else 0
        elif kind == "buy" and world.online:
            world.change("acme", SetAddOn("pack", what[0]), NOW)
            told.packs[month:] = what * (len(STARTS) - month)
        elif kind == "pass":
            world.at(min(world.now_us + what[0] * DAY_US, STARTS[-1] - HOUR_US))
        elif kind == "online":
            world.online = what[0]
        world.sync()
        world.now_us += HOUR_US
        world.sync()
        known = world.online
    world.online = True
    for _ in range(3):
        world.sync()
        world.at(world.now_us + 1)
    month = month_of(world.now_us)
    model = told.model(month)
    (usage,) = world.usage("acme")
    assert model.left(told.packs[month]) == usage.packs_left
    for pod in (0, 1):
        left = model.room(told.packs[month])
        assert not world.check("acme", "tokens", left + 1, {}, pod).allowed
    assert not left or world.check("acme", "tokens", left, {}, 0).allowed
