"""What limits that carry on can give in all: each unit that checks were granted is given out anew.

A window's usage takes what was left of the window before, then its own amount, then packs. What it
takes of packs is gone for all windows. Whatever the order in which calls came, and whatever windows
they named, there has to be enough.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sidecar.domain.limits.counters import CounterName, generation_in
from sidecar.domain.time.units import MINUTE_US
from tests.simulation.leases.accounts import moved_away
from tests.simulation.leases.offers import KNOWN, PACK, Offer

if TYPE_CHECKING:
    from tests.simulation.leases.world import World


def most_in_a_window(world: World, name: CounterName, offer: Offer) -> int:
    """The most that a window can have beyond its own amount, if nothing else was used."""
    if offer.rollover is None:
        return 0
    before_us = name.counter.window.start_us - MINUTE_US
    carried = world.ceilings.most(name.company, offer, before_us, name.counter.window.start_us)
    return carried + world.ceilings.packs_given[name.company] * PACK


def too_much(world: World, name: CounterName, offer: Offer) -> str:
    """What is wrong with what was granted of a limit over all windows; empty for nothing.

    What a plane has lost gives again what was used of it, and what is not settled within a day is
    not waited for.
    """
    ceilings = world.ceilings
    if world.plane.rollbacks or not ceilings.is_within_a_day:
        return ""
    generation, company = generation_in(name.counter.slot), name.company
    used: dict[int, int] = defaultdict(int)
    for other, tallied in world.book.counters.items():
        of_it = (other.company, other.feature, other.counter.slot)
        if of_it == (company, name.feature, name.counter.slot):
            moved = moved_away(world.plane.store, other, tallied.voided)
            used[other.counter.window.start_us] += max(
                0, tallied.admitted - world.given_up.allows(other) - moved
            )
    # The default plan knows no beginning, so what it carries was there before the run.
    is_new = company in KNOWN and company not in ceilings.removed_once and not generation
    begins_us = world.starts_us // MINUTE_US * MINUTE_US
    first_us, last_us = min(begins_us if is_new else min(used), *used), max(used)
    # A reset passes on all that was carried, and is none for packs.
    carried = 0 if is_new else most_in_a_window(world, name, offer)
    packs = 0
    for start_us in range(first_us, last_us + 1, MINUTE_US):
        amount = ceilings.most(company, offer, start_us, start_us + MINUTE_US)
        beyond_carried = max(0, used[start_us] - carried)
        packs += max(0, beyond_carried - amount)
        carried = max(0, amount - beyond_carried)
    given = ceilings.packs_given[company] * PACK
    if packs <= given:
        return ""
    return f"{company} {name.counter.slot}: {dict(used)} take {packs} of packs of {given}"
