"""Readings: what the limits and rates that apply to a request show, read in one step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.directory.meters import Meter, Place, RateMeter
from sidecar.directory.resolved import CompanyView, FeatureView
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Rate
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.limits.decision import Gauge, RateGauge
from sidecar.domain.limits.rates import Bucket, empties_us, late_us, level_at
from sidecar.domain.limits.rollover import allowance
from sidecar.domain.time.windows import Window
from sidecar.engine.local_rollover import carried_into, carry_on
from sidecar.storage.codec import Counter
from sidecar.storage.transaction import Transaction

_NO_KEY: Final = b""


class Reading:
    """Gauges and rates that apply, and where they are kept.

    `counted`: counters by key, since limits that count the same thing share one: it is counted on
    once. `rates` and `rate_keys` belong together, and so do `throttled` and its keys; the key of a
    rate is empty where the request happened too long ago to fill its bucket. `ended`: windows that
    are over, of limits that roll over.
    """

    __slots__ = ("carried", "counted", "ended", "gauges", "rate_keys", "rates", "throttled")

    def __init__(self) -> None:
        self.gauges: list[Gauge] = []
        self.counted: dict[bytes, tuple[Place, Counter | None]] = {}
        self.carried: dict[bytes, tuple[int, ...]] = {}
        self.ended: list[tuple[CompanyView, Meter, Window]] = []
        self.rates: list[RateGauge] = []
        self.rate_keys: list[bytes] = []
        self.throttled: list[tuple[Gauge, bytes]] = []

    def carry(
        self,
        place: Place,
        carried: tuple[int, ...],
        company: CompanyView,
        meter: Meter,
        now_us: int,
    ) -> None:
        """Note what was carried into a counter's window."""
        self.carried[place.key] = carried
        if place.ref.window.end_us <= now_us:
            self.ended.append((company, meter, place.ref.window))

    def count(self, transaction: Transaction, quantity: int, now_us: int) -> None:
        """Count a quantity on every counter."""
        for key, (place, counter) in self.counted.items():
            carried = self.carried.get(key) if self.carried else None
            transaction.put_counter(key, _increased(place, counter, quantity, carried))
        for company, meter, window in self.ended:
            carry_on(transaction, company, meter, window, now_us)

    def fill(self, transaction: Transaction, quantity: int, now_us: int) -> None:
        """Fill the buckets of all rates by a quantity."""
        for gauge, key in zip(self.rates, self.rate_keys, strict=True):
            level = gauge.after(quantity).level
            if key and level != gauge.level:
                _put_level(transaction, key, gauge.limit.rate, level, now_us)
        for limited, key in self.throttled:
            throttle = limited.limit.throttle
            level = limited.after(quantity).throttle_level
            if throttle is not None and level != limited.throttle_level:
                _put_level(transaction, key, throttle, level, now_us)


def read_gauges(
    transaction: Transaction,
    company: CompanyView,
    feature: FeatureView,
    dimensions: Mapping[str, str],
    event_time_us: int,
    now_us: int,
    *,
    authority: bool,
) -> Reading:
    """Read everything that applies to a request.

    `authority`: there is no plane that could tell what was carried over.
    """
    reading = Reading()
    for meter in feature.meters:
        place = meter.place(dimensions, event_time_us)
        if place is None:
            continue
        counter = transaction.counter(place.key, place.ref.values)
        if meter.plain:
            used = 0 if counter is None else counter.used
            gauge = Gauge(meter.limit, place.ref.window, used, place.ref.values)
        else:
            carried = carried_into(
                transaction, company, meter, place.ref.window, counter, authority=authority
            )
            if carried is not None:
                reading.carry(place, carried, company, meter, now_us)
            gauge = _full_gauge(
                transaction, meter, place.ref, counter, carried, now_us, event_time_us
            )
            throttle = meter.limit.throttle
            if throttle is not None and not _is_late(throttle, now_us, event_time_us):
                reading.throttled.append((gauge, meter.throttle_key(place.ref.values)))
        reading.gauges.append(gauge)
        reading.counted[place.key] = (place, counter)
    for meter in feature.counting:
        place = meter.place(dimensions, event_time_us)
        if place is not None and place.key not in reading.counted:
            reading.counted[place.key] = (place, transaction.counter(place.key, place.ref.values))
    for rate in feature.rates:
        values = rate.values(dimensions)
        if values is not None:
            key = rate.key(values)
            gauge_of_rate = _rate_gauge(transaction, rate, values, key, now_us, event_time_us)
            reading.rates.append(gauge_of_rate)
            late = _is_late(rate.limit.rate, now_us, event_time_us)
            reading.rate_keys.append(_NO_KEY if late else key)
    return reading


