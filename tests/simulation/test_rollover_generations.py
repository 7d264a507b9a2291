"""A sidecar without network and its plane agree on what is carried where counters start anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from sidecar.domain.catalog.model import Rollover
from sidecar.domain.company.subscription_changes import (
    ChangePlan,
    ChangeTime,
    ResetUsage,
    SubscriptionChange,
    When,
)
from tests.simulation.world import World
from tests.unit.control.rollover_plane import BILLING_MONTH, catalog_of, monthly, on_plan, utc

LIMIT: Final = monthly(Rollover(3), window=BILLING_MONTH)
ANEW_US: Final = utc(2026, 2, 20)


@pytest.fixture
def world() -> Iterator[World]:
    world = World(utc(2026, 1, 10))
    yield world
    world.close()


def used_up(world: World) -> int:
    """How much more the sidecar lets through, one by one."""
    count = 0
    while world.check("acme", "tokens", 1, {}).allowed:
        count += 1
    return count


@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(ResetUsage(), 160, id="a reset: 100, and 60 that were carried"),
        pytest.param(
            ChangePlan("pro", moves_anchor=True), 110, id="a new billing cycle: 100, and 10 unused"
        ),
    ],
)
def test_both_agree(world: World, wanted: SubscriptionChange, expected: int, online: bool) -> None:
    world.apply(catalog_of(pro=LIMIT), [on_plan()])
    world.sync()
    assert world.check("acme", "tokens", 40, {}).allowed
    world.sync()
    world.at(utc(2026, 2, 15))
    world.change("acme", wanted, When(ChangeTime.AT, ANEW_US))
    world.sync()
    assert world.check("acme", "tokens", 50, {}).allowed
    world.online = online
    world.at(ANEW_US - 1)
    world.sync()
    world.at(ANEW_US)
    assert expected == used_up(world)

    world.online = True
    world.sync()
    world.at(ANEW_US + 1)
    world.sync()
    (usage,) = world.usage("acme")
    assert (expected, expected - 100) == (usage.used, usage.carried)
    assert 0 == used_up(world)
