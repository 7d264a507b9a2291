"""Messages that are refused, each with the path of what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.company.timeline import PHASES_MAX, compile_snapshot
from sidecar.domain.errors import InvalidInput
from sidecar.domain.validation import field_path_text
from sidecar.shared.convert import catalog, companies, counters, snapshot_messages, snapshots
from sidecar.shared.convert.times import (
    duration,
    duration_us,
    instant,
    timestamp,
    timestamp_or_none,
)
from tests.unit.shared.convert.samples import FULL_CATALOG, FULL_COMPANY

FIRST_LIMIT = "plans[1].entitlements[1].limits[0]"
FIRST_RATE = "plans[1].entitlements[1].rates[0]"

Change = Callable[[Any], object]


def _limit(message: catalog_pb2.Catalog) -> catalog_pb2.Limit:
    return message.plans[1].entitlements[1].limits[0]


def _rate(message: catalog_pb2.Catalog) -> catalog_pb2.RateLimit:
    return message.plans[1].entitlements[1].rates[0]


def _set(path: str, value: object) -> Change:
    """A change of one field of the limit."""

    def change(message: catalog_pb2.Catalog) -> None:
        *steps, last = path.split(".")
        target: Any = _limit(message)
        for step in steps:
            target = getattr(target, step)
        setattr(target, last, value)

    return change


CATALOGS: dict[str, tuple[Change, str]] = {
    "no kind": (lambda m: m.features[1].ClearField("kind"), "features[1].kind"),
    "an unknown kind": (lambda m: setattr(m.features[1], "kind", 99), "features[1].kind"),
    "no key": (lambda m: m.plans[0].ClearField("key"), "plans[0].key"),
    "a long default plan": (lambda m: setattr(m, "default_plan", "x" * 129), "default_plan"),
    "a long key": (lambda m: setattr(m.plans[0], "key", "x" * 129), "plans[0].key"),
    "a key that is there": (lambda m: setattr(m.plans[0], "key", "pro"), "plans[1].key"),
    "a long name": (lambda m: setattr(m.plans[1], "name", "ä" * 129), "plans[1].name"),
    "a long unit": (lambda m: setattr(m.features[2], "unit", "x" * 65), "features[2].unit"),
    "no window": (lambda m: _limit(m).ClearField("window"), f"{FIRST_LIMIT}.window.unit"),
    "no alignment": (_set("window.alignment", 0), f"{FIRST_LIMIT}.window.alignment"),
    "a long interval": (_set("window.interval", 1001), f"{FIRST_LIMIT}.window.interval"),
    "a strange weekday": (_set("window.first_weekday", 7), f"{FIRST_LIMIT}.window.first_weekday"),
    "no enforcement": (_set("enforcement", 0), f"{FIRST_LIMIT}.enforcement"),
    "a negative amount": (_set("amount", -1), f"{FIRST_LIMIT}.amount"),
    "no id": (_set("id", ""), f"{FIRST_LIMIT}.id"),
    "an unprintable id": (_set("id", "a\tb"), f"{FIRST_LIMIT}.id"),
    "percents that fall": (
        lambda m: _limit(m).warning_percents.append(7),
        f"{FIRST_LIMIT}.warning_percents[2]",
    ),
    "no throttle": (
        lambda m: _limit(m).ClearField("throttle"),
        f"{FIRST_LIMIT}.throttle",
    ),
    "a throttle without a period": (
        lambda m: _limit(m).throttle.ClearField("period"),
        f"{FIRST_LIMIT}.throttle.period",
    ),
    "a rollover of too many windows": (
        lambda m: setattr(m.plans[1].entitlements[1].limits[2].rollover, "windows", 37),
        "plans[1].entitlements[1].limits[2].rollover.windows",
    ),
    "a rate without a count": (
        lambda m: _rate(m).rate.ClearField("count"),
        f"{FIRST_RATE}.rate.count",
    ),
    "a rate without a rate": (lambda m: _rate(m).ClearField("rate"), f"{FIRST_RATE}.rate.period"),
    "a period below 0": (
        lambda m: setattr(_rate(m).rate.period, "seconds", -1),
        f"{FIRST_RATE}.rate.period",
    ),
    "a period of broken nanos": (
        lambda m: setattr(_rate(m).rate.period, "nanos", -1),
        f"{FIRST_RATE}.rate.period",
    ),
    "a rate without enforcement": (
        lambda m: _rate(m).ClearField("enforcement"),
        f"{FIRST_RATE}.enforcement",
    ),
    "an unknown word of how exactly a limit holds": (_set("across", 9), f"{FIRST_LIMIT}.across"),
    "a limit that is passed anyway, and exact": (
        lambda m: (
            m.plans[1]
            .entitlements[1]
            .limits[0]
            .MergeFrom(
                catalog_pb2.Limit(
                    enforcement=catalog_pb2.ENFORCEMENT_SOFT, across=catalog_pb2.ACROSS_EXACT
                )
            )
        ),
        f"{FIRST_LIMIT}.across",
    ),
    "an unknown action without a lease": (
        lambda m: setattr(m.features[2].fail_policy, "no_lease", 9),
        "features[2].fail_policy.no_lease",
    ),
    "an unknown fail action": (
        lambda m: setattr(m.features[2].fail_policy, "outbox_full", 9),
        "features[2].fail_policy.outbox_full",
    ),
    "a time to staleness below 0": (
        lambda m: setattr(m.features[2].fail_policy.stale_after, "seconds", -1),
        "features[2].fail_policy.stale_after",
    ),
    "an unknown merge": (
        lambda m: setattr(m.add_ons[1].entitlements[0], "merge", 9),
        "add_ons[1].entitlements[0].merge",
    ),
    "an add-on that grants nothing": (
        lambda m: m.add_ons[0].entitlements.add(),
        "add_ons[0].entitlements[0].entitlement.feature",
    ),
    "a dimension too many": (
        lambda m: _limit(m).scope.dimensions.extend(map(str, range(15))),
        f"{FIRST_LIMIT}.scope.dimensions",
    ),
}


@pytest.mark.parametrize(("change", "field"), CATALOGS.values(), ids=CATALOGS)
def test_a_catalog_is_refused_by_its_path(change: Change, field: str) -> None:
    message = catalog.catalog_to_message(FULL_CATALOG)
    change(message)
    with pytest.raises(InvalidInput) as refused:
        catalog.catalog_from_message(message, "catalog")
    assert f"catalog.{field}" == refused.value.field


COMPANIES: dict[str, tuple[Change, str]] = {
    "no id": (lambda m: m.ClearField("id"), "id"),
    "an unknown zone": (lambda m: setattr(m, "time_zone", "Moon/Base"), "time_zone"),
    "no plan": (lambda m: m.subscription.ClearField("plan"), "subscription.plan"),
    "an anchor out of reach": (
        lambda m: setattr(m.subscription.anchor, "seconds", 253_402_300_799),
        "subscription.anchor",
    ),
    "broken nanos": (
        lambda m: setattr(m.subscription.cancel_at, "nanos", 1_000_000_000),
        "subscription.cancel_at",
    ),
    "a trial that ends in a trial": (
        lambda m: setattr(m.subscription, "trial_end_status", 1),
        "subscription.trial_end_status",
    ),
    "a late payment without a start": (
        lambda m: m.subscription.past_due.ClearField("since"),
        "subscription.past_due.since",
    ),
    "a pause without a start": (
        lambda m: m.subscription.pause.ClearField("starts_at"),
        "subscription.pause.starts_at",
    ),
    "a planned change without a time": (
        lambda m: m.subscription.changes[1].ClearField("at"),
        "subscription.changes[1].at",
    ),
    "a planned quantity below 0": (
        lambda m: setattr(m.subscription.changes[1].add_ons.add_ons[0], "quantity", -1),
        "subscription.changes[1].add_ons.add_ons[0].quantity",
    ),
    "a billing period of hours": (
        lambda m: setattr(m.subscription.billing_period, "unit", catalog_pb2.WINDOW_UNIT_HOUR),
        "subscription.billing_period.unit",
    ),
    "a second override": (
        lambda m: m.overrides.append(m.overrides[0]),
        "overrides[2].entitlement.feature",
    ),
    "an override of nothing": (
        lambda m: m.overrides[0].ClearField("entitlement"),
        "overrides[0].entitlement.feature",
    ),
}


@pytest.mark.parametrize(("change", "field"), COMPANIES.values(), ids=COMPANIES)
def test_a_company_is_refused_by_its_path(change: Change, field: str) -> None:
    message = companies.company_to_message(FULL_COMPANY)
    change(message)
    with pytest.raises(InvalidInput) as refused:
        companies.company_from_message(message, "companies[3]")
    assert f"companies[3].{field}" == refused.value.field


TIMELINES: dict[str, tuple[Change, str]] = {
    "no company": (lambda m: m.ClearField("company"), "company"),
    "no version": (lambda m: m.ClearField("version"), "version"),
    "no segments": (lambda m: m.ClearField("segments"), "segments"),
    "a hole": (lambda m: m.segments[0].until.FromSeconds(5), "segments[1].from"),
    "no start": (lambda m: m.segments.pop(0), "segments[0].from"),
    "no end": (lambda m: m.segments.pop(), "segments[2].until"),
    "too many segments": (
        lambda m: m.segments.extend([m.segments[0]] * PHASES_MAX),
        "segments",
    ),
    "a strange status": (lambda m: setattr(m.segments[1], "status", 99), "segments[1].status"),
    "an add-on without a key": (
        lambda m: m.segments[1].add_ons[1].ClearField("add_on"),
        "segments[1].add_ons[1].add_on",
    ),
    "a generation below 0": (
        lambda m: setattr(m.segments[1], "generation", -1),
        "segments[1].generation",
    ),
    "an anchor out of reach": (
        lambda m: setattr(m.segments[1].anchor, "seconds", 253_402_300_799),
        "segments[1].anchor",
    ),
    "an unknown zone": (
        lambda m: setattr(m.segments[1], "time_zone", "Moon/Base"),
        "segments[1].time_zone",
    ),
    "a long plan": (lambda m: setattr(m.segments[1], "plan", "x" * 129), "segments[1].plan"),
    "a company with a line break": (lambda m: setattr(m, "company", "a\nb"), "company"),
    "a long company": (lambda m: setattr(m, "company", "x" * 512), "company"),
    "a broken override": (
        lambda m: m.segments[0].overrides[1].limits[0].ClearField("id"),
        "segments[0].overrides[1].limits[0].id",
    ),
}


@pytest.mark.parametrize(("change", "field"), TIMELINES.values(), ids=TIMELINES)
def test_a_timeline_is_refused_by_its_path(change: Change, field: str) -> None:
    message = snapshot_messages.segmented_to_message(compile_snapshot(FULL_COMPANY, 3), 1 << 20)
    change(message)
    with pytest.raises(InvalidInput) as refused:
        snapshots.snapshot_from_message(message, "")
    assert field == refused.value.field


def test_a_timeline_of_a_company_that_was_named_before_is_read() -> None:
    message = snapshot_messages.segmented_to_message(compile_snapshot(FULL_COMPANY, 3), 1 << 20)
    message.company = " acme "
    assert " acme " == snapshots.snapshot_from_message(message, "").company


COUNTERS: dict[str, tuple[sync_pb2.CounterTotal, str]] = {
    "no company": (sync_pb2.CounterTotal(feature="f"), "company"),
    "no feature": (sync_pb2.CounterTotal(company="c"), "feature"),
    "a company with a NUL": (sync_pb2.CounterTotal(company="acme\0x", feature="f"), "company"),
    "a long feature": (sync_pb2.CounterTotal(company="c", feature="f" * 129), "feature"),
    "a value with a NUL": (
        sync_pb2.CounterTotal(
            company="c", feature="f", counter=sync_pb2.Counter(slot="s", values=["v", "a\0b"])
        ),
        "counter.values[1]",
    ),
    "a long value": (
        sync_pb2.CounterTotal(
            company="c", feature="f", counter=sync_pb2.Counter(slot="s", values=["v" * 257])
        ),
        "counter.values[0]",
    ),
    "no counter": (sync_pb2.CounterTotal(company="c", feature="f"), "counter.slot"),
    "no window": (
        sync_pb2.CounterTotal(company="c", feature="f", counter=sync_pb2.Counter(slot="s")),
        "counter.window_end_us",
    ),
    "too many values": (
        sync_pb2.CounterTotal(
            company="c", feature="f", counter=sync_pb2.Counter(slot="s", values=["v"] * 17)
        ),
        "counter.values",
    ),
}


@pytest.mark.parametrize(("message", "field"), COUNTERS.values(), ids=COUNTERS)
def test_a_counter_is_refused_by_its_path(message: sync_pb2.CounterTotal, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        counters.total_from_message(message, "totals[2]")
    assert f"totals[2].{field}" == refused.value.field


@pytest.mark.parametrize("instant_us", [-1, 0, 1, 1_738_281_600_000_001])
def test_an_instant_survives_the_wire(instant_us: int) -> None:
    assert instant_us == instant(timestamp(instant_us), "at")


def test_a_finer_instant_is_cut_off() -> None:
    assert -1 == instant(Timestamp(seconds=-1, nanos=999_999_999), "at")


@pytest.mark.parametrize("length_us", [0, 1, 999_999, 1_000_000, 86_400_000_001])
def test_a_length_of_time_survives_the_wire(length_us: int) -> None:
    assert length_us == duration_us(duration(length_us), "period")


def test_a_finer_length_of_time_is_cut_off() -> None:
    assert 1_000_001 == duration_us(Duration(seconds=1, nanos=1_999), "period")


@pytest.mark.parametrize("instant_us", [None, BEGINNING_US, FOREVER_US])
def test_no_bound_is_absent(instant_us: int | None) -> None:
    assert timestamp_or_none(instant_us) is None


def test_a_path_is_written_as_in_code() -> None:
    assert "plans[3].limits[0].id" == field_path_text(("plans", 3, "limits", 0, "id"))
