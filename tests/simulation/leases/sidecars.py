"""A sidecar as a process on virtual time, and the pod around it that outlives it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final

from sidecar.directory.directory import Directory
from sidecar.domain.errors import FieldError
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.time.sure import KnownTime
from sidecar.domain.time.units import SECOND_US
from sidecar.engine.enforce import Enforcer
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.usual_check import UsualChecks
from sidecar.rpc.response_encoder import ResponseEncoder
from sidecar.shared.convert.times import instant
from sidecar.storage import keys
from sidecar.storage.codec import StoredCounter
from sidecar.storage.counters import Counters
from sidecar.storage.opening import open_store
from sidecar.storage.outbox import Outbox
from sidecar.storage.snapshots import Snapshots
from sidecar.sync.machine.clock import TimeEstimate
from sidecar.sync.records import UsageRecordReader
from tests.simulation.leases.calls import Calls
from tests.simulation.leases.disks import Disk, Killed
from tests.simulation.leases.leasing import Leasing
from tests.simulation.leases.pushing import Pushing
from tests.simulation.leases.virtual import Action, Link
from tests.simulation.leases.watching import Watching

if TYPE_CHECKING:
    from tests.simulation.leases.world import World

TIMEOUT_US: Final = 5 * SECOND_US
LOOK_US: Final = SECOND_US


class Pod:
    """A place where a sidecar runs: its disk, its way to the plane, its machine's clock."""

    def __init__(self, world: World, name: str, disk: Disk, random: Random) -> None:
        self.world = world
        self.name = name
        self.disk = disk
        self.link = Link(world.timeline, random)
        self.random = random
        self.wall_ahead_us = 0
        self.boots = 1
        self.known_time: KnownTime | None = None
        self.power_lost = self.is_copy = False
        """Whether the disk may be an older state of itself, or is a copy: as is noticed."""
        self.process: Process | None = None

    @property
    def boot(self) -> str:
        """A name for this boot of its machine."""
        return f"{self.name}-{self.boots}"

    def start(self) -> None:
        """Run a sidecar on the disk, unless one runs."""
        if self.process is None:
            self.disk.kill.disarm()
            process = self.process = self.world.new_process(self)
            self.power_lost = self.is_copy = False
            process.live(process.begin)

    def kill(self) -> None:
        """End the process, at once."""
        process, self.process = self.process, None
        if process is not None:
            process.is_dead = True
            self.disk.kill.disarm()


