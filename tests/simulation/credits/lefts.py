"""What is left of a balance for those who are there, source by source: for who asks at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.api.control.v1 import credits_pb2
from sidecar.control.rpc import credit_answers
from sidecar.domain.time.units import SECOND_US
from tests.simulation.credits.offers import CREDITS
from tests.simulation.credits.rows import grant_name, overdraft_name
from tests.simulation.leases.accounts import account_of

if TYPE_CHECKING:
    from tests.simulation.credits.world import CreditWorld

SOON_US: Final = 5 * SECOND_US
"""What starts or ends within so long is neither asked for nor relied on."""


def lefts_of(world: CreditWorld, company: str) -> dict[str, int]:
    """By source: what is left of it, also where a sidecar that runs holds it.

    Of the overdraft below 0 where more is owed than may be: what is left is to repay that first.
    """
    plane = world.plane
    running = [pod.process.store.incarnation.id for pod in world.pods if pod.process]
    request = credits_pb2.GetCreditBalanceRequest(company=company, feature=CREDITS)
    (told,) = credit_answers.get_balance(plane.store, request, plane.now_us).balances
    lefts: dict[str, int] = {}
    for given in world.given.of(company):
        now_us = plane.now_us
        is_there = given.effective_us + SOON_US <= now_us < given.expires_us - SOON_US
        if is_there and given.voided_us is None:
            account = account_of(plane.store, grant_name(given))
            left = given.amount - account.used - account.outstanding_but(running)
            lefts[given.id] = max(0, left)
    for source in told.sources:
        if source.limit and source.window.end.ToMicroseconds() > plane.now_us + SOON_US:
            lefts[source.limit] = source.account.left
    owed = account_of(plane.store, overdraft_name(company))
    lefts["overdraft"] = told.overdraft - owed.used - owed.outstanding_but(running)
    return lefts
