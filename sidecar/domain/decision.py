"""What a decision is made of. Values only; `decide` makes them."""

from __future__ import annotations

import enum

import msgspec

from sidecar.domain.catalog import Limit, RateLimit
from sidecar.domain.windows import Window


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


class GrantMode(enum.IntEnum):
    """How much of the asked quantity may be granted. Numbers as in the API."""

    ALL_OR_NOTHING = 1
    UP_TO = 2
    REGARDLESS = 3
    """All of it, past every limit: for what has already happened. Not in the API."""


class BasisMode(enum.IntEnum):
    """What kind of knowledge a decision was made on. Numbers as in the API."""

    LOCAL = 1
    FALLBACK = 2


class FallbackCause(enum.IntEnum):
    """Why a fail policy decided. Numbers as in the API; 0: it did not."""

    NONE = 0
    NO_SNAPSHOT = 1
    STALE_SNAPSHOT = 2
    OUTBOX_FULL = 3


class Basis(msgspec.Struct, frozen=True):
    """What a decision was made on.

    `snapshot_version`: revision of the control plane, 0 for none. `plane_age_ms`: since the plane
    was last heard, `None` where this process is the authority. `uncertainty`: most by which the
    binding limit's true usage can exceed the one reported, `None` where no bound is known.
    """

    mode: BasisMode
    snapshot_version: int
    plane_age_ms: int | None
    uncertainty: int | None
    fallback: FallbackCause = FallbackCause.NONE


class Gauge(msgspec.Struct, frozen=True, gc=False):
    """A limit that applies to a request, and the usage on its counter.

    `values`: of the limit's dimensions, in their order. Quantities in the feature's unit.
    `carried`: what rolled over into the window and may be used beyond the amount; together they are
    at most 2^63-1.
    `throttle_level`: for THROTTLE, how full the bucket of its rate is (see `rates`).
    """

    limit: Limit
    window: Window
    used: int
    values: tuple[str, ...] = ()
    carried: int = 0
    throttle_level: int = 0

    @property
    def ceiling(self) -> int | None:
        """What may be used in the window; `None` where the limit is unlimited."""
        amount = self.limit.amount
        return None if amount is None else amount + self.carried

    @property
    def remaining(self) -> int | None:
        """What is left, never negative; `None` where the limit is unlimited."""
        ceiling = self.ceiling
        return None if ceiling is None else max(0, ceiling - self.used)

    @property
    def overage(self) -> int:
        """Usage above the ceiling."""
        ceiling = self.ceiling
        return 0 if ceiling is None else max(0, self.used - ceiling)


class RateGauge(msgspec.Struct, frozen=True, gc=False):
    """A rate that applies to a request, and how full its bucket is now for it (see `rates`)."""

    limit: RateLimit
    level: int
    now_us: int
    values: tuple[str, ...] = ()


class ThresholdWarning(msgspec.Struct, frozen=True):
    """A threshold that a request crossed: `percent` of what may be used in the window."""

    limit: str
    percent: int


class Decision(msgspec.Struct, frozen=True):
    """The answer to a check. It contains the write: `granted` on every counter, or nothing.

    `binding`: the limit that decided, or the one with the least left, as it is after the decision;
    a rate only where it denied, or where there is no limit; `None` where neither applied.
    `retry_after_us`: `None` where waiting does not help or is not needed. `overage`: quantity of
    this request above SOFT limits, the largest over the limits. `throttled`: THROTTLE limits that
    are used up, and whose rate let the request pass.
    """

    allowed: bool
    reason: Reason
    granted: int
    binding: Gauge | RateGauge | None = None
    retry_after_us: int | None = None
    warnings: tuple[ThresholdWarning, ...] = ()
    shadow_denials: tuple[str, ...] = ()
    overage: int = 0
    throttled: tuple[str, ...] = ()
