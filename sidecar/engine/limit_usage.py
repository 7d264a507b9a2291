"""Limit usage: what the limits and rates that apply to a request show, read in one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sidecar.directory.meters import CounterAddress, Meter, RateMeter
from sidecar.directory.resolved import ResolvedCompany, ResolvedFeature
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Rate
from sidecar.domain.limits.counters import CounterName, CounterRef, scope_values
from sidecar.domain.limits.packs import Carried, beyond
from sidecar.domain.limits.rates import Bucket, empties_us, late_us, level_at
from sidecar.domain.limits.usage import QuotaUsage, RateUsage
from sidecar.domain.limits.value_amounts import limit_of_values
from sidecar.domain.time.windows import LIFETIME_WINDOW, Window
from sidecar.engine.local_rollover import carried_into, carry_on
from sidecar.engine.plane_status import PlaneStatus
from sidecar.storage.codec import StoredCounter
from sidecar.storage.transaction import Transaction

_NO_KEY: Final = b""


class LimitUsage:
    """Usage of the limits and rates that apply, and where they are kept.

    `counted`: counters by key, since limits that count the same thing share one: it is counted on
    once. `rates` and `rate_keys` belong together, and so do `throttled` and its keys; the key of a
    rate is empty where what is reported happened too long ago to fill its bucket. `ended`: windows
    that are over, of limits that roll over. `per_request`: of limits that look at one request.
    """

    __slots__ = (
        "carried",
        "counted",
        "ended",
        "per_request",
        "rate_keys",
        "rates",
        "throttled",
        "usages",
    )

    def __init__(self) -> None:
        self.usages: list[QuotaUsage] = []
        self.per_request: list[QuotaUsage] = []
        self.counted: dict[bytes, tuple[CounterAddress, StoredCounter | None]] = {}
        self.carried: dict[bytes, Carried] = {}
        self.ended: list[tuple[ResolvedCompany, Meter, Window]] = []
        self.rates: list[RateUsage] = []
        self.rate_keys: list[bytes] = []
        self.throttled: list[tuple[QuotaUsage, bytes]] = []

    @property
    def deciding(self) -> list[QuotaUsage]:
        """Everything that decides, but for rates."""
        return [*self.usages, *self.per_request] if self.per_request else self.usages

    def carry(
        self,
        address: CounterAddress,
        carried: Carried,
        company: ResolvedCompany,
        meter: Meter,
        now_us: int,
    ) -> None:
        """Note what was carried into a counter's window."""
        self.carried[address.key] = carried
        # A window may have been cut short within the stretch that the event is of.
        if address.ref.window.end_us <= now_us or company.segment.until_us <= now_us:
            self.ended.append((company, meter, address.ref.window))

    def unheard(
        self, feature: ResolvedFeature, now_us: int, plane_status: PlaneStatus
    ) -> Iterator[CounterName]:
        """Counters of limits whose window has ended, of which changes may have been missed.

        Those of other windows are told without being asked for, but for a company whose totals are
        on their way still: of it, those that were not heard of since are meant, too.
        """
        listed = plane_status.part_heard.get(feature.company, 0)
        limits = {meter.slot for meter in feature.meters}
        for address, counter in self.counted.values():
            ref = address.ref
            heard = 0 if counter is None else counter.heard
            if ref.slot not in limits:
                continue
            is_over = ref.window.end_us <= now_us
            if heard < listed or (is_over and not plane_status.has_heard(heard)):
                yield CounterName(feature.company, feature.entitlement.feature.key, ref)

    def count(self, transaction: Transaction, quantity: int, now_us: int) -> None:
        """Count a quantity on every counter."""
        for key, (address, counter) in self.counted.items():
            carried = self.carried.get(key) if self.carried else None
            transaction.put_counter(key, _increased(address, counter, quantity, carried))
        for company, meter, window in self.ended:
            carry_on(transaction, company, meter, window, now_us)

    def fill(self, transaction: Transaction, quantity: int, now_us: int) -> None:
        """Fill the buckets of all rates by a quantity."""
        for usage, key in zip(self.rates, self.rate_keys, strict=True):
            level = usage.after(quantity).level
            if key and level != usage.level:
                _put_level(transaction, key, usage.limit.rate, level, now_us)
        for limited, key in self.throttled:
            throttle = limited.limit.throttle
            level = limited.after(quantity).throttle_level
            if throttle is not None and level != limited.throttle_level:
                _put_level(transaction, key, throttle, level, now_us)


