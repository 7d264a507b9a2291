"""What goes into a message comes out of it."""

from __future__ import annotations

from typing import Final

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import (
    AddOnEntitlement,
    Catalog,
    CatalogSnapshot,
    EntitlementGrant,
    FailPolicy,
    Merge,
    Rate,
    RateLimit,
    Rollover,
)
from sidecar.domain.catalog.rules import (
    catalog_names,
    catalog_problems,
    catalog_references,
    companies_problems,
)
from sidecar.domain.company.model import (
    MONTHLY,
    AddOnSubscription,
    Company,
    CompanySnapshot,
    Phase,
    SubscriptionStatus,
)
from sidecar.domain.company.timeline import compile_snapshot, continue_snapshot
from sidecar.domain.limits.counters import CounterRef, CounterTotal
from sidecar.domain.slices import whole
from sidecar.domain.time.windows import LIFETIME_WINDOW, Alignment, Window, WindowSpec, WindowUnit
from sidecar.shared.convert import (
    catalog,
    companies,
    counters,
    grants,
    limits,
    snapshot_messages,
    snapshots,
    subscriptions,
)
from tests.unit.shared.convert import strategies
from tests.unit.shared.convert.samples import (
    ANCHOR_US,
    BARE_COMPANY,
    BARE_LIMIT,
    BARE_SUBSCRIBER,
    FULL_CATALOG,
    FULL_COMPANY,
    FULL_LIMIT,
    LATER_US,
    ROLLOVER_LIMIT,
)

COMPANIES: Final = [FULL_COMPANY, BARE_COMPANY, BARE_SUBSCRIBER]
SLOW_TO_DRAW: Final = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def _catalog_over_the_wire(value: Catalog) -> Catalog:
    data = catalog.catalog_to_message(value).SerializeToString()
    return catalog.catalog_from_message(catalog_pb2.Catalog.FromString(data), "")


def _company_over_the_wire(value: Company) -> Company:
    data = companies.company_to_message(value).SerializeToString()
    return companies.company_from_message(catalog_pb2.Company.FromString(data), "")


def _snapshot_over_the_wire(value: CompanySnapshot) -> CompanySnapshot:
    data = snapshot_messages.snapshot_to_message(value).SerializeToString()
    return snapshots.snapshot_from_message(catalog_pb2.CompanySnapshot.FromString(data), "")


@pytest.mark.parametrize("value", [FULL_CATALOG, Catalog()])
def test_a_catalog_survives_the_wire(value: Catalog) -> None:
    assert value == _catalog_over_the_wire(value)


@SLOW_TO_DRAW
@given(strategies.catalogs())
def test_every_catalog_survives_the_wire(value: Catalog) -> None:
    assert [] == [
        *catalog_problems(value),
        *catalog_names(value),
        *catalog_references(value),
    ]
    assert value == _catalog_over_the_wire(value)


def test_a_catalog_with_its_version_survives_the_wire() -> None:
    snapshot = CatalogSnapshot(7, FULL_CATALOG)
    data = catalog.catalog_snapshot_to_message(snapshot).SerializeToString()
    message = catalog_pb2.CatalogSnapshot.FromString(data)
    assert snapshot == whole(catalog.catalog_snapshot_in_slices(message, ""))


@pytest.mark.parametrize("limit", [FULL_LIMIT, BARE_LIMIT, ROLLOVER_LIMIT])
def test_a_limit_survives_the_wire(limit: object) -> None:
    assert isinstance(limit, type(FULL_LIMIT))
    grant = EntitlementGrant("x", limits=(limit,))
    assert grant == grants.grant_from_message(grants.grant_to_message(grant), "")


@pytest.mark.parametrize("value", COMPANIES)
def test_a_company_survives_the_wire(value: Company) -> None:
    assert value == _company_over_the_wire(value)


@SLOW_TO_DRAW
@given(strategies.companies())
def test_every_company_survives_the_wire(value: Company) -> None:
    assert [] == list(companies_problems([value], strategies.SOLD))
    assert value == _company_over_the_wire(value)
    assert compile_snapshot(value, 3) == _snapshot_over_the_wire(compile_snapshot(value, 3))


@pytest.mark.parametrize("value", COMPANIES)
def test_a_timeline_survives_the_wire(value: Company) -> None:
    assert compile_snapshot(value, 3) == _snapshot_over_the_wire(compile_snapshot(value, 3))


def test_a_timeline_with_a_past_without_a_subscription_survives_the_wire() -> None:
    held = compile_snapshot(BARE_COMPANY, 3)
    snapshot = continue_snapshot(held, FULL_COMPANY, 4, ANCHOR_US - 1, resets_usage=True)
    assert snapshot.phases[0].anchor_us is None
    assert snapshot == _snapshot_over_the_wire(snapshot)


@pytest.mark.parametrize(
    "counter",
    [
        CounterRef("LIFETIME||", (), LIFETIME_WINDOW),
        CounterRef("DAY/1/CALENDAR|user|", ("eve",), Window(-5, 10)),
    ],
)
def test_a_counter_survives_the_wire(counter: CounterRef) -> None:
    total = CounterTotal("acme", "tokens", counter, INT64_MAX, 3, 9)
    data = counters.total_to_message(total).SerializeToString()
    assert total == counters.total_from_message(sync_pb2.CounterTotal.FromString(data), "")


