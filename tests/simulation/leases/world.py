"""The world: pods, a plane, a network between them, and what operators and accidents do to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Final, NamedTuple

from sidecar.control.services import apply
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import SECOND_US
from sidecar.sync.machine.held_leases import LeasePace
from tests.simulation.leases.book import Book
from tests.simulation.leases.calls import Told
from tests.simulation.leases.ceilings import Ceilings, Sold
from tests.simulation.leases.disks import Disk, Writes
from tests.simulation.leases.given_up import GivenUp
from tests.simulation.leases.offers import (
    FIRST_AMOUNTS,
    KNOWN,
    OFFERS,
    Amounts,
    Offer,
    catalog_of,
    company_of,
)
from tests.simulation.leases.plane import MAINTAIN_US, Plane
from tests.simulation.leases.sidecars import Pod, Process
from tests.simulation.leases.virtual import Timeline

BEAT_US: Final = 4 * SECOND_US
SOON_IDLE: Final = LeasePace(idle_us=30 * SECOND_US)
"""Runs are short: what is idle is given back sooner than by default."""
_INCARNATION: Final = "00000000-0000-4000-8000-{:012d}"


class Kept(NamedTuple):
    """What a copy of the plane's database goes with: what was sold and given up by then."""

    image: bytes
    sold: Sold
    given_up: Counter[CounterName]


class World:
    """Everything of one run. `told`: what applications were answered, in order.

    `log` takes lines for people who replay a run; `disturbed_us`: when something last happened that
    was no call. What is sold, and of what plane and processes are made, others may have otherwise.
    """

    offers: tuple[Offer, ...] = OFFERS

    def __init__(
        self,
        seed: int,
        starts_us: int,
        log: Callable[[str], None] | None = None,
        amounts: Amounts = FIRST_AMOUNTS,
        pace: LeasePace = SOON_IDLE,
    ) -> None:
        self.timeline = Timeline(starts_us)
        self.pace = pace
        self.starts_us = starts_us
        self.random = Random(seed)
        self.book = self._new_book()
        self.ceilings = Ceilings(amounts)
        self.pods: list[Pod] = []
        self.told: list[Told] = []
        self.disturbed_us = starts_us
        self.log = log
        self.on_told: Callable[[Told], None] = self.told.append
        self._lives = count(1)
        self._names = count(1)
        self._attempts = count(1)
        self.given_up = GivenUp(self.book)
        self.plane = self._new_plane()
        companies = tuple(company_of(name, starts_us) for name in KNOWN)
        desired = apply.Desired(self.catalog_of(self.ceilings.sold.amounts), companies)
        apply.apply(self.plane.store, desired, self.plane.now_us)
        self._maintain()
        self._beat()

    def catalog_of(self, amounts: Amounts) -> Catalog:
        """What is sold, with some amounts."""
        return catalog_of(amounts)

    def new_process(self, pod: Pod) -> Process:
        """A sidecar on a pod's disk."""
        return Process(pod)

    def kept(self) -> Kept:
        """A copy of the plane's database."""
        return Kept(self.plane.store.image(), self.ceilings.sold, self.given_up.counted.copy())

    def go_back_to(self, kept: Kept) -> None:
        """Put a copy in the place of the plane's database; the plane is down then."""
        self.given_up.counted = kept.given_up.copy()
        self.plane.restore(kept.image)
        self.book.ledger_went_back()
        self.ceilings.change(kept.sold, self.plane.now_us)

    def close(self) -> None:
        """Let go of the database."""
        self.plane.close()

    def new_incarnation(self) -> str:
        """An id that nobody has."""
        return _INCARNATION.format(next(self._lives))

    def new_attempt(self) -> str:
        """A name for an attempt to count."""
        return f"a{next(self._attempts)}"

    def say(self, line: str) -> None:
        """Write a line for whoever replays the run."""
        if self.log is not None:
            at_us = self.timeline.now_us - self.starts_us
            self.log(f"{at_us / 1_000_000:10.6f}  {line}")

    def disturb(self, what: str) -> None:
        """Note that something happens that is no call."""
        self.disturbed_us = self.timeline.now_us
        self.say(what)

    def add_pod(self, disk: Disk | None = None, lost: int = 0) -> Pod:
        """A pod, on an empty disk or on a copy, which lacks so many of the last commits."""
        name = f"pod-{next(self._names)}"

        def written(writes: Writes) -> None:
            self.book.written(pod, writes)

        disk = Disk(written) if disk is None else disk.copied(written, lost)
        random = Random(self.random.getrandbits(32))
        pod = Pod(self, name, disk, random)
        self.pods.append(pod)
        return pod

    def running(self, number: int) -> Process | None:
        """The process on a pod, of those that run and are not stopped, in turn."""
        found = [pod.process for pod in self.pods if pod.process and not pod.process.is_stopped]
        return found[number % len(found)] if found else None

    @property
    def all_hear(self) -> bool:
        """Whether nobody is cut off now, or stopped, and the plane is there."""
        return not self.plane.is_down and not any(
            pod.link.is_troubled or (pod.process is not None and pod.process.is_stopped)
            for pod in self.pods
        )

    def answered(self, process: Process, told: Told) -> None:
        """An application has its answer."""
        self.on_told(told)
        if self.log is not None:
            reason = told.reason.name if told.reason is not None else "ERROR"
            call = told.call
            self.say(
                f"{process.pod.name} {call.attempt} {call.company} {call.feature} "
                f"{call.user} {call.quantity}: {reason} {told.granted}"
            )

    def plane_restarted(self) -> None:
        """Connections to the plane are gone."""
        for pod in self.pods:
            if pod.process is not None:
                pod.process.live(pod.process.watching.broken)

    def _new_book(self) -> Book:
        return Book()

    def _new_plane(self) -> Plane:
        return Plane(self.timeline, self.given_up)

    def _maintain(self) -> None:
        self.plane.maintain()
        self.timeline.after(MAINTAIN_US, self._maintain)

    def _beat(self) -> None:
        self.plane.streams.beat()
        self.timeline.after(BEAT_US, self._beat)
