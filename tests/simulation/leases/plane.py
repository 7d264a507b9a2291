"""The plane as a process on virtual time: what it answers, and what it does by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import report_answers, sync_answers
from sidecar.control.rpc.lease_answers import LeaseCall
from sidecar.control.rpc.lease_groups import LeaseGroups
from sidecar.control.services import lease_recovery
from sidecar.control.services.close_windows import RollingCatalogs, any_due, close_windows
from sidecar.control.services.credit_debts import FIRST_DEBT, balances_in_debt, repay_debts
from sidecar.control.services.filling import Filler, any_unfinished
from sidecar.control.services.filling_walk import FillingWalker
from sidecar.control.services.lease_maintenance import LeaseLooker, note_heard
from sidecar.control.services.lease_settling import heard_within_us, release
from sidecar.control.services.plan_moves import move_due, move_page
from sidecar.control.services.rollover_walk import Walker
from sidecar.control.storage.values import CounterKey
from sidecar.control.storage.witness_port import MemoryWitness, Witnessed
from sidecar.domain.errors import FieldError
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.sure import NEAR_US, SureTime
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.shared.convert.leases import name_from_message, name_to_message
from tests.simulation.leases.disks import Killed, KillSwitch
from tests.simulation.leases.given_up import GivenUp
from tests.simulation.leases.plane_store import PlaneDatabase, empty_image
from tests.simulation.leases.streams import Streams
from tests.simulation.leases.virtual import Timeline

RESTART_US: Final = (200_000, 4_000_000)
MAINTAIN_US: Final = 2 * SECOND_US
LOOK_US: Final = 10 * SECOND_US

Answer: TypeAlias = Any
Answers: TypeAlias = Callable[["Plane", Any], Answer]


class Witness(MemoryWitness):
    """The witness beside the database, deadly around what it notes, too."""

    def __init__(self) -> None:
        super().__init__()
        self.kill = KillSwitch()

    def note(self, seen: Witnessed) -> None:
        """See something more, and perhaps end who tells it."""
        self.kill.committing()
        super().note(seen)
        self.kill.committed()


class Plane:
    """A plane and its disk. `ahead_us`: of its clock.

    `has_pushed`, `leased`: whether usage came, and of which counters leases were asked for, since
    somebody last looked. `release_us`: a setting.
    `heard_us`: when who was last there, by the true time, but for questions that note nothing.
    """

    def __init__(self, timeline: Timeline, given_up: GivenUp) -> None:
        self.ahead_us = 0
        self.is_down = False
        self.rollbacks = 0
        self.timeline = timeline
        self.has_pushed = False
        self.leased: dict[CounterName, None] = {}
        self.release_us = DAY_US
        self.given_up = given_up
        self.heard_us: dict[str, int] = {}
        self._followed_us = 0
        self.store = PlaneDatabase(empty_image(), self._written)
        self.witness = Witness()
        self.streams = Streams(self)
        self._begin()

    @property
    def now_us(self) -> int:
        """The time by its clock."""
        return self.timeline.now_us + self.ahead_us

    @property
    def sure_us(self) -> int:
        """What has passed for certain, by which it closes windows."""
        return self._sure.at(self.now_us, self.timeline.now_us)

    def clock_jumped(self, by_us: int) -> None:
        """Its machine has another time."""
        self.ahead_us += by_us
        if abs(by_us) <= NEAR_US:
            self._followed_us += abs(by_us)

    def ask(self, method: str, request: Any) -> Answer | FieldError | None:
        """Its answer, its refusal, or `None` where nobody is there, or it ends over it."""
        if self.is_down:
            return None
        answer: Answer | FieldError
        try:
            answer = self._answer(method, request)
        except FieldError as error:
            answer = error
        except Killed:
            self.crash()
            return None
        if method not in _READ:
            self.heard_us[request.incarnation] = self.timeline.now_us
        return answer

    def _answer(self, method: str, request: Any) -> Answer:
        return _ANSWERS[method](self, request)

    def run(self, work: Callable[[], None]) -> bool:
        """Do something as it would by itself, if it is there; whether it lived to see the end."""
        if self.is_down:
            return False
        try:
            work()
        except Killed:
            self.crash()
            return False
        return True

    def crash(self) -> None:
        """End at once; whoever starts it again does `start`."""
        self.is_down = True
        self.disarm()
        self.streams.break_all()

    def kill_at(self, points: int, *, before: bool, unwitnessed: bool) -> None:
        """End at one of the next commits."""
        if unwitnessed:
            self.witness.kill.arm(points, before=before)
        else:
            self.store.kill.arm(points, before=before)

    def disarm(self) -> None:
        """Go on living."""
        self.store.kill.disarm()
        self.witness.kill.disarm()

    def start(self) -> None:
        """Start it again on what it has on disk."""
        if self.is_down:
            self.is_down = False
            self._begin()

    def restore(self, image: bytes) -> None:
        """End it, and put an older database in the place of its own; the witness stays."""
        self.crash()
        self.rollbacks += 1
        self.has_pushed = True
        self.store.close()
        self.store = PlaneDatabase(image, self._written)

    def close(self) -> None:
        """Let go of the database."""
        self.store.close()

    def maintain(self) -> None:
        """Do what is due in the background, all of it."""
        self.run(self._maintain)

    def _begin(self) -> None:
        lease_recovery.open_leases(self.store, self.witness, self.now_us, self.release_us)
        self._sure = SureTime(self.now_us, self.now_us, self.timeline.now_us)
        self.lease_groups = LeaseGroups(self.witness)
        self._begun_us = self.sure_us
        self._looked_us = self._noted_us = self.timeline.now_us
        self._looker = LeaseLooker(self.release_us)
        self._catalogs = RollingCatalogs()
        self._walker = Walker(self._catalogs)
        self._filling_walker, self._filler = FillingWalker(), Filler()

    def _maintain(self) -> None:
        while move_due(self.store):
            move_page(self.store, self.now_us)
        more = True
        while more:
            closed = any_due(self.store, self.sure_us)
            if closed:
                close_windows(self.store, self._catalogs, self.sure_us)
            page = self._walker.next_page(self.store, self.sure_us)
            if page is not None:
                self._walker.look_at(self.store, page, self.sure_us)
            more = closed or page is not None
        while self._filling_walker.any_left(self.store):
            self._filling_walker.step(self.store, self.sure_us)
        while any_unfinished(self.store):
            self._filler.step(self.store, self.sure_us)
        debts = balances_in_debt(self.store, FIRST_DEBT)
        if debts:
            repaid = repay_debts(self.store, debts, self.now_us)
            self.recall(repaid.holders)
        noted_us = heard_within_us(self.release_us) // 2
        if self.timeline.now_us - self._noted_us >= noted_us - MAINTAIN_US:
            self._noted_us = self.timeline.now_us
            note_heard(self.store, self.streams.watching(), self.sure_us, noted_us)
        if self.timeline.now_us - self._looked_us >= LOOK_US:
            self._looked_us = self.timeline.now_us
            self._look_at_leases()

    def _look_at_leases(self) -> None:
        """Recall what is too much, and release what silent holders have of LIFETIME limits."""
        after, more = None, True
        while more:
            watching, now_us = self.streams.watching(), self.sure_us
            look = self._looker.look(self.store, after, watching, now_us)
            self.recall(look.recalls)
            if look.releases and now_us >= self._begun_us + self.release_us:
                with self.given_up.noted(self.store, self._heard_since(self.release_us)):
                    release(self.store, look.releases, watching, now_us, self.release_us)
            after, more = look.after, look.after is not None

    def recall(self, recalls: Iterable[tuple[str, CounterKey]]) -> None:
        """Ask holders who watch to give back leases."""
        for holder, key in recalls:
            self.streams.recall(holder, [_address(key)])

    def _heard_since(self, ago_us: int) -> set[str]:
        """Who was there in the last so many microseconds, within what a clock was set by."""
        since_us = self.timeline.now_us - ago_us + self._followed_us
        return {holder for holder, heard_us in self.heard_us.items() if heard_us > since_us}

    def note_grants(
        self, request: sync_pb2.RequestLeasesRequest, answer: sync_pb2.RequestLeasesResponse
    ) -> None:
        """Note what somebody was told that it may count."""
        for each, result in zip(request.requests, answer.results, strict=True):
            name = name_from_message(each.counter, "counter")
            self.leased[name] = None
            self.given_up.told(name, request.incarnation, result.granted)

    def _written(self) -> None:
        self.streams.wake()


def _hello(plane: Plane, request: sync_pb2.HelloRequest) -> Answer:
    return sync_answers.hello(plane.store, request, plane.now_us)


def _request_leases(plane: Plane, request: sync_pb2.RequestLeasesRequest) -> Answer:
    if plane.rollbacks:
        plane.given_up.waited_out(plane.store, plane.now_us)
    call = LeaseCall(request)
    plane.lease_groups.add(call)
    while plane.lease_groups:
        plane.lease_groups.answer_next(plane.store, plane.now_us, plane.streams.watching())
    response = call.response(plane.now_us)
    plane.recall(call.recalls)
    plane.note_grants(request, response)
    return response


def _report_leases(plane: Plane, request: sync_pb2.ReportLeasesRequest) -> Answer:
    return report_answers.report(plane.store, request, plane.now_us)[0]


def _push(plane: Plane, request: sync_pb2.PushUsageRequest) -> Answer:
    plane.has_pushed = True
    now_us, elapsed_us = plane.now_us, plane.timeline.now_us
    answer, pushed = sync_answers.push(plane.store, request, now_us, elapsed_us)
    plane.recall(pushed.recalls)
    return answer


def _get_totals(plane: Plane, request: sync_pb2.GetTotalsRequest) -> Answer:
    return sync_answers.get_totals(plane.store, request, plane.now_us)


def _address(key: CounterKey) -> sync_pb2.CounterAddress:
    return name_to_message(CounterName(key.company, key.feature, key.counter))


_ANSWERS: Final[Mapping[str, Answers]] = {
    "Hello": _hello,
    "PushUsage": _push,
    "GetTotals": _get_totals,
    "RequestLeases": _request_leases,
    "ReportLeases": _report_leases,
}
_READ: Final = frozenset({"AssignSeats", "GetTotals", "ListSeats"})
