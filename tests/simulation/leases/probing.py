"""Asks for one unit more of limits once all is at rest: what is left of them must be had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from sidecar.domain.limits.counters import CounterName, differ_by_generation
from sidecar.domain.time.units import SECOND_US
from tests.simulation.leases.accounts import account_of
from tests.simulation.leases.calls import Call, Told
from tests.simulation.leases.given_up import outstanding_in
from tests.simulation.leases.offers import COMPANIES, OFFERS

if TYPE_CHECKING:
    from tests.simulation.leases.sidecars import Process
    from tests.simulation.leases.world import World

PROBED_MAX: Final = 4
"""Pods that are asked; of fifty, the first and the last ones."""
NEAR_US: Final = SECOND_US
PATIENCE_US: Final = 4 * SECOND_US


class Probe:
    """One question: whether a pod gets a unit of what is left. `lacked`: it did not, and why."""

    def __init__(self, world: World, process: Process, name: CounterName, left: int) -> None:
        self.lacked = ""
        self._world = world
        self._process = process
        self._name = name
        self._left = left

    def begin(self) -> None:
        """Ask."""
        call = Call(
            self._world.new_attempt(),
            self._name.company,
            self._name.feature,
            1,
            "",
            patience_us=PATIENCE_US,
        )
        self._process.live(lambda: self._process.calls.begin(call))

    def told(self, told: Told) -> None:
        """The answer."""
        if not told.allowed:
            why = "an error" if told.reason is None else told.reason.name
            pod = self._process.pod.name
            self.lacked = f"{pod} gets none of {self._left} left of {self._name}: {why}"


def probes(world: World) -> Iterator[Probe]:
    """Questions, one after the other: the next is made once the one before was answered."""
    running = [pod.process for pod in world.pods if pod.process and _has_the_time(pod.process)]
    asked = running if len(running) <= PROBED_MAX else [*running[:2], *running[-2:]]
    for company in COMPANIES:
        for offer in OFFERS:
            for process in () if offer.each else asked:
                name = process.name_of(company, offer.feature, offer.limit)
                amount = None if name is None else process.amount_of(name)
                if name is not None and amount is not None:
                    left = amount - _taken(world, name)
                    if left >= 1:
                        yield Probe(world, process, name, left)


def _has_the_time(process: Process) -> bool:
    """Whether it lives in the windows of the plane; clocks that jumped are followed slowly."""
    return abs(process.now_us - process.world.plane.now_us) < NEAR_US


def _taken(world: World, name: CounterName) -> int:
    """What was used, and what those may still use who are gone."""
    store = world.plane.store
    account = account_of(store, name)
    running = [pod.process.store.incarnation.id for pod in world.pods if pod.process]
    before_reset = sum(
        granted - own
        for (other, holder), (granted, own) in outstanding_in(store).items()
        if holder not in running and _is_before_reset(other, name)
    )
    return account.used + account.outstanding_but(running) + before_reset


def _is_before_reset(other: CounterName, name: CounterName) -> bool:
    """Whether a counter is what another one was before usage was reset."""
    ref, now = other.counter, name.counter
    is_alike = (other.company, other.feature, ref.values, ref.window) == (
        name.company,
        name.feature,
        now.values,
        now.window,
    )
    return is_alike and differ_by_generation(ref.slot, now.slot)