class Process:
    """One life of a sidecar. What it does runs by `live`, and ends with it."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.world = pod.world
        self.is_dead = self.is_stopped = False
        self._backlog: list[Action] = []
        self.store = open_store(
            pod.disk,
            new_incarnation=self.world.new_incarnation,
            power_lost=pod.power_lost,
            is_copy=pod.is_copy,
        )
        self.outbox = Outbox(self.store, UsageRecordReader())
        self.counters = Counters(self.store)
        self.snapshots = Snapshots(self.store)
        self.directory = Directory(self.snapshots, 1_000)
        self.status = PlaneStatus(authority=False)
        self._estimate = TimeEstimate(
            pod.known_time, pod.boot, self.wall_us, self.ticks_us, authority=False
        )
        self._looked_us = self.ticks_us
        encoder = ResponseEncoder()
        self.enforcer = Enforcer(self.store, self.directory, self.status, encoder)
        self.usual = UsualChecks(self.store, self.directory, self.status, encoder)
        self.calls = Calls(self)
        self.pushing = Pushing(self)
        self.leasing = Leasing(self)
        self.watching = Watching(self)

    def begin(self) -> None:
        """Begin with what goes on in the background."""
        self.pushing.wake()
        self.watching.open()
        self.leasing.begin()

    @property
    def ticks_us(self) -> int:
        """The machine's counter, which nobody sets."""
        return self.world.timeline.now_us

    @property
    def wall_us(self) -> int:
        """The machine's clock."""
        return self.world.timeline.now_us + self.pod.wall_ahead_us

    @property
    def now_us(self) -> int:
        """The time that decisions go by."""
        ticks_us = self.ticks_us
        if ticks_us - self._looked_us >= LOOK_US:
            self._looked_us = ticks_us
            self._estimate.looked(self.wall_us, ticks_us)
            self.pod.known_time = self._estimate.known(ticks_us)
        return ticks_us + self._estimate.ahead_us

    def counter(self, name: CounterName) -> StoredCounter | None:
        """What it knows of a counter."""
        ref = name.counter
        base = keys.counter_base(name.company, name.feature, ref.slot, ref.values)
        key = keys.counter_key(base, ref.window.start_us)
        return self.store.transact(lambda transaction: transaction.counter(key))

    def amount_of(self, name: CounterName) -> int | None:
        """The amount of the limit on a counter now, as it knows; `None` for no such limit."""
        company = self.directory.company(name.company, self.now_us)
        feature = None if company is None else company.feature(name.feature)
        for meter in () if feature is None else feature.meters:
            if meter.slot == name.counter.slot:
                return meter.limit_of(name.counter.values).amount
        return None

    def name_of(self, company: str, feature: str, limit: str) -> CounterName | None:
        """The counter on which a limit of the whole company counts now, as it knows."""
        known = self.directory.company(company, self.now_us)
        found = None if known is None else known.feature(feature)
        for meter in () if found is None else found.meters:
            if meter.limit.id == limit:
                ref = CounterRef(meter.slot, (), meter.window(self.now_us))
                return CounterName(company, feature, ref)
        return None

    def drain(self) -> None:
        """Bring to the plane what it does not have yet, and give back what is leased."""
        self.pushing.hurry()
        self.leasing.drain()

    def live(self, action: Action) -> None:
        """Do something, unless the process is over; later, while it is stopped."""
        if self.is_dead:
            return
        if self.is_stopped:
            self._backlog.append(action)
            return
        try:
            action()
        except Killed:
            self.pod.kill()

    def after(self, delay_us: int, action: Action) -> None:
        """Do something later."""
        self.world.timeline.after(delay_us, lambda: self.live(action))

    def stop(self) -> None:
        """Stop it where it is (SIGSTOP)."""
        self.is_stopped = True

    def resume(self) -> None:
        """Let it go on with all that came meanwhile (SIGCONT)."""
        self.is_stopped = False
        backlog, self._backlog = self._backlog, []
        for action in backlog:
            self.live(action)

    def ask(
        self,
        method: str,
        request: Any,
        done: Callable[[Any], None],
        late: Callable[[Any], None] | None = None,
    ) -> None:
        """Ask the plane: `done` gets its answer, its refusal (`FieldError`), or `None` for none.

        `late` gets what comes behind that: a second answer, or one that was given up.
        """
        link, plane, sent_us = self.pod.link, self.world.plane, self.ticks_us
        is_open = True

        def settle(result: Any) -> None:
            nonlocal is_open
            is_answer = result is not None and not isinstance(result, FieldError)
            if not is_open:
                if is_answer and late is not None:
                    late(result)
                return
            is_open = False
            if is_answer:
                self.heard(sent_us, instant(result.plane_time, "plane_time"))
            done(result)

        def arrive() -> None:
            result = plane.ask(method, request)
            link.down(lambda: self.live(lambda: settle(result)))

        def give_up() -> None:
            if is_open:
                settle(None)

        link.up(arrive)
        self.after(TIMEOUT_US, give_up)

    def heard(self, sent_us: int | None, plane_us: int) -> None:
        """The plane has spoken. `sent_us`: when it was asked, if it was."""
        if sent_us is not None:
            self._estimate.exchanged(sent_us, self.ticks_us, plane_us, self.wall_us)
        self.status.heard(self.now_us)
