"""Plays schedules of leases: what happens to a world, and the calls."""

from __future__ import annotations

from collections.abc import Callable

from sidecar.domain.limits.reasons import GrantMode
from tests.simulation.leases.calls import Call
from tests.simulation.leases.happenings import Happenings
from tests.simulation.leases.invariants import Invariants
from tests.simulation.leases.offers import COMPANIES, OFFERS, USERS
from tests.simulation.leases.playing import Playing
from tests.simulation.leases.probing import probes
from tests.simulation.leases.report import Outcome, outcome_of
from tests.simulation.leases.schedule import AnyStep, Ask, LeaseSchedule
from tests.simulation.leases.world import World


def play(schedule: LeaseSchedule, log: Callable[[str], None] | None = None) -> Outcome:
    """Play a schedule to its end, or to the first thing that must not be."""
    player = _Player(schedule, log)
    try:
        return player.play()
    finally:
        player.world.close()


class _Player:
    def __init__(self, schedule: LeaseSchedule, log: Callable[[str], None] | None) -> None:
        self.world = World(schedule.seed, schedule.starts_us, log)
        self._seed = schedule.seed
        self._happenings = Happenings(self.world)
        self._invariants = Invariants(self.world)
        heal = self._happenings.heal
        self._playing = Playing(self.world, schedule, self._invariants, heal, self._do)

    def play(self) -> Outcome:
        self._playing.play(probes)
        found = self._invariants
        return outcome_of(self.world, self._seed, found.violation, found.overspent)

    def _do(self, step: AnyStep) -> None:
        if not isinstance(step, Ask):
            self._happenings.do(step)
            return
        offer = OFFERS[step.offer]
        call = Call(
            self.world.new_attempt(),
            COMPANIES[step.company],
            offer.feature,
            step.quantity,
            USERS[step.user] if offer.feature == "exports" else "",
            f"key-{step.key}" if step.key else "",
            GrantMode(step.mode),
            step.late_us,
        )
        self._playing.ask(call, step.pod, retried=step.retried)
