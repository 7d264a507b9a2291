"""What rolls over is there in the next window, though connected sidecars held leases of it."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Rollover,
)
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.time.units import DAY_US, MINUTE_US, SECOND_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.sync.machine.held_leases import LeasePace
from tests.simulation.leases import world as worlds
from tests.simulation.leases.calls import Call
from tests.simulation.leases.world import World

MOST: Final = 1_000
ANCHOR_US: Final = 1_767_225_600_000_000
STARTS_US: Final = ANCHOR_US + DAY_US


def catalog() -> Catalog:
    """A limit a minute of which the rest is there in the next one."""
    limit = Limit("total", WindowSpec(WindowUnit.MINUTE), MOST, rollover=Rollover())
    plan = Plan("big", entitlements=(EntitlementGrant("storage", limits=(limit,)),))
    return Catalog((Feature("storage", FeatureKind.METERED),), (plan,), default_plan="big")


@pytest.mark.parametrize("used", [0, 100])
def test_all_that_a_window_leaves_can_be_used_in_the_next_one(
    monkeypatch: pytest.MonkeyPatch, used: int
) -> None:
    monkeypatch.setattr(worlds, "catalog_of", lambda _: catalog())
    subscription = Subscription("big", ANCHOR_US)
    monkeypatch.setattr(
        worlds, "company_of", lambda name, _: Company(name, subscription=subscription)
    )
    world = World(1, STARTS_US, pace=LeasePace())
    granted: list[int] = []
    world.on_told = lambda told: granted.append(told.granted)
    for _ in range(2):
        world.add_pod().start()

    def go_on(us: int) -> None:
        until_us = world.timeline.now_us + us
        while world.timeline.next_step(until_us):
            pass

    def ask(pod: int, quantity: int) -> None:
        process = world.pods[pod].process
        assert process is not None
        call = Call(world.new_attempt(), "acme", "storage", quantity, "", mode=GrantMode.UP_TO)
        process.live(lambda: process.calls.begin(call))
        go_on(SECOND_US)

    go_on(2 * SECOND_US)
    for pod in range(2):  # each holds more than it uses
        ask(pod, 1 + used)
    go_on(MINUTE_US)
    granted.clear()
    for _ in range(8):
        for pod in range(2):
            ask(pod, 2 * MOST)
    assert 2 * MOST - 2 * (1 + used) == sum(granted)
