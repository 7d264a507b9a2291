"""A plane that grants leases, and sidecars that ask it for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.services.filling import Filler, any_unfinished
from sidecar.control.services.filling_walk import FillingWalker
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.services.leases import AskedLeases, Leased, request_leases
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
)
from sidecar.domain.company.model import Company
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.leases.model import LeaseRequest, LeaseResult, LeaseStatus
from sidecar.domain.limits.counters import CounterName, CounterRef, slot_of
from sidecar.domain.time.windows import Window, WindowSpec, WindowUnit
from tests.unit.control.support import ALICE, NOW_US, TODAY, company

DAILY: Final = Limit("daily", WindowSpec(WindowUnit.DAY), 100)


class Plane:
    """A plane, and sidecars that ask it for leases: each holds what it was granted last."""

    def __init__(self, store: PlaneStore) -> None:
        self.store = store
        self.now_us = NOW_US
        self.timelines = KeptTimelines()
        self.watching: set[str] = set()
        self.numbers = 0
        self.leased = Leased(())

    def apply(self, limit: Limit = DAILY, *companies: Company, fills: bool = True) -> None:
        grants = (EntitlementGrant("tokens", limits=(limit,)),)
        catalog = Catalog((Feature("tokens", FeatureKind.METERED),), (Plan("pro", "", grants),))
        desired = Desired(catalog, companies or (company("acme"),))
        apply.apply(self.store, desired, self.now_us)
        if fills:
            self.fill()

    def fill(self) -> None:
        """Have all counters of new limits filled."""
        walker, filler = FillingWalker(), Filler()
        while walker.any_left(self.store):
            walker.step(self.store, self.now_us)
        while any_unfinished(self.store):
            filler.step(self.store, self.now_us)

    def ask(
        self,
        counter: CounterRef,
        need: int = 0,
        want: int | None = None,
        *,
        held: int = 0,
        used: int = 0,
        who: str = ALICE,
        name: str = "acme",
        feature: str = "tokens",
        number: int | None = None,
    ) -> LeaseResult:
        self.numbers += 1
        request = LeaseRequest(
            CounterName(name, feature, counter),
            self.numbers if number is None else number,
            held,
            used,
            need,
            need if want is None else want,
        )
        self.leased = self.request(who, request)
        return self.leased.results[0]

    def request(self, who: str, *requests: LeaseRequest, epoch: str = "") -> Leased:
        return leased(self.store, who, requests, self.now_us, epoch, self.timelines, self.watching)


def leased(
    store: PlaneStore,
    who: str,
    requests: Sequence[LeaseRequest],
    now_us: int,
    epoch: str = "",
    timelines: KeptTimelines | None = None,
    watching: Collection[str] = (),
) -> Leased:
    """What comes of requests that nobody else's share a transaction with; by the plane's epoch."""
    with store.read() as transaction:
        epoch = epoch or transaction.state().epoch
    asked = AskedLeases(who, epoch, requests)
    (answer,) = request_leases(
        store, timelines or KeptTimelines(), [asked], now_us, watching=watching
    )
    if isinstance(answer, FailedPrecondition):
        raise answer
    return answer


def day(window: Window = TODAY, generation: int = 0) -> CounterRef:
    return CounterRef(slot_of(DAILY, generation), (), window)


def told(result: LeaseResult) -> tuple[LeaseStatus, int]:
    return result.status, result.granted
