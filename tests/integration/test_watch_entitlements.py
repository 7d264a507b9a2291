"""WatchEntitlements over gRPC, of a sidecar by itself: what it tells, refuses and lets go of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc as pb_grpc
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.time.units import DAY_US, SECOND_US
from tests.support.build import MIDNIGHT_US, catalog, company, limit
from tests.support.channels import channel_to
from tests.support.processes import until
from tests.support.sidecar_api import COMPANIES, CONTENT, ask, check, report
from tests.support.sidecars import Failure, Serving, failure_of, serving
from tests.support.watches import watching

NEW_DAY_US: Final = MIDNIGHT_US + DAY_US
SMALL_WINDOW: Final = (
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 64 * 1024),
)


async def nobody_watches(sidecar: Serving) -> None:
    """Wait until the sidecar has let go of every watch."""

    async def gone() -> bool:
        return not sidecar.container.watchlist

    await until(gone, "a watch is left")


async def by_check(sidecar: Serving, quantity: int) -> None:
    await check(sidecar, quantity=quantity)


async def by_report(sidecar: Serving, quantity: int) -> None:
    await sidecar.api.RecordUsage(report(quantity=quantity))


async def by_batch(sidecar: Serving, quantity: int) -> None:
    checks = [ask("tokens"), ask(quantity=quantity)]
    await sidecar.api.BatchCheckAndIncrement(pb.BatchCheckAndIncrementRequest(checks=checks))


async def by_stream(sidecar: Serving, quantity: int) -> None:
    call = sidecar.api.StreamCheckAndIncrement()
    await call.write(pb.StreamCheckAndIncrementRequest(check=ask(quantity=quantity)))
    await call.read()
    await call.done_writing()


@pytest.mark.parametrize("durability", ["process", "disk"])
@pytest.mark.parametrize("count", [by_check, by_report, by_batch, by_stream])
async def test_own_counting_is_told_whatever_the_method(
    tmp_path: Path, count: Callable[[Serving, int], Awaitable[None]], durability: str
) -> None:
    async with serving(tmp_path, CONTENT, COMPANIES, durability=durability) as sidecar:
        async with watching(sidecar.api, "calls") as events:
            assert ["CURRENT calls"] == await events.told(1)
            await count(sidecar, 60)
            event = await events.next()
            assert ("monthly", 50, 60) == (
                event.limits[0].limit,
                event.percent,
                event.limits[0].used,
            )
            await count(sidecar, 40)
            told = ["THRESHOLD calls 80", "THRESHOLD calls 100", "EXHAUSTED calls"]
            assert told == await events.told(3)
        await nobody_watches(sidecar)


async def test_two_watchers_are_told_and_another_companys_is_not(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, CONTENT, COMPANIES) as sidecar,
        watching(sidecar.api, "calls", "sso") as first,
        watching(sidecar.api) as second,
        watching(sidecar.api, "calls", of="trialing") as third,
    ):
        assert ["CURRENT calls", "CURRENT sso"] == await first.told(2)
        everything = ["calls", "days", "free", "messages", "sso", "tokens"]
        assert [f"CURRENT {feature}" for feature in everything] == await second.told(6)
        assert ["CURRENT calls"] == await third.told(1)
        await check(sidecar, quantity=50)
        assert ["THRESHOLD calls 50"] == await first.told(1) == await second.told(1)
        await check(sidecar, quantity=80, company="trialing")
        # Nothing was told before it.
        assert ["THRESHOLD calls 50", "THRESHOLD calls 80"] == await third.told(2)


async def test_limits_by_user_are_watched_for_the_user_that_is_given(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, CONTENT, COMPANIES) as sidecar,
        watching(sidecar.api, "messages", dimensions={"user": "ann"}) as events,
    ):
        (of_ann, of_all) = (await events.next()).limits
        assert ("per_user", {"user": "ann"}) == (of_ann.limit, dict(of_ann.dimensions))
        assert "everyone" == of_all.limit
        await check(sidecar, "messages", 2, dimensions={"user": "bob"})
        await check(sidecar, "messages", 1, dimensions={"user": "ann"})
        event = await events.next()
        assert ("everyone", 50, 3) == (event.limits[0].limit, event.percent, event.limits[0].used)
        await check(sidecar, "messages", 1, dimensions={"user": "ann"})
        events_of = [await events.next() for _ in range(2)]
        assert [("per_user", 50, 2), ("everyone", 80, 4)] == [
            (event.limits[0].limit, event.percent, event.limits[0].used) for event in events_of
        ]


async def test_a_new_window_is_told_as_the_clock_reaches_it(tmp_path: Path) -> None:
    async with serving(tmp_path, CONTENT, COMPANIES) as sidecar:
        await check(sidecar, "messages", 5)
        async with watching(sidecar.api, "messages") as events:
            assert [5] == [status.used for status in (await events.next()).limits]
            sidecar.set_clock(NEW_DAY_US - SECOND_US // 5)
            # Whatever wakes it makes it look at the clock.
            await check(sidecar, "sso", 0)
            event = await events.next()
            assert pb.ENTITLEMENT_EVENT_RESET == event.event
            assert [("everyone", 0)] == [(status.limit, status.used) for status in event.limits]
            assert NEW_DAY_US <= event.at.ToMicroseconds()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"features": ["calls", "nonsense"]},
            Failure(grpc.StatusCode.NOT_FOUND, "UNKNOWN_FEATURE", "features[1]"),
            id="unknown-feature",
        ),
        pytest.param(
            {"features": ["calls"] * 101},
            Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "features"),
            id="too-many-features",
        ),
        pytest.param(
            {"company": ""},
            Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "company"),
            id="no-company",
        ),
    ],
)
async def test_a_bad_request_fails_with_its_field(
    tmp_path: Path, fields: dict[str, Any], expected: Failure
) -> None:
    async with serving(tmp_path, CONTENT, COMPANIES) as sidecar:
        request = pb.WatchEntitlementsRequest(**{"company": "acme", **fields})
        assert expected == await failure_of(sidecar.api.WatchEntitlements(request).read())
        await nobody_watches(sidecar)


async def test_watches_are_bounded_and_calls_go_on(tmp_path: Path) -> None:
    async with serving(tmp_path, CONTENT, COMPANIES, watches_max=2) as sidecar:
        async with watching(sidecar.api, "calls") as first, watching(sidecar.api) as second:
            for events in (first, second):
                assert ["CURRENT calls"] == await events.told(1)
            third = sidecar.api.WatchEntitlements(pb.WatchEntitlementsRequest(company="acme"))
            expected = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES", "")
            assert expected == await failure_of(third.read())
            assert (await check(sidecar)).decision.allowed
        await nobody_watches(sidecar)
        async with watching(sidecar.api, "calls") as events:
            assert ["CURRENT calls"] == await events.told(1)


async def test_one_who_never_reads_holds_nobody_up_and_leaves_nothing(tmp_path: Path) -> None:
    large = tuple(limit(f"limit-{n:02}-{'x' * 100}") for n in range(32))
    names = [f"feature-{n:02}" for n in range(100)]
    content = catalog({"basic": [EntitlementGrant(name, limits=large) for name in names]})
    async with serving(tmp_path, content, [company()]) as sidecar:
        # The first events are 800 KB, and the transport takes a tenth of it without a reader.
        async with (
            channel_to(f"unix:{tmp_path}/s.sock", *SMALL_WINDOW) as channel,
            watching(pb_grpc.EnforcementServiceStub(channel)),
        ):
            await watched(sidecar)
            async with watching(sidecar.api, names[0]) as events:
                assert [f"CURRENT {names[0]}"] == await events.told(1)
                await check(sidecar, names[0], 50)
                assert f"THRESHOLD {names[0]} 50" == (await events.told(1))[0]
            assert sidecar.container.watchlist
        await nobody_watches(sidecar)


async def watched(sidecar: Serving) -> None:
    """Wait until somebody watches."""

    async def begun() -> bool:
        return bool(sidecar.container.watchlist)

    await until(begun, "nobody watches")
