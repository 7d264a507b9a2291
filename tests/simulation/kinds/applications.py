"""Applications: they ask for seats, use levels and take back what they used, if they live to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, singledispatchmethod
from itertools import count
from typing import TYPE_CHECKING, Final

from sidecar.domain.levels.changes import LevelAction, LevelChange
from sidecar.domain.seats.model import SeatRequest
from sidecar.domain.time.units import SECOND_US
from tests.simulation.kinds.level_book import SET_TO
from tests.simulation.kinds.offers import OFFERS
from tests.simulation.kinds.schedule import Acquire, ListHolders, Release, Tune, Use
from tests.simulation.leases.book import ATTEMPT
from tests.simulation.leases.offers import KNOWN
from tests.simulation.leases.schedule import Step

if TYPE_CHECKING:
    from tests.simulation.kinds.sidecars import KindProcess
    from tests.simulation.kinds.world import KindWorld

RETRY_US: Final = 2 * SECOND_US
_DONE: Final = ("ALLOWED", "REPLAYED")


class Applications:
    """Make the calls of a schedule."""

    def __init__(self, world: KindWorld) -> None:
        self._world = world
        self._uses = count(1)

    @singledispatchmethod
    def do(self, step: Step) -> None:
        """Make a call."""
        raise NotImplementedError(step)

    @do.register
    def _(self, step: Acquire) -> None:
        holder = f"holder-{step.holder}"
        self.ask_for_seat(step.pod, KNOWN[step.company], OFFERS[step.offer].feature, holder)

    @do.register
    def _(self, step: Release) -> None:
        def release(process: KindProcess) -> None:
            feature, holder = OFFERS[step.offer].feature, f"holder-{step.holder}"
            request = SeatRequest(KNOWN[step.company], feature, holder, process.now_us, True)
            process.seating.release(request)

        self._at(step.pod, release)

    @do.register
    def _(self, step: ListHolders) -> None:
        company, feature = KNOWN[step.company], OFFERS[step.offer].feature
        self._at(step.pod, lambda process: process.seating.list_holders(company, feature))

    @do.register
    def _(self, step: Use) -> None:
        name = f"use-{next(self._uses)}"
        item = name if step.named else ""
        company, feature = KNOWN[step.company], OFFERS[step.offer].feature
        key = name if step.keyed else ""
        world, pods = self._world, set[int]()

        def told(pod: int, reason: str) -> None:
            world.note(reason)
            if reason in _DONE:
                pods.add(pod)
                if len(pods) == 1 and step.for_us:
                    world.timeline.after(step.for_us, take_back)

        def use(pod: int) -> None:
            what = (company, feature, LevelAction.ADJUST, step.quantity)

            def use_at(process: KindProcess) -> None:
                ttl_us, late_us = step.ttl_us or None, step.late_us
                change = self._change(
                    what, process, item=item, ttl_us=ttl_us, key=key, late_us=late_us
                )
                process.using.change(change, partial(told, pod))

            self._at(pod, use_at)

        def take_back() -> None:
            """Once, but of an item that is kept where it was asked for again, there as well."""
            for pod in sorted(pods) if item else [step.pod + step.elsewhere]:
                self._at(pod, take_back_at)

        def take_back_at(process: KindProcess) -> None:
            what = (company, feature, LevelAction.ADJUST, -step.quantity)
            process.using.change(self._change(what, process, item=item), world.note)

        use(step.pod)
        if step.retried:
            world.timeline.after(RETRY_US, lambda: use(step.pod + 1))

    @do.register
    def _(self, step: Tune) -> None:
        what = (KNOWN[step.company], OFFERS[step.offer].feature, LevelAction.SET, step.level)
        item = f"item-{step.item}" if step.item else ""
        self._world.is_set_together |= not item

        def tune(process: KindProcess) -> None:
            change = self._change(what, process, item=item, ttl_us=step.ttl_us or None)
            process.using.change(change, self._world.note)

        self._at(step.pod, tune)

    def ask_for_seat(self, pod: int, company: str, feature: str, holder: str) -> None:
        """Ask a pod for a seat."""

        def acquire(process: KindProcess) -> None:
            process.seating.acquire(SeatRequest(company, feature, holder, process.now_us))

        self._at(pod, acquire)

    def _change(
        self,
        what: tuple[str, str, LevelAction, int],
        process: KindProcess,
        *,
        item: str = "",
        ttl_us: int | None = None,
        key: str = "",
        late_us: int = 0,
    ) -> LevelChange:
        metadata = {ATTEMPT: self._world.new_attempt()}
        if what[2] is LevelAction.SET and item:
            metadata[SET_TO] = str(what[3])
        at_us = process.now_us - late_us
        return LevelChange(*what, at_us, item, ttl_us, key, metadata=metadata)

    def _at(self, pod: int, call: Callable[[KindProcess], None]) -> None:
        process = self._world.running_kind(pod)
        if process is not None:
            process.live(lambda: call(process))
