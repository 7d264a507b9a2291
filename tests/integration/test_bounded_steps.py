"""No step is larger the more waits or is asked about: what is done in one has a bound.

There is no clock in it: see `tests.support.bounded`.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.sync.v1 import sync_pb2
from sidecar.app.maintenance import Maintenance
from sidecar.domain.slices import whole
from sidecar.domain.time.units import DAY_US
from sidecar.shared.convert.counters import total_to_message
from sidecar.storage.sweep import COUNTER_KEPT_US, Sweep
from tests.support.bounded import (
    CONTENT,
    OPERATIONS_MAX,
    OUTBOX_RECORDS_MAX,
    PER_USER,
    Bench,
    bench_of,
)
from tests.support.build import DAY, NOW_US, catalog, counter_ref, limit, metered, total
from tests.support.method_calls import ANYONE
from tests.support.processes import until
from tests.support.sidecar_api import stamp

RECORDS: Final = OUTBOX_RECORDS_MAX
USERS: Final = 10_500
FEATURES: Final = 5_000


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_of(monkeypatch, tmp_path) as found:
        yield found


async def test_the_meter_sees_what_is_done_at_once(bench: Bench) -> None:
    bench.fill_outbox(RECORDS)
    async with bench.work.measured():
        whole(bench.container.outbox.accepted())
    assert bench.work.most.operations > OPERATIONS_MAX


async def test_status_with_a_full_outbox(bench: Bench) -> None:
    bench.fill_outbox(RECORDS)
    async with bench.bounded():
        status = await bench.status()
    assert [("calls", RECORDS // 2), ("tokens", RECORDS // 2)] == [
        (tally.feature, tally.quantity) for tally in status.tallies
    ]
    assert (RECORDS, RECORDS) == (status.last_sequence, status.outbox_records)
    async with bench.bounded():
        assert status.tallies == (await bench.status()).tallies
    assert bench.work.total.operations < 100


async def test_sending_a_full_outbox(bench: Bench) -> None:
    bench.fill_outbox(RECORDS)
    refs = [counter_ref(PER_USER, (f"user {user}",)) for user in range(1_000)]
    bench.plane.totals = [total_to_message(total(ref, 7, 0, 1)) for ref in refs]
    container = bench.container
    assert container.pusher is not None
    async with bench.bounded(), bench.running(container.pusher.run()):
        await bench.sent()
    assert RECORDS == sum(map(len, bench.plane.records.values()))
    assert RECORDS < bench.work.total.operations


async def test_leaving_a_fenced_incarnation(bench: Bench) -> None:
    bench.fill_outbox(RECORDS)
    container, plane = bench.container, bench.plane
    first = container.store.incarnation.id
    common = plane.common[first] = RECORDS // 2
    assert container.pusher is not None
    async with bench.bounded(), bench.running(container.pusher.run()):
        await bench.sent()
        assert ["calls", "tokens"] == [tally.feature for tally in (await bench.status()).tallies]
    (second,) = plane.records
    named = Tally(_names_of(plane.records[second]))
    assert Tally(f"{first}-{n}" for n in range(common + 1, RECORDS + 1)) == named


async def test_usage_of_thousands_of_users_with_older_windows(bench: Bench) -> None:
    bench.apply(CONTENT, "acme")
    bench.count_users(USERS, 0)
    bench.count_users(500, *range(1, 20))
    request = pb.GetUsageRequest(company="acme", at=stamp(NOW_US)).SerializeToString()
    async with bench.bounded():
        data = await bench.container.query_methods.get_usage(request, ANYONE)
    answer = pb.GetUsageResponse.FromString(data)
    # The company-wide limit of each, then users.
    assert [("calls", 9_999), ("tokens", 1)] == [
        (usage.feature, len(usage.limits)) for usage in answer.features
    ]
    assert answer.truncated
    assert {1} == {status.used for status in answer.features[0].limits[1:]}


async def test_questions_about_thousands_of_features(bench: Bench) -> None:
    names = [f"feature {number:05}" for number in range(FEATURES)]
    bench.apply(catalog({"basic": [metered(name, limit(), PER_USER) for name in names]}), "acme")
    usage = pb.GetUsageRequest(company="acme").SerializeToString()
    async with bench.bounded():
        data = await bench.container.query_methods.get_usage(usage, ANYONE)
    found = [usage.feature for usage in pb.GetUsageResponse.FromString(data).features]
    assert names == found
    rights = pb.ListEntitlementsRequest(company="acme").SerializeToString()
    async with bench.bounded():
        data = await bench.container.query_methods.list_entitlements(rights, ANYONE)
    listed = pb.ListEntitlementsResponse.FromString(data)
    assert names == [entitlement.feature.key for entitlement in listed.entitlements]
    assert ("basic", 1) == (listed.plan, listed.basis.snapshot_version)


async def test_a_watch_of_as_many_features_as_there_may_be(bench: Bench) -> None:
    limits = [limit(f"limit {number:02}", window=DAY, each=[f"d{number}"]) for number in range(15)]
    names = [f"feature {number:05}" for number in range(FEATURES)]
    bench.apply(catalog({"basic": [metered(name, limit(), *limits) for name in names]}), "acme")
    request = pb.WatchEntitlementsRequest(
        company="acme", dimensions={f"d{number}": "x" for number in range(15)}
    )
    events = bench.container.watch_methods.watch_entitlements(request.SerializeToString(), ANYONE)
    async with bench.bounded():
        told = [await anext(events) for _ in range(100)]
        await events.aclose()
    features = [pb.WatchEntitlementsResponse.FromString(data).feature for data in told]
    assert names[:100] == features


async def test_maintenance_of_a_large_store(bench: Bench) -> None:
    bench.apply(CONTENT, *[f"company {number:05}" for number in range(4_000)])
    bench.count_users(3_000, 0)
    bench.fill_outbox(2_000)
    container = bench.container
    later_us = NOW_US + COUNTER_KEPT_US + 2 * DAY_US
    sweep = Sweep(container.store)
    maintenance = Maintenance(
        container.store,
        container.outbox,
        container.answers,
        container.plane_status,
        container.store_watch,
        container.runner,
        lambda: later_us,
        lambda: later_us,
    )

    async def swept() -> bool:
        return sweep.step(later_us, 200)[1]

    async with bench.bounded(), bench.running(maintenance.watch_vitals()):
        await until(swept, "the round is not complete")
    async with bench.bounded(), bench.running(maintenance.settle()):
        await bench.sent()


def _names_of(records: Iterable[bytes]) -> Iterator[str]:
    return (sync_pb2.UsageRecord.FromString(record).idempotency_key for record in records)