def test_a_sidecar_that_knows_no_zone_of_a_segment_reads_that_of_the_last() -> None:
    snapshot = CompanySnapshot(
        "acme",
        3,
        (
            Phase(until_us=LATER_US),
            Phase(from_us=LATER_US, time_zone="Asia/Tokyo", anchor_us=ANCHOR_US),
        ),
    )
    message = snapshot_messages.snapshot_to_message(snapshot)
    assert ("Asia/Tokyo", ANCHOR_US // 1_000_000) == (message.time_zone, message.anchor.seconds)


def test_the_segments_of_an_older_plane_have_zone_and_anchor_of_the_snapshot() -> None:
    message = snapshot_messages.snapshot_to_message(compile_snapshot(FULL_COMPANY, 3))
    for segment in message.segments:
        segment.ClearField("time_zone")
        segment.ClearField("anchor")
    phases = snapshots.snapshot_from_message(message, "").phases
    last = compile_snapshot(FULL_COMPANY, 3).phases[-1]
    assert {("Europe/Berlin", last.anchor_us)} == {
        (phase.time_zone, phase.anchor_us) for phase in phases
    }


def test_the_segments_of_an_older_plane_have_no_anchor_without_a_subscription() -> None:
    message = catalog_pb2.CompanySnapshot(
        company="acme", version=3, segments=[catalog_pb2.Segment()]
    )
    assert (Phase(),) == snapshots.snapshot_from_message(message, "").phases


class TestLeftOut:
    """What is left out of a message has its default."""

    def test_of_a_window(self) -> None:
        window = catalog_pb2.Window(unit=catalog_pb2.WINDOW_UNIT_LIFETIME)
        assert WindowSpec(WindowUnit.LIFETIME) == limits.window_from_message(window, "")

    def test_of_a_limit(self) -> None:
        window = catalog_pb2.Window(unit=catalog_pb2.WINDOW_UNIT_LIFETIME)
        limit = catalog_pb2.Limit(id="x", window=window, enforcement=catalog_pb2.ENFORCEMENT_HARD)
        grant = grants.grant_from_message(catalog_pb2.EntitlementGrant(limits=[limit]), "")
        assert (50, 80, 100) == grant.limits[0].warning_percents

    def test_of_a_rate(self) -> None:
        message = catalog_pb2.Rate(count=7, period=Duration(seconds=2))
        assert Rate(7, 2_000_000, 7) == limits.rate_from_message(message, "")

    def test_of_a_rollover(self) -> None:
        assert Rollover(1) == limits.rollover_from_message(catalog_pb2.Rollover())

    def test_of_a_rate_limit(self) -> None:
        message = catalog_pb2.EntitlementGrant(feature="f")
        rate = catalog_pb2.Rate(count=7, period=Duration(seconds=2))
        message.rates.add(id="r", rate=rate, enforcement=catalog_pb2.ENFORCEMENT_HARD)
        expected = EntitlementGrant("f", rates=(RateLimit("r", Rate(7, 2_000_000, 7)),))
        assert expected == grants.grant_from_message(message, "")

    def test_of_a_fail_policy(self) -> None:
        message = catalog_pb2.Catalog()
        message.features.add(
            key="f", kind=catalog_pb2.FEATURE_KIND_BOOLEAN, fail_policy=catalog_pb2.FailPolicy()
        )
        (feature,) = catalog.catalog_from_message(message, "").features
        assert FailPolicy() == feature.fail_policy

    def test_of_an_add_on(self) -> None:
        message = catalog_pb2.Catalog()
        message.add_ons.add(key="a").entitlements.add().entitlement.feature = "f"
        (add_on,) = catalog.catalog_from_message(message, "").add_ons
        expected = AddOnEntitlement(EntitlementGrant("f"), Merge.INCREMENT)
        assert (0, (expected,)) == (add_on.rank, add_on.entitlements)

    def test_of_a_company(self) -> None:
        assert "UTC" == companies.company_from_message(catalog_pb2.Company(id="a"), "").time_zone

    def test_of_a_subscription(self) -> None:
        message = catalog_pb2.Subscription(plan="pro")
        message.anchor.FromSeconds(0)
        message.add_ons.add(add_on="a")
        message.changes.add(resets_usage=True).at.FromSeconds(5)
        read = subscriptions.subscription_from_message(message, "")
        assert MONTHLY == read.billing_period
        assert SubscriptionStatus.ENDED is read.trial_end_status
        assert (AddOnSubscription("a", 1),) == read.add_ons
        assert read.changes[0].add_ons is None

    def test_of_a_billing_period(self) -> None:
        message = catalog_pb2.Subscription(plan="pro")
        message.anchor.FromSeconds(0)
        message.billing_period.unit = catalog_pb2.WINDOW_UNIT_YEAR
        read = subscriptions.subscription_from_message(message, "")
        assert WindowSpec(WindowUnit.YEAR, 1, Alignment.ANCHORED) == read.billing_period


def test_no_add_ons_from_then_on_is_not_the_same_as_those_of_before() -> None:
    assert FULL_COMPANY.subscription is not None
    none, same = (
        replace(FULL_COMPANY.subscription.changes[0], add_ons=add_ons) for add_ons in ((), None)
    )
    read = [
        subscriptions.change_from_message(subscriptions.change_to_message(change), "")
        for change in (none, same)
    ]
    assert [none, same] == read
