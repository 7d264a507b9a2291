"""Asks for one more once all is at rest: what is free must be had, and what is had given back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from sidecar.domain.levels.changes import LevelAction, LevelChange
from sidecar.domain.seats.model import SeatRequest
from sidecar.domain.time.units import SECOND_US
from tests.simulation.kinds.offers import LEVELS, SEATS
from tests.simulation.leases.accounts import account_of
from tests.simulation.leases.book import ATTEMPT
from tests.simulation.leases.offers import KNOWN, Offer

if TYPE_CHECKING:
    from tests.simulation.kinds.sidecars import KindProcess
    from tests.simulation.kinds.world import KindWorld

NEAR_US: Final = SECOND_US
PATIENCE_US: Final = 4 * SECOND_US
_NOBODY: Final = "nobody-yet"
_ITEM: Final = "one-more"

Probe = tuple[str, Callable[[], None], str]
"""What is asked, by which call, and what is to be answered."""


def probes(world: KindWorld) -> Iterator[Probe]:
    """Questions, one after the other: the next is made once the one before was answered."""
    processes = [each for each in world.processes() if _has_the_time(each)]
    for company in KNOWN if processes and world.ceilings.is_certain else ():
        for offer in SEATS:
            yield from _of_seats(world, processes[0], processes[-1], company, offer)
        for offer in LEVELS:
            yield from _of_levels(world, processes[0], company, offer)


def _of_seats(
    world: KindWorld, process: KindProcess, other: KindProcess, company: str, offer: Offer
) -> Iterator[Probe]:
    """A new holder gets what is free, and only that; given back elsewhere, the seat is free."""
    feature, now_us = offer.feature, process.now_us
    counted = world.plane.seat_book.counted_now(company, offer, now_us)
    name = process.name_of(company, feature, offer.limit)
    if counted is None or name is None or name.counter.slot != counted.slot:
        return  # usage was reset, and nobody has asked since
    amount = world.ceilings.sold.amount_at(company, offer, now_us)
    is_free = world.plane.seat_book.may_have_one(counted, amount, _NOBODY)
    ask = SeatRequest(company, feature, _NOBODY, now_us)
    expected = "ALLOWED" if is_free else "SEATS_EXHAUSTED"
    what = f"{process.pod.name} a seat of {counted}"
    yield what, lambda: process.seating.acquire(ask), expected
    if is_free and not counted.start_us:
        back = SeatRequest(company, feature, _NOBODY, other.now_us, True)
        yield f"{what} back", lambda: other.seating.release(back), "RELEASED"


def _of_levels(
    world: KindWorld, process: KindProcess, company: str, offer: Offer
) -> Iterator[Probe]:
    """One more is in use where there is room, and not in use again."""
    name = process.name_of(company, offer.feature, offer.limit)
    amount = None if name is None else process.amount_of(name)
    if name is None or amount is None:
        return
    account = account_of(world.plane.store, name)
    running = [each.store.incarnation.id for each in world.processes()]
    left = amount - max(0, account.used) - account.outstanding_but(running)
    if left < 1:
        return
    for more in (1, -1):
        change = LevelChange(
            company,
            offer.feature,
            LevelAction.ADJUST,
            more,
            process.now_us,
            _ITEM,
            PATIENCE_US * 2 if more > 0 else None,
            metadata={ATTEMPT: world.new_attempt()},
        )
        what = f"{process.pod.name} {more} of {left} left of {company} {offer.feature}"

        def ask(change: LevelChange = change) -> None:
            process.using.change(change, world.note, PATIENCE_US)

        yield what, ask, "ALLOWED"


def _has_the_time(process: KindProcess) -> bool:
    """Whether it lives in the windows of the plane; clocks that jumped are followed slowly."""
    return abs(process.now_us - process.world.plane.now_us) < NEAR_US
