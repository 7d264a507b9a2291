"""What a decision is made of. Values only; `decide` makes them."""

from __future__ import annotations

import msgspec

from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.usage import QuotaUsage, RateUsage


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
    are used up, and whose rate let the request pass. `would_deny`: what would have
    denied, had a fail policy not allowed; else `None`. `dimension_problem`: what was wrong with the
    request's dimensions and let pass, for people; else empty.
    """

    allowed: bool
    reason: Reason
    granted: int
    binding: QuotaUsage | RateUsage | None = None
    retry_after_us: int | None = None
    warnings: tuple[ThresholdWarning, ...] = ()
    shadow_denials: tuple[str, ...] = ()
    overage: int = 0
    throttled: tuple[str, ...] = ()
    would_deny: Reason | None = None
    dimension_problem: str = ""
