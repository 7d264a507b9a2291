"""The world of leases, with seats and levels in the place of what is metered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sidecar.domain.catalog.model import Catalog
from tests.simulation.kinds import offers
from tests.simulation.kinds.level_book import LevelBook
from tests.simulation.kinds.plane import KindPlane
from tests.simulation.kinds.seat_book import SeatBook
from tests.simulation.kinds.seating import SeatTold
from tests.simulation.kinds.sidecars import KindProcess
from tests.simulation.leases.disks import Disk
from tests.simulation.leases.offers import Amounts
from tests.simulation.leases.sidecars import Pod
from tests.simulation.leases.world import Kept, World


class KindWorld(World):
    """Everything of one run. `seats_told`: what was answered about seats, and by whom.

    `answers`: how often calls were answered by what; `asked`: how often the plane was, for a seat.
    `is_set_together`: what several use without a name was set, by what one has heard of it.
    """

    offers = offers.OFFERS
    book: LevelBook
    plane: KindPlane

    def __init__(self, seed: int, starts_us: int, log: Callable[[str], None] | None = None) -> None:
        self.seats_told: list[tuple[KindProcess, SeatTold]] = []
        self.answers: Counter[str] = Counter()
        self.asked = 0
        self.is_set_together = False
        super().__init__(seed, starts_us, log, offers.FIRST_AMOUNTS)

    def catalog_of(self, amounts: Amounts) -> Catalog:
        """What is sold, with some amounts."""
        return offers.catalog_of(amounts)

    def new_process(self, pod: Pod) -> KindProcess:
        """A sidecar on a pod's disk."""
        return KindProcess(pod, self)

    def running_kind(self, number: int) -> KindProcess | None:
        """The process on a pod, of those that run and are not stopped, in turn."""
        process = self.running(number)
        assert process is None or isinstance(process, KindProcess)
        return process

    def processes(self) -> list[KindProcess]:
        """All that run."""
        return [each.process for each in self.pods if isinstance(each.process, KindProcess)]

    def add_pod(self, disk: Disk | None = None, lost: int = 0) -> Pod:
        """A pod, on an empty disk or on a copy."""
        pod = super().add_pod(disk, lost)
        for other in self.pods:
            if disk is not None and other.disk is disk:
                self.book.copied(other, pod)
        return pod

    def go_back_to(self, kept: Kept) -> None:
        """Put a copy in the place of the plane's database."""
        super().go_back_to(kept)
        self.plane.seat_book.read_anew(self.plane.store)

    def plane_restarted(self) -> None:
        """Connections to the plane are gone."""
        super().plane_restarted()
        for process in self.processes():
            process.live(process.seating.broken)

    def seat_told(self, process: KindProcess, told: SeatTold) -> None:
        """An application has its answer about a seat."""
        self.seats_told.append((process, told))
        how = "asked" if told.asked else "by policy" if told.by_policy else "here"
        self.answers[told.reason] += 1
        self.asked += told.asked
        if self.log is not None:
            request = told.request
            what = "release" if request.is_release else "acquire"
            who = f"{request.company} {request.feature} {request.holder}"
            self.say(f"{process.pod.name} {what} {who}: {told.reason}, {how}")

    def note(self, reason: str) -> None:
        """An application has its answer about a level."""
        self.answers[reason] += 1
        self.say(f"level: {reason}")

    def _new_book(self) -> LevelBook:
        return LevelBook()

    def _new_plane(self) -> KindPlane:
        seat_book = SeatBook(self.ceilings, lambda: self.timeline.now_us)
        return KindPlane(self.timeline, self.given_up, seat_book)

    def _beat(self) -> None:
        super()._beat()
        self.plane.seat_streams.beat()
