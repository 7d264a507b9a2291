"""Shares of a rate: what several sidecars each go by, so that together they pass no more than it.

A share is a part of the rate's count and of its burst, in millionths. A share moves together with
how full its bucket is, so that moving it makes no room that was not there: who gives up half of a
share gives up half of what its bucket holds and half of what it has free; who is given a share that
was half used gets it half full. So in any stretch of time no more passes all buckets than the burst
and what flows in meanwhile, as if there were one; but for what passes a sidecar that was told no
share yet, which its first share is charged with, and what had to pass since it is more than a
share's burst, which drains before anything else passes (see `rates`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Rate
from sidecar.domain.limits.rates import WHOLE_PPM, brim
from sidecar.domain.time.units import SECOND_US

LAPSES_US: Final = 50 * SECOND_US
"""A share that a process before this one was told is worth nothing once its bucket was at rest for
so long: the plane takes a minute's silence for the end."""


class RateName(msgspec.Struct, frozen=True):
    """A rate of a company's feature, for some values of its dimensions. `slot`: what it measures.

    See `counters.rate_slot_of` and `counters.throttle_slot_of`.
    """

    company: str
    feature: str
    slot: str
    values: tuple[str, ...] = ()


class AskedRate:
    """A rate, and the quantity that was asked of it since somebody looked. It grows."""

    __slots__ = ("name", "quantity", "rate")

    def __init__(self, name: RateName, rate: Rate, quantity: int) -> None:
        self.name = name
        self.rate = rate
        self.quantity = quantity


class RateDemand(msgspec.Struct, frozen=True):
    """What one sidecar asks of a rate, and how it stands there.

    `demand`: what is asked for, smoothed, in the feature's unit for each 1,000 seconds. `share_ppm`
    is what it goes by, `None` where it was told none. `fill_ppm`: how full the bucket of its share
    is. `drain_us`: how long a full one takes to drain.
    """

    rate: RateName
    demand: int
    share_ppm: int | None
    fill_ppm: int
    drain_us: int


class RateShare(msgspec.Struct, frozen=True):
    """A share that is told: `None` for none, and then what was told before stays.

    `fill_ppm`: how full the part is that comes on top of what the sidecar went by.
    """

    share_ppm: int | None = None
    fill_ppm: int = 0


def even_share(sidecars: int) -> int:
    """The share of a rate of which none was told: an even part; of one sidecar all of it."""
    return max(1, WHOLE_PPM // max(1, sidecars))


def fill_of(rate: Rate, level: int, share_ppm: int) -> int:
    """How full a bucket is, in millionths of what it holds, rounded up; a full one has no more."""
    top = brim(rate, share_ppm)
    if level >= top:
        return WHOLE_PPM if level > 0 else 0
    return max(0, -(-level * WHOLE_PPM // top))


def level_moved(rate: Rate, level: int, from_ppm: int, share_ppm: int, fill_ppm: int) -> int:
    """A bucket's level once its share is another. `from_ppm`: 0 where it was told none.

    `fill_ppm`: of what comes on top. What lies above the brim is a debt, and stays all of it.
    """
    level = max(0, level)
    if share_ppm >= from_ppm:
        gained = rate.burst * rate.period_us * (share_ppm - from_ppm) * fill_ppm
        return min(INT64_MAX, level - -gained // (WHOLE_PPM * WHOLE_PPM))
    top = brim(rate, from_ppm)
    if level < top:
        return -(-level * share_ppm // from_ppm)
    return level - top + brim(rate, share_ppm)