def company_wide_gauges(
    transaction: Transaction,
    company: CompanyView,
    feature: FeatureView,
    at_us: int,
    now_us: int,
    *,
    authority: bool,
) -> list[Gauge | RateGauge]:
    """Every limit and rate that has one counter or bucket alone, whatever a request carries."""
    gauges: list[Gauge | RateGauge] = []
    for meter in feature.meters:
        if not meter.limit.scope.dimensions:
            window = meter.window(at_us)
            counter = transaction.counter(meter.key((), window), ())
            carried = carried_into(
                transaction, company, meter, window, counter, authority=authority
            )
            ref = CounterRef(meter.slot, (), window)
            gauges.append(_full_gauge(transaction, meter, ref, counter, carried, now_us, now_us))
    gauges.extend(
        _rate_gauge(transaction, rate, (), rate.key(()), now_us, now_us)
        for rate in feature.rates
        if not rate.limit.scope.dimensions
    )
    return gauges


def _full_gauge(
    transaction: Transaction,
    meter: Meter,
    ref: CounterRef,
    counter: Counter | None,
    carried: tuple[int, ...] | None,
    now_us: int,
    event_us: int,
) -> Gauge:
    used = 0 if counter is None else counter.used
    limit, level, beyond = meter.limit, 0, 0
    if limit.throttle is not None:
        key = meter.throttle_key(ref.values)
        level = _level(transaction, key, limit.throttle, now_us, event_us)
    if carried and limit.amount is not None:
        beyond = allowance(limit.amount, carried) - limit.amount
    return Gauge(limit, ref.window, used, ref.values, beyond, level)


def _rate_gauge(
    transaction: Transaction,
    rate: RateMeter,
    values: tuple[str, ...],
    key: bytes,
    now_us: int,
    event_us: int,
) -> RateGauge:
    level = _level(transaction, key, rate.limit.rate, now_us, event_us)
    return RateGauge(rate.limit, level, now_us, values)


def _level(transaction: Transaction, key: bytes, rate: Rate, now_us: int, event_us: int) -> int:
    bucket = None if _is_late(rate, now_us, event_us) else transaction.bucket(key)
    return level_at(bucket, rate, now_us, event_us)


def _is_late(rate: Rate, now_us: int, event_us: int) -> bool:
    return event_us < now_us and now_us - event_us > late_us(rate)


def _increased(
    place: Place, counter: Counter | None, quantity: int, carried: tuple[int, ...] | None
) -> Counter:
    if counter is None:
        return Counter(quantity, 0, 0, place.ref.window.end_us, place.ref.values, carried)
    return Counter(
        min(INT64_MAX, counter.own + quantity),
        counter.others,
        counter.heard,
        counter.window_end_us,
        counter.values,
        counter.carried if carried is None else carried,
    )


def _put_level(transaction: Transaction, key: bytes, rate: Rate, level: int, now_us: int) -> None:
    over_us = min(INT64_MAX, empties_us(rate, level, now_us) + late_us(rate))
    transaction.put_bucket(key, Bucket(level, now_us), over_us)
