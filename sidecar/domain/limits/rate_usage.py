"""How much of a rate is in use, and what it has left. Values only."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sidecar.domain.catalog.model import Enforcement, Rate, RateLimit
from sidecar.domain.limits.rates import (
    WHOLE_PPM,
    burst_of,
    conforms,
    empties_us,
    filled,
    in_use,
    room,
    wait_us,
)
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.windows import END_INSTANT_US


class RateUsage(msgspec.Struct, frozen=True, gc=False):
    """A rate that applies to a request, and how full its bucket is now for it (see `rates`).

    `share_ppm`: the part of the rate that this sidecar goes by, in millionths.
    """

    limit: RateLimit
    level: int
    now_us: int
    values: tuple[str, ...] = ()
    share_ppm: int = WHOLE_PPM

    @property
    def id(self) -> str:
        return self.limit.id

    @property
    def enforcement(self) -> Enforcement:
        return self.limit.enforcement

    @property
    def left(self) -> int:
        return room(self.limit.rate, self.level, self.share_ppm)

    def lets_pass(self, quantity: int) -> bool:
        return conforms(self.limit.rate, self.level, quantity, self.share_ppm)

    def denial(self, quantity: int) -> Reason:
        return Reason.RATE_LIMITED

    def wait_us(self, quantity: int, now_us: int) -> int | None:
        return wait_us(self.limit.rate, self.level, quantity, self.share_ppm)

    def after(self, granted: int) -> RateUsage:
        level = self.level
        # A SHADOW rate that would deny is not filled, as it would not be if it did deny.
        if self.limit.enforcement is not Enforcement.SHADOW or self.lets_pass(granted):
            level = filled(self.limit.rate, level, granted)
        return RateUsage(self.limit, level, self.now_us, self.values, self.share_ppm)

    @property
    def amount(self) -> int | None:
        return burst_of(self.limit.rate, self.share_ppm)

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
        level = max(0, self.level)
        drained_us = empties_us(self.limit.rate, level, self.now_us, self.share_ppm)
        return drained_us if drained_us < END_INSTANT_US else None

    @property
    def dimensions(self) -> Mapping[str, str]:
        return dict(zip(self.limit.scope.dimensions, self.values, strict=True))
