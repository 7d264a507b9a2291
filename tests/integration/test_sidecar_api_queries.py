"""Questions on both transports, at both durabilities: none of them counts anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from sidecar.api.admin.v1 import admin_pb2
from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.units import DAY_US
from tests.support.build import DAY, MIDNIGHT_US, NOW_US, catalog, limit, metered
from tests.support.sidecar_api import ACME, COMPANIES, CONTENT, ask, report, stamp
from tests.support.sidecars import WAYS, Serving, serving

FEATURES = ["audit", "calls", "days", "free", "messages", "sso", "tokens"]


@pytest.fixture(params=WAYS)
async def sidecar(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path, CONTENT, COMPANIES, **request.param) as found:
        yield found


async def usage(sidecar: Serving, feature: str = "", **fields: Any) -> pb.GetUsageResponse:
    request = pb.GetUsageRequest(company="acme", feature=feature, **fields)
    answer: pb.GetUsageResponse = await sidecar.api.GetUsage(request)
    return answer


def counted(feature: pb.FeatureUsage) -> list[tuple[str, dict[str, str], int]]:
    found = [(status.limit, dict(status.dimensions), status.used) for status in feature.limits]
    return sorted(found, key=str)


async def test_a_question_is_answered_as_the_check_would_be(sidecar: Serving) -> None:
    await sidecar.api.CheckAndIncrement(ask(quantity=40))
    for quantity in (0, 1, 20, 60, 61):
        asked = await sidecar.api.Check(
            pb.CheckRequest(company="acme", feature="calls", quantity=quantity)
        )
        answer = asked.decision
        assert (quantity <= 60) == answer.allowed
        assert (quantity if quantity <= 60 else 0) == answer.granted
        assert 40 + answer.granted == answer.binding_limit.used
        assert [40] == [status.used for status in asked.limits]
    assert 1 == sidecar.container.store.head.sequence


async def test_a_question_shows_every_limit_that_applies_in_order(sidecar: Serving) -> None:
    request = pb.CheckRequest(
        company="acme", feature="messages", dimensions={"user": "ann", "model": "large"}
    )
    await sidecar.api.CheckAndIncrement(ask("messages", dimensions={"user": "ann"}))
    asked = await sidecar.api.Check(request)
    assert [("per_user", 1), ("everyone", 1), ("large", 0)] == [
        (status.limit, status.used) for status in asked.limits
    ]
    request.dimensions.clear()
    asked = await sidecar.api.Check(request)
    assert ["everyone"] == [status.limit for status in asked.limits]


async def test_a_question_about_as_much_as_is_left(sidecar: Serving) -> None:
    request = pb.CheckRequest(
        company="acme", feature="calls", quantity=INT64_MAX, grant_mode=pb.GRANT_MODE_UP_TO
    )
    await sidecar.api.CheckAndIncrement(ask(quantity=40))
    assert 60 == (await sidecar.api.Check(request)).decision.granted


async def test_usage_of_every_metered_feature(sidecar: Serving) -> None:
    await sidecar.api.CheckAndIncrement(ask(quantity=40))
    await sidecar.api.CheckAndIncrement(ask("free", 9))
    answer = await usage(sidecar)
    found = {feature.feature: counted(feature) for feature in answer.features}
    assert {
        "calls": [("monthly", {}, 40)],
        "free": [],
        "messages": [("everyone", {}, 0), ("large", {}, 0)],
        "tokens": [("soft", {}, 0), ("trial", {}, 0)],
    } == found
    assert sorted(found) == [feature.feature for feature in answer.features]
    assert (False, pb.BASIS_MODE_LOCAL) == (answer.truncated, answer.basis.mode)


async def test_usage_of_one_feature_says_everything(sidecar: Serving) -> None:
    await sidecar.api.RecordUsage(report(quantity=140))
    answer = await usage(sidecar, "calls")
    expected = pb.LimitStatus(
        limit="monthly",
        enforcement=catalog_pb2.ENFORCEMENT_HARD,
        amount=100,
        used=140,
        remaining=0,
        overage=40,
        window_start=stamp(MIDNIGHT_US - 14 * DAY_US),
        resets_at=stamp(MIDNIGHT_US + 17 * DAY_US),
    )
    assert [pb.FeatureUsage(feature="calls", limits=[expected])] == list(answer.features)


async def test_usage_by_dimension(sidecar: Serving) -> None:
    for user in ("ann", "bob", "ann"):
        await sidecar.api.CheckAndIncrement(
            ask("messages", dimensions={"user": user, "model": "large"})
        )
    await sidecar.api.CheckAndIncrement(ask("messages"))
    answer = await usage(sidecar, "messages")
    assert [
        ("everyone", {}, 3),
        ("large", {}, 2),
        ("per_user", {"user": "ann"}, 1),
        ("per_user", {"user": "bob"}, 1),
    ] == counted(answer.features[0])


async def test_usage_of_another_instant_is_that_of_its_windows(sidecar: Serving) -> None:
    february = stamp(NOW_US - 20 * DAY_US)
    await sidecar.api.CheckAndIncrement(ask(quantity=40))
    await sidecar.api.CheckAndIncrement(ask(quantity=7, event_time=february))
    assert [("monthly", {}, 40)] == counted((await usage(sidecar, "calls")).features[0])
    past = await usage(sidecar, "calls", at=february)
    assert [("monthly", {}, 7)] == counted(past.features[0])


async def test_usage_that_is_cut_short_says_so(sidecar: Serving) -> None:
    users = limit("per_user", 5, window=DAY, each=["user"])
    sidecar.apply(catalog({"basic": [metered("a", users), metered("b", users)]}), ACME)
    for start in range(0, 10_000, 1000):
        checks = [ask("a", dimensions={"user": str(start + n)}) for n in range(1000)]
        request = pb.BatchCheckAndIncrementRequest(checks=checks)
        await sidecar.api.BatchCheckAndIncrement(request)
    whole = await usage(sidecar)
    assert [10_000, 0] == [len(feature.limits) for feature in whole.features]
    assert not whole.truncated
    await sidecar.api.CheckAndIncrement(ask("b", dimensions={"user": "one more"}))
    cut = await usage(sidecar)
    assert [10_000, 0] == [len(feature.limits) for feature in cut.features]
    assert cut.truncated


async def test_an_entitlement_of_each_kind(sidecar: Serving) -> None:
    async def ask_for(feature: str) -> pb.GetEntitlementResponse:
        request = pb.GetEntitlementRequest(company="acme", feature=feature)
        answer: pb.GetEntitlementResponse = await sidecar.api.GetEntitlement(request)
        assert catalog_pb2.SUBSCRIPTION_STATUS_ACTIVE == answer.status
        assert ("basic", 1) == (answer.plan, answer.basis.snapshot_version)
        assert feature == answer.entitlement.feature.key
        return answer

    calls = (await ask_for("calls")).entitlement
    assert (True, pb.REASON_ALLOWED) == (calls.entitled, calls.reason)
    assert [
        catalog_pb2.Limit(
            id="monthly",
            amount=100,
            window=catalog_pb2.Window(
                unit=catalog_pb2.WINDOW_UNIT_MONTH,
                interval=1,
                alignment=catalog_pb2.ALIGNMENT_CALENDAR,
            ),
            scope=catalog_pb2.Scope(),
            enforcement=catalog_pb2.ENFORCEMENT_HARD,
            warning_percents=[50, 80, 100],
        )
    ] == list(calls.limits)
    assert "30" == (await ask_for("days")).entitlement.config_value
    assert (await ask_for("sso")).entitlement.entitled
    audit = (await ask_for("audit")).entitlement
    assert (False, pb.REASON_NOT_ENTITLED) == (audit.entitled, audit.reason)


@pytest.mark.parametrize(
    ("company", "status", "plan", "reason"),
    [
        ("acme", catalog_pb2.SUBSCRIPTION_STATUS_ACTIVE, "basic", Reason.ALLOWED),
        ("trialing", catalog_pb2.SUBSCRIPTION_STATUS_TRIALING, "basic", Reason.ALLOWED),
        ("trial_over", catalog_pb2.SUBSCRIPTION_STATUS_ENDED, "basic", Reason.TRIAL_ENDED),
        (
            "canceled",
            catalog_pb2.SUBSCRIPTION_STATUS_CANCELED,
            "basic",
            Reason.SUBSCRIPTION_CANCELED,
        ),
        ("nobody", catalog_pb2.SUBSCRIPTION_STATUS_UNSPECIFIED, "", Reason.NOT_ENTITLED),
    ],
)
async def test_entitlements_of_companies_in_every_state(
    sidecar: Serving,
    company: str,
    status: catalog_pb2.SubscriptionStatus,
    plan: str,
    reason: Reason,
) -> None:
    answer = await sidecar.api.ListEntitlements(pb.ListEntitlementsRequest(company=company))
    assert (status, plan) == (answer.status, answer.plan)
    assert FEATURES == [entitlement.feature.key for entitlement in answer.entitlements]
    found = {entitlement.feature.key: entitlement for entitlement in answer.entitlements}
    assert reason == found["calls"].reason
    assert (reason is Reason.ALLOWED) == found["calls"].entitled


async def test_an_override_shows_until_it_expires(sidecar: Serving) -> None:
    request = pb.GetEntitlementRequest(company="special", feature="calls")
    for now_us, expected in [(NOW_US, "own"), (NOW_US + DAY_US + 1, "monthly")]:
        sidecar.set_clock(now_us)
        answer = await sidecar.api.GetEntitlement(request)
        assert [expected] == [limit.id for limit in answer.entitlement.limits]


async def test_status_tells_what_was_accepted(sidecar: Serving) -> None:
    await sidecar.api.CheckAndIncrement(ask(quantity=40))
    await sidecar.api.CheckAndIncrement(ask(quantity=400))
    await sidecar.api.RecordUsage(report("free", 9))
    status = await sidecar.admin.GetStatus(admin_pb2.GetStatusRequest())
    assert [
        admin_pb2.FeatureTally(feature="calls", records=1, quantity=40),
        admin_pb2.FeatureTally(feature="free", records=1, quantity=9),
    ] == list(status.tallies)
    assert (2, 2, 0) == (
        status.last_sequence,
        status.outbox_records,
        status.acknowledged_sequence,
    )
    assert sidecar.container.store.incarnation.id == status.incarnation
    assert (True, False, False) == (status.standalone, status.draining, status.ready)
    assert sidecar.container.config.durability == {
        admin_pb2.DURABILITY_PROCESS: "process",
        admin_pb2.DURABILITY_DISK: "disk",
    }.get(status.durability)


async def test_status_bears_any_sum(sidecar: Serving) -> None:
    for _ in range(3):
        await sidecar.api.RecordUsage(report("free", INT64_MAX))
    status = await sidecar.admin.GetStatus(admin_pb2.GetStatusRequest())
    assert (3, INT64_MAX) == (status.tallies[0].records, status.tallies[0].quantity)


async def test_a_drain_turns_readiness_off_and_calls_are_still_answered(sidecar: Serving) -> None:
    sidecar.health.start()
    status = admin_pb2.GetStatusRequest()
    assert (await sidecar.admin.GetStatus(status)).ready
    flushed = await sidecar.admin.Flush(admin_pb2.FlushRequest())
    assert flushed.complete
    assert (await sidecar.admin.GetStatus(status)).ready
    assert (await sidecar.admin.Drain(admin_pb2.DrainRequest())).complete
    found = await sidecar.admin.GetStatus(status)
    assert (False, True) == (found.ready, found.draining)
    assert (await sidecar.api.CheckAndIncrement(ask())).decision.allowed


async def test_nothing_is_counted_by_questions(sidecar: Serving) -> None:
    await sidecar.api.Check(pb.CheckRequest(company="acme", feature="calls", quantity=50))
    await usage(sidecar)
    await sidecar.api.ListEntitlements(pb.ListEntitlementsRequest(company="acme"))
    assert 0 == sidecar.container.store.head.sequence
    assert 0 == (await usage(sidecar, "calls")).features[0].limits[0].used


async def test_answers_are_proper_grpc_errors(sidecar: Serving) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sidecar.api.Check(pb.CheckRequest(feature="calls"))
    assert "company: must not be empty" == caught.value.details()
