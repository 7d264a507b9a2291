"""Grants of credits, and the order in which they burn down. Amounts in micro-credits."""

from __future__ import annotations

import enum

import msgspec

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US, INT64_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.text import NEW_NAMES

PRIORITY_MAX = 2**31 - 1


class GrantKind(enum.IntEnum):
    """Whether a grant was bought. Numbers are stored, so they never change."""

    PAID = 1
    PROMOTIONAL = 2


class CreditGrant(msgspec.Struct, frozen=True):
    """An amount of credits, 1 to 2^63-1, that can be spent in `[effective_us, expires_us)`.

    `priority`: 0 to 2^31-1, lower burns first. `expires_us`: `FOREVER_US` for never.
    """

    id: str
    amount: int
    priority: int
    kind: GrantKind
    effective_us: int
    expires_us: int = FOREVER_US


def burn_order(grant: CreditGrant) -> tuple[int, int, bool, int, str]:
    """Sort key: priority, expiry (never is last), PROMOTIONAL first, effective time, id.

    Ids compare by code point, which is the order of their UTF-8 bytes.
    """
    paid = grant.kind == GrantKind.PAID
    return grant.priority, grant.expires_us, paid, grant.effective_us, grant.id


def require_grant(grant: CreditGrant) -> None:
    """A grant within its bounds, else `InvalidInput`."""
    NEW_NAMES.require_identifier("grant.id", grant.id)
    if not 1 <= grant.amount <= INT64_MAX:
        raise InvalidInput("grant.amount", f"must be 1 to 2^63-1, not {grant.amount}")
    if not 0 <= grant.priority <= PRIORITY_MAX:
        raise InvalidInput("grant.priority", f"must be 0 to 2^31-1, not {grant.priority}")
    if grant.effective_us < BEGINNING_US:
        raise InvalidInput("grant.effective_us", "must not lie before 1970")
    if not grant.effective_us < grant.expires_us <= FOREVER_US:
        raise InvalidInput("grant.expires_us", "must lie after the effective time")


def require_unexpired(grant: CreditGrant, now_us: int) -> None:
    """A grant that can be spent now or later, else `InvalidInput`: for those who give one."""
    if grant.expires_us <= now_us:
        raise InvalidInput("grant.expires_us", "lies in the past: nothing of it could be spent")
