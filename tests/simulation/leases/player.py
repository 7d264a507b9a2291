"""Plays a schedule: does its steps in a world, looks at what must hold after each, and quiesces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial, singledispatchmethod
from typing import Final

import msgspec

from sidecar.domain.limits.counters import CounterName
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.time.units import SECOND_US
from tests.simulation.leases.calls import Call
from tests.simulation.leases.ceilings import Sold
from tests.simulation.leases.invariants import Invariants
from tests.simulation.leases.offers import COMPANIES, OFFERS, USERS
from tests.simulation.leases.operators import Operators
from tests.simulation.leases.probing import probes
from tests.simulation.leases.report import Outcome, outcome_of
from tests.simulation.leases.schedule import (
    AnyStep,
    Ask,
    Backup,
    BuyPacks,
    Clone,
    Create,
    Cut,
    EndRecovery,
    Freeze,
    GrantOverride,
    Grow,
    Jump,
    JumpPlane,
    Kill,
    KillPlane,
    Noise,
    ReleaseAfter,
    Remove,
    Replan,
    Reprice,
    Reset,
    Rollback,
    Schedule,
    Settle,
    Shrink,
)
from tests.simulation.leases.sidecars import Pod
from tests.simulation.leases.world import World

PODS_MAX: Final = 60
QUIET_US: Final = 30 * SECOND_US
"""How long everything may take to come to rest, once there are no faults any more."""
RETRY_US: Final = 2 * SECOND_US
PROBE_US: Final = SECOND_US
DRAIN_US: Final = 3 * SECOND_US


def play(schedule: Schedule, log: Callable[[str], None] | None = None) -> Outcome:
    """Play a schedule to its end, or to the first thing that must not be."""
    player = _Player(schedule, log)
    try:
        return player.play()
    finally:
        player.world.close()


class _Player:
    def __init__(self, schedule: Schedule, log: Callable[[str], None] | None) -> None:
        self.world = World(schedule.seed, schedule.starts_us, log)
        self._schedule = schedule
        self._operators = Operators(self.world)
        self._invariants = Invariants(self.world)
        self._backup: tuple[bytes, Sold, Counter[CounterName]] | None = None
        self._is_healed = False

    def play(self) -> Outcome:
        world, schedule = self.world, self._schedule
        timeline = world.timeline
        for _ in range(schedule.pods):
            world.add_pod().start()
        for step in schedule.steps:
            timeline.at(schedule.starts_us + step.at_us, partial(self._do_noted, step))
        ends_us = schedule.starts_us + schedule.length_us
        is_sound = self._run(ends_us)
        if is_sound:
            self._heal()
            is_sound = self._run(ends_us + QUIET_US) and self._invariants.at_rest()
        if is_sound and not world.plane.rollbacks:
            self._probe()
        return outcome_of(
            world, schedule.seed, self._invariants.violation, self._invariants.overspent
        )

    def _run(self, until_us: int) -> bool:
        """Go on until an instant; False: something was seen that must not be."""
        timeline, invariants = self.world.timeline, self._invariants
        while timeline.next_step(until_us):
            if not invariants.hold():
                return False
        return True

    def _probe(self) -> None:
        """Ask for what is left of limits, a call after the other."""
        world = self.world
        for probe in probes(world):
            world.on_told = probe.told
            probe.begin()
            is_sound = self._run(world.timeline.now_us + PROBE_US)
            if probe.lacked:
                self._invariants.fail(probe.lacked)
            if probe.lacked or not is_sound:
                return

    def _heal(self) -> None:
        """End all faults, and let everybody who has something to tell come back."""
        world = self.world
        world.disturb("everything heals")
        self._is_healed = True
        world.plane.disarm()
        if world.plane.is_down:
            self._start_plane()
        for pod in world.pods:
            pod.link.heal()
            pod.disk.kill.disarm()
            if pod.process is not None and pod.process.is_stopped:
                pod.process.resume()
            pod.start()

    def _pod(self, number: int) -> Pod | None:
        """A pod that runs."""
        process = self.world.running(number)
        return None if process is None else process.pod

    def _later(self, delay_us: int, action: Callable[[], None]) -> None:
        """Do something later, unless all faults have ended by then."""

        def unless_healed() -> None:
            if not self._is_healed:
                self.world.disturb("it passes")
                action()

        self.world.timeline.after(delay_us, unless_healed)

    def _do_noted(self, step: AnyStep) -> None:
        if not isinstance(step, Ask):
            self.world.disturb(f"{type(step).__name__} {msgspec.to_builtins(step)}")
        self._do(step)

    @singledispatchmethod
    def _do(self, step: AnyStep) -> None:
        raise NotImplementedError(step)

    @_do.register
    def _(self, step: Ask) -> None:
        world, offer = self.world, OFFERS[step.offer]
        call = Call(
            world.new_attempt(),
            COMPANIES[step.company],
            offer.feature,
            step.quantity,
            USERS[step.user] if offer.feature == "exports" else "",
            f"key-{step.key}" if step.key else "",
            GrantMode(step.mode),
            step.late_us,
        )
        self._ask(call, step.pod)
        if step.retried:
            again = msgspec.structs.replace(call, attempt=world.new_attempt())
            self.world.timeline.after(RETRY_US, lambda: self._ask(again, step.pod + 1))

    def _ask(self, call: Call, pod: int) -> None:
        process = self.world.running(pod)
        if process is not None:
            process.live(lambda: process.calls.begin(call))

    @_do.register
    def _(self, step: Cut) -> None:
        if (pod := self._pod(step.pod)) is not None:
            pod.link.up_is_cut, pod.link.down_is_cut = step.up, step.down
            self._later(step.for_us, pod.link.heal)

    @_do.register
    def _(self, step: Noise) -> None:
        if (pod := self._pod(step.pod)) is not None:
            link = pod.link
            link.lost, link.late, link.doubled = step.lost, step.late, step.doubled
            self._later(step.for_us, link.heal)

    @_do.register
    def _(self, step: Kill) -> None:
        pod = self._pod(step.pod)
        if pod is None:
            return
        if step.lost:
            pod.kill()
            pod.disk.lose(step.lost)
            if step.put_back:
                pod.is_copy = True
            else:
                pod.boots += 1
                pod.power_lost = True
            self.world.book.disk_went_back(pod)
        else:
            pod.disk.kill.arm(step.points, before=step.before)

        def back() -> None:
            pod.kill()
            pod.start()

        self._later(step.back_us, back)

    @_do.register
    def _(self, step: Freeze) -> None:
        process = self.world.running(step.pod)
        if process is not None:
            process.stop()
            self._later(step.for_us, process.resume)

    @_do.register
    def _(self, step: Clone) -> None:
        pod = self._pod(step.pod)
        if pod is None or len(self.world.pods) >= PODS_MAX:
            return
        copy = self.world.add_pod(pod.disk, step.lost)
        copy.known_time = pod.known_time
        copy.is_copy = True
        copy.start()

    @_do.register
    def _(self, step: Grow) -> None:
        for _ in range(min(step.pods, PODS_MAX - len(self.world.pods))):
            self.world.add_pod().start()

    @_do.register
    def _(self, step: Shrink) -> None:
        running = [pod for pod in self.world.pods if pod.process is not None]
        for pod in running[1:][-step.pods :]:
            process = pod.process
            assert process is not None
            process.live(process.drain)
            self._later(DRAIN_US, pod.kill)

    @_do.register
    def _(self, step: KillPlane) -> None:
        plane = self.world.plane
        if plane.is_down:
            return
        plane.kill_at(step.points, before=step.before, unwitnessed=step.unwitnessed)

        def back() -> None:
            plane.crash()
            self._start_plane()

        self._later(step.back_us, back)

    def _start_plane(self) -> None:
        self.world.plane.start()
        self.world.plane_restarted()

    @_do.register
    def _(self, step: Backup) -> None:
        world = self.world
        counted = world.given_up.counted.copy()
        self._backup = world.plane.store.image(), world.ceilings.sold, counted

    @_do.register
    def _(self, step: Rollback) -> None:
        if self._backup is None:
            return
        image, sold, counted = self._backup
        world = self.world
        world.given_up.counted = counted.copy()
        world.plane.restore(image)
        world.book.ledger_went_back()
        world.ceilings.change(sold, world.plane.now_us)
        self._later(step.back_us, self._start_plane)

    @_do.register
    def _(self, step: Jump) -> None:
        if (pod := self._pod(step.pod)) is not None:
            pod.wall_ahead_us += step.by_us

    @_do.register
    def _(self, step: JumpPlane) -> None:
        self.world.plane.clock_jumped(step.by_us)
        self.world.ceilings.clock_jumped(step.by_us)

    @_do.register
    def _(self, step: Reprice) -> None:
        self._operators.reprice(step.plan, step.offer, step.amount)

    @_do.register
    def _(self, step: GrantOverride) -> None:
        self._operators.grant(step.company, step.offer, step.amount, step.for_us)

    @_do.register
    def _(self, step: Replan) -> None:
        self._operators.replan(step.company, step.plan, step.in_us, resets=step.resets)

    @_do.register
    def _(self, step: Settle) -> None:
        self._operators.settle(step.lease, counts=step.counts)

    @_do.register
    def _(self, step: BuyPacks) -> None:
        self._operators.buy_packs(step.company, step.packs)

    @_do.register
    def _(self, step: Create) -> None:
        self._operators.create(step.company)

    @_do.register
    def _(self, step: Remove) -> None:
        self._operators.remove(step.company)

    @_do.register
    def _(self, step: EndRecovery) -> None:
        self._operators.end_recovery()

    @_do.register
    def _(self, step: ReleaseAfter) -> None:
        self.world.plane.release_us = step.us

    @_do.register
    def _(self, step: Reset) -> None:
        self._operators.reset(step.company)
