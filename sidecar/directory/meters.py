"""Meters: a company's limits and rates, arranged so that their counters are found quickly."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from sidecar.domain.catalog.model import Enforcement, FeatureKind, Limit, RateLimit
from sidecar.domain.company.model import CompanySnapshot, Segment
from sidecar.domain.limits.counters import (
    CounterName,
    CounterRef,
    rate_slot_of,
    scope_values,
    slot_of,
    throttle_slot_of,
)
from sidecar.domain.limits.rolling_limits import is_carried_on
from sidecar.domain.limits.value_amounts import limits_by_value
from sidecar.domain.seats.rules import generation_counted
from sidecar.domain.time.company_windows import company_window
from sidecar.domain.time.windows import Window
from sidecar.storage import keys
from sidecar.storage.record_wire import encode_counter_name, encode_slot, encode_window

_NO_VALUES: Final[tuple[str, ...]] = ()


class CounterAddress(msgspec.Struct, frozen=True, gc=False):
    """Where a limit's usage is counted for some values: the counter, its key and its wire name."""

    ref: CounterRef
    key: bytes
    wire: bytes


class Meter:
    """A limit of one company's feature. Keeps what its counters have in common, and the last.

    `plain`: nothing but the counter's usage decides: nothing is carried on, and no rate throttles.
    `base`: what the keys of counters without values begin with. `chainless`: a window of which it
    was found that nobody can tell what was carried into it. `by_value`: the limit as it is for
    values with an amount of their own; `None` where there are none. `carries_on`: what of its
    windows is left, or of packs, is carried on. `throttle_slot`: of the rate past a THROTTLE limit.
    `exact`: where it has an amount, it is counted on by leases alone.
    """

    __slots__ = (
        "_company_wide",
        "_last",
        "_snapshot",
        "_throttle_base",
        "_window",
        "_wire",
        "base",
        "by_value",
        "carries_on",
        "chainless",
        "exact",
        "feature",
        "limit",
        "plain",
        "slot",
        "throttle_slot",
    )

    def __init__(
        self,
        snapshot: CompanySnapshot,
        segment: Segment,
        feature: str,
        limit: Limit,
        kind: FeatureKind = FeatureKind.METERED,
    ) -> None:
        generation = generation_counted(segment, limit.window, kind)
        company = snapshot.company
        throttled = limit.enforcement is Enforcement.THROTTLE
        slot = sys.intern(slot_of(limit, generation))
        self._snapshot = snapshot
        self.feature = feature
        self.limit = limit
        self.plain = limit.rollover is None and not limit.packs and not throttled
        self.slot = slot
        self.by_value = limits_by_value(limit) if limit.amounts else None
        self.carries_on = is_carried_on(limit)
        self.exact = limit.is_exact
        self._company_wide = not limit.scope.dimensions and not limit.scope.match
        self.base = keys.counter_base(company, feature, slot, ())
        self.chainless: Window | None = None
        self._throttle_base, self.throttle_slot = b"", ""
        if limit.throttle is not None:
            self.throttle_slot = throttle_slot_of(limit, generation)
            self._throttle_base = keys.bucket_base(company, feature, self.throttle_slot)
        self._wire = (encode_slot(slot), b"")
        self._window: Window | None = None
        self._last: CounterAddress | None = None

    def address(self, dimensions: Mapping[str, str], at_us: int) -> CounterAddress | None:
        """The counter for a request at an instant; `None` where the limit does not apply."""
        values = _NO_VALUES if self._company_wide else scope_values(self.limit.scope, dimensions)
        if values is None:
            return None
        window = self.window(at_us)
        last = self._last
        if last is not None and last.ref.window is window and last.ref.values == values:
            return last
        slot_wire, window_wire = self._wire
        address = self._last = CounterAddress(
            CounterRef(self.slot, values, window),
            self.key(values, window),
            encode_counter_name(slot_wire, values, window_wire),
        )
        return address

    def counter_name(self, dimensions: Mapping[str, str], at_us: int) -> CounterName:
        """The counter for a request that the limit applies to, as it is called elsewhere."""
        address = self.address(dimensions, at_us)
        assert address is not None, "the limit applies"
        return CounterName(self._snapshot.company, self.feature, address.ref)

    def limit_of(self, values: tuple[str, ...]) -> Limit:
        """The limit that holds for values of its dimensions."""
        return self.limit if self.by_value is None else self.by_value.get(values, self.limit)

    def key(self, values: tuple[str, ...], window: Window) -> bytes:
        """The key of one of the limit's counters."""
        base = self.base + keys.values_hash(values) if values else self.base
        return keys.counter_key(base, window.start_us)

    def throttle_key(self, values: tuple[str, ...]) -> bytes:
        """The key of the bucket of a THROTTLE limit's rate."""
        base = self._throttle_base
        return base + keys.values_hash(values) if values else base

    def window(self, at_us: int) -> Window:
        """The limit's window that holds an instant."""
        window = self._window
        if window is not None and window.start_us <= at_us < window.end_us:
            return window
        window = self._window = _shared(self.window_elsewhere(at_us))
        self._wire = (self._wire[0], encode_window(window))
        return window

    def window_elsewhere(self, at_us: int) -> Window:
        """The same for an instant that is not the one that calls are about: it is not kept."""
        return company_window(self._snapshot.phases, self.limit.window, at_us)


@lru_cache(maxsize=1024)
def _shared(window: Window) -> Window:
    """The one window of those that are equal: most companies' windows are the same few."""
    return window


class RateMeter:
    """A rate of one company's feature. `slot`: what it measures, in canonical text."""

    __slots__ = ("_base", "limit", "slot")

    def __init__(self, company: str, feature: str, limit: RateLimit) -> None:
        self.limit = limit
        self.slot = rate_slot_of(limit)
        self._base = keys.bucket_base(company, feature, self.slot)

    def values(self, dimensions: Mapping[str, str]) -> tuple[str, ...] | None:
        """Values of the rate's dimensions in a request; `None` where it does not apply."""
        return scope_values(self.limit.scope, dimensions)

    def key(self, values: tuple[str, ...]) -> bytes:
        """The key of the bucket for some values."""
        return self._base + keys.values_hash(values) if values else self._base
