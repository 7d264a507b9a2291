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
"""

from __future__ import annotations

import msgspec

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Rate
from sidecar.domain.time.units import HOUR_US


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """How full a rate's bucket was at an instant; below 0: how much more would have drained."""

    level: int
    updated_us: int


def level_at(bucket: Bucket | None, rate: Rate, now_us: int, event_us: int) -> int:
    """How full a bucket is now, for what happened at `event_us`; for what asks, that is now.

    Below 0 for an event of the past, as far as the bucket was empty since. One never used is empty,
    and one from the future as full as it will be.
    """
    empty = (event_us - now_us) * rate.count if event_us < now_us else 0
    if bucket is None:
        return empty
    elapsed_us = now_us - bucket.updated_us
    drained = elapsed_us * rate.count if elapsed_us > 0 else 0
    return max(empty, bucket.level - drained)


def late_us(rate: Rate) -> int:
    """The age past which usage does not meet the rate: an hour, or a full bucket's drain."""
    return max(HOUR_US, rate.burst * rate.period_us // rate.count)


def room(rate: Rate, level: int) -> int:
    """Most that conforms now, in units: the burst at the most."""
    free = rate.burst * rate.period_us - max(0, level)
    return 0 if free < 0 else free // rate.period_us


def wait_us(rate: Rate, level: int, quantity: int) -> int | None:
    """How long until a quantity conforms, if nothing else happens; `None` if it never does."""
    if quantity > rate.burst:
        return None
    excess = max(0, level) + (quantity - rate.burst) * rate.period_us
    return max(0, -(-excess // rate.count))


def filled(rate: Rate, level: int, quantity: int) -> int:
    """The level once a quantity is in; it saturates."""
    return max(-INT64_MAX, min(INT64_MAX, level + quantity * rate.period_us))


def empties_us(rate: Rate, level: int, now_us: int) -> int:
    """When a bucket will have drained, or had."""
    return min(INT64_MAX, now_us - (-level // rate.count))


def in_use(rate: Rate, level: int) -> int:
    """What of a level is not drained, in units, rounded up."""
    return max(0, -(-level // rate.period_us))
