"""Plans that change again and again: what companies may use, against a model without versions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from sidecar.control.services import apply, directory
from sidecar.control.services.apply import Desired
from sidecar.control.services.plan_moves import forget, move_due, move_page
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.company.subscription_changes import NOW, ChangePlan
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit, window_at
from tests.support.build import NOW_US

KEEP, AT_ONCE = ExistingCompanies.KEEP, ExistingCompanies.MOVE_NOW
AT_PERIOD_END: Final = ExistingCompanies.MOVE_AT_PERIOD_END
ZONES: Final = ("UTC", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe")
MONTH: Final = WindowSpec(WindowUnit.MONTH, 1, Alignment.ANCHORED)

Step = tuple[str, int, ExistingCompanies]
STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(["sell", "sell", "buy", "buy anew", "apply again", "pass", "forget"]),
        st.integers(0, 5),
        st.sampled_from([KEEP, AT_ONCE, AT_PERIOD_END]),
    ),
    max_size=14,
)


class Model:
    """What companies may use: an amount from each of some instants on."""

    def __init__(self) -> None:
        self.amount = 0
        self.held: dict[str, dict[int, int]] = {}

    def sell(self, amount: int, existing: ExistingCompanies, now_us: int) -> None:
        """A plan grants another amount."""
        if amount == self.amount:
            return
        self.amount = amount
        for name, amounts in self.held.items():
            if existing is AT_ONCE:
                self.held[name] = {0: amount}
            elif existing is AT_PERIOD_END:
                amounts[period_end_us(name, now_us)] = amount

    def at(self, name: str, at_us: int) -> int:
        """What a company may use at an instant."""
        amounts = self.held[name]
        return amounts[max(since_us for since_us in amounts if since_us <= at_us)]


def anchor_us(name: str) -> int:
    return NOW_US - int(name) * 11 * DAY_US


def zone(name: str) -> str:
    return ZONES[int(name) % len(ZONES)]


def period_end_us(name: str, at_us: int) -> int:
    anchor = anchor_us(name)
    return window_at(MONTH, at_us, time_zone=zone(name), anchor_us=anchor).end_us


def catalog(amount: int, existing: ExistingCompanies) -> Catalog:
    limit = Limit("monthly", WindowSpec(WindowUnit.MONTH), amount)
    grants = (EntitlementGrant("calls", limits=(limit,)),)
    pro = Plan("pro", entitlements=grants, existing=existing)
    return Catalog((Feature("calls", FeatureKind.METERED),), (pro,))


def company(name: str) -> Company:
    subscription = Subscription("pro", anchor_us(name))
    return Company(name, time_zone=zone(name), subscription=subscription)


def amount_of(store: PlaneStore, name: str, at_us: int) -> int | None:
    stored = directory.get_catalog(store)
    assert stored is not None
    segment = segment_at(directory.get_company(store, name).snapshot, at_us)
    entitlement = CatalogIndex(stored.catalog, 1).resolve(segment, "calls")
    assert entitlement is not None
    return entitlement.limits[0].amount


@contextmanager
def opened() -> Iterator[SqliteStore]:
    store = SqliteStore()
    try:
        yield store
    finally:
        store.close()


class Trial:
    """The plane beside the model."""

    def __init__(self, store: PlaneStore) -> None:
        self.store, self.model, self.now_us = store, Model(), NOW_US
        apply.apply(store, Desired(catalog(0, KEEP)), NOW_US)

    def step(self, what: str, number: int, existing: ExistingCompanies) -> None:
        """Do one thing to both."""
        name, held = str(number), self.model.held
        self.now_us += 1
        if what == "sell":
            apply.apply(self.store, Desired(catalog(number, existing)), self.now_us)
            self.model.sell(number, existing, self.now_us)
        elif what == "buy" and name not in held:
            apply.apply(self.store, Desired(companies=(company(name),)), self.now_us)
            held[name] = {0: self.model.amount}
        elif what == "buy anew" and name in held:
            change_subscription(self.store, name, ChangePlan("pro"), NOW, self.now_us)
            held[name] = {0: self.model.amount}
        elif what == "pass":
            self.now_us += number * 13 * DAY_US

    def follow(self, what: str) -> None:
        """What changes nothing for anybody."""
        if what == "apply again":
            desired = Desired(companies=tuple(company(each) for each in self.model.held))
            assert apply.apply(self.store, desired, self.now_us).changed == 0
        if what == "forget":
            forget(self.store, self.now_us)
        while move_due(self.store):
            move_page(self.store, self.now_us)

    def compare(self) -> None:
        """Both say the same of all companies, now and later."""
        for name in self.model.held:
            end_us = period_end_us(name, self.now_us)
            for at_us in (self.now_us, end_us - 1, end_us, self.now_us + 90 * DAY_US):
                assert amount_of(self.store, name, at_us) == self.model.at(name, at_us)


@given(STEPS)
def test_each_company_has_what_the_changes_of_its_plan_say(steps: list[Step]) -> None:
    with opened() as store:
        trial = Trial(store)
        for step in steps:
            trial.step(*step)
            trial.follow(step[0])
            trial.compare()
