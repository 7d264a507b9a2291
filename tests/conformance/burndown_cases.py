"""The case kind `burndown`: a sequence of steps on one balance of credits.

A case's `ops` are carried out one after another; `expect` holds, for each, the fields that its
result must have, no more and no fewer. Times are in epoch seconds, `expires_at` is null for never.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.credits.balance import CreditBalance, add_grant, available, debit, refund, void
from sidecar.domain.credits.grants import Burn, CreditGrant, GrantKind
from sidecar.domain.time.units import SECOND_US


class _Step(msgspec.Struct, tag_field="op", tag=str.lower):
    at: int


class Grant(_Step):
    """Add a grant."""

    id: str
    amount: int
    priority: int
    kind: Literal["PAID", "PROMOTIONAL"]
    effective_at: int
    expires_at: int | None


class Debit(_Step):
    """Burn an amount."""

    id: str
    amount: int


class Refund(_Step):
    """Give back an amount of a debit."""

    debit: str
    amount: int


class Void(_Step):
    """Take what is left of a grant."""

    id: str


class _BurndownCase(msgspec.Struct):
    ops: Annotated[list[Grant | Debit | Refund | Void], msgspec.Meta(min_length=1)]
    expect: list[dict[str, object]]


def burndown_case(case: Mapping[str, object]) -> tuple[str, str]:
    """The expected and the actual result of the first step where they differ, else of the last."""
    steps = msgspec.convert(case, _BurndownCase)
    balance = CreditBalance()
    expected_text = got_text = ""
    for number, (step, expected) in enumerate(zip(steps.ops, steps.expect, strict=True)):
        balance, result = _carry_out(balance, step)
        got = result | {"available": available(balance, step.at * SECOND_US)}
        expected_text, got_text = _text(number, expected), _text(number, got)
        if expected_text != got_text:
            break
    return expected_text, got_text


def _carry_out(
    balance: CreditBalance, step: Grant | Debit | Refund | Void
) -> tuple[CreditBalance, dict[str, object]]:
    """The balance after a step, and the fields of its result as a case has them."""
    at_us = step.at * SECOND_US
    match step:
        case Grant():
            return add_grant(balance, _credit_grant(step))[0], {}
        case Debit():
            balance, debited = debit(balance, step.id, step.amount, at_us)
            burned = {"burned": _pairs(debited.burned)} if debited.allowed else {}
            return balance, {"allowed": debited.allowed, **burned}
        case Refund():
            balance, refunded = refund(balance, step.debit, step.amount, at_us)
            return balance, {"returned": _pairs(refunded.returned), "lost": refunded.lost}
        case Void():
            balance, voided = void(balance, step.id, at_us)
            return balance, {"voided": voided.voided}


def _credit_grant(step: Grant) -> CreditGrant:
    return CreditGrant(
        id=step.id,
        amount=step.amount,
        priority=step.priority,
        kind=GrantKind[step.kind],
        effective_us=step.effective_at * SECOND_US,
        expires_us=FOREVER_US if step.expires_at is None else step.expires_at * SECOND_US,
    )


def _pairs(parts: tuple[Burn, ...]) -> list[list[object]]:
    return [[part.grant, part.amount] for part in parts]


def _text(number: int, result: Mapping[str, object]) -> str:
    """A step's result in one line, the same for the same fields in any order."""
    return f"step {number}: " + msgspec.json.encode(result, order="deterministic").decode()
