"""CheckAndIncrement on both transports, at both durabilities: what is decided and counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.units import DAY_US
from tests.support.build import MIDNIGHT_US, NOW_US, catalog, limit, metered
from tests.support.sidecar_api import (
    ACME,
    COMPANIES,
    CONTENT,
    check,
    outcome,
    records,
    stamp,
)
from tests.support.sidecars import WAYS, Serving, serving


@pytest.fixture(params=WAYS)
async def sidecar(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path, CONTENT, COMPANIES, **request.param) as found:
        yield found


async def test_an_allowed_check_says_everything(sidecar: Serving) -> None:
    answer = await check(sidecar, quantity=60)
    incarnation = sidecar.container.store.incarnation.id
    expected = pb.CheckAndIncrementResponse(
        decision=pb.Decision(
            allowed=True,
            reason=pb.REASON_ALLOWED,
            granted=60,
            binding_limit=pb.LimitStatus(
                limit="monthly",
                enforcement=catalog_pb2.ENFORCEMENT_HARD,
                amount=100,
                used=60,
                remaining=40,
                window_start=stamp(MIDNIGHT_US - 14 * DAY_US),
                resets_at=stamp(MIDNIGHT_US + 17 * DAY_US),
            ),
            warnings=[pb.Warning(limit="monthly", percent=50)],
            basis=pb.Basis(mode=pb.BASIS_MODE_LOCAL, snapshot_version=1, uncertainty=0),
        ),
        record_id=f"{incarnation}-1",
    )
    assert expected == answer


async def test_a_denial_is_an_answer_and_counts_nothing(sidecar: Serving) -> None:
    await check(sidecar, quantity=60)
    answer = await check(sidecar, quantity=41)
    assert (False, "REASON_LIMIT_EXCEEDED", 0) == outcome(answer)
    assert "" == answer.record_id
    status = answer.decision.binding_limit
    assert ("monthly", 60, 40, 0) == (status.limit, status.used, status.remaining, status.overage)
    left_us = answer.decision.retry_after.ToMicroseconds()
    assert 0 <= (MIDNIGHT_US + 17 * DAY_US - NOW_US) - left_us < 60_000_000
    assert (True, "REASON_ALLOWED", 40) == outcome(await check(sidecar, quantity=40))


async def test_without_a_quantity_it_is_1(sidecar: Serving) -> None:
    assert (True, "REASON_ALLOWED", 1) == outcome(await check(sidecar))


async def test_a_quantity_of_0_asks_and_is_not_recorded(sidecar: Serving) -> None:
    answer = await check(sidecar, quantity=0)
    assert (True, "REASON_ALLOWED", 0) == outcome(answer)
    assert 0 == answer.decision.binding_limit.used
    assert ("", []) == (answer.record_id, records(sidecar))


async def test_as_much_as_is_left(sidecar: Serving) -> None:
    await check(sidecar, quantity=60)
    some = await check(sidecar, quantity=50, grant_mode=pb.GRANT_MODE_UP_TO)
    assert (True, "REASON_ALLOWED", 40) == outcome(some)
    none = await check(sidecar, quantity=50, grant_mode=pb.GRANT_MODE_UP_TO)
    assert (False, "REASON_LIMIT_EXCEEDED", 0) == outcome(none)
    assert [60, 40] == [record.quantity for record in records(sidecar)]


async def test_soft_and_shadow_limits_let_through_and_report(sidecar: Serving) -> None:
    answer = await check(sidecar, "tokens", 130)
    assert (True, "REASON_ALLOWED", 130) == outcome(answer)
    assert (30, ["trial"]) == (answer.decision.overage, list(answer.decision.shadow_denials))
    status = answer.decision.binding_limit
    assert ("soft", 130, 0, 30) == (status.limit, status.used, status.remaining, status.overage)
    assert status.HasField("remaining")
    assert [30] == [record.overage for record in records(sidecar)]


async def test_limits_that_count_the_same_thing_count_it_once(sidecar: Serving) -> None:
    """Both limits of `tokens` are by the month and for the whole company: one counter."""
    await check(sidecar, "tokens", 5)
    answer = await check(sidecar, "tokens", 2)
    assert 7 == answer.decision.binding_limit.used
    assert [1, 1] == [len(record.counters) for record in records(sidecar)]


async def test_every_limit_counts_or_none(sidecar: Serving) -> None:
    async def message(user: str, model: str = "small") -> tuple[bool, str]:
        answer = await check(sidecar, "messages", dimensions={"user": user, "model": model})
        return answer.decision.allowed, answer.decision.binding_limit.limit

    assert [(True, "per_user"), (True, "per_user"), (True, "per_user"), (False, "per_user")] == [
        await message("ann") for _ in range(4)
    ]
    assert [(True, "everyone")] * 2 == [await message("bob", "large") for _ in range(2)]
    assert (False, "everyone") == await message("eve", "large")
    assert 5 == len(records(sidecar))
    usage = await sidecar.api.GetUsage(pb.GetUsageRequest(company="acme", feature="messages"))
    assert [("per_user", 2), ("per_user", 3), ("everyone", 5), ("large", 2)] == sorted(
        ((status.limit, status.used) for status in usage.features[0].limits),
        key=lambda pair: (["per_user", "everyone", "large"].index(pair[0]), pair[1]),
    )


async def test_the_dimensions_of_the_binding_limit_are_told(sidecar: Serving) -> None:
    answer = await check(sidecar, "messages", dimensions={"user": "ann", "other": "x"})
    assert {"user": "ann"} == dict(answer.decision.binding_limit.dimensions)


async def test_a_feature_without_limits_is_recorded_and_has_no_binding_limit(
    sidecar: Serving,
) -> None:
    answer = await check(sidecar, "free", 10**15)
    assert (True, "REASON_ALLOWED", 10**15) == outcome(answer)
    assert not answer.decision.HasField("binding_limit")
    assert [("free", 10**15, 0)] == [
        (record.feature, record.quantity, len(record.counters)) for record in records(sidecar)
    ]


@pytest.mark.parametrize(
    ("feature", "company", "reason"),
    [
        ("sso", "acme", Reason.ALLOWED),
        ("days", "acme", Reason.ALLOWED),
        ("audit", "acme", Reason.NOT_ENTITLED),
        ("calls", "bare", Reason.NOT_ENTITLED),
        ("calls", "nobody", Reason.NOT_ENTITLED),
        ("calls", "canceled", Reason.SUBSCRIPTION_CANCELED),
        ("sso", "canceled", Reason.SUBSCRIPTION_CANCELED),
        ("calls", "trial_over", Reason.TRIAL_ENDED),
        ("calls", "trialing", Reason.ALLOWED),
        ("calls", "unheard_of", Reason.UNKNOWN_COMPANY),
        ("unheard_of", "acme", Reason.UNKNOWN_FEATURE),
    ],
)
async def test_reasons(sidecar: Serving, feature: str, company: str, reason: Reason) -> None:
    answer = await check(sidecar, feature, company=company)
    allowed = reason is Reason.ALLOWED
    assert (allowed, reason.name) == (answer.decision.allowed, outcome(answer)[1][len("REASON_") :])
    asked = await sidecar.api.Check(pb.CheckRequest(company=company, feature=feature))
    assert (allowed, reason) == (asked.decision.allowed, asked.decision.reason)
    fallback = reason is Reason.UNKNOWN_COMPANY
    expected = pb.BASIS_MODE_FALLBACK if fallback else pb.BASIS_MODE_LOCAL
    assert expected == answer.decision.basis.mode == asked.decision.basis.mode


async def test_segments_change_on_time(sidecar: Serving) -> None:
    assert "own" == (await check(sidecar, company="special")).decision.binding_limit.limit
    sidecar.set_clock(NOW_US + DAY_US + 1)
    assert "monthly" == (await check(sidecar, company="special")).decision.binding_limit.limit
    late = await check(sidecar, company="special", event_time=stamp(NOW_US))
    assert "own" == late.decision.binding_limit.limit


async def test_a_changed_plan_holds_at_once_and_keeps_the_usage(sidecar: Serving) -> None:
    await check(sidecar, quantity=60)
    lowered = catalog({"basic": [metered("calls", limit("monthly", 50))]})
    sidecar.apply(lowered, ACME)
    answer = await check(sidecar)
    status = answer.decision.binding_limit
    assert (False, 60, 0, 10) == (
        answer.decision.allowed,
        status.used,
        status.remaining,
        status.overage,
    )
    sidecar.apply(catalog({"basic": [metered("calls", limit("other name", 70))]}), ACME)
    raised = await check(sidecar)
    assert (True, 61) == (raised.decision.allowed, raised.decision.binding_limit.used)


async def test_late_usage_counts_in_its_own_window(sidecar: Serving) -> None:
    await check(sidecar, quantity=90)
    february = stamp(NOW_US - 20 * DAY_US)
    late = await check(sidecar, quantity=30, event_time=february)
    assert (30, stamp(MIDNIGHT_US - 14 * DAY_US)) == (
        late.decision.binding_limit.used,
        late.decision.binding_limit.resets_at,
    )
    denied = await check(sidecar, quantity=71, event_time=february)
    assert not denied.decision.allowed
    assert not denied.decision.HasField("retry_after")
    assert 91 == (await check(sidecar)).decision.binding_limit.used
