"""What is exported and applied claims nothing: in any order, files change nothing by it."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.control.services import apply, directory
from sidecar.control.services.apply import Desired
from sidecar.control.services.companies import create_company
from sidecar.control.services.plan_moves import move_due, move_page
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    ChangeTime,
    DropPlannedChanges,
    ExtendTrial,
    MarkPaid,
    MarkPastDue,
    OnPlanned,
    PauseSubscription,
    RenewSubscription,
    ResetUsage,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.errors import FieldError
from sidecar.domain.time.units import DAY_US
from sidecar.shared.catalog_file.export import kinds_of
from sidecar.shared.catalog_file.export_companies import company_tree
from sidecar.shared.catalog_file.load import parse_catalog, read_catalog_sources
from sidecar.shared.catalog_file.yaml_text import yaml_text
from tests.unit.control.support import NOW_US

SOLD: Final = """
features: {tokens: {kind: metered}, sso: {kind: boolean}}
plans:
  free: {entitlements: {tokens: {limits: {monthly: {amount: 10, per: month}}}}}
  team:
    existing: move at period end
    trial: {length: 14d, then: {plan: free}}
    grace: {length: 7d, then: {plan: free}}
    entitlements: {tokens: {limits: {monthly: {amount: 100, per: month, align: billing}}}}
  max:
    trial: {length: 3d, then: active}
    entitlements: {tokens: unlimited}
add_ons: {gb: {entitlements: {sso: true}}, seat: {entitlements: {sso: true}}}
"""
CATALOG: Final = parse_catalog(SOLD.encode(), "sold").catalog
MORE: Final = parse_catalog(SOLD.replace("amount: 100,", "amount: 200,").encode(), "more").catalog
FIRST: Final = "2025-11-24T16:00:00Z"
FIELDS: Final = {
    "name": "Acme",
    "time_zone": "Europe/Berlin",
    "anchor": FIRST,
    "billing_period": "week",
    "add_ons": "{gb: 2}",
    "trial_ends_at": "2025-12-01T00:00:00Z, after_trial: {plan: free}",
    "cancel_at": "2025-12-10T00:00:00Z",
    "ends_at": "2026-01-10T00:00:00Z",
    "past_due": "{since: 2025-11-20T00:00:00Z}",
    "pause": "{starts_at: 2025-12-02T00:00:00Z, resumes_at: 2025-12-05T00:00:00Z}",
    "changes": "[{at: 2025-12-03T00:00:00Z, plan: max, add_ons: {gb: 1, seat: 2}}]",
    "overrides": "{sso: {value: true}}",
}
FILES: Final = st.builds(
    lambda plan, names: ", ".join(
        [f"plan: {plan}", *(f"{name}: {FIELDS[name]}" for name in names)]
    ),
    st.sampled_from(["free", "team", "max"]),
    st.lists(st.sampled_from(sorted(FIELDS)), max_size=4, unique=True),
)
CHANGES: Final[st.SearchStrategy[SubscriptionChange]] = st.sampled_from(
    [
        ChangePlan("max"),
        ChangePlan("free", resets_usage=True, moves_anchor=True),
        ChangePlan("max", renews=True),
        SetAddOn("gb", 3),
        SetAddOn("gb", 0),
        SetAddOn("seat", 5),
        PauseSubscription(),
        PauseSubscription(NOW_US + 90 * DAY_US, moves_anchor=True),
        ResumeSubscription(moves_anchor=True),
        CancelSubscription(),
        RenewSubscription(),
        RenewSubscription(NOW_US + 99 * DAY_US),
        ExtendTrial(NOW_US + 30 * DAY_US),
        MarkPastDue(),
        MarkPaid(),
        ResetUsage(),
        DropPlannedChanges(),
    ]
)
WHEN: Final = st.sampled_from([NOW, PERIOD_END, When(ChangeTime.AT, NOW_US + 40 * DAY_US)])
DAYS: Final = st.integers(0, 20)


def read(text: str, catalog: Catalog) -> tuple[Company, ...]:
    companies = f"companies: {{acme: {{{text}}}}}\n"
    return read_catalog_sources([("file", companies.encode())], lambda: catalog).companies


class Twins:
    """Two planes to which the same happens, but that one is given exports of itself, too."""

    def __init__(self, text: str, *, created: bool) -> None:
        self.catalog = CATALOG
        self.first = read(text, self.catalog)
        self.stores = SqliteStore(), SqliteStore()
        self.now_us = NOW_US
        for store in self.stores:
            apply.apply(store, Desired(self.catalog), NOW_US)
            if created:
                create_company(store, Company("acme", subscription=Subscription("team")), NOW_US)
        self.apply_first()

    def apply_first(self) -> None:
        desired = Desired(companies=self.first)
        one, other = (apply.apply(store, desired, self.now_us) for store in self.stores)
        assert one == other

    def call(self, change: SubscriptionChange, when: When) -> None:
        for store in self.stores:
            with suppress(FieldError):
                change_subscription(store, "acme", change, when, self.now_us, OnPlanned.KEEP)

    def change_catalog(self) -> None:
        """Plan team grants more from then on, to companies that have it once their period ends."""
        for store in self.stores:
            apply.apply(store, Desired(MORE), self.now_us)
            while move_due(store):
                move_page(store, self.now_us)

    def apply_export(self, export: tuple[Company, ...]) -> None:
        assert 0 == apply.apply(self.stores[0], Desired(companies=export), self.now_us).changed

    def export(self) -> tuple[Company, ...]:
        """What `tallyd company export` prints, read again."""
        company = directory.get_company(self.stores[0], "acme").company
        tree = {"companies": {"acme": company_tree(company, kinds_of(self.catalog))}}
        sources = [("export", yaml_text(tree).encode())]
        return read_catalog_sources(sources, lambda: self.catalog).companies

    def compare(self) -> None:
        one, other = (directory.get_company(store, "acme") for store in self.stores)
        assert one == other

    def close(self) -> None:
        for store in self.stores:
            store.close()


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_an_export_that_is_applied_claims_nothing_in_any_order_with_the_first_file(
    data: st.DataObject,
) -> None:
    twins = Twins(data.draw(FILES), created=data.draw(st.booleans()))
    for _ in range(data.draw(st.integers(0, 4))):
        twins.now_us += data.draw(DAYS) * DAY_US
        twins.call(data.draw(CHANGES), data.draw(WHEN))
    if data.draw(st.booleans()):
        twins.change_catalog()
    export = twins.export()
    for _ in range(data.draw(st.integers(1, 3))):
        twins.apply_export(export)
        twins.compare()
        twins.apply_first()
        twins.compare()
        twins.now_us += data.draw(DAYS) * DAY_US
        if data.draw(st.booleans()):
            twins.call(data.draw(CHANGES), data.draw(WHEN))
            export = twins.export()
    twins.close()
