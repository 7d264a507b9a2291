"""A rate of which the plane is told what is asked of it here."""

from __future__ import annotations

from sidecar.domain.catalog.model import Rate
from sidecar.domain.limits.rate_shares import RateName
from sidecar.domain.limits.rates import WHOLE_PPM


class ToldRate:
    """A rate that is told of. `demand`: smoothed, in the feature's unit for each 1,000 seconds.

    `pending`: asked since the last look that counted. `quiet_us`: for how long nothing was.
    `given_fill_ppm`: how full that was which was given up last, and is not known to the plane.
    """

    __slots__ = (
        "demand",
        "fill_ppm",
        "given_fill_ppm",
        "name",
        "pending",
        "quiet_us",
        "rate",
        "rests_since_us",
        "told_ppm",
        "told_us",
    )

    def __init__(self, name: RateName, rate: Rate, now_us: int) -> None:
        self.name = name
        self.rate = rate
        self.demand = self.pending = self.quiet_us = self.fill_ppm = 0
        self.given_fill_ppm = WHOLE_PPM
        self.told_ppm: int | None = None
        self.told_us = self.rests_since_us = now_us
