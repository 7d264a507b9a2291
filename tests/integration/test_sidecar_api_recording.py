"""Retries and what is recorded, on both transports, at both durabilities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.units import HOUR_US, MINUTE_US
from tests.support.build import NOW_US, catalog, limit, metered
from tests.support.sidecar_api import (
    ACME,
    COMPANIES,
    CONTENT,
    check,
    outcome,
    records,
    report,
    stamp,
)
from tests.support.sidecars import WAYS, Failure, Serving, failure_of, serving


@pytest.fixture(params=WAYS)
async def sidecar(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path, CONTENT, COMPANIES, **request.param) as found:
        yield found


async def test_a_retry_gets_the_original_answer(sidecar: Serving) -> None:
    first = await check(sidecar, quantity=60, idempotency_key="k")
    await check(sidecar, quantity=20)
    sidecar.set_clock(NOW_US + HOUR_US)
    again = await check(
        sidecar, quantity=60, idempotency_key="k", event_time=stamp(NOW_US), metadata={"try": "2"}
    )
    expected = pb.CheckAndIncrementResponse()
    expected.CopyFrom(first)
    expected.replayed = True
    assert expected == again
    assert expected.SerializeToString(deterministic=True) == again.SerializeToString(
        deterministic=True
    )
    assert [60, 20] == [record.quantity for record in records(sidecar)]


async def test_a_retry_after_the_plan_is_gone_still_gets_the_original_answer(
    sidecar: Serving,
) -> None:
    first = await check(sidecar, quantity=60, idempotency_key="k")
    sidecar.apply(catalog({"basic": []}), ACME)
    again = await check(sidecar, quantity=60, idempotency_key="k")
    assert (first.record_id, True) == (again.record_id, again.replayed)


async def test_concurrent_retries_count_once(sidecar: Serving) -> None:
    calls = [check(sidecar, quantity=3, idempotency_key="k") for _ in range(40)]
    answers = await asyncio.gather(*calls)
    assert 1 == len({answer.record_id for answer in answers})
    assert [False] + [True] * 39 == sorted(answer.replayed for answer in answers)
    assert [3] == [record.quantity for record in records(sidecar)]


async def test_a_key_is_forgotten_after_its_time(sidecar: Serving) -> None:
    """Answers go a day's at a time: a key is remembered for one day at least, and two at most."""

    async def tend_at(hours: int, *, late_us: int) -> None:
        sidecar.set_clock(NOW_US + hours * HOUR_US + late_us)
        while await sidecar.container.maintenance.tend_answers_once():
            pass

    await check(sidecar, idempotency_key="k")
    await tend_at(0, late_us=0)
    for hours in (24, 48):
        await tend_at(hours, late_us=-MINUTE_US)
        assert (await check(sidecar, idempotency_key="k")).replayed
        await tend_at(hours, late_us=MINUTE_US)
    await tend_at(48, late_us=2 * MINUTE_US)
    assert not (await check(sidecar, idempotency_key="k")).replayed


