"""Limit usage: what the limits and rates that apply to a request show, read in one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from sidecar.directory.meters import CounterAddress, Meter, RateMeter
from sidecar.directory.resolved import ResolvedCompany, ResolvedFeature
from sidecar.domain.bounds import saturated
from sidecar.domain.limits.counters import CounterName, CounterRef, scope_values
from sidecar.domain.limits.packs import Carried
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.usage import QuotaUsage, remaining
from sidecar.domain.limits.value_amounts import limit_of_values
from sidecar.domain.time.windows import LIFETIME_WINDOW, Window
from sidecar.engine.late_use import Beyond, LaterCounter, is_followed, usable_beyond
from sidecar.engine.local_rollover import carried_into, carry_on
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.rate_sharing import RateReading, RateSharing
from sidecar.storage.codec import StoredCounter
from sidecar.storage.transaction import Transaction


class LimitUsage:
    """Usage of the limits and rates that apply, and where they are kept.

    `counted`: counters by key, since limits that count the same thing share one: it is counted on
    once. `rates` and `rate_buckets` belong together; `throttled` has limits whose rate past the
    amount is to be filled, each with its bucket. `followed`: windows of limits that roll over, of
    which usage is taken from those behind them. `later`: counters of these, on which it depends
    what may be used. `per_request`: of limits that look at one request.
    `addresses`: of the counters of `usages`, in their order. `leased`: those that nothing passes
    without a lease, with their addresses; see `check_reading`.
    """

    __slots__ = (
        "addresses",
        "carried",
        "counted",
        "followed",
        "later",
        "leased",
        "per_request",
        "rate_buckets",
        "rates",
        "throttled",
        "usages",
    )

    def __init__(self) -> None:
        self.usages: list[QuotaUsage] = []
        self.addresses: list[CounterAddress] = []
        self.per_request: list[QuotaUsage] = []
        self.leased: list[tuple[QuotaUsage, CounterAddress]] = []
        self.counted: dict[bytes, tuple[CounterAddress, StoredCounter | None]] = {}
        self.carried: dict[bytes, Carried] = {}
        self.followed: list[tuple[ResolvedCompany, Meter, Window]] = []
        self.later: list[LaterCounter] = []
        self.rates: list[RateUsage] = []
        self.rate_buckets: list[RateReading] = []
        self.throttled: list[tuple[QuotaUsage, RateReading]] = []

    @property
    def deciding(self) -> list[QuotaUsage]:
        """Everything that decides, but for rates."""
        return [*self.usages, *self.per_request] if self.per_request else self.usages

    def carry(
        self,
        transaction: Transaction,
        address: CounterAddress,
        carried: Carried,
        company: ResolvedCompany,
        meter: Meter,
        now_us: int,
    ) -> None:
        """Note what was carried into a counter's window."""
        self.carried[address.key] = carried
        if is_followed(transaction, company, meter, address.ref.window, now_us):
            self.followed.append((company, meter, address.ref.window))

    def carrying_usage(
        self,
        transaction: Transaction,
        company: ResolvedCompany,
        meter: Meter,
        address: CounterAddress,
        counter: StoredCounter | None,
        throttle: RateReading | None,
        now_us: int,
        *,
        authority: bool,
    ) -> QuotaUsage:
        """Usage of a limit of which something may have been carried into the window."""
        ref = address.ref
        carried = carried_into(
            transaction, company, meter, ref.window, counter, authority=authority
        )
        if carried is not None:
            self.carry(transaction, address, carried, company, meter, now_us)
        beyond = usable_beyond(transaction, company, meter, ref, counter, carried, now_us)
        self.later += beyond.later
        return _full_usage(meter, ref, counter, beyond, throttle)

    def add(
        self, usage: QuotaUsage, address: CounterAddress, counter: StoredCounter | None
    ) -> None:
        """Note a limit's usage, and its counter."""
        self.usages.append(usage)
        self.addresses.append(address)
        self.counted[address.key] = (address, counter)

    def unheard(
        self, feature: ResolvedFeature, now_us: int, plane_status: PlaneStatus
    ) -> Iterator[CounterName]:
        """Counters of limits whose window has ended, of which changes may have been missed.

        Those of other windows are told without being asked for, but for a company whose totals are
        on their way still: of it, those that were not heard of since are meant, too.
        """
        listed = plane_status.part_heard.get(feature.company, 0)
        limits = {meter.slot for meter in feature.meters}
        counted = (
            (address.ref, counter)
            for address, counter in self.counted.values()
            if address.ref.slot in limits
        )
        for ref, counter in (*counted, *self.later):
            heard = 0 if counter is None else counter.heard
            is_over = ref.window.end_us <= now_us
            if heard < listed or (is_over and not plane_status.has_heard(heard)):
                yield feature.counter_name(ref)

    def count(self, transaction: Transaction, quantity: int, now_us: int) -> None:
        """Count a quantity on every counter."""
        for key in self.counted:
            self.count_on(transaction, key, quantity)
        self.carry_on(transaction, now_us)

    def count_on(self, transaction: Transaction, key: bytes, quantity: int) -> None:
        """Count a quantity on one counter; `carry_on` comes after the last."""
        address, counter = self.counted[key]
        carried = self.carried.get(key) if self.carried else None
        transaction.put_counter(key, _increased(address, counter, quantity, carried))

    def carry_on(self, transaction: Transaction, now_us: int) -> None:
        """Take what was counted from what windows behind it carry."""
        for company, meter, window in self.followed:
            carry_on(transaction, company, meter, window, now_us)

    def fill(self, transaction: Transaction, quantity: int, now_us: int) -> None:
        """Fill the buckets of all rates by a quantity."""
        for usage, bucket in zip(self.rates, self.rate_buckets, strict=True):
            bucket.put_level(transaction, usage.after(quantity).level, now_us)
        for limited, bucket in self.throttled:
            bucket.put_level(transaction, limited.after(quantity).throttle_level, now_us)

    def ask(self, sharing: RateSharing, feature: ResolvedFeature, quantity: int) -> None:
        """Add a quantity to what is asked of rates, whatever comes of it."""
        key = feature.entitlement.feature.key
        for bucket in self.rate_buckets:
            sharing.ask(feature.company, key, bucket, quantity)
        for usage, bucket in self.throttled:
            if (above := quantity - (remaining(usage) or 0)) > 0:
                sharing.ask(feature.company, key, bucket, above)


