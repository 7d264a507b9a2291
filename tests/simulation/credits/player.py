"""Plays schedules of credits: what sellers do, what happens to a world, and the calls."""

from __future__ import annotations

from collections.abc import Callable

from sidecar.domain.limits.reasons import GrantMode, Reason
from tests.simulation.credits.offers import USES
from tests.simulation.credits.probing import questions
from tests.simulation.credits.resting import RestingInvariants
from tests.simulation.credits.schedule import (
    CreditSchedule,
    CreditStep,
    Give,
    Refund,
    SetPrice,
    Void,
)
from tests.simulation.credits.sellers import Sellers
from tests.simulation.credits.world import CreditWorld
from tests.simulation.leases.calls import Call
from tests.simulation.leases.happenings import Happenings
from tests.simulation.leases.offers import COMPANIES
from tests.simulation.leases.playing import Playing
from tests.simulation.leases.report import Outcome
from tests.simulation.leases.schedule import Ask, BuyPacks

_DENIED = frozenset({Reason.CREDITS_EXHAUSTED, Reason.LIMIT_EXCEEDED, Reason.LEASE_UNAVAILABLE})


def play(schedule: CreditSchedule, log: Callable[[str], None] | None = None) -> Outcome:
    """Play a schedule to its end, or to the first thing that must not be."""
    player = _Player(schedule, log)
    try:
        return player.play()
    finally:
        player.world.close()


class _Player:
    def __init__(self, schedule: CreditSchedule, log: Callable[[str], None] | None) -> None:
        self.world = CreditWorld(schedule.seed, schedule.starts_us, log)
        self._seed = schedule.seed
        self._happenings = Happenings(self.world)
        self._sellers = Sellers(self.world)
        self._invariants = RestingInvariants(self.world)
        heal = self._happenings.heal
        self._playing = Playing(self.world, schedule, self._invariants, heal, self._do)

    def play(self) -> Outcome:
        self._playing.play(lambda _: questions(self.world))
        world, found = self.world, self._invariants
        return Outcome(
            self._seed,
            world.timeline.steps,
            found.violation,
            calls=len(world.told),
            allowed=sum(told.allowed for told in world.told),
            waited=sum(told.waited for told in world.told),
            denied=sum(told.reason in _DENIED for told in world.told),
            overspend=found.overspent,
            stale_us=max((told.stale_us for told in world.told), default=0),
        )

    def _do(self, step: CreditStep) -> None:
        if isinstance(step, Ask):
            self._call(step)
        elif isinstance(step, Give):
            self._sellers.give(step)
        elif isinstance(step, Void):
            self._sellers.void(step)
        elif isinstance(step, Refund):
            self._sellers.refund(step)
        elif isinstance(step, SetPrice):
            self._sellers.price(step)
        elif isinstance(step, BuyPacks):
            self._sellers.buy_packs(step.company, step.packs)
        else:
            self._happenings.do(step)

    def _call(self, step: Ask) -> None:
        use = USES[step.offer]
        call = Call(
            self.world.new_attempt(),
            COMPANIES[step.company],
            use.feature,
            step.quantity,
            "",
            f"key-{step.key}" if step.key else "",
            GrantMode(step.mode),
            step.late_us,
            model=use.model,
        )
        self._playing.ask(call, step.pod, retried=step.retried)
