"""What is left of a balance for those who are there, in burn order: for who asks at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.api.control.v1 import credits_pb2
from sidecar.control.rpc import credit_answers
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import SECOND_US
from tests.simulation.credits.given import BurnPlace
from tests.simulation.credits.invariants import place_of
from tests.simulation.credits.offers import CREDITS, PRIORITIES, offer_of_slot
from tests.simulation.credits.rows import GRANT, OVERDRAFT, grant_name, overdraft_name
from tests.simulation.leases.accounts import account_of

if TYPE_CHECKING:
    from tests.simulation.credits.world import CreditWorld
    from tests.simulation.leases.sidecars import Process

SOON_US: Final = 5 * SECOND_US
"""What starts or ends within so long is not asked for."""
Lefts = dict[str, int]


def lefts_of(world: CreditWorld, process: Process, company: str) -> Lefts | None:
    """By source, in burn order: what is left of it, also where a sidecar that runs holds it.

    Of the overdraft below 0 where more is owed than may be: what is left is to repay that first.
    `None` where a source starts or ends soon.
    """
    plane = world.plane
    running = [pod.process.store.incarnation.id for pod in world.pods if pod.process]
    request = credits_pb2.GetCreditBalanceRequest(company=company, feature=CREDITS)
    (told,) = credit_answers.get_balance(plane.store, request, plane.now_us).balances
    found: list[tuple[BurnPlace, str, int]] = []
    now_us = plane.now_us
    for given in world.given.of(company):
        if any(abs(at_us - now_us) < SOON_US for at_us in (given.effective_us, given.expires_us)):
            return None
        if given.effective_us <= now_us < given.expires_us and given.voided_us is None:
            account = account_of(plane.store, grant_name(given))
            left = given.amount - account.used - account.outstanding_but(running)
            found.append((place_of(given), given.id, max(0, left)))
    for source in told.sources:
        name = process.name_of(company, CREDITS, source.limit) if source.limit else None
        if name is None:
            continue
        window = name.counter.window
        if not window.start_us + SOON_US < now_us < window.end_us - SOON_US:
            return None
        held = account_of(plane.store, name)
        left = source.account.left + held.outstanding_of(running)
        place = BurnPlace(
            PRIORITIES[source.limit], window.end_us, False, window.start_us, source.limit
        )
        found.append((place, source.limit, left))
    lefts = {id_: left for _, id_, left in sorted(found)}
    owed = account_of(plane.store, overdraft_name(company))
    lefts[OVERDRAFT] = told.overdraft - owed.used - owed.outstanding_but(running)
    return lefts


def held_by(world: CreditWorld, process: Process, company: str) -> Lefts:
    """By source in force: what a sidecar may burn of it by its lease, as its disk has it."""
    held: Lefts = {}
    for entry in process.leasing.entries():
        name = entry.counter
        if (name.company, name.feature) != (company, CREDITS):
            continue
        window, now_us, source = name.counter.window, process.now_us, source_of(name)
        is_its = entry.incarnation == process.store.incarnation.id
        is_its &= process.name_of(company, CREDITS, source) in (None, name)  # no reset since
        if is_its and window.start_us <= now_us < min(window.end_us, entry.valid_until_us):
            held[source] = max(0, entry.granted - entry.own)
    return held


def source_of(name: CounterName) -> str:
    """What `lefts_of` calls the source that a counter is of."""
    slot = name.counter.slot
    if slot == OVERDRAFT:
        return OVERDRAFT
    if slot.startswith(GRANT):
        return slot.removeprefix(GRANT)
    return offer_of_slot(CREDITS, slot).limit
