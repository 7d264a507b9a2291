"""Batches and streams of checks on both transports, at both durabilities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.build import NOW_US
from tests.support.sidecar_api import COMPANIES, CONTENT, ask, stamp
from tests.support.sidecars import WAYS, Failure, Serving, failure_of, serving


@pytest.fixture(params=WAYS)
async def sidecar(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path, CONTENT, COMPANIES, **request.param) as found:
        yield found


async def batch(
    sidecar: Serving, checks: Sequence[pb.CheckAndIncrementRequest]
) -> list[pb.CheckOutcome]:
    request = pb.BatchCheckAndIncrementRequest(checks=checks)
    return list((await sidecar.api.BatchCheckAndIncrement(request)).outcomes)


def brief(outcome: pb.CheckOutcome) -> str:
    """`3` for a granted quantity, `denied`, `replayed`, or the reason and field of an error."""
    if outcome.HasField("error"):
        assert outcome.error.message
        return f"{outcome.error.reason} {outcome.error.field}"
    if outcome.response.replayed:
        return "replayed"
    decision = outcome.response.decision
    return str(decision.granted) if decision.allowed else "denied"


def used(outcome: pb.CheckOutcome) -> int:
    return outcome.response.decision.binding_limit.used


async def test_outcomes_come_in_the_order_of_the_checks(sidecar: Serving) -> None:
    outcomes = await batch(sidecar, [ask(quantity=n) for n in (50, 60, 30, 21, 20, 1)])
    assert ["50", "denied", "30", "denied", "20", "denied"] == list(map(brief, outcomes))
    assert [50, 50, 80, 80, 100, 100] == list(map(used, outcomes))


async def test_a_batch_of_1000_is_one_step(sidecar: Serving) -> None:
    outcomes = await batch(sidecar, [ask("free", n) for n in range(1, 1001)])
    assert list(map(str, range(1, 1001))) == list(map(brief, outcomes))
    ids = [outcome.response.record_id for outcome in outcomes]
    assert 1000 == len(set(ids)) == sidecar.container.store.head.sequence


@pytest.mark.parametrize("size", [0, 1001])
async def test_a_batch_of_none_or_of_1001_is_refused(sidecar: Serving, size: int) -> None:
    expected = Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "checks")
    assert expected == await failure_of(batch(sidecar, [ask()] * size))
    assert 0 == sidecar.container.store.head.sequence


async def test_an_error_concerns_its_check_alone(sidecar: Serving) -> None:
    await batch(sidecar, [ask(idempotency_key="k")])
    outcomes = await batch(
        sidecar,
        [
            ask(quantity=5),
            ask(quantity=-1),
            ask(company=""),
            ask(dimensions={"user": "x" * 257}),
            ask(event_time=stamp(1)),
            ask(quantity=2, idempotency_key="k"),
            ask("free", 2**63 - 1),
            ask("tokens", 5),
            ask("tokens", 2**63 - 1),
            ask(quantity=7),
            ask(idempotency_key="k"),
        ],
    )
    assert [
        "5",
        "INVALID_ARGUMENT checks[1].quantity",
        "INVALID_ARGUMENT checks[2].company",
        "INVALID_ARGUMENT checks[3].dimensions[user]",
        "OUT_OF_RANGE checks[4].event_time",
        "IDEMPOTENCY_CONFLICT checks[5].idempotency_key",
        str(2**63 - 1),
        "5",
        str(2**63 - 1),
        "7",
        "replayed",
    ] == list(map(brief, outcomes))
    codes = [outcome.error.code for outcome in outcomes if outcome.HasField("error")]
    assert [3, 3, 3, 11, 6] == codes
    assert 13 == used(outcomes[9])
    assert 6 == sidecar.container.store.head.sequence


async def test_a_key_twice_in_a_batch_is_counted_once(sidecar: Serving) -> None:
    checks = [ask(quantity=3, idempotency_key="k")] * 3 + [ask(quantity=4, idempotency_key="k")]
    outcomes = await batch(sidecar, checks)
    expected = ["3", "replayed", "replayed", "IDEMPOTENCY_CONFLICT checks[3].idempotency_key"]
    assert expected == list(map(brief, outcomes))
    assert 1 == sidecar.container.store.head.sequence


async def test_a_batch_again_is_replayed_check_by_check(sidecar: Serving) -> None:
    checks = [ask("free", n, idempotency_key=str(n)) for n in range(1, 21)]
    first = await batch(sidecar, checks)
    again = await batch(sidecar, [*checks, ask("free", 1, idempotency_key="new")])
    assert ["replayed"] * 20 + ["1"] == list(map(brief, again))
    ids = [[outcome.response.record_id for outcome in outcomes] for outcomes in (first, again)]
    assert ids[0] == ids[1][:20]


async def test_unknown_companies_and_features_are_denied_in_their_place(sidecar: Serving) -> None:
    outcomes = await batch(
        sidecar, [ask(company="unheard of"), ask(), ask("unheard of"), ask("sso"), ask()]
    )
    assert ["denied", "1", "denied", "0", "1"] == list(map(brief, outcomes))


async def test_broken_text_in_a_batch_names_its_check(sidecar: Serving) -> None:
    good, bad = ask().SerializeToString(), b"\x0a\x02\xff\xfe"
    data = b"".join(b"\x0a%c%b" % (len(part), part) for part in (good, good, bad, good))
    call: Any = sidecar.channel.unary_unary(
        "/sidecar.api.enforcement.v1.EnforcementService/BatchCheckAndIncrement"
    )
    found = await failure_of(call(data))
    expected = (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST", "checks[2].company")
    assert expected == found
    assert 0 == sidecar.container.store.head.sequence


async def test_a_full_outbox_denies_what_does_not_fit_and_counts_none_of_it(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, CONTENT, COMPANIES, outbox_records_max=3) as sidecar:
        outcomes = await batch(sidecar, [ask(quantity=1) for _ in range(5)] + [ask(quantity=999)])
        assert ["1", "1", "1", "denied", "denied", "denied"] == list(map(brief, outcomes))
        full, exceeded = pb.REASON_OUTBOX_FULL, pb.REASON_LIMIT_EXCEEDED
        reasons = [outcome.response.decision.reason for outcome in outcomes[3:]]
        assert [full, full, exceeded] == reasons
        assert full == (await sidecar.api.CheckAndIncrement(ask())).decision.reason
        assert 3 == sidecar.container.store.waiting_records()
        assert 3 == used((await batch(sidecar, [ask(quantity=999)]))[0])


async def test_a_full_outbox_takes_what_has_happened(tmp_path: Path) -> None:
    async with serving(tmp_path, CONTENT, COMPANIES, outbox_records_max=1) as sidecar:
        for company in ("acme", "acme", "unheard of"):
            report = pb.RecordUsageRequest(company=company, feature="calls", quantity=2)
            assert (await sidecar.api.RecordUsage(report)).record_id
        assert 3 == sidecar.container.store.waiting_records()
        assert 4 == used((await batch(sidecar, [ask(quantity=999)]))[0])


async def stream(
    sidecar: Serving, requests: Sequence[pb.StreamCheckAndIncrementRequest]
) -> list[str]:
    call = sidecar.api.StreamCheckAndIncrement(iter(requests))
    return [brief(response.outcome) async for response in call]


def item(*args: str | int, **fields: object) -> pb.StreamCheckAndIncrementRequest:
    return pb.StreamCheckAndIncrementRequest(check=ask(*args, **fields))  # type: ignore[arg-type]


async def test_a_stream_answers_in_order_with_errors_in_between(sidecar: Serving) -> None:
    found = await stream(
        sidecar,
        [
            item("calls", 50),
            item("calls", 60),
            item("calls", -5),
            item("calls", 1, idempotency_key="k"),
            item("calls", 2, idempotency_key="k"),
            item("calls", 1, idempotency_key="k"),
            pb.StreamCheckAndIncrementRequest(),
            item("calls", 49),
        ],
    )
    assert [
        "50",
        "denied",
        "INVALID_ARGUMENT check.quantity",
        "1",
        "IDEMPOTENCY_CONFLICT check.idempotency_key",
        "replayed",
        "INVALID_ARGUMENT check.company",
        "49",
    ] == found


async def test_a_stream_outlives_a_message_that_is_none(sidecar: Serving) -> None:
    call: Any = sidecar.channel.stream_stream(
        "/sidecar.api.enforcement.v1.EnforcementService/StreamCheckAndIncrement"
    )
    good = item("calls", 1).SerializeToString()
    requests = [good, b"\xff\xff", b"\x0a\x04\x0a\x02\xff\xfe", good]
    answers = [
        brief(pb.StreamCheckAndIncrementResponse.FromString(data).outcome)
        async for data in call(iter(requests))
    ]
    assert ["1", "MALFORMED_REQUEST ", "MALFORMED_REQUEST check.company", "1"] == answers


async def test_a_stream_is_answered_as_it_comes(sidecar: Serving) -> None:
    call = sidecar.api.StreamCheckAndIncrement()
    for n in range(1, 6):
        await call.write(item("calls", 1))
        response = await call.read()
        assert n == response.outcome.response.decision.binding_limit.used
    await call.done_writing()
    assert grpc.aio.EOF == await call.read()


async def test_many_streams_at_once_count_together(sidecar: Serving) -> None:
    found = await asyncio.gather(
        *(stream(sidecar, [item("calls", 1) for _ in range(25)]) for _ in range(5))
    )
    granted = [brief for answers in found for brief in answers]
    assert (100, 25) == (granted.count("1"), granted.count("denied"))


async def test_many_callers_at_once_never_pass_the_limit(sidecar: Serving) -> None:
    calls = [sidecar.api.CheckAndIncrement(ask(quantity=3)) for _ in range(60)]
    answers = await asyncio.gather(*calls)
    assert 33 == sum(answer.decision.allowed for answer in answers)
    usage = await sidecar.api.GetUsage(pb.GetUsageRequest(company="acme", feature="calls"))
    assert 99 == usage.features[0].limits[0].used


async def test_event_times_of_a_batch_are_its_own(sidecar: Serving) -> None:
    outcomes = await batch(
        sidecar,
        [ask(quantity=60), ask(quantity=60, event_time=stamp(NOW_US - 30 * 86_400_000_000))],
    )
    assert ["60", "60"] == list(map(brief, outcomes))
