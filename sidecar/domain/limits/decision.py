"""What a decision is made of. Values only; `decide` makes them."""

from __future__ import annotations

import msgspec

from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.usage import QuotaUsage


class ThresholdWarning(msgspec.Struct, frozen=True):
    """A threshold that a request crossed: `percent` of what may be used in the window."""

    limit: str
    percent: int


class CreditPart(msgspec.Struct, frozen=True):
    """What one source of a balance has burned, 1 micro-credit or more."""

    source: str
    amount: int


class CreditsBurned(msgspec.Struct, frozen=True):
    """What a request costs of a balance, and what it has burned. In micro-credits.

    `feature`: key of the credits feature. `needed`: the cost; `amount`: what was burned of it, 0
    where it was denied; less than the cost only of what has happened already. `parts`: in burn
    order. `left`: in force after it, as far as is known here; `None` where that was not looked at.
    `low_balance`: of what is a low balance, to what or below it has fallen, the highest first.
    """

    feature: str
    needed: int
    amount: int = 0
    parts: tuple[CreditPart, ...] = ()
    left: int | None = None
    low_balance: tuple[int, ...] = ()


class Decision(msgspec.Struct, frozen=True):
    """The answer to a check. It contains the write: `granted` on every counter, or nothing.

    `binding`: the limit that decided, or the one with the least left, as it is after the decision;
    a rate only where it denied, or where there is no limit; `None` where neither applied.
    `retry_after_us`: `None` where waiting does not help or is not needed. `overage`: quantity of
    this request above SOFT limits, the largest over the limits. `throttled`: THROTTLE limits that
    are used up, and whose rate let the request pass. `would_deny`: what would have
    denied, had a fail policy not allowed; else `None`. `dimension_problem`: what was wrong with the
    request's dimensions and let pass, for people; else empty. `burned`: of each balance that the
    feature's costs are of.
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
    burned: tuple[CreditsBurned, ...] = ()
