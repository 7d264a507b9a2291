"""What must hold of seats and levels after every step, and at rest."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.time.units import MINUTE_US, SECOND_US
from sidecar.domain.time.windows import LIFETIME_WINDOW, Window
from sidecar.storage.level_items import items_over
from tests.simulation.kinds.bills import bills_differ
from tests.simulation.kinds.level_book import Changed, Level
from tests.simulation.kinds.offers import offer_of
from tests.simulation.kinds.seat_book import Counted
from tests.simulation.kinds.seating import SeatTold

if TYPE_CHECKING:
    from tests.simulation.kinds.sidecars import KindProcess
    from tests.simulation.kinds.world import KindWorld

SETTLED_US: Final = 15 * SECOND_US
"""So long after the last thing that was no call everybody goes by what is in force."""
HEARD_US: Final = 3 * SECOND_US
"""Within which a change of seats is heard by those who can."""
CHANGE_US: Final = SECOND_US

_LINES: Final = "SELECT rowid, record, duplicate_of FROM ledger WHERE rowid > ? ORDER BY rowid"
_LEVELS: Final = (
    "SELECT company, feature, slot, window_start_us, window_end_us, total FROM counter "
    "WHERE slot LIKE 'LEVEL|%'"
)
_BOOKED: Final = "SELECT company, feature, sum(amount) FROM level_change GROUP BY company, feature"
_HELD_MAX: Final = 1_000


class KindInvariants:
    """Looks at a world. `violation`: the first thing that must not be; empty for none."""

    def __init__(self, world: KindWorld) -> None:
        self._world = world
        self.violation = ""

    def fail(self, what: str) -> None:
        """Note that something is not as it must be, unless something was before."""
        self.violation = self.violation or what

    def hold(self) -> bool:
        """Whether everything is as it must be, after a step."""
        world = self._world
        if world.plane.has_pushed:
            world.plane.has_pushed = False
            self._read_ledger()
            for company, feature, *_, total in world.plane.store.rows(_LEVELS):
                if total < 0:
                    self.fail(f"{total} of {feature} of {company} are in use at the plane")
        more, world.book.more = world.book.more, []
        for change in more:
            self._look_at_more(change)
        told, world.seats_told = world.seats_told, []
        for process, answer in told:
            self._look_at_seat(process, answer)
        self.fail(world.plane.seat_book.violation)
        self.fail(world.book.violation)
        self.fail(world.given_up.violation)
        return not self.violation

    def at_rest(self) -> bool:
        """Whether all came to the plane once, is counted as it is there, and everybody knows."""
        world = self._world
        self._read_ledger()
        world.plane.seat_book.at_rest(world.plane.store)
        self.fail(world.plane.seat_book.violation)
        for process in world.processes():
            self._look_at_process(process)
        self._look_at_lines()
        self._look_at_levels()
        self.fail(bills_differ(world))
        return not self.violation

    def _read_ledger(self) -> None:
        book = self._world.book
        book.read_ledger(self._world.plane.store.rows(_LINES, book.ledger_row))

    @property
    def _is_settled(self) -> bool:
        """Whether everybody has had the time to hear of everything."""
        world = self._world
        return world.timeline.now_us - world.disturbed_us >= SETTLED_US and world.all_hear

    def _look_at_more(self, change: Changed) -> None:
        """No level comes to be over its limit, over all sidecars."""
        world, (company, feature) = self._world, change.level
        if world.plane.rollbacks:
            return  # a plane that lost state believes what it has
        offer, plane_us = offer_of(feature), world.plane.now_us
        in_use, beyond = world.book.in_use[change.level], world.book.repeated[change.level]
        most = world.ceilings.most(company, offer, world.starts_us, world.timeline.now_us)
        if in_use > most + beyond:
            self.fail(f"{change.level}: {in_use} in use of {most}, and {beyond} repeated")
        if world.ceilings.is_certain and self._is_settled:
            lately = world.ceilings.amounts(company, offer, plane_us - CHANGE_US, plane_us)
            if in_use > max(lately) + beyond:
                self.fail(f"{change.level}: {in_use} in use, lowered to {max(lately)} long ago")

    def _look_at_seat(self, process: KindProcess, told: SeatTold) -> None:
        """Who is told to have a seat has one, or was given it for want of the plane's word."""
        request, book = told.request, self._world.plane.seat_book
        person = (request.company, request.feature, request.holder)
        if request.is_release or not told.has_seat:
            return
        if told.by_policy:
            book.forced.add(person)
            if request.feature != "desks":
                self.fail(f"{person} is given a seat without the plane")
        elif not told.asked and self._is_settled and not book.has_seat(person):
            gone_us = book.gone_us.get(person, 0)
            is_known = self._world.timeline.now_us - gone_us > HEARD_US
            if is_known and self._has_the_time(process) and process.seating.is_through:
                self.fail(f"{process.pod.name} says that {person} has a seat, who has none")

    def _has_the_time(self, process: KindProcess) -> bool:
        return abs(process.now_us - self._world.plane.now_us) < SECOND_US

    def _look_at_process(self, process: KindProcess) -> None:
        """Everything was told, nothing is over, and what is known of seats is so."""
        name = process.pod.name
        if not process.pushing.is_through:
            self.fail(f"{name} has records that the plane does not take")
        if not process.seating.is_through:
            self.fail(f"{name} has seats that the plane is not told of")
        over = process.store.transact(
            lambda step: items_over(process.store.engine, step, process.now_us - 1, 1)
        )
        if over:
            self.fail(f"{name} has {over[0].item} still, which is over")
        for counted, holders in self._world.plane.seat_book.counters().items():
            self._look_at_holders(process, counted, holders)

    def _look_at_holders(self, process: KindProcess, counted: Counted, holders: set[str]) -> None:
        name = _seats_of(counted)
        found, _ = process.store.transact(
            lambda step: process.seating.seats.listed(step, name, "", _HELD_MAX)
        )
        known = {seat.holder for seat in found}
        if known != holders:
            self.fail(f"{process.pod.name} knows {known} of {counted}, {holders} have seats")
        counter = process.counter(name)
        used = 0 if counter is None else counter.used
        if used != len(holders) and not self._world.plane.rollbacks:
            self.fail(
                f"{process.pod.name} shows {used} seats of {counted}, {len(holders)} are held"
            )

    def _look_at_lines(self) -> None:
        """Every change is in the ledger, once."""
        book = self._world.book
        by_key: Counter[tuple[str, str]] = Counter()
        for name, change in book.changes.items():
            times = book.in_ledger.get(name)
            may_lack = change.lost_by_disk or change.lost_by_plane
            if times is None and not may_lack:
                self.fail(f"{name} was counted by {change.pod} and is not in the ledger")
            if times is not None and times > 1:
                self.fail(f"{name} is {times} times in the ledger")
            if times == 0 and not (change.key or change.takes_back) and not may_lack:
                self.fail(f"{name} is not counted in the ledger, and repeats nothing")
            if change.key:
                by_key[change.level[0], change.key] += times or 0
        for key, times in by_key.items():
            if times > 1:
                self.fail(f"{key} is counted {times} times")

    def _look_at_levels(self) -> None:
        """What the plane has in use is what its lines say, what is billed, and all know it."""
        world, sums = self._world, Counter[Level]()
        for line in world.book.booked()[0]:
            sums[line.level] += line.amount
        found: Counter[Level] = Counter()
        for company, feature, slot, start_us, end_us, total in world.plane.store.rows(_LEVELS):
            found[company, feature] += total
            ref = CounterRef(slot, (), Window(start_us, end_us))
            self._look_at_totals(CounterName(company, feature, ref), total)
        booked = {
            (company, feature): amount
            for company, feature, amount in world.plane.store.rows(_BOOKED)
        }
        for level, amount in sums.items():
            if (found[level], booked.get(level, 0)) != (amount, amount):
                self.fail(
                    f"{level}: {amount} by its lines, {found[level]} are counted, "
                    f"{booked.get(level, 0)} billed"
                )
            if world.book.is_sure:
                self._look_at_rest_of(level, amount)

    def _look_at_rest_of(self, level: Level, amount: int) -> None:
        """Of jobs nothing is left, since their time is over; no level is below nothing."""
        together = sum(line.amount for line in self._world.book.lines if line.level == level)
        if together != amount and not self._world.is_set_together:
            self.fail(f"{level}: {amount - together} were taken back too much")
        if level[1] == "jobs" and amount:
            self.fail(f"{level}: {amount} in use, and all are over")

    def _look_at_totals(self, name: CounterName, total: int) -> None:
        """Everybody shows what is in use. What a plane has lost nobody is told of."""
        if self._world.plane.rollbacks:
            return
        for process in self._world.processes():
            counter = process.counter(name)
            known = 0 if counter is None else counter.used
            if known != max(0, total):
                self.fail(f"{process.pod.name} knows of {known} of {name}, {total} are in use")


def _seats_of(counted: Counted) -> CounterName:
    """The counter of seats, which have no values."""
    window = LIFETIME_WINDOW
    if counted.feature == "visitors":
        window = Window(counted.start_us, counted.start_us + MINUTE_US)
    ref = CounterRef(counted.slot, (), window)
    return CounterName(counted.company, counted.feature, ref)
