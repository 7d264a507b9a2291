"""A plane restored from before a limit came to count otherwise, and sidecars that were cut off.

On virtual time. Whatever was used by which limit, and told or not: the limit of now is not passed,
and all of it can be used once everybody is there again.
"""

from __future__ import annotations

from itertools import permutations
from random import Random
from typing import Final

import pytest

from sidecar.control.services import apply
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
)
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.time.units import DAY_US, HOUR_US, MILLISECOND_US, MINUTE_US, SECOND_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.simulation.leases import world as worlds
from tests.simulation.leases.calls import Call
from tests.simulation.leases.offers import HOUR, LIFETIME
from tests.simulation.leases.world import World

MOST: Final = 100
ANCHOR_US: Final = 1_767_225_600_000_000
STARTS_US: Final = ANCHOR_US + 10 * DAY_US + 5 * HOUR_US + SECOND_US
WINDOWS: Final = {
    "hour": HOUR,
    "month": WindowSpec(WindowUnit.MONTH),
    "billing": WindowSpec(WindowUnit.MONTH, alignment=Alignment.ANCHORED),
    "lifetime": LIFETIME,
}
RECOVERED_US: Final = 70 * SECOND_US
"""After so long nobody is waited for any more who does not come."""


class Run:
    """A world that sells one limit. `used`: of it, in all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, window: str, pods: int, seed: int) -> None:
        monkeypatch.setattr(worlds, "catalog_of", lambda _: catalog_of(window))
        monkeypatch.setattr(worlds, "company_of", lambda name, _: company_of(name))
        self.world = World(seed, STARTS_US)
        self.world.on_told = lambda told: self._note(told.granted)
        self.used = 0
        self._pods = pods
        for _ in range(pods):
            self.world.add_pod().start()
        self.go_on(2 * SECOND_US)

    def _note(self, granted: int) -> None:
        self.used += granted

    def go_on(self, us: int) -> None:
        """Let time pass."""
        until_us = self.world.timeline.now_us + us
        while self.world.timeline.next_step(until_us):
            pass

    def change(self, window: str) -> None:
        """Have the limit count otherwise."""
        plane = self.world.plane
        apply.apply(plane.store, apply.Desired(catalog_of(window)), plane.now_us)

    def ask(self, pod: int, quantity: int) -> None:
        """Use as much of so many as can be had."""
        process = self.world.pods[pod].process
        assert process is not None
        attempt, mode = self.world.new_attempt(), GrantMode.UP_TO
        call = Call(attempt, "acme", "storage", quantity, "", mode=mode)
        process.live(lambda: process.calls.begin(call))

    def cut(self, pod: int, *, off: bool) -> None:
        """Cut a pod off, or not any more."""
        link = self.world.pods[pod].link
        link.up_is_cut = link.down_is_cut = off

    def restore(self, image: bytes) -> None:
        """Put a backup in the place of the plane's database."""
        self.world.plane.restore(image)
        self.go_on(100 * MILLISECOND_US)
        self.world.plane.start()
        self.world.plane_restarted()

    def use_up(self) -> None:
        """Let everybody come back, and use what there is."""
        for place in self.world.pods:
            place.link.heal()
        self.go_on(RECOVERED_US)
        for _ in range(8):
            for pod in range(self._pods):
                self.ask(pod, MOST)
                self.go_on(SECOND_US)


def catalog_of(window: str) -> Catalog:
    limits = (Limit("total", WINDOWS[window], MOST),)
    plans = (Plan("big", entitlements=(EntitlementGrant("storage", limits=limits),)),)
    return Catalog((Feature("storage", FeatureKind.METERED),), plans, default_plan="big")


def company_of(name: str) -> Company:
    return Company(name, subscription=Subscription("big", ANCHOR_US))


@pytest.mark.parametrize("sent_us", [30 * MILLISECOND_US, 3 * SECOND_US], ids=["not sent", "sent"])
@pytest.mark.parametrize(
    ("before", "meanwhile"), [*permutations(("hour", "billing", "lifetime"), 2)]
)
def test_what_was_used_by_a_limit_that_was_lost_counts_once_by_the_one_of_now(
    monkeypatch: pytest.MonkeyPatch, before: str, meanwhile: str, sent_us: int
) -> None:
    run = Run(monkeypatch, before, pods=2, seed=1)
    run.ask(0, 5)
    run.go_on(3 * SECOND_US)
    image = run.world.plane.store.image()
    run.change(meanwhile)
    run.go_on(4 * SECOND_US)
    run.ask(0, 10)
    run.go_on(sent_us)
    run.cut(0, off=True)
    for _ in range(MOST):
        run.ask(0, 1)
        run.go_on(20 * MILLISECOND_US)
    assert 15 < run.used < MOST
    run.restore(image)
    run.use_up()
    assert MOST == run.used


def test_what_a_restored_plane_knows_from_reports_alone_is_not_released_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run(monkeypatch, "lifetime", pods=2, seed=1)
    run.world.plane.release_us = MINUTE_US
    image = run.world.plane.store.image()
    run.ask(0, 60)
    run.go_on(3 * SECOND_US)
    assert 60 == run.used
    run.restore(image)
    run.go_on(RECOVERED_US + 5 * MINUTE_US)
    run.use_up()
    assert MOST == run.used


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_around_a_restore_the_limit_is_not_passed(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = Random(seed)
    windows = list(WINDOWS)
    run = Run(monkeypatch, chance.choice(windows), pods=chance.randint(1, 3), seed=seed)
    images = [run.world.plane.store.image()]
    for _ in range(20):
        pod = chance.randrange(len(run.world.pods))
        match chance.choice(["ask"] * 5 + ["change"] * 3 + ["backup", "restore"] * 2 + ["cut"] * 2):
            case "ask":
                run.ask(pod, chance.choice([1, 5, 20]))
            case "change":
                run.change(chance.choice(windows))
            case "backup":
                images.append(run.world.plane.store.image())
            case "restore":
                run.restore(chance.choice(images))
            case _:
                run.cut(pod, off=chance.random() < 0.5)
        run.go_on(chance.choice([0, 50 * MILLISECOND_US, SECOND_US, 35 * SECOND_US]))
    run.use_up()
    assert run.used <= MOST
