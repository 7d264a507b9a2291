"""Rates that several sidecars share: by which part calls go, and what they ask for.

Plain numbers and dicts, since every call under a rate looks at them. Demand is added up on the
store's thread, and taken on the event loop's: what is added between two is lost at most, once. The
shares themselves are in the store, each with the bucket that it is of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Rate
from sidecar.domain.limits.rate_shares import (
    LAPSES_US,
    AskedRate,
    RateName,
    RateShare,
    even_share,
    fill_of,
    level_moved,
)
from sidecar.domain.limits.rates import (
    WHOLE_PPM,
    Bucket,
    empties_us,
    late_us,
    level_at,
)
from sidecar.storage.transaction import Transaction

ASKED_MAX: Final = 20_000
"""Rates whose demand is added up at once; one past that is by a later call."""
_NO_KEY: Final = b""


class RateReading(NamedTuple):
    """The bucket of a rate as a call finds it.

    `key`: empty where what is reported happened too long ago to fill it. `slot`, `values`: what the
    rate measures. `share_ppm`: what the call goes by; `told_ppm`: what the plane told of it.
    """

    key: bytes
    rate: Rate
    slot: str
    values: tuple[str, ...]
    level: int
    share_ppm: int
    told_ppm: int | None

    def put_level(self, transaction: Transaction, level: int, now_us: int) -> None:
        """Have the bucket be so full, unless it is not to be filled."""
        if not self.key or level == self.level:
            return
        # As `put_bucket`, in one: it is on the way of a call.
        rate, flow = self.rate, self.rate.count * (self.share_ppm or WHOLE_PPM)
        over_us = now_us - (-level * WHOLE_PPM // flow) + late_us(rate)
        bucket = Bucket(level, now_us, self.told_ppm)
        transaction.put_bucket(self.key, bucket, over_us if over_us < INT64_MAX else INT64_MAX)


class RateSharing:
    """One for a process. `sidecars`: how many share rates; 0 where each goes by the whole.

    `on_first`: called once a rate is asked of which no share was told, and again only after a look;
    on the store's thread; must be cheap and must not raise. `told_of`: keys of the buckets whose
    shares the plane hears of from this process.
    """

    __slots__ = ("_asked", "_is_called", "on_first", "sidecars", "told_of", "untold_ppm")

    def __init__(self) -> None:
        self._asked: dict[bytes, AskedRate] = {}
        self._is_called = False
        self.on_first: Callable[[], None] | None = None
        self.sidecars = 0
        self.untold_ppm = WHOLE_PPM
        self.told_of: set[bytes] = set()

    def share_among(self, sidecars: int) -> None:
        """So many share rates from now on."""
        self.sidecars = sidecars
        self.untold_ppm = even_share(sidecars)

    def told(self, bucket: Bucket | None, key: bytes, now_us: int) -> int | None:
        """The share that was told of a bucket; `None` for none, or one that has lapsed."""
        if bucket is None or bucket.share_ppm is None:
            return None
        if now_us - bucket.updated_us >= LAPSES_US and key not in self.told_of:
            return None
        return bucket.share_ppm

    def share_of(self, told_ppm: int | None) -> int:
        """What to go by: what was told, or else an even part."""
        if not self.sidecars:
            return WHOLE_PPM
        return self.untold_ppm if told_ppm is None else told_ppm

    def read(
        self,
        transaction: Transaction,
        key: bytes,
        rate: Rate,
        slot: str,
        values: tuple[str, ...],
        now_us: int,
        event_us: int,
    ) -> RateReading:
        """Read a bucket for what happened at `event_us`; what asks, asks for now."""
        if event_us < now_us and now_us - event_us > late_us(rate):
            level = level_at(None, rate, now_us, event_us)
            return RateReading(_NO_KEY, rate, slot, values, level, WHOLE_PPM, None)
        bucket = transaction.bucket(key, now_us)
        told_ppm, share_ppm = None, self.untold_ppm
        if bucket is not None and bucket.share_ppm is not None:
            told_ppm = self.told(bucket, key, now_us)
            share_ppm = self.share_of(told_ppm)
        level = level_at(bucket, rate, now_us, event_us, share_ppm)
        return RateReading(key, rate, slot, values, level, share_ppm, told_ppm)

    def ask(self, company: str, feature: str, reading: RateReading, quantity: int) -> None:
        """A quantity is asked of a rate, whatever comes of it."""
        if not reading.key:
            return
        asked = self._asked.get(reading.key)
        if asked is not None:
            asked.quantity += quantity
            asked.rate = reading.rate
            return
        if len(self._asked) >= ASKED_MAX:
            return
        name = RateName(company, feature, reading.slot, reading.values)
        self._asked[reading.key] = AskedRate(name, reading.rate, quantity)
        if not reading.told_ppm and not self._is_called and self.on_first is not None:
            self._is_called = True
            self.on_first()

    def take(self) -> dict[bytes, AskedRate]:
        """What was asked since the last look."""
        asked, self._asked = self._asked, {}
        self._is_called = False
        return asked


def put_bucket(
    transaction: Transaction, key: bytes, rate: Rate, bucket: Bucket, share_ppm: int
) -> None:
    """Keep a bucket until it has drained, also for what is reported late. `share_ppm`: by which."""
    empty_us = empties_us(rate, bucket.level, bucket.updated_us, share_ppm)
    transaction.put_bucket(key, bucket, min(INT64_MAX, empty_us + late_us(rate)))


def reading_of(
    transaction: Transaction,
    sharing: RateSharing,
    key: bytes,
    rate: Rate,
    now_us: int,
    *,
    lets_go: bool,
) -> tuple[int | None, int, bool]:
    """The share that was told of a rate, how full its bucket is, and whether it was let go.

    `lets_go`: it is to be, if the bucket has drained.
    """
    bucket = transaction.bucket(key, now_us)
    told_ppm = sharing.told(bucket, key, now_us)
    share_ppm = sharing.share_of(told_ppm)
    level = level_at(bucket, rate, now_us, now_us, share_ppm)
    sharing.told_of.add(key)
    if not lets_go or level > 0:
        return told_ppm, fill_of(rate, level, share_ppm), False
    if told_ppm is not None:
        put_bucket(transaction, key, rate, Bucket(level, now_us), sharing.untold_ppm)
    sharing.told_of.discard(key)
    return None, 0, True


def move_share(
    transaction: Transaction,
    sharing: RateSharing,
    key: bytes,
    rate: Rate,
    from_ppm: int | None,
    share: RateShare,
    now_us: int,
) -> int:
    """Go by a share that was told, unless another was told than `from_ppm` meanwhile.

    How full the bucket was before, in millionths.
    """
    bucket = transaction.bucket(key, now_us)
    told_ppm = sharing.told(bucket, key, now_us)
    if told_ppm != from_ppm or share.share_ppm is None:
        return WHOLE_PPM
    share_ppm = sharing.share_of(told_ppm)
    level = level_at(bucket, rate, now_us, now_us, share_ppm)
    fill_ppm = fill_of(rate, level, share_ppm)
    level = level_moved(rate, level, from_ppm or 0, share.share_ppm, share.fill_ppm)
    moved = Bucket(level, now_us, share.share_ppm)
    put_bucket(transaction, key, rate, moved, share.share_ppm)
    return fill_ppm
