"""How much of limits and rates is used, and what they have left. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self

import msgspec

from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.catalog.model import Enforcement, Limit, Rate, RateLimit
from sidecar.domain.limits.rates import empties_us, filled, in_use, room, wait_us
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.windows import END_INSTANT_US, Window


class Headroom(Protocol):
    """What a limit or a rate has left for a request, and how it is reported, all in one place.

    Credits, leases and seats will be others of the kind: `decide` asks no more than this.
    """

    @property
    def id(self) -> str:
        """Its name within the entitlement."""
        ...

    @property
    def enforcement(self) -> Enforcement:
        """What happens where it has too little left."""
        ...

    @property
    def left(self) -> int:
        """Most that it lets pass now, in the feature's unit."""
        ...

    @property
    def denial(self) -> Reason:
        """Why a request is denied for want of it."""
        ...

    def wait_us(self, quantity: int, now_us: int) -> int | None:
        """How long until a quantity passes, if nothing else happens; `None` if it never does."""
        ...

    def after(self, granted: int) -> Self:
        """What it shows once a granted quantity is counted on it."""
        ...

    @property
    def amount(self) -> int | None:
        """What may be used, without what was carried in; `None` where that is unlimited."""
        ...

    @property
    def used(self) -> int:
        """What is in use."""
        ...

    @property
    def carried(self) -> int:
        """What rolled over and what is of packs: it may be used beyond the amount."""
        ...

    @property
    def packs_left(self) -> int:
        """What of `carried` is of packs, and not used."""
        ...

    @property
    def rate(self) -> Rate | None:
        """The rate: of a rate, or of a limit past its amount."""
        ...

    @property
    def starts_us(self) -> int | None:
        """Since when usage counts; `None` where it was always so."""
        ...

    @property
    def resets_us(self) -> int | None:
        """When nothing will be in use; `None` where no such instant is known."""
        ...

    @property
    def dimensions(self) -> Mapping[str, str]:
        """Values of its dimensions."""
        ...


def remaining(headroom: Headroom) -> int | None:
    """What is left of amount and what was carried, never negative; `None` where unlimited."""
    amount = headroom.amount
    return None if amount is None else max(0, amount + headroom.carried - headroom.used)


def overage(headroom: Headroom) -> int:
    """Usage above amount and what was carried."""
    amount = headroom.amount
    return 0 if amount is None else max(0, headroom.used - amount - headroom.carried)


class QuotaUsage(msgspec.Struct, frozen=True, gc=False):
    """A limit that applies to a request, and the usage on its counter.

    `values`: of the limit's dimensions, in their order. Quantities in the feature's unit.
    `carried`: what rolled over into the window, and what `packs` had left when it began, which may
    be used beyond the amount; together they are at most 2^63-1. `used` stays there, as counters
    do.
    `throttle_level`: for THROTTLE, how full the bucket of its rate is (see `rates`). Nothing fills
    it while the limit is unlimited: nothing lies above no amount.
    """

    limit: Limit
    window: Window
    used: int
    values: tuple[str, ...] = ()
    carried: int = 0
    throttle_level: int = 0
    packs: int = 0

    @property
    def id(self) -> str:
        return self.limit.id

    @property
    def enforcement(self) -> Enforcement:
        return self.limit.enforcement

    @property
    def left(self) -> int:
        left = remaining(self)
        if left is None:
            return INT64_MAX
        throttle = self.limit.throttle
        return left if throttle is None else left + room(throttle, self.throttle_level)

    @property
    def denial(self) -> Reason:
        throttled = self.limit.throttle is not None
        return Reason.RATE_LIMITED if throttled else Reason.LIMIT_EXCEEDED

    def wait_us(self, quantity: int, now_us: int) -> int | None:
        throttle = self.limit.throttle
        amount = (self.limit.amount or 0) + self.packs_left
        if throttle is None:
            return self._window_wait_us(now_us) if quantity <= amount else None
        waits = [wait_us(throttle, self.throttle_level, quantity - (remaining(self) or 0))]
        next_window_us = self._window_wait_us(now_us)
        above = quantity - amount
        above_wait_us = 0 if above <= 0 else wait_us(throttle, self.throttle_level, above)
        if next_window_us is not None and above_wait_us is not None:
            waits.append(max(next_window_us, above_wait_us))
        return min((wait for wait in waits if wait is not None), default=None)

    def after(self, granted: int) -> QuotaUsage:
        level, throttle, ceiling = self.throttle_level, self.limit.throttle, self.ceiling
        used = self.used + granted
        if throttle is not None and ceiling is not None:
            # What lies above the amount fills the bucket of the rate past it.
            above = min(granted, max(0, used - ceiling))
            level = filled(throttle, level, above)
        used = min(INT64_MAX, used)
        return QuotaUsage(
            self.limit, self.window, used, self.values, self.carried, level, self.packs
        )

    @property
    def ceiling(self) -> int | None:
        """What may be used in the window; `None` where the limit is unlimited."""
        amount = self.limit.amount
        return None if amount is None else amount + self.carried

    @property
    def amount(self) -> int | None:
        return self.limit.amount

    @property
    def packs_left(self) -> int:
        return min(self.packs, remaining(self) or 0)

    @property
    def rate(self) -> Rate | None:
        return self.limit.throttle

    @property
    def starts_us(self) -> int | None:
        return None if self.window.end_us == FOREVER_US else self.window.start_us

    @property
    def resets_us(self) -> int | None:
        return None if self.window.end_us == FOREVER_US else self.window.end_us

    @property
    def dimensions(self) -> Mapping[str, str]:
        return dict(zip(self.limit.scope.dimensions, self.values, strict=True))

    def _window_wait_us(self, now_us: int) -> int | None:
        """How long until the next window; `None` where none follows, or usage is late for it."""
        end_us = self.window.end_us
        return end_us - now_us if now_us < end_us < FOREVER_US else None


class RateUsage(msgspec.Struct, frozen=True, gc=False):
    """A rate that applies to a request, and how full its bucket is now for it (see `rates`)."""

    limit: RateLimit
    level: int
    now_us: int
    values: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.limit.id

    @property
    def enforcement(self) -> Enforcement:
        return self.limit.enforcement

    @property
    def left(self) -> int:
        return room(self.limit.rate, self.level)

    @property
    def denial(self) -> Reason:
        return Reason.RATE_LIMITED

    def wait_us(self, quantity: int, now_us: int) -> int | None:
        return wait_us(self.limit.rate, self.level, quantity)

    def after(self, granted: int) -> RateUsage:
        level = self.level
        # A SHADOW rate that would deny is not filled, as it would not be if it did deny.
        if self.limit.enforcement is not Enforcement.SHADOW or self.left >= granted:
            level = filled(self.limit.rate, level, granted)
        return RateUsage(self.limit, level, self.now_us, self.values)

    @property
    def amount(self) -> int | None:
        return self.limit.rate.burst

    @property
    def used(self) -> int:
        return in_use(self.limit.rate, max(0, self.level))

    @property
    def carried(self) -> int:
        return 0

    @property
    def packs_left(self) -> int:
        return 0

    @property
    def rate(self) -> Rate | None:
        return self.limit.rate

    @property
    def starts_us(self) -> int | None:
        return None

    @property
    def resets_us(self) -> int | None:
        drained_us = empties_us(self.limit.rate, max(0, self.level), self.now_us)
        return drained_us if drained_us < END_INSTANT_US else None

    @property
    def dimensions(self) -> Mapping[str, str]:
        return dict(zip(self.limit.scope.dimensions, self.values, strict=True))
