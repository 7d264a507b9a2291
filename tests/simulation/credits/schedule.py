"""What happens to balances in a run, beside all that happens to leases."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from tests.simulation.leases.schedule import Ask, Happening, Schedule, Step


class Give(Step, frozen=True):
    """A company is granted credits, in a while, for so long; 0: for ever."""

    company: int
    amount: int
    priority: int
    is_paid: bool
    in_us: int
    lasts_us: int


class Void(Step, frozen=True):
    """One of the grants that a company was given is voided, by its number among them."""

    company: int
    grant: int


class Refund(Step, frozen=True):
    """A record that the plane has gives back what it burned; an amount of 0 for all of it.

    `again`: the request comes twice.
    """

    company: int
    record: int
    amount: int
    again: bool


class SetPrice(Step, frozen=True):
    """A use has another price: micro-credits for so many units."""

    use: int
    micro_credits: int
    per: int


CreditStep: TypeAlias = Ask | Give | Void | Refund | SetPrice | Happening
CreditSchedule: TypeAlias = Schedule[CreditStep]


def read_schedule(text: str | bytes) -> CreditSchedule:
    """A schedule that `text` wrote."""
    return msgspec.json.decode(text, type=CreditSchedule)
