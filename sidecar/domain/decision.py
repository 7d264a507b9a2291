"""What a decision is made of. Values only; `decide` makes them."""

from __future__ import annotations

import enum

import msgspec

from sidecar.domain.catalog import Limit
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


class Gauge(msgspec.Struct, frozen=True, gc=False):
    """A limit that applies to a request, and the usage on its counter.

    `values`: of the limit's dimensions, in their order. Quantities in the feature's unit.
    """

    limit: Limit
    window: Window
    used: int
    values: tuple[str, ...] = ()

    @property
    def remaining(self) -> int | None:
        """What is left, never negative; `None` where the limit is unlimited."""
        amount = self.limit.amount
        return None if amount is None else max(0, amount - self.used)

    @property
    def overage(self) -> int:
        """Usage above the amount."""
        amount = self.limit.amount
        return 0 if amount is None else max(0, self.used - amount)


class ThresholdWarning(msgspec.Struct, frozen=True):
    """A threshold that a request crossed: `percent` of the limit's amount."""

    limit: str
    percent: int


class Decision(msgspec.Struct, frozen=True):
    """The answer to a check. It contains the write: `granted` on every counter, or nothing.

    `binding`: the limit that decided, or the one with the least left, as it is after the decision;
    `None` where no limit applied. `retry_after_us`: `None` where waiting does not help or is not
    needed. `overage`: quantity of this request above SOFT limits, the largest over the limits.
    """

    allowed: bool
    reason: Reason
    granted: int
    binding: Gauge | None = None
    retry_after_us: int | None = None
    warnings: tuple[ThresholdWarning, ...] = ()
    shadow_denials: tuple[str, ...] = ()
    overage: int = 0
