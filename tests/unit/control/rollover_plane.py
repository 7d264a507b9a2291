"""A plane whose limit rolls over, on a clock that a test moves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from sidecar.control.rules.attribution import limits_at
from sidecar.control.services import apply, ingest
from sidecar.control.services.attribution import load_index
from sidecar.control.services.close_windows import RollingCatalogs, any_due, close_windows
from sidecar.control.services.rollover_walk import Walker
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Rollover,
)
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.windows import Alignment, Window, WindowSpec, WindowUnit
from tests.unit.control.support import ALICE, Writer, record

CALENDAR_MONTH: Final = WindowSpec(WindowUnit.MONTH)
BILLING_MONTH: Final = WindowSpec(WindowUnit.MONTH, 1, Alignment.ANCHORED)
ONE: Final = Rollover()


def utc(*parts: int) -> int:
    """An instant in microseconds since the epoch: year, month, day, hour, minute, second."""
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[arg-type,misc]  # no time zone among the parts


def monthly(
    rollover: Rollover | None = ONE, amount: int | None = 100, window: WindowSpec = CALENDAR_MONTH
) -> Limit:
    """A limit of 100 a calendar month that rolls over, unless told otherwise."""
    return Limit("monthly", window, amount, rollover=rollover)


def catalog_of(**plans: Limit) -> Catalog:
    """A catalog in which each plan has one limit, on tokens."""
    return Catalog(
        features=(Feature("tokens", FeatureKind.METERED),),
        plans=tuple(
            Plan(key, entitlements=(EntitlementGrant("tokens", limits=(plans[key],)),))
            for key in sorted(plans)
        ),
    )


def on_plan(
    plan: str = "pro",
    name: str = "acme",
    *,
    anchor_us: int = utc(2026, 1, 1),
    time_zone: str = "UTC",
) -> Company:
    """A company that holds a plan."""
    return Company(name, time_zone=time_zone, subscription=Subscription(plan, anchor_us))


class RolloverPlane:
    """A store, what works on it in the background, and sidecars that push at once."""

    def __init__(self, store: PlaneStore, now_us: int = utc(2026, 1, 10)) -> None:
        self.store = store
        self.now_us = now_us
        self.writer = Writer()
        self.closed: list[CounterKey] = []
        self.restart()

    def restart(self) -> None:
        """Forget what is in memory alone."""
        self._catalogs = RollingCatalogs()
        self.walker = Walker(self._catalogs)

    def apply(self, catalog: Catalog | None = None, *companies: Company) -> None:
        """Apply at the present, and look at what is new."""
        apply.apply(self.store, apply.Desired(catalog, companies), self.now_us)
        self.settle()

    def settle(self) -> None:
        """Do all that is due at the present."""
        more = True
        while more:
            more = self.close_some()
            if page := self.walker.next_page(self.store, self.now_us):
                self.walker.look_at(self.store, page, self.now_us)
                more = True

    def close_some(self) -> bool:
        """Take one step of closing windows; whether there was any to take."""
        if not any_due(self.store, self.now_us):
            return False
        self.closed += close_windows(self.store, self._catalogs, self.now_us)
        return True

    def go_to(self, instant_us: int) -> None:
        """Let time pass with the plane at work: all is done when it is due."""
        while (due_us := self._next_due(instant_us)) is not None:
            self.now_us = max(self.now_us, due_us)
            self.settle()
        self.sleep_until(instant_us)

    def sleep_until(self, instant_us: int) -> None:
        """Let time pass with the plane down, and catch up then."""
        self.now_us = instant_us
        self.settle()

    def use(self, quantity: int, at_us: int | None = None, name: str = "acme") -> ingest.Pushed:
        """Usage of tokens at an instant, now unless told otherwise, reaches the plane now."""
        event_us = self.now_us if at_us is None else at_us
        counter = self.key(event_us, name).counter
        self.writer.write(record(quantity, name=name, at_us=event_us, counters=[counter]))
        first = len(self.writer.records)
        return self.writer.push(self.store, first, now_us=self.now_us)

    def key(self, at_us: int, name: str = "acme") -> CounterKey:
        """The counter of a company's first limit on tokens in the window of an instant."""
        with self.store.read() as transaction:
            snapshot = transaction.snapshots([name])[name]
            counted = limits_at(load_index(transaction), snapshot, "tokens", at_us)
        assert counted is not None
        _, slot, window = next(counted)
        return CounterKey(name, "tokens", CounterRef(slot, (), window))

    def carried(self, at_us: int, name: str = "acme") -> tuple[int, ...] | None:
        """What was carried into the window of an instant."""
        return self.carried_into(self.key(at_us, name))

    def carried_into(self, key: CounterKey) -> tuple[int, ...] | None:
        """What was carried into a counter's window."""
        with self.store.read() as transaction:
            (total,) = transaction.totals([key], ALICE)
        return total.carried

    def move(self, key: CounterKey, window: Window) -> CounterKey:
        """The counter of another window of the same row."""
        return msgspec.structs.replace(
            key, counter=msgspec.structs.replace(key.counter, window=window)
        )

    def _next_due(self, until_us: int) -> int | None:
        with self.store.read() as transaction:
            for key in transaction.rollover_windows_due(until_us, 1):
                window = transaction.rollover_window(key)
                assert window is not None
                return window.due_us
        return None
