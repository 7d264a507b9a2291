"""A plane says anything, the sidecar lives: it loses no record, goes on, and asks again later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from structlog.testing import capture_logs

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.time.units import DAY_US
from sidecar.shared.convert.counters import total_to_message
from tests.support.bounded import Bench, bench_of
from tests.support.build import NOW_US, total
from tests.support.processes import until
from tests.support.stores import MONTHLY, counter_key_of

RECORDS = 30
EXCHANGES = 2
INT64_MIN = -INT64_MAX - 1
FAILURES = ("sync.plane_away", "sync.plane_refuses", "sync.push_failed")

Answer = Callable[[Any], bytes]


def hello(**fields: Any) -> Answer:
    return lambda _: sync_pb2.HelloResponse(**fields).SerializeToString()


def pushed(**fields: Any) -> Answer:
    return lambda _: sync_pb2.PushUsageResponse(**fields).SerializeToString()


def refused(reason: str, **metadata: str) -> Answer:
    """A refusal with these details."""
    info = error_details_pb2.ErrorInfo(reason=reason, metadata=metadata)
    detail = AnyMessage()
    detail.Pack(info)
    code: int = grpc.StatusCode.FAILED_PRECONDITION.value[0]
    status = status_pb2.Status(code=code, message="no", details=[detail])
    return failing(status.SerializeToString())


def failing(details: bytes) -> Answer:
    def answer(_: object) -> bytes:
        trailing = grpc.aio.Metadata(("grpc-status-details-bin", details))
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.FAILED_PRECONDITION, grpc.aio.Metadata(), trailing, "no"
        )

    return answer


NOW = Timestamp(seconds=NOW_US // 1_000_000)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(hello(watermark=1 << 62, plane_time=NOW), id="has more than was ever sent"),
        pytest.param(hello(watermark=RECORDS + 1, plane_time=NOW), id="has one more"),
        pytest.param(
            hello(fenced=True, common_sequence=RECORDS + 1, plane_time=NOW), id="fenced beyond all"
        ),
        pytest.param(hello(plane_time=Timestamp(seconds=INT64_MAX)), id="at no time"),
        pytest.param(hello(plane_time=Timestamp(seconds=INT64_MIN)), id="long before all time"),
        pytest.param(hello(plane_time=Timestamp(seconds=5, nanos=-1)), id="odd nanoseconds"),
        pytest.param(lambda _: b"\xff\xff", id="no message"),
    ],
)
async def test_an_odd_greeting_costs_no_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Answer
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        await lives(bench, monkeypatch, "Hello", answer)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(pushed(watermark=RECORDS + 1, plane_time=NOW), id="took more than was sent"),
        pytest.param(pushed(watermark=1 << 62, plane_time=NOW), id="took what no store has"),
        pytest.param(pushed(watermark=0, plane_time=NOW), id="took nothing"),
        pytest.param(pushed(watermark=5, plane_time=Timestamp(seconds=1 << 60)), id="at no time"),
        pytest.param(refused("SEQUENCE_GAP"), id="a gap nowhere"),
        pytest.param(refused("SEQUENCE_GAP", expected_sequence=""), id="a gap at nothing"),
        pytest.param(refused("SEQUENCE_GAP", expected_sequence="-7"), id="a gap before all"),
        pytest.param(refused("SEQUENCE_GAP", expected_sequence="seven"), id="a gap at a word"),
        pytest.param(
            refused("SEQUENCE_GAP", expected_sequence="\u0667"), id="a gap at another digit"
        ),
        pytest.param(refused("SEQUENCE_GAP", expected_sequence="9" * 99), id="a gap beyond all"),
        pytest.param(refused("SEQUENCE_GAP", expected_sequence=str(RECORDS + 2)), id="one beyond"),
        pytest.param(refused("FENCED"), id="fenced nowhere"),
        pytest.param(refused("FENCED", common_sequence="0x1"), id="fenced at no number"),
        pytest.param(refused("FENCED", common_sequence=str(1 << 62)), id="fenced beyond all"),
        pytest.param(refused("NEVER_HEARD_OF"), id="an unknown reason"),
        pytest.param(failing(b"\xff\xff\xff"), id="details that do not parse"),
        pytest.param(lambda _: b"\xff\xff", id="no message"),
    ],
)
async def test_an_odd_answer_to_a_push_costs_no_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Answer
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        await lives(bench, monkeypatch, "PushUsage", answer)


async def lives(bench: Bench, monkeypatch: pytest.MonkeyPatch, method: str, answer: Answer) -> None:
    """After some odd exchanges every record still waits; once the plane is well, all are sent."""
    plane, store = bench.plane, bench.container.store
    asked = 0

    async def odd(_plane: object, request: Any, **_: Any) -> bytes:
        nonlocal asked
        asked += 1
        return answer(request)

    async def often_enough() -> bool:
        return asked >= EXCHANGES

    bench.fill_outbox(RECORDS)
    assert bench.container.pusher is not None
    with capture_logs() as logs:
        async with bench.running(bench.container.pusher.run()):
            with monkeypatch.context() as patched:
                patched.setattr(type(plane), method, odd)
                await until(often_enough, "the plane was not asked again")
                assert RECORDS == store.waiting_records()
            await bench.sent()
    told = [line["event"] for line in logs if line["event"] in FAILURES]
    assert len(told) == len(set(told))
    assert RECORDS == sum(map(len, plane.records.values()))


@pytest.mark.parametrize(
    "oddity",
    [
        pytest.param({"company": "x" * 129}, id="a company too long for a key"),
        pytest.param({"feature": "é" * 65}, id="a feature too long for a key"),
        pytest.param({"company": ""}, id="no company"),
        pytest.param({"company": "acme\0x"}, id="a company that would be two in a key"),
        pytest.param({"start": INT64_MIN, "end": 0}, id="a window before all time"),
        pytest.param({"start": 0, "end": INT64_MAX - 1}, id="a window beyond all time"),
        pytest.param({"start": 9, "end": 9}, id="a window of nothing"),
        pytest.param({"slot": ""}, id="no slot"),
        pytest.param({"version": 1 << 62}, id="a version that no clock shows"),
        pytest.param({"version": NOW_US + 2 * DAY_US}, id="a version of the day after tomorrow"),
    ],
)
async def test_a_total_that_cannot_be_kept_keeps_no_other_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, oddity: dict[str, Any]
) -> None:
    sound = total_to_message(total(MONTHLY, 70, 0, 1))
    odd = sync_pb2.CounterTotal()
    odd.CopyFrom(sound)
    odd.company, odd.feature = oddity.get("company", "acme"), oddity.get("feature", "calls")
    odd.version = oddity.get("version", odd.version)
    odd.counter.slot = oddity.get("slot", odd.counter.slot)
    odd.counter.window_start_us = oddity.get("start", odd.counter.window_start_us)
    odd.counter.window_end_us = oddity.get("end", odd.counter.window_end_us)
    async with bench_of(monkeypatch, tmp_path) as bench:
        assert 70 == await heard(bench, [odd, sound])


@pytest.mark.parametrize(
    ("said", "own", "expected"),
    [
        pytest.param(INT64_MAX, INT64_MIN, INT64_MAX, id="more than 64 bits hold"),
        pytest.param(INT64_MIN, INT64_MAX, 0, id="less than 64 bits hold"),
    ],
)
async def test_sums_saturate_instead_of_failing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: int, own: int, expected: int
) -> None:
    message = total_to_message(total(MONTHLY, 1, 0, 1))
    message.total, message.own = said, own
    async with bench_of(monkeypatch, tmp_path) as bench:
        assert expected == await heard(bench, [message])


async def heard(bench: Bench, totals: list[sync_pb2.CounterTotal]) -> int:
    """The usage of `MONTHLY` once a push was answered with totals."""
    bench.fill_outbox(1)
    bench.plane.totals = totals
    container = bench.container
    assert container.pusher is not None
    key = counter_key_of(MONTHLY)

    def used() -> int | None:
        counter = container.store.transact(lambda transaction: transaction.counter(key))
        return None if counter is None else counter.used

    async def has_heard() -> bool:
        return used() is not None

    async with bench.running(container.pusher.run()):
        await until(has_heard, "the total was not heard")
    found = used()
    assert found is not None
    return found