@pytest.mark.parametrize(
    "other",
    [
        {"quantity": 2},
        {"feature": "tokens"},
        {"dimensions": {"user": "ann"}},
        {"grant_mode": pb.GRANT_MODE_UP_TO},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_another_payload_under_a_key_is_a_conflict(
    sidecar: Serving, other: dict[str, Any]
) -> None:
    await check(sidecar, quantity=1, idempotency_key="k")
    fields = {"quantity": 1, "idempotency_key": "k"} | other
    expected = Failure(grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_CONFLICT", "idempotency_key")
    assert expected == await failure_of(check(sidecar, **fields))
    assert 1 == len(records(sidecar))


async def test_what_means_the_same_is_no_conflict(sidecar: Serving) -> None:
    await check(sidecar, idempotency_key="k")
    said = {"quantity": 1, "grant_mode": pb.GRANT_MODE_ALL_OR_NOTHING}
    assert (await check(sidecar, idempotency_key="k", **said)).replayed


async def test_keys_belong_to_their_company(sidecar: Serving) -> None:
    await check(sidecar, idempotency_key="k")
    assert not (await check(sidecar, idempotency_key="k", company="special")).replayed


async def test_a_denial_is_evaluated_anew_on_a_retry(sidecar: Serving) -> None:
    denied = await check(sidecar, quantity=101, idempotency_key="k")
    assert not denied.decision.allowed
    sidecar.apply(catalog({"basic": [metered("calls", limit("monthly", 200))]}), ACME)
    allowed = await check(sidecar, quantity=101, idempotency_key="k")
    assert (True, False) == (allowed.decision.allowed, allowed.replayed)


async def test_a_denial_leaves_its_key_to_another_payload(sidecar: Serving) -> None:
    denied = await check(sidecar, quantity=101, idempotency_key="k")
    assert (False, False, "") == (denied.decision.allowed, denied.replayed, denied.record_id)
    counted = await check(sidecar, quantity=100, idempotency_key="k")
    assert (True, False) == (counted.decision.allowed, counted.replayed)
    assert (await check(sidecar, quantity=100, idempotency_key="k")).replayed


async def test_usage_that_has_happened_is_never_denied(sidecar: Serving) -> None:
    await check(sidecar, quantity=100)
    answer = await sidecar.api.RecordUsage(report(quantity=5))
    assert (True, "REASON_LIMIT_EXCEEDED", 5) == outcome(answer)
    status = answer.decision.binding_limit
    assert (105, 0, 5) == (status.used, status.remaining, status.overage)


@pytest.mark.parametrize(
    ("feature", "company", "reason", "unattributed"),
    [
        ("calls", "unheard_of", Reason.UNKNOWN_COMPANY, True),
        ("unheard_of", "acme", Reason.UNKNOWN_FEATURE, True),
        ("calls", "bare", Reason.NOT_ENTITLED, True),
        ("calls", "canceled", Reason.SUBSCRIPTION_CANCELED, False),
        ("calls", "trial_over", Reason.TRIAL_ENDED, False),
        ("sso", "acme", Reason.ALLOWED, False),
    ],
)
async def test_usage_is_recorded_whatever_a_check_would_say(
    sidecar: Serving, feature: str, company: str, reason: Reason, unattributed: bool
) -> None:
    """What it counts on is known also where a check would be denied, but for what is not sold."""
    answer = await sidecar.api.RecordUsage(report(feature, 5, company, idempotency_key="k"))
    assert (True, f"REASON_{reason.name}", 5) == outcome(answer)
    assert answer.record_id
    again = await sidecar.api.RecordUsage(report(feature, 5, company, idempotency_key="k"))
    assert (True, answer.record_id) == (again.replayed, again.record_id)
    assert answer.decision == again.decision
    assert [(company, feature, 5, unattributed)] == [
        (record.company, record.feature, record.quantity, record.unattributed)
        for record in records(sidecar)
    ]


async def test_a_record_carries_what_was_sent(sidecar: Serving) -> None:
    at_us = NOW_US - HOUR_US
    await check(
        sidecar,
        "messages",
        2,
        idempotency_key="k",
        event_time=stamp(at_us),
        dimensions={"user": "ann", "zone": "eu"},
        metadata={"trace": "\u00e4\n"},
    )
    (record,) = records(sidecar)
    assert ("acme", "messages", 2, "k") == (
        record.company,
        record.feature,
        record.quantity,
        record.idempotency_key,
    )
    assert at_us == record.event_time_us
    assert 0 <= record.accepted_time_us - NOW_US < 60_000_000
    assert {"user": "ann", "zone": "eu"} == dict(record.dimensions)
    assert {"trace": "\u00e4\n"} == dict(record.metadata)
    assert [("DAY/1/CALENDAR|user|", ["ann"]), ("DAY/1/CALENDAR||", [])] == [
        (counter.slot, list(counter.values)) for counter in record.counters
    ]
    assert 16 == len(record.payload_digest)


async def test_recorded_without_end_it_goes_on(sidecar: Serving) -> None:
    """The greatest quantity, several times, of a feature that nothing bounds."""
    for _ in range(4):
        await sidecar.api.RecordUsage(report("free", INT64_MAX))
    assert 4 == len(records(sidecar))
    assert (await check(sidecar)).decision.allowed
