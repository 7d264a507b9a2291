"""What the tests of the control plane share: a small catalog, and sidecars that write records."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rules.history import Run
from sidecar.control.services import apply, ingest
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import FIRST_CHAIN, CounterKey
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Scope,
)
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Window, WindowSpec, WindowUnit

NOW_US: Final = 1_764_000_000_000_000  # 2025-11-24T16:00:00Z
DAY_START_US: Final = NOW_US - NOW_US % DAY_US

ALICE: Final = str(UUID(int=0xA))
BOB: Final = str(UUID(int=0xB))
CAROL: Final = str(UUID(int=0xC))

LIFETIME: Final = CounterRef("LIFETIME||", (), Window(0, FOREVER_US))
TODAY: Final = Window(DAY_START_US, DAY_START_US + DAY_US)

CATALOG: Final = Catalog(
    features=(
        Feature("calls", FeatureKind.METERED),
        Feature("sso", FeatureKind.BOOLEAN),
        Feature("tokens", FeatureKind.METERED, unit="token"),
    ),
    plans=(
        Plan(
            "pro",
            entitlements=(
                EntitlementGrant("sso", enabled=True),
                EntitlementGrant(
                    "tokens",
                    limits=(
                        Limit("ever", WindowSpec(WindowUnit.LIFETIME), 1_000),
                        Limit("daily", WindowSpec(WindowUnit.DAY), 100, scope=Scope(("user",))),
                    ),
                ),
            ),
        ),
    ),
)


def company(name: str = "acme", plan: str = "pro") -> Company:
    return Company(name, subscription=Subscription(plan, anchor_us=DAY_START_US))


def set_up(store: PlaneStore, *companies: str) -> int:
    """Apply the catalog and companies on plan pro; returns the revision."""
    desired = apply.Desired(CATALOG, tuple(company(name) for name in companies))
    return apply.apply(store, desired, NOW_US).revision


def key_of(counter: CounterRef = LIFETIME, name: str = "acme") -> CounterKey:
    return CounterKey(name, "tokens", counter)


def per_user(user: str) -> CounterRef:
    return CounterRef("DAY/1/CALENDAR|user|", (user,), TODAY)


def record(
    quantity: int = 1,
    *,
    key: str = "",
    payload: str = "",
    name: str = "acme",
    feature: str = "tokens",
    at_us: int = NOW_US,
    counters: Sequence[CounterRef] = (LIFETIME,),
    unattributed: bool = False,
    user: str = "",
) -> bytes:
    """A usage record as a sidecar writes it; `payload` makes its digest differ."""
    message = sync_pb2.UsageRecord(
        company=name,
        feature=feature,
        quantity=quantity,
        event_time_us=at_us,
        accepted_time_us=at_us,
        idempotency_key=key,
        payload_digest=sha256(payload.encode()).digest()[:16] if key else b"",
        dimensions={"user": user} if user else {},
        counters=[
            sync_pb2.Counter(
                slot=counter.slot,
                values=counter.values,
                window_start_us=counter.window.start_us,
                window_end_us=counter.window.end_us,
            )
            for counter in counters
            if not unattributed
        ],
        unattributed=unattributed,
    )
    return message.SerializeToString(deterministic=True)


class Writer:
    """A sidecar's outbox: records with sequences and chains, of which any run can be pushed."""

    def __init__(self, incarnation: str = ALICE) -> None:
        self.incarnation = incarnation
        self.records: list[bytes] = []
        self.chains = [FIRST_CHAIN]

    def write(self, *records: bytes) -> None:
        for data in records:
            self.records.append(data)
            self.chains.append(sha256(self.chains[-1] + data).digest())

    def clone(self) -> Writer:
        twin = Writer(self.incarnation)
        twin.write(*self.records)
        return twin

    def run(self, first: int = 1, last: int | None = None) -> Run:
        return Run(first, self.chains[first - 1], self.records[first - 1 : last])

    def push(
        self,
        store: PlaneStore,
        first: int = 1,
        last: int | None = None,
        now_us: int = NOW_US,
        elapsed_us: int | None = None,
    ) -> ingest.Pushed:
        """Push a run; where nothing else is said, as much has elapsed as the clock says."""
        run = self.run(first, last)
        elapsed_us = now_us if elapsed_us is None else elapsed_us
        return ingest.push(store, self.incarnation, run, now_us, elapsed_us)


def used(store: PlaneStore, counter: CounterRef = LIFETIME, name: str = "acme") -> int:
    """What the plane has on a counter."""
    with store.read() as transaction:
        (total,) = transaction.totals([key_of(counter, name)], ALICE)
    return total.total
