"""A plane with a balance of credits, and sidecars that burn it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.services.ingest import Pushed
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.model import Catalog, Limit
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER
from sidecar.domain.limits.counters import CounterRef, slot_of
from sidecar.domain.time.windows import window_at
from sidecar.shared.convert.counters import counter_to_message
from tests.support.burning import CREDITS, costs, credits_catalog, recurring
from tests.unit.control.leasing_plane import Plane
from tests.unit.control.support import ALICE, NOW_US, Writer, company

MONTHLY: Final = recurring(amount=100)
PRICES: Final = {"calls": [costs(2)], "models": [costs(by={"small": 1, "large": 10})]}


def sold(*limits: Limit, overdraft: int = 0) -> Catalog:
    return credits_catalog(PRICES, *(limits or (MONTHLY,)), overdraft=overdraft)


def source(of: Limit = MONTHLY, at_us: int = NOW_US) -> CounterRef:
    """The counter of a limit of credits."""
    return CounterRef(slot_of(of), (), window_at(of.window, at_us))


def burning(
    quantity: int,
    cost: int | None,
    parts: Sequence[tuple[CounterRef, int]] = (),
    *,
    key: str = "",
    at_us: int = NOW_US,
    name: str = "acme",
    feature: str = "calls",
    unattributed: bool = False,
    dimensions: Mapping[str, str] | None = None,
) -> bytes:
    """A record of usage that costs something, of which parts were burned."""
    message = sync_pb2.UsageRecord(
        company=name,
        feature=feature,
        quantity=quantity,
        event_time_us=at_us,
        accepted_time_us=at_us,
        idempotency_key=key,
        payload_digest=sha256(b"").digest()[:16] if key else b"",
        unattributed=unattributed,
        dimensions=dimensions or {},
        burns=[
            sync_pb2.CreditBurn(feature=CREDITS, counter=counter_to_message(ref), amount=amount)
            for ref, amount in parts
        ],
        costs=[] if cost is None else [sync_pb2.CreditCost(feature=CREDITS, amount=cost)],
    )
    return message.SerializeToString(deterministic=True)


class BurningPlane(Plane):
    """A plane whose company `acme` has a balance, and one sidecar's outbox for each name."""

    def __init__(self, store: PlaneStore, *limits: Limit, overdraft: int = 0) -> None:
        super().__init__(store)
        self.writers: dict[str, Writer] = {}
        self.sell(sold(*limits, overdraft=overdraft))

    def sell(self, catalog: Catalog, *, known: bool = True) -> None:
        """Apply a catalog; `known`: there is the company `acme`."""
        companies = (company("acme", "basic"),) if known else ()
        apply.apply(self.store, Desired(catalog, companies), self.now_us)
        self.fill()

    def push(self, *records: bytes, who: str = ALICE) -> Pushed:
        """Have a sidecar push records."""
        writer = self.writers.setdefault(who, Writer(who))
        first = len(writer.records) + 1
        writer.write(*records)
        return writer.push(self.store, first, now_us=self.now_us)

    def used(self, counter: CounterRef, name: str = "acme") -> int:
        """What is on a counter of the balance."""
        with self.store.read() as transaction:
            (total,) = transaction.totals([CounterKey(name, CREDITS, counter)], ALICE)
        return total.total

    @property
    def debt(self) -> int:
        """What is owed."""
        return self.used(OVERDRAFT_COUNTER)