def read_limit_usage(
    transaction: Transaction,
    company: ResolvedCompany,
    feature: ResolvedFeature,
    dimensions: Mapping[str, str],
    event_time_us: int,
    now_us: int,
    *,
    authority: bool,
    sharing: RateSharing,
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
            bucket = _throttle(transaction, meter, address.ref.values, now_us, rated_us, sharing)
            usage = reading.carrying_usage(
                transaction, company, meter, address, counter, bucket, now_us, authority=authority
            )
            if bucket is not None:
                reading.throttled.append((usage, bucket))
        reading.add(usage, address, counter)
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
            bucket = _bucket(transaction, rate, values, now_us, rated_us, sharing)
            reading.rates.append(_rate_usage(rate, bucket, now_us))
            reading.rate_buckets.append(bucket)
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
    sharing: RateSharing,
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
            throttle = _throttle(transaction, meter, (), now_us, now_us, sharing)
            beyond = usable_beyond(transaction, company, meter, ref, counter, carried, now_us)
            usages.append(_full_usage(meter, ref, counter, beyond, throttle))
    usages.extend(
        _rate_usage(rate, _bucket(transaction, rate, (), now_us, now_us, sharing), now_us)
        for rate in feature.rates
        if not rate.limit.scope.dimensions
    )
    return usages


def _full_usage(
    meter: Meter,
    ref: CounterRef,
    counter: StoredCounter | None,
    beyond: Beyond,
    throttle: RateReading | None,
) -> QuotaUsage:
    used = 0 if counter is None else counter.used
    limit = meter.limit_of(ref.values)
    carried, packs = beyond.amount, beyond.packs
    if throttle is None:
        return QuotaUsage(limit, ref.window, used, ref.values, carried, 0, packs)
    level, share_ppm = throttle.level, throttle.share_ppm
    return QuotaUsage(limit, ref.window, used, ref.values, carried, level, packs, share_ppm)


def _throttle(
    transaction: Transaction,
    meter: Meter,
    values: tuple[str, ...],
    now_us: int,
    event_us: int,
    sharing: RateSharing,
) -> RateReading | None:
    """The bucket of the rate past a limit's amount, if it has one."""
    throttle = meter.limit_of(values).throttle
    if throttle is None:
        return None
    key, slot = meter.throttle_key(values), meter.throttle_slot
    return sharing.read(transaction, key, throttle, slot, values, now_us, event_us)


def _bucket(
    transaction: Transaction,
    rate: RateMeter,
    values: tuple[str, ...],
    now_us: int,
    event_us: int,
    sharing: RateSharing,
) -> RateReading:
    key, terms = rate.key(values), rate.limit.rate
    return sharing.read(transaction, key, terms, rate.slot, values, now_us, event_us)


def _rate_usage(rate: RateMeter, bucket: RateReading, now_us: int) -> RateUsage:
    return RateUsage(rate.limit, bucket.level, now_us, bucket.values, bucket.share_ppm)


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
    own = saturated(counter.own + quantity)
    return replace(counter, own=own, carried=by_age, packs_used=packs_used)
