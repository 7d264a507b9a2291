"""A plane that fills counters of new limits, on a clock that a test moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rules.attribution import limits_at
from sidecar.control.services import apply
from sidecar.control.services.attribution import load_index
from sidecar.control.services.close_windows import RollingCatalogs, close_windows
from sidecar.control.services.filling import Filler, any_unfinished
from sidecar.control.services.filling_walk import FillingWalker
from sidecar.control.services.rollover_walk import Walker
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
)
from sidecar.domain.company.model import Company, CompanySnapshot, Subscription
from sidecar.domain.company.subscription_changes import NOW, SubscriptionChange, When
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import CounterRef, scope_values
from tests.unit.control.rollover_plane import utc
from tests.unit.control.support import ALICE, Writer

MID_MONTH: Final = utc(2026, 3, 20, 12)
ANCHOR_US: Final = utc(2026, 1, 15)


def catalog_of(*limits: Limit, more: Sequence[Plan] = ()) -> Catalog:
    """A catalog with a plan pro that has limits on tokens, and perhaps with other plans."""
    pro = Plan("pro", entitlements=(EntitlementGrant("tokens", limits=limits),))
    features = (Feature("calls", FeatureKind.METERED), Feature("tokens", FeatureKind.METERED))
    return Catalog(features, (pro, *more))


def on_plan(plan: str = "pro", name: str = "acme") -> Company:
    """A company that holds a plan, with a billing period from the 15th on."""
    return Company(name, subscription=Subscription(plan, ANCHOR_US))


class FillingPlane:
    """A store, what works on it in the background, and one sidecar's outbox."""

    def __init__(self, store: PlaneStore, now_us: int = MID_MONTH) -> None:
        self.store = store
        self.now_us = now_us
        self.writer = Writer()
        self.restart()

    def restart(self) -> None:
        """Forget what is in memory alone."""
        self.walker, self.filler = FillingWalker(), Filler()
        self.rolling = RollingCatalogs()
        self.rollover_walker = Walker(self.rolling)

    def apply(self, catalog: Catalog | None = None, *companies: Company) -> None:
        """Apply at the present; what is to be filled waits."""
        apply.apply(self.store, apply.Desired(catalog, companies), self.now_us)

    def change(self, change: SubscriptionChange, when: When = NOW, name: str = "acme") -> None:
        """Change a subscription at the present."""
        change_subscription(self.store, name, change, when, self.now_us)

    def step(self) -> bool:
        """Take one step in the background; whether there was any to take."""
        if self.walker.any_left(self.store):
            self.walker.step(self.store, self.now_us)
            return True
        if any_unfinished(self.store):
            self.filler.step(self.store, self.now_us)
            return True
        return False

    def settle(self) -> None:
        """Do all that is to be done at the present."""
        more = True
        while more:
            more = self.step()
            if page := self.rollover_walker.next_page(self.store, self.now_us):
                self.rollover_walker.look_at(self.store, page, self.now_us)
                more = True
            more = bool(close_windows(self.store, self.rolling, self.now_us)) or more

    def known(self, name: str = "acme") -> tuple[CatalogIndex, CompanySnapshot]:
        """What a sidecar that has heard of everything knows."""
        with self.store.read() as transaction:
            return load_index(transaction), transaction.snapshots([name])[name]

    def use(
        self,
        quantity: int,
        at_us: int | None = None,
        *,
        dimensions: Mapping[str, str] | None = None,
        known: tuple[CatalogIndex, CompanySnapshot] | None = None,
        key: str = "",
        name: str = "acme",
    ) -> None:
        """Usage of tokens reaches the plane now, from a sidecar that knew so much."""
        event_us = self.now_us if at_us is None else at_us
        index, snapshot = known or self.known(name)
        message = sync_pb2.UsageRecord(
            company=name,
            feature="tokens",
            quantity=quantity,
            event_time_us=event_us,
            accepted_time_us=event_us,
            idempotency_key=key,
            payload_digest=sha256(key.encode()).digest()[:16] if key else b"",
            dimensions=dimensions,
            counters=[
                sync_pb2.Counter(
                    slot=ref.slot,
                    values=ref.values,
                    window_start_us=ref.window.start_us,
                    window_end_us=ref.window.end_us,
                )
                for ref in counters_of(index, snapshot, event_us, dimensions or {})
            ],
        )
        self.writer.write(message.SerializeToString(deterministic=True))
        self.writer.push(self.store, len(self.writer.records), now_us=self.now_us)

    def used(self, limit: str, *values: str, at_us: int | None = None, name: str = "acme") -> int:
        """What the plane has on a limit of tokens in the window of an instant."""
        index, snapshot = self.known(name)
        for of in (
            limits_at(index, snapshot, "tokens", self.now_us if at_us is None else at_us) or ()
        ):
            if of.limit.id == limit:
                key = CounterKey(name, "tokens", CounterRef(of.slot, values, of.window))
                with self.store.read() as transaction:
                    (total,) = transaction.totals([key], ALICE)
                return total.total
        raise AssertionError(f"there is no limit {limit!r}")


def counters_of(
    index: CatalogIndex, snapshot: CompanySnapshot, at_us: int, dimensions: Mapping[str, str]
) -> dict[CounterRef, None]:
    """Counters on which a sidecar counts usage of tokens: those of the company's own limits."""
    found: dict[CounterRef, None] = {}
    for of in limits_at(index, snapshot, "tokens", at_us) or ():
        values = scope_values(of.limit.scope, dimensions)
        if values is not None:
            found[CounterRef(of.slot, values, of.window)] = None
    return found
