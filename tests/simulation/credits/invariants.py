"""What must hold of balances after every step, beside what must hold of leases."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from sidecar.domain.limits.counters import CounterName
from tests.simulation.credits.burned import Burned
from tests.simulation.credits.given import BurnPlace, Given
from tests.simulation.credits.offers import (
    CHATS,
    CREDITS,
    OVERDRAFTS,
    PRIORITIES,
    offer_of_slot,
)
from tests.simulation.credits.rows import GRANT, OVERDRAFT, grant_name, owed_by_plane
from tests.simulation.leases.accounts import account_of
from tests.simulation.leases.carrying import most_in_a_window, too_much
from tests.simulation.leases.invariants import SETTLED_US, Invariants
from tests.simulation.leases.offers import Offer

if TYPE_CHECKING:
    from tests.simulation.credits.world import CreditWorld

PRIORITY_MAX: Final = 1 << 31


class CreditInvariants(Invariants):
    """Looks at a world with balances."""

    def __init__(self, world: CreditWorld) -> None:
        super().__init__(world)
        self._credits = world

    def offer_of(self, name: CounterName) -> Offer:
        """What is sold that a counter is of."""
        return offer_of_slot(name.feature, name.counter.slot)

    def look_at_admissions(self) -> None:
        """Look at what was admitted, and at all that was burned, since the last time."""
        super().look_at_admissions()
        burns, self._credits.burned.burns = self._credits.burned.burns, []
        for burned in burns:
            self._look_at_cost(burned)
            self._look_at_order(burned)
            for name, _ in burned.parts:
                self._look_at_time(burned, name)
                self._look_at_floor(name)
                self._look_at_void(burned, name)

    def _look_at_cost(self, burned: Burned) -> None:
        """A check burns its whole cost, and counts on its limits: all or none. Reports may lack."""
        counted, given = burned.counted, self._credits.given
        if burned.is_unattributed:
            return
        parts = sum(amount for _, amount in burned.parts)
        is_whole = parts == burned.cost if counted.is_check else parts <= burned.cost
        possible = given.costs(burned.feature, burned.model, counted.quantity)
        if self._is_settled():
            possible = {given.cost(burned.feature, burned.model, counted.quantity)}
        if burned.cost not in possible:
            self.fail(f"{counted.attempt} cost {burned.cost}, rather than {possible}")
        if not is_whole:
            self.fail(f"{counted.attempt} burned {parts} of its cost of {burned.cost}")
        if burned.feature != CHATS and not counted.counters:
            self.fail(f"{counted.attempt} burned {parts} and counted on no limit")

    def _look_at_order(self, burned: Burned) -> None:
        """The parts of a burn are of different sources of the company's balance, in burn order."""
        places = [self._place(name) for name, _ in burned.parts]
        of_others = {(n.company, n.feature) for n, _ in burned.parts} - {
            (burned.counted.company, CREDITS)
        }
        if of_others or not all(before < after for before, after in pairwise(places)):
            self.fail(f"{burned.counted.attempt} burned out of order: {burned.parts}")

    def _place(self, name: CounterName) -> BurnPlace:
        """A source's place in the burn order."""
        slot, window = name.counter.slot, name.counter.window
        if slot == OVERDRAFT:
            return BurnPlace(PRIORITY_MAX, window.end_us, True, window.start_us, "")
        given = self._given_of(name)
        if given is not None:
            return place_of(given)
        offer = self.offer_of(name)
        priority = PRIORITIES[offer.limit]
        return BurnPlace(priority, window.end_us, False, window.start_us, offer.limit)

    def _look_at_time(self, burned: Burned, name: CounterName) -> None:
        """Nothing burns of what has expired at the event's time, or has not started."""
        window = name.counter.window
        if not window.start_us <= burned.event_us < window.end_us:
            self.fail(f"{burned.counted.attempt} burned at {burned.event_us} of {name}")
        if name.counter.slot.startswith(GRANT):
            given = self._given_of(name)
            if given is None or grant_name(given) != name:
                self.fail(f"{burned.counted.attempt} burned of a grant that there is not: {name}")

    def _look_at_floor(self, name: CounterName) -> None:
        """No more is burned of a source than there is, but for what came back to it meanwhile."""
        world = self._credits
        tallied = world.book.counters[name]
        corrections = account_of(world.plane.store, name).corrections
        world.note_returned(name)
        most = self._most(name) + world.given_up.allows(name)
        if name.counter.slot.startswith(GRANT) and not world.plane.rollbacks:
            burned = tallied.admitted + tallied.voided + corrections
        else:
            burned = tallied.admitted - world.returned[name]
        self.overspent = max(self.overspent, burned - most)
        if burned > most:
            self.fail(f"{name}: {burned} burned of {most}")
        if not name.counter.slot.startswith(GRANT) and name.counter.slot != OVERDRAFT:
            offer = self.offer_of(name)
            if offer.rollover is not None:
                self.fail(too_much(world, name, offer))

    def _most(self, name: CounterName) -> int:
        """The most that there ever was of a source to be burned."""
        world = self._credits
        if name.counter.slot == OVERDRAFT:
            owed = owed_by_plane(world.plane.store, name.company)
            return max(OVERDRAFTS.values()) + owed
        given = self._given_of(name)
        if given is not None:
            return given.most
        offer, window = self.offer_of(name), name.counter.window
        most = world.ceilings.most(name.company, offer, window.start_us, window.end_us)
        return most + most_in_a_window(world, name, offer)

    def _look_at_void(self, burned: Burned, name: CounterName) -> None:
        """Nothing burns of a voided grant, once everybody has heard of the void."""
        given = self._given_of(name)
        if given is None or given.voided_us is None or not self._is_settled():
            return
        if self._world.timeline.now_us - given.voided_us >= SETTLED_US:
            self.fail(f"{burned.counted.attempt} burned of {given.id}, voided long ago")

    def _given_of(self, name: CounterName) -> Given | None:
        return self._credits.given.grants.get(name.counter.slot.removeprefix(GRANT))

    def _is_settled(self) -> bool:
        """Whether everybody has heard of everything for a while."""
        world = self._world
        return world.timeline.now_us - world.disturbed_us >= SETTLED_US and world.all_hear

    def _look_at_account(self, name: CounterName) -> None:
        """What was leased and what was burned are within what there ever was of a source."""
        if name.feature != CREDITS:
            super()._look_at_account(name)
            return
        world = self._world
        if world.plane.rollbacks:
            return  # it does not know what came back since
        used, _, by_holder = account_of(world.plane.store, name)
        outstanding = sum(by_holder.values())
        tallied = world.book.counters.get(name)
        most = self._most(name) + world.given_up.allows(name)
        most += 0 if tallied is None else tallied.moved
        if outstanding and outstanding + used > most:
            self.fail(f"{name}: {used} used and {outstanding} outstanding of {most}")


def place_of(given: Given) -> BurnPlace:
    """A grant's place in the burn order."""
    return BurnPlace(given.priority, given.expires_us, given.is_paid, given.effective_us, given.id)