def read_limit_usage(
    transaction: Transaction,
    company: ResolvedCompany,
    feature: ResolvedFeature,
    dimensions: Mapping[str, str],
    event_time_us: int,
    now_us: int,
    *,
    authority: bool,
    has_happened: bool = False,
) -> LimitUsage:
    """Read everything that applies to a request.

    `authority`: there is no plane that could tell what was carried over. `has_happened`: it is a
    report, which meets the buckets of rates as of its time; who asks meets them as they are now.
    """
    reading = LimitUsage()
    rated_us = event_time_us if has_happened else now_us
    for meter in feature.meters:
        address = meter.address(dimensions, event_time_us)
        if address is None:
            continue
        counter = transaction.counter(address.key, address.ref.values)
        if meter.plain:
            used = 0 if counter is None else counter.used
            limit = meter.limit if meter.by_value is None else meter.limit_of(address.ref.values)
            usage = QuotaUsage(limit, address.ref.window, used, address.ref.values)
        else:
            carried = carried_into(
                transaction, company, meter, address.ref.window, counter, authority=authority
            )
            if carried is not None:
                reading.carry(address, carried, company, meter, now_us)
            usage = _full_usage(transaction, meter, address.ref, counter, carried, now_us, rated_us)
            throttle = meter.limit.throttle
            if throttle is not None and not _is_late(throttle, now_us, rated_us):
                reading.throttled.append((usage, meter.throttle_key(address.ref.values)))
        reading.usages.append(usage)
        reading.counted[address.key] = (address, counter)
    for meter in feature.counting:
        address = meter.address(dimensions, event_time_us)
        if address is not None and address.key not in reading.counted:
            reading.counted[address.key] = (
                address,
                transaction.counter(address.key, address.ref.values),
            )
    reading.per_request += _per_request(feature, dimensions)
    for rate in feature.rates:
        values = rate.values(dimensions)
        if values is not None:
            key = rate.key(values)
            usage_of_rate = _rate_usage(transaction, rate, values, key, now_us, rated_us)
            reading.rates.append(usage_of_rate)
            late = _is_late(rate.limit.rate, now_us, rated_us)
            reading.rate_keys.append(_NO_KEY if late else key)
    return reading


def _per_request(feature: ResolvedFeature, dimensions: Mapping[str, str]) -> Iterator[QuotaUsage]:
    for limit in feature.per_request:
        values = scope_values(limit.scope, dimensions)
        if values is not None:
            yield QuotaUsage(limit_of_values(limit, values), LIFETIME_WINDOW, 0, values)


def company_wide_usage(
    transaction: Transaction,
    company: ResolvedCompany,
    feature: ResolvedFeature,
    at_us: int,
    now_us: int,
    *,
    authority: bool,
) -> list[QuotaUsage | RateUsage]:
    """Every limit and rate that has one counter or bucket alone, whatever a request carries."""
    usages: list[QuotaUsage | RateUsage] = []
    for meter in feature.meters:
        if not meter.limit.scope.dimensions:
            window = meter.window(at_us)
            counter = transaction.counter(meter.key((), window), ())
            carried = carried_into(
                transaction, company, meter, window, counter, authority=authority
            )
            ref = CounterRef(meter.slot, (), window)
            usages.append(_full_usage(transaction, meter, ref, counter, carried, now_us, now_us))
    usages.extend(
        _rate_usage(transaction, rate, (), rate.key(()), now_us, now_us)
        for rate in feature.rates
        if not rate.limit.scope.dimensions
    )
    return usages


def _full_usage(
    transaction: Transaction,
    meter: Meter,
    ref: CounterRef,
    counter: StoredCounter | None,
    carried: Carried | None,
    now_us: int,
    event_us: int,
) -> QuotaUsage:
    used = 0 if counter is None else counter.used
    limit, level = meter.limit_of(ref.values), 0
    if limit.throttle is not None:
        key = meter.throttle_key(ref.values)
        level = _level(transaction, key, limit.throttle, now_us, event_us)
    more, packs = (0, 0) if carried is None else beyond(limit, carried)
    return QuotaUsage(limit, ref.window, used, ref.values, more, level, packs)


def _rate_usage(
    transaction: Transaction,
    rate: RateMeter,
    values: tuple[str, ...],
    key: bytes,
    now_us: int,
    event_us: int,
) -> RateUsage:
    level = _level(transaction, key, rate.limit.rate, now_us, event_us)
    return RateUsage(rate.limit, level, now_us, values)


def _level(transaction: Transaction, key: bytes, rate: Rate, now_us: int, event_us: int) -> int:
    bucket = None if _is_late(rate, now_us, event_us) else transaction.bucket(key, now_us)
    return level_at(bucket, rate, now_us, event_us)


def _is_late(rate: Rate, now_us: int, event_us: int) -> bool:
    return event_us < now_us and now_us - event_us > late_us(rate)


def _increased(
    address: CounterAddress,
    counter: StoredCounter | None,
    quantity: int,
    carried: Carried | None,
) -> StoredCounter:
    window_end_us, values = address.ref.window.end_us, address.ref.values
    if counter is None:
        counter = StoredCounter(0, 0, 0, window_end_us, values)
    by_age, packs_used = counter.carried, counter.packs_used
    if carried is not None:
        by_age, packs_used = carried.by_age, carried.packs_used
    return StoredCounter(
        min(INT64_MAX, counter.own + quantity),
        counter.others,
        counter.heard,
        counter.window_end_us,
        counter.values,
        by_age,
        counter.corrections,
        counter.lost,
        packs_used,
    )


def _put_level(transaction: Transaction, key: bytes, rate: Rate, level: int, now_us: int) -> None:
    over_us = min(INT64_MAX, empties_us(rate, level, now_us) + late_us(rate))
    transaction.put_bucket(key, Bucket(level, now_us), over_us)
