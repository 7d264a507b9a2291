"""Why an answer is what it is, and what it is based on. Values only."""

from __future__ import annotations

import enum

import msgspec


class Reason(enum.IntEnum):
    """Why a decision is what it is. Numbers as in the API."""

    ALLOWED = 1
    LIMIT_EXCEEDED = 2
    NOT_ENTITLED = 3
    TRIAL_ENDED = 4
    SUBSCRIPTION_PAST_DUE = 5
    SUBSCRIPTION_PAUSED = 6
    SUBSCRIPTION_CANCELED = 7
    UNKNOWN_COMPANY = 8
    UNKNOWN_FEATURE = 9
    RATE_LIMITED = 10
    SNAPSHOT_STALE = 11
    OUTBOX_FULL = 12
    LEASE_UNAVAILABLE = 13
    CREDITS_EXHAUSTED = 14
    SEATS_EXHAUSTED = 15


class GrantMode(enum.IntEnum):
    """How much of the asked quantity may be granted. Numbers as in the API."""

    ALL_OR_NOTHING = 1
    UP_TO = 2
    RECORD_ONLY = 3
    """All of it, past every limit: for what has already happened. Not in the API."""


class BasisMode(enum.IntEnum):
    """What kind of knowledge a decision was made on. Numbers as in the API."""

    LOCAL = 1
    FALLBACK = 2
    LEASED = 3


class FallbackCause(enum.IntEnum):
    """Why a fail policy decided. Numbers as in the API; 0: it did not."""

    NONE = 0
    NO_SNAPSHOT = 1
    STALE_SNAPSHOT = 2
    OUTBOX_FULL = 3
    NO_LEASE = 4


class Basis(msgspec.Struct, frozen=True):
    """What a decision was made on.

    `snapshot_version`: revision of the control plane, 0 for none. `plane_age_ms`: since the plane
    was last heard, `None` where this process is the authority. `uncertainty`: most by which the
    binding limit's true usage can exceed the one reported, `None` where no bound is known.
    `remembered_us`: how far back idempotency keys are remembered, `None` where as far as promised.
    `default_plan`: the one that stands in for a company that is unknown; empty for any other.
    `lease_remaining`: what the lease has left after the call; `None` where no lease decided.
    """

    mode: BasisMode
    snapshot_version: int
    plane_age_ms: int | None
    uncertainty: int | None
    fallback: FallbackCause = FallbackCause.NONE
    remembered_us: int | None = None
    default_plan: str = ""
    lease_remaining: int | None = None


def by_default(basis: Basis, plan: str) -> Basis:
    """The same basis where a default plan stands in for the company; as it is without one."""
    return msgspec.structs.replace(basis, default_plan=plan) if plan else basis
