"""Rates: the generic cell rate algorithm in integers, as a leaky bucket.

A bucket's level counts units times the rate's period in microseconds. It drains by the rate's count
per microsecond, and holds burst x period. So all is exact, whatever the rate: one unit fills the
bucket by `period_us`, and is gone after period / count. This is the continuous-state form of GCRA
(ITU-T I.371, annex A): level / count is how far the theoretical arrival time lies ahead of now.

Rules
- What conforms is what fits. A denied request fills nothing.
- Usage that has already happened fills the bucket past its brim: the debt drains first.
- Who asks, asks for now: a check meets the bucket as it is, whatever time it is stamped with. So in
  any stretch of time no more passes than the burst and what drains meanwhile, and no stamp is a way
  around that.
- What has happened fills the bucket from when it did: it has drained since, for as long as the
  bucket was empty anyway, and a level below 0 says for how long it was. So many events that are
  reported late do not count as one burst. A level below 0 is room for what is reported late only:
  whatever the level, no more than the burst conforms.
- What happened long ago (`late_us`) does not meet the rate and fills nothing: importing the usage
  of last week does not deny what happens now.
- A bucket lives on a time that never goes back: see `Transaction.bucket`.
- A SHADOW rate that would deny is not filled, as it would not be if it did deny.
- Of a rate that several sidecars share, each has a bucket for its share: it drains by so much of
  the count, and holds so much of the burst, both rounded down. A share of the burst may be less
  than what is asked for at once, or than a unit. So whatever the whole burst holds passes an empty
  bucket, and what lies above the share drains before anything else passes: late, but not never.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Rate
from sidecar.domain.time.units import HOUR_US

WHOLE_PPM: Final = 1_000_000
"""A share is in millionths of a rate: this one is all of it."""


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """How full a rate's bucket was at an instant; below 0: how much more would have drained.

    `share_ppm`: the share that this sidecar was last told; `None`: it was told none. What drains
    and what fits depends on it.
    """

    level: int
    updated_us: int
    share_ppm: int | None = None


def level_at(
    bucket: Bucket | None, rate: Rate, now_us: int, event_us: int, share_ppm: int = WHOLE_PPM
) -> int:
    """How full a bucket is now, for what happened at `event_us`; for what asks, that is now.

    Below 0 for an event of the past, as far as the bucket was empty since. One never used is empty,
    and one from the future as full as it will be.
    """
    flow = rate.count * share_ppm
    empty = -((now_us - event_us) * flow // WHOLE_PPM) if event_us < now_us else 0
    if bucket is None:
        return empty
    elapsed_us = now_us - bucket.updated_us
    drained = elapsed_us * flow // WHOLE_PPM if elapsed_us > 0 else 0
    return max(empty, bucket.level - drained)


def late_us(rate: Rate) -> int:
    """The age past which usage does not meet the rate: an hour, or a full bucket's drain."""
    return max(HOUR_US, drain_us(rate))


def drain_us(rate: Rate) -> int:
    """How long a full bucket takes to drain, rounded down: the same for every share of a rate."""
    return rate.burst * rate.period_us // rate.count


def brim(rate: Rate, share_ppm: int = WHOLE_PPM) -> int:
    """The level up to which a bucket may be filled by what asks."""
    return rate.burst * rate.period_us * share_ppm // WHOLE_PPM


def burst_of(rate: Rate, share_ppm: int = WHOLE_PPM) -> int:
    """What passes an empty bucket and leaves no debt, in units; at least one, which may."""
    return max(1, brim(rate, share_ppm) // rate.period_us)


def room(rate: Rate, level: int, share_ppm: int = WHOLE_PPM) -> int:
    """Most that conforms now, in units: the burst at the most."""
    if level <= 0:
        return burst_of(rate, share_ppm)
    free = brim(rate, share_ppm) - level
    return 0 if free < 0 else free // rate.period_us


def conforms(rate: Rate, level: int, quantity: int, share_ppm: int = WHOLE_PPM) -> bool:
    """Whether a quantity passes as a whole: because it fits, or because the bucket is empty."""
    return quantity <= (rate.burst if level <= 0 else room(rate, level, share_ppm))


def wait_us(rate: Rate, level: int, quantity: int, share_ppm: int = WHOLE_PPM) -> int | None:
    """How long until a quantity conforms, if nothing else happens; `None` if it never does.

    Of no share at all it is not known: then as if it were the whole from now on.
    """
    if quantity > rate.burst:
        return None
    free = brim(rate, share_ppm) - quantity * rate.period_us
    excess = max(0, level) - max(0, free)
    return max(0, -(-excess * WHOLE_PPM // (rate.count * (share_ppm or WHOLE_PPM))))


def filled(rate: Rate, level: int, quantity: int) -> int:
    """The level once a quantity is in; it saturates."""
    return max(-INT64_MAX, min(INT64_MAX, level + quantity * rate.period_us))


def empties_us(rate: Rate, level: int, now_us: int, share_ppm: int = WHOLE_PPM) -> int:
    """When a bucket will have drained, or had; of no share at all, as of the whole."""
    flow = rate.count * (share_ppm or WHOLE_PPM)
    return min(INT64_MAX, now_us - (-level * WHOLE_PPM // flow))


def in_use(rate: Rate, level: int) -> int:
    """What of a level is not drained, in units, rounded up."""
    return max(0, -(-level // rate.period_us))
