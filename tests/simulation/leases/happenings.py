"""What befalls a world: faults, accidents and operators; all of a schedule but its calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Final

from sidecar.domain.time.units import SECOND_US
from tests.simulation.leases.operators import Operators
from tests.simulation.leases.schedule import (
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
    Settle,
    Shrink,
    Step,
)
from tests.simulation.leases.sidecars import Pod

if TYPE_CHECKING:
    from tests.simulation.leases.world import Kept, World

PODS_MAX: Final = 60
DRAIN_US: Final = 3 * SECOND_US


class Happenings:
    """Does to a world what happens to it, until all of it heals."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._operators = Operators(world)
        self._backup: Kept | None = None
        self._is_healed = False

    def heal(self) -> None:
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

    @singledispatchmethod
    def do(self, step: Step) -> None:
        """Do what happens."""
        raise NotImplementedError(step)

    @do.register
    def _(self, step: Cut) -> None:
        if (pod := self._pod(step.pod)) is not None:
            pod.link.up_is_cut, pod.link.down_is_cut = step.up, step.down
            self._later(step.for_us, pod.link.heal)

    @do.register
    def _(self, step: Noise) -> None:
        if (pod := self._pod(step.pod)) is not None:
            link = pod.link
            link.lost, link.late, link.doubled = step.lost, step.late, step.doubled
            self._later(step.for_us, link.heal)

    @do.register
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

    @do.register
    def _(self, step: Freeze) -> None:
        process = self.world.running(step.pod)
        if process is not None:
            process.stop()
            self._later(step.for_us, process.resume)

    @do.register
    def _(self, step: Clone) -> None:
        pod = self._pod(step.pod)
        if pod is None or len(self.world.pods) >= PODS_MAX:
            return
        copy = self.world.add_pod(pod.disk, step.lost)
        copy.known_time = pod.known_time
        copy.is_copy = True
        copy.start()

    @do.register
    def _(self, step: Grow) -> None:
        for _ in range(min(step.pods, PODS_MAX - len(self.world.pods))):
            self.world.add_pod().start()

    @do.register
    def _(self, step: Shrink) -> None:
        running = [pod for pod in self.world.pods if pod.process is not None]
        for pod in running[1:][-step.pods :]:
            process = pod.process
            assert process is not None
            process.live(process.drain)
            self._later(DRAIN_US, pod.kill)

    @do.register
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

    @do.register
    def _(self, step: Backup) -> None:
        self._backup = self.world.kept()

    @do.register
    def _(self, step: Rollback) -> None:
        if self._backup is not None:
            self.world.go_back_to(self._backup)
            self._later(step.back_us, self._start_plane)

    @do.register
    def _(self, step: Jump) -> None:
        if (pod := self._pod(step.pod)) is not None:
            pod.wall_ahead_us += step.by_us

    @do.register
    def _(self, step: JumpPlane) -> None:
        self.world.plane.clock_jumped(step.by_us)
        self.world.ceilings.clock_jumped(step.by_us)

    @do.register
    def _(self, step: Reprice) -> None:
        self._operators.reprice(step.plan, step.offer, step.amount)

    @do.register
    def _(self, step: GrantOverride) -> None:
        self._operators.grant(step.company, step.offer, step.amount, step.for_us)

    @do.register
    def _(self, step: Replan) -> None:
        self._operators.replan(step.company, step.plan, step.in_us, resets=step.resets)

    @do.register
    def _(self, step: Settle) -> None:
        self._operators.settle(step.lease, counts=step.counts)

    @do.register
    def _(self, step: BuyPacks) -> None:
        self._operators.buy_packs(step.company, step.packs)

    @do.register
    def _(self, step: Create) -> None:
        self._operators.create(step.company)

    @do.register
    def _(self, step: Remove) -> None:
        self._operators.remove(step.company)

    @do.register
    def _(self, step: EndRecovery) -> None:
        self._operators.end_recovery()

    @do.register
    def _(self, step: ReleaseAfter) -> None:
        self.world.plane.release_us = step.us

    @do.register
    def _(self, step: Reset) -> None:
        self._operators.reset(step.company)
