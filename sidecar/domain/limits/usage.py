"""How much of limits is used, and what they have left. Values only; see also `rate_usage`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, Self

import msgspec

from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.catalog.model import Enforcement, Limit, Rate
from sidecar.domain.limits.rates import WHOLE_PPM, conforms, filled, room, wait_us
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.windows import Window

LEASE_WAIT_US: Final = 100_000
"""After so long a lease that was not there is worth asking for again."""


class Headroom(Protocol):
    """What a limit or a rate has left for a request, and how it is reported, all in one place.

    Credits and seats will be others of the kind: `decide` asks no more than this.
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

    def lets_pass(self, quantity: int) -> bool:
        """Whether a quantity passes as a whole: what is left, or more where that has to be."""
        ...

    def denial(self, quantity: int) -> Reason:
        """Why a quantity that it does not let pass is denied."""
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
    def share_ppm(self) -> int:
        """The share of the rate that this sidecar goes by, in millionths."""
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


class LeaseHeadroom(msgspec.Struct, frozen=True, gc=False):
    """What a sidecar may count still by its lease, in the feature's unit.

    `exhausted_from`: quantity of which the plane has just said that less is left for everybody;
    `None` where it did not. `withheld`: since others hold it who are not there.
    """

    left: int
    exhausted_from: int | None = None
    withheld: bool = False

    def lacks(self, quantity: int) -> Reason:
        """Why a quantity that the limit has does not pass: there is none, or none is here."""
        exhausted_from = self.exhausted_from
        if exhausted_from is not None and quantity >= exhausted_from and not self.withheld:
            return Reason.LIMIT_EXCEEDED
        return Reason.LEASE_UNAVAILABLE


class QuotaUsage(msgspec.Struct, frozen=True, gc=False):
    """A limit that applies to a request, and the usage on its counter.

    `values`: of the limit's dimensions, in their order. Quantities in the feature's unit.
    `carried`: what rolled over into the window, and what `packs` had left when it began, which may
    be used beyond the amount; together they are at most 2^63-1. It lacks what later windows have
    used already, which may be some of the amount itself: then it is below 0. `used` stays at most
    2^63-1, as counters do.
    `throttle_level`: for THROTTLE, how full the bucket of its rate is (see `rates`). Nothing fills
    it while the limit is unlimited: nothing lies above no amount. `share_ppm`: of that rate.
    `lease`: of the counter, where nothing passes without one; else `None`.
    """

    limit: Limit
    window: Window
    used: int
    values: tuple[str, ...] = ()
    carried: int = 0
    throttle_level: int = 0
    packs: int = 0
    share_ppm: int = WHOLE_PPM
    lease: LeaseHeadroom | None = None

    @property
    def id(self) -> str:
        return self.limit.id

    @property
    def enforcement(self) -> Enforcement:
        return self.limit.enforcement

    @property
    def left(self) -> int:
        left = self._left_of_limit
        return left if self.lease is None else min(left, self.lease.left)

    @property
    def _left_of_limit(self) -> int:
        left = remaining(self)
        if left is None:
            return INT64_MAX
        throttle = self.limit.throttle
        if throttle is None:
            return left
        return left + room(throttle, self.throttle_level, self.share_ppm)

    def lets_pass(self, quantity: int) -> bool:
        if self.lease is not None and quantity > self.lease.left:
            return False
        left, throttle = remaining(self), self.limit.throttle
        if left is None or quantity <= left:
            return True
        above = quantity - left
        return throttle is not None and conforms(
            throttle, self.throttle_level, above, self.share_ppm
        )

    def denial(self, quantity: int) -> Reason:
        if self.limit.throttle is not None:
            return Reason.RATE_LIMITED
        lease = self.lease
        if lease is None or self._left_of_limit < quantity:
            return Reason.LIMIT_EXCEEDED
        return lease.lacks(quantity)

    def wait_us(self, quantity: int, now_us: int) -> int | None:
        if self.denial(quantity) is Reason.LEASE_UNAVAILABLE:
            return LEASE_WAIT_US
        throttle = self.limit.throttle
        if throttle is None:
            return self.next_window_us(quantity, now_us)
        amount = (self.limit.amount or 0) + self.packs_left
        level, share_ppm = self.throttle_level, self.share_ppm
        waits = [wait_us(throttle, level, quantity - (remaining(self) or 0), share_ppm)]
        next_window_us = self._window_wait_us(now_us)
        above = quantity - amount
        above_wait_us = 0 if above <= 0 else wait_us(throttle, level, above, share_ppm)
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
        used, lease = min(INT64_MAX, used), self.lease
        if lease is not None:
            lease = msgspec.structs.replace(lease, left=max(0, lease.left - granted))
        return QuotaUsage(
            self.limit,
            self.window,
            used,
            self.values,
            self.carried,
            level,
            self.packs,
            self.share_ppm,
            lease,
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

    def next_window_us(self, quantity: int, now_us: int) -> int | None:
        """How long until the next window, if that has a quantity; `None` if it never does."""
        fits = quantity <= (self.limit.amount or 0) + self.packs_left
        return self._window_wait_us(now_us) if fits else None

    def _window_wait_us(self, now_us: int) -> int | None:
        """How long until the next window; `None` where none follows, or usage is late for it."""
        end_us = self.window.end_us
        return end_us - now_us if now_us < end_us < FOREVER_US else None
