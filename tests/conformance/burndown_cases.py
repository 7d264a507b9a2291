"""The case kind `burndown`: a sequence of steps on one balance of credits.

A case's `ops` are carried out one after another; `expect` holds, for each, the fields that its
result must have, no more and no fewer. Times are in epoch seconds, `expires_at` is null for never.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.credits.balance import available
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.credits.held_grants import Burn
from sidecar.domain.credits.operations import CreditDebit
from sidecar.domain.time.units import SECOND_US
from tests.support.credits import BalanceKeeper


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
    keeper = BalanceKeeper()
    expected_text = got_text = ""
    for number, (step, expected) in enumerate(zip(steps.ops, steps.expect, strict=True)):
        got = _carry_out(keeper, step)
        got["available"] = available(keeper.balance, step.at * SECOND_US)
        expected_text, got_text = _text(number, expected), _text(number, got)
        if expected_text != got_text:
            break
    return expected_text, got_text


def _carry_out(keeper: BalanceKeeper, step: Grant | Debit | Refund | Void) -> dict[str, object]:
    """The fields of a step's result as a case has them."""
    at_us = step.at * SECOND_US
    match step:
        case Grant():
            keeper.grant(_credit_grant(step), at_us)
            return {}
        case Debit():
            debited = keeper.debit(step.id, step.amount, at_us).debit
            return {"allowed": False} if debited is None else _allowed(debited)
        case Refund():
            back = keeper.refund(step.debit, step.amount, at_us)
            return {"returned": _pairs(back.returned), "lost": back.lost}
        case Void():
            return {"voided": keeper.void(step.id, at_us).voided}


def _allowed(debited: CreditDebit) -> dict[str, object]:
    return {"allowed": True, "burned": _pairs(debited.burned)}


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
