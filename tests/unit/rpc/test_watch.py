"""The stream of events without a transport: what wakes it, what it tells, and how it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.company.model import Company, ScheduledChange, Subscription
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.errors import FieldError, NotFound, Unavailable
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import (
    MIDNIGHT_US,
    NOW_US,
    catalog,
    catalog_snapshot,
    company,
)
from tests.support.method_calls import ANYONE
from tests.support.sidecar_api import stamp
from tests.unit.rpc.watch_bench import MIDNIGHT, Bench, Stream


@pytest.fixture
def bench() -> Bench:
    return Bench(company())


async def test_the_present_state_comes_first(bench: Bench) -> None:
    bench.count(3)
    stream = bench.watch("calls", "sso")
    calls, sso = await stream.next(), await stream.next()
    (of_calls,) = calls.entitlement.limits
    assert ("daily", 10) == (of_calls.id, of_calls.amount)
    expected = pb.WatchEntitlementsResponse(
        event=pb.ENTITLEMENT_EVENT_CURRENT,
        feature="calls",
        entitlement=pb.Entitlement(
            feature=catalog_pb2.Feature(key="calls", kind=catalog_pb2.FEATURE_KIND_METERED),
            entitled=True,
            reason=pb.REASON_ALLOWED,
            limits=[of_calls],
        ),
        status=catalog_pb2.SUBSCRIPTION_STATUS_ACTIVE,
        plan="basic",
        limits=[
            pb.LimitStatus(
                limit="daily",
                enforcement=catalog_pb2.ENFORCEMENT_HARD,
                amount=10,
                used=3,
                remaining=7,
                window_start=stamp(MIDNIGHT_US),
                resets_at=stamp(MIDNIGHT),
            )
        ],
        at=stamp(NOW_US),
    )
    assert expected == calls
    assert ("sso", True, 0) == (sso.feature, sso.entitlement.entitled, len(sso.limits))
    await stream.close()


async def test_without_features_all_are_told(bench: Bench) -> None:
    stream = bench.watch()
    assert ["CURRENT calls", "CURRENT sso", "CURRENT tokens"] == await stream.told(3)
    assert await stream.silent()


async def test_usage_is_told_by_the_limit_that_it_is_on(bench: Bench) -> None:
    stream = bench.watch("calls", "tokens")
    await stream.told(2)
    bench.count(5)
    event = await stream.next()
    assert (pb.ENTITLEMENT_EVENT_THRESHOLD, "calls", 50) == (
        event.event,
        event.feature,
        event.percent,
    )
    assert [("daily", 5, 5)] == [(one.limit, one.used, one.remaining) for one in event.limits]
    assert not event.HasField("entitlement")
    bench.count(500_000, "tokens")
    assert ["THRESHOLD tokens 50"] == await stream.told(1)
    bench.count(5)
    assert ["THRESHOLD calls 80", "THRESHOLD calls 100", "EXHAUSTED calls"] == await stream.told(3)
    assert await stream.silent()


async def test_usage_of_what_is_not_watched_is_not_told(bench: Bench) -> None:
    stream = bench.watch("tokens", "sso")
    await stream.told(2)
    bench.count(10)
    assert await stream.silent()


async def test_what_happens_within_moments_is_told_as_one(bench: Bench) -> None:
    stream = bench.watch("calls")
    await stream.told(1)
    for _ in range(8):
        bench.count(1)
    events = [await stream.next() for _ in range(2)]
    assert [(50, 8), (80, 8)] == [(event.percent, event.limits[0].used) for event in events]
    assert await stream.silent()


async def test_a_slow_reader_gets_the_latest_state(bench: Bench) -> None:
    stream = bench.watch("calls", "tokens")
    assert ["CURRENT calls"] == await stream.told(1)
    # While its second event waits to be read, things go on.
    bench.count(5)
    bench.apply(Company("acme", subscription=Subscription("gone", NOW_US)))
    bench.apply(company())
    bench.count(5)
    assert ["CURRENT tokens", "THRESHOLD calls 50"] == await stream.told(2)
    assert ["THRESHOLD calls 80", "THRESHOLD calls 100", "EXHAUSTED calls"] == await stream.told(3)
    assert await stream.silent()


async def test_a_new_window_is_told_when_it_begins(bench: Bench) -> None:
    bench.now_us = MIDNIGHT - 20_000
    bench.count(10)
    stream = bench.watch("calls", "tokens")
    await stream.told(2)
    bench.now_us = MIDNIGHT
    event = await stream.next()
    assert (pb.ENTITLEMENT_EVENT_RESET, "calls") == (event.event, event.feature)
    assert [(0, stamp(MIDNIGHT))] == [(one.used, one.window_start) for one in event.limits]
    assert stamp(MIDNIGHT) == event.at
    assert await stream.silent()


async def test_the_next_segment_is_told_when_it_begins() -> None:
    ends_us = NOW_US + HOUR_US
    bench = Bench(Company("acme", subscription=Subscription("basic", NOW_US - DAY_US, ends_us)))
    bench.now_us = ends_us - 20_000
    stream = bench.watch("sso", "calls")
    first = [await stream.next() for _ in range(2)]
    assert {catalog_pb2.SUBSCRIPTION_STATUS_TRIALING} == {event.status for event in first}
    bench.now_us = ends_us
    for feature in ("sso", "calls"):
        event = await stream.next()
        assert (pb.ENTITLEMENT_EVENT_CHANGED, feature) == (event.event, event.feature)
        assert pb.REASON_TRIAL_ENDED == event.entitlement.reason
        assert catalog_pb2.SUBSCRIPTION_STATUS_ENDED == event.status
    assert await stream.silent()


async def test_features_of_the_next_segment_join_in() -> None:
    grows_us = NOW_US + HOUR_US
    change = ScheduledChange(grows_us, "basic")
    bench = Bench(
        Company("acme", subscription=Subscription("small", NOW_US - DAY_US, changes=(change,)))
    )
    bench.now_us = grows_us - 20_000
    stream = bench.watch()
    assert ["CURRENT sso"] == await stream.told(1)
    bench.now_us = grows_us
    assert ["CHANGED sso", "CHANGED calls", "CHANGED tokens"] == await stream.told(3)
    assert await stream.silent()


async def test_what_was_lost_and_is_granted_again_is_told(bench: Bench) -> None:
    stream = bench.watch()
    await stream.told(3)
    bench.apply(Company("acme", subscription=Subscription("gone", NOW_US)))
    assert ["CHANGED calls", "CHANGED sso", "CHANGED tokens"] == await stream.told(3)
    bench.apply(company())
    assert ["CHANGED calls", "CHANGED sso", "CHANGED tokens"] == await stream.told(3)
    assert await stream.silent()


async def test_an_unknown_company_is_asked_for_and_told_once_it_appears(bench: Bench) -> None:
    stream = bench.watch("calls", of="later")
    first = await stream.next()
    assert ["later"] == bench.source.asked
    assert (pb.ENTITLEMENT_EVENT_CURRENT, False, pb.REASON_UNKNOWN_COMPANY) == (
        first.event,
        first.entitlement.entitled,
        first.entitlement.reason,
    )
    assert "calls" == first.entitlement.feature.key
    bench.apply(company("later"))
    event = await stream.next()
    assert (pb.ENTITLEMENT_EVENT_CHANGED, True) == (event.event, event.entitlement.entitled)
    assert await stream.silent()


async def test_one_whose_features_were_unknown_gets_those_that_come(bench: Bench) -> None:
    stream = bench.watch(of="later")
    first = asyncio.create_task(stream.told(3))
    while not bench.watchlist:  # noqa: ASYNC110 - it takes a few rounds of the loop
        await asyncio.sleep(0)
    bench.apply(company("later"))
    told = await first
    assert ["calls", "sso", "tokens"] == [event.split()[1] for event in told]
    await stream.close()


async def test_who_could_not_be_had_is_asked_for_again_with_the_next_news(bench: Bench) -> None:
    stream = bench.watch("calls", of="later")
    await stream.told(1)
    bench.source.has["later"] = compile_snapshot(company("later"), 1)
    bench.watchlist.touch_all()
    assert ["CHANGED calls"] == await stream.told(1)
    assert ["later", "later"] == bench.source.asked
    await stream.close()


async def test_a_feature_that_the_catalog_loses_is_told_without_it(bench: Bench) -> None:
    stream = bench.watch("sso")
    await stream.told(1)
    changes = SnapshotChanges(catalog_snapshot(catalog({"basic": []}), 2))
    bench.directory.apply(changes)
    bench.watchlist.applied(changes)
    event = await stream.next()
    assert (pb.ENTITLEMENT_EVENT_CHANGED, "sso") == (event.event, event.feature)
    assert pb.Entitlement(reason=pb.REASON_UNKNOWN_FEATURE) == event.entitlement
    await stream.close()


async def test_a_stopping_sidecar_ends_it(bench: Bench) -> None:
    stream = bench.watch("calls")
    await stream.told(1)
    bench.watchlist.close()
    with pytest.raises(Unavailable):
        await stream.next()
    assert 0 == len(bench.watchlist)


async def test_whoever_goes_away_makes_room(bench: Bench) -> None:
    first, second = bench.watch("calls"), bench.watch("calls")
    for stream in (first, second):
        await stream.told(1)
    assert ("TOO_MANY_WATCHES", "") == await refusal(bench.watch("calls"))
    await first.close()
    waiting = asyncio.create_task(second.next())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert 0 == len(bench.watchlist)
    third = bench.watch("calls")
    assert ["CURRENT calls"] == await third.told(1)
    await third.close()


async def refusal(stream: Stream) -> tuple[str, str]:
    """Reason and field of the error that a watch ends with at once."""
    with pytest.raises(FieldError) as caught:
        await stream.next()
    return caught.value.reason, caught.value.field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param({"company": ""}, "company", id="no-company"),
        pytest.param({"company": "a\n"}, "company", id="unprintable-company"),
        pytest.param({"features": ["calls", ""]}, "features[1]", id="empty-feature"),
        pytest.param({"features": ["calls"] * 101}, "features", id="too-many-features"),
        pytest.param({"dimensions": {"": "x"}}, "dimensions", id="dimension-without-a-name"),
        pytest.param(
            {"dimensions": {str(n): "x" for n in range(17)}}, "dimensions", id="too-many-dimensions"
        ),
    ],
)
async def test_bad_requests_name_the_field(
    bench: Bench, fields: dict[str, Any], field: str
) -> None:
    request = pb.WatchEntitlementsRequest(**{"company": "acme", **fields})
    events = bench.methods.watch_entitlements(request.SerializeToString(), ANYONE)
    assert ("INVALID_ARGUMENT", field) == await refusal(Stream(events, bench))
    assert 0 == len(bench.watchlist)


async def test_a_hundred_features_may_be_named(bench: Bench) -> None:
    stream = bench.watch(*["calls"] * 100)
    assert ["CURRENT calls"] == await stream.told(1)
    assert await stream.silent()


async def test_an_unknown_feature_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.watch("calls", "other").next()
    assert ("UNKNOWN_FEATURE", "features[1]") == await refusal(bench.watch("calls", "other"))
    assert ("UNKNOWN_FEATURE", "features[0]") == await refusal(bench.watch("other", of="nobody"))
