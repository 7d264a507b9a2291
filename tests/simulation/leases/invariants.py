"""What must hold after every step, worked out anew from rows and from the book."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import SECOND_US
from tests.simulation.leases.accounts import KEY, account_of, moved_away, name_of
from tests.simulation.leases.book import Counted
from tests.simulation.leases.carrying import most_in_a_window, too_much
from tests.simulation.leases.offers import Offer, offer_of_slot

if TYPE_CHECKING:
    from tests.simulation.leases.sidecars import Process
    from tests.simulation.leases.world import World

SETTLED_US: Final = 15 * SECOND_US
"""So long after the last thing that was no call everybody goes by what is in force."""
CHANGE_US: Final = SECOND_US
"""What was planned is in force everywhere so long after its instant."""

_LINES: Final = "SELECT rowid, record, duplicate_of FROM ledger WHERE rowid > ? ORDER BY rowid"
_TOTALS: Final = f"SELECT {KEY}, total FROM counter"


class Invariants:
    """Looks at a world. `violation`: the first thing that must not be; empty for none."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.violation = ""
        self.overspent = 0
        """Most that checks admitted of one counter beyond its largest ceiling."""

    def hold(self) -> bool:
        """Whether everything is as it must be, after a step."""
        world = self._world
        if world.plane.has_pushed:
            world.plane.has_pushed = False
            self._read_ledger()
        if world.plane.leased:
            leased, world.plane.leased = world.plane.leased, {}
            for name in leased:
                self._look_at_account(name)
        self.look_at_admissions()
        self.fail(world.given_up.violation)
        return not self.violation

    def look_at_admissions(self) -> None:
        """Look at what checks admitted since the last time."""
        book = self._world.book
        admissions, book.admissions = book.admissions, []
        for counted in admissions:
            self._look_at_admission(counted)

    def at_rest(self) -> bool:
        """Whether everything came to the ledger once, and is counted as it is there."""
        self._look_at_outboxes()
        self._look_at_lines()
        self._look_at_sums()
        for pod in self._world.pods:
            if pod.process is not None:
                self._look_at_pod(pod.process)
        return not self.violation

    def fail(self, what: str) -> None:
        """Note that something is not as it must be, unless something was before."""
        self.violation = self.violation or what

    def offer_of(self, name: CounterName) -> Offer:
        """What is sold that a counter is of."""
        return offer_of_slot(name.feature, name.counter.slot)

    def _read_ledger(self) -> None:
        book = self._world.book
        book.read_ledger(self._world.plane.store.rows(_LINES, book.ledger_row))

    def _look_at_admission(self, counted: Counted) -> None:
        """Checks never admit more than the largest ceiling that anybody may have known."""
        world = self._world
        now_us = world.timeline.now_us
        for name in counted.counters:
            offer = self.offer_of(name)
            window, tallied = name.counter.window, world.book.counters[name]
            most = world.ceilings.most(name.company, offer, window.start_us, window.end_us)
            most += world.given_up.allows(name) + most_in_a_window(world, name, offer)
            most += moved_away(world.plane.store, name, tallied.voided)
            if offer.rollover is not None:
                self.fail(too_much(world, name, offer))
            self.overspent = max(self.overspent, tallied.admitted - most)
            if tallied.admitted > most:
                self.fail(f"{_text(name)}: {tallied.admitted} admitted of {most}")
            is_plain = offer.rollover is None and not counted.is_late
            if world.ceilings.is_certain and now_us < window.end_us and is_plain:
                self._look_at_lowered(counted, name, offer)
        process = self._process_of(counted)
        if process is not None:
            self._look_at_counters(process, counted.counters)

    def _look_at_lowered(self, counted: Counted, name: CounterName, offer: Offer) -> None:
        """What was lowered is not passed by those who know, nor by anybody for long."""
        world = self._world
        now_us, admitted = world.timeline.now_us, world.book.counters[name].admitted
        amounts = world.ceilings.amounts(name.company, offer, now_us - CHANGE_US, now_us)
        admitted -= world.given_up.allows(name)
        if admitted <= max(amounts):
            return
        if now_us - world.disturbed_us >= SETTLED_US and world.all_hear:
            self.fail(f"{_text(name)}: {admitted} admitted, lowered to {max(amounts)} long ago")
        process = self._process_of(counted)
        if process is None or not world.ceilings.only_fell(name.company, offer):
            return
        known = process.amount_of(name)
        if known is not None and admitted > known:
            self.fail(f"{_text(name)}: {admitted} admitted by who knows that {known} is most")

    def _process_of(self, counted: Counted) -> Process | None:
        """Who counted, if it lives."""
        pods = self._world.pods
        return next((pod.process for pod in pods if pod.name == counted.pod), None)

    def _look_at_counters(self, process: Process, names: tuple[CounterName, ...]) -> None:
        """A sidecar counts within its lease, and forgets nothing of what it has counted."""
        for name in names:
            known = process.counter(name)
            tallied = self._world.book.counters[name]
            remembered = tallied.remembered.get(process.pod.name, 0)
            used = 0 if known is None else known.used - min(0, known.corrections)
            if self._world.plane.rollbacks:  # what was settled as counted may be lost with that
                remembered -= self._world.given_up.settled_of(name)
            if used < remembered and not self._is_undone(process, name):
                self.fail(f"{process.pod.name} knows {used} of {remembered} of {_text(name)}")

    def _is_undone(self, process: Process, name: CounterName) -> bool:
        """Whether a counter is of a reset that the plane has lost: its usage counts elsewhere."""
        return self._world.plane.rollbacks > 0 and process.amount_of(name) is None

    def _look_at_pod(self, process: Process) -> None:
        names = [
            name
            for name, tallied in self._world.book.counters.items()
            if process.pod.name in tallied.remembered
        ]
        self._look_at_counters(process, tuple(names))

    def _look_at_account(self, name: CounterName) -> None:
        """What was granted and what was used are within what there ever was to be had."""
        world = self._world
        if world.plane.rollbacks:
            return  # it does not know what came back, or was voided, since
        used, corrections, by_holder = account_of(world.plane.store, name)
        outstanding = sum(by_holder.values())
        offer = self.offer_of(name)
        window = name.counter.window
        most = world.ceilings.most(name.company, offer, window.start_us, window.end_us)
        tallied = world.book.counters.get(name)
        # What was reported passes limits. What moved to another incarnation has no lease there, and
        # what it was granted under the one before stays outstanding. What was counted in ignorance
        # of a reset belongs on the counter behind it.
        beyond = world.given_up.allows(name) + most_in_a_window(world, name, offer)
        beyond += world.book.unattributed[name.company]  # the plane finds out what it counts on
        if tallied is not None:
            beyond += tallied.reported + tallied.moved + max(0, corrections + tallied.voided)
        if outstanding + used > most + beyond and outstanding:
            self.fail(
                f"{_text(name)}: {used} used and {outstanding} outstanding of {most} "
                f"and {beyond} beyond"
            )

    def _look_at_outboxes(self) -> None:
        for pod in self._world.pods:
            if pod.process is not None and not pod.process.pushing.is_through:
                self.fail(f"{pod.name} has records that the plane does not take")

    def _look_at_lines(self) -> None:
        book = self._world.book
        for attempt, counted in book.counted.items():
            times = book.in_ledger.get(attempt)
            may_lack = counted.lost_by_disk or counted.lost_by_plane
            if times is None and not may_lack:
                self.fail(f"{attempt} was counted by {counted.pod} and is not in the ledger")
            if times is not None and times > 1:
                self.fail(f"{attempt} is {times} times in the ledger")
        by_key = Counter(
            (counted.company, counted.key)
            for attempt, counted in book.counted.items()
            if counted.key and book.in_ledger.get(attempt)
        )
        for key, times in by_key.items():
            if times > 1:
                self.fail(f"{key} is counted {times} times")

    def ledger_sums(self) -> Counter[CounterName]:
        """What counters have to have, by the ledger and by what was given up as used."""
        book = self._world.book
        sums: Counter[CounterName] = Counter()
        for attempt, times in book.in_ledger.items():
            counted = book.counted[attempt]
            for name in counted.counters:
                sums[name] += times * counted.quantity
        sums.update(self._world.given_up.counted)
        return sums

    def is_unattributed(self, counted: Counted) -> bool:
        """Whether the plane finds out what an attempt counts on."""
        return not counted.counters

    def _look_at_sums(self) -> None:
        book = self._world.book
        sums: Counter[CounterName] = Counter()
        for name, amount in self.ledger_sums().items():
            sums[_of_any_generation(name)] += amount
        # A plane that lost state counts on limits of now, too, what was counted by lost ones.
        twice: Counter[CounterName] = Counter()
        unattributed: set[str] = set()
        for attempt, times in book.in_ledger.items():
            counted = book.counted[attempt]
            if self.is_unattributed(counted):
                unattributed.add(counted.company)
            for name in counted.counters if self._world.plane.rollbacks else ():
                twice[_of_any_generation(name)] += times * counted.quantity
        for row in self._world.plane.store.rows(_TOTALS):
            assert isinstance(row[6], int)
            sums[_of_any_generation(name_of(row[:6]))] -= row[6]
        for name, missing in sums.items():
            is_as_told = -twice[name] <= missing <= 0
            if not is_as_told and name.company not in unattributed:
                self.fail(f"{_text(name)}: {missing} more in the ledger than counted")


def _of_any_generation(name: CounterName) -> CounterName:
    """The counter but for its generation: the plane moves what was counted on a wrong one."""
    slot = "|".join(name.counter.slot.split("|")[:3])
    return CounterName(name.company, name.feature, replace(name.counter, slot=slot))


def _text(name: CounterName) -> str:
    ref = name.counter
    values = ",".join(ref.values)
    return f"{name.company} {name.feature} {ref.slot} {values} {ref.window.start_us}"
