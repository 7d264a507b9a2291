"""A sidecar gets leases for calls, refills them, reports them, and gives them back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from structlog.testing import capture_logs

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.leases.model import LeaseEntry
from sidecar.shared.convert.leases import name_from_message
from sidecar.storage.lease_terms import LeaseTerms, read_lease_terms
from sidecar.storage.leases import Leases
from sidecar.sync.leasing import Leasing
from tests.support.bounded import CONTENT, Bench, bench_of
from tests.support.method_calls import answer_of
from tests.support.processes import until
from tests.support.stub_plane import granted

EPOCH: Final = "epoch-1"
FAILURES: Final = ("leases.plane_away", "leases.failed", "leases.refused")
AMOUNT: Final = 100
"""Of the limit."""


@asynccontextmanager
async def started(monkeypatch: pytest.MonkeyPatch, folder: Path) -> AsyncIterator[Bench]:
    """A sidecar with a company, whose plane grants leases, as far as its first greeting."""
    async with bench_of(monkeypatch, folder) as bench:
        bench.apply(CONTENT, "acme")
        bench.plane.epoch, bench.plane.grants_leases = EPOCH, True
        assert bench.container.link is not None
        link = bench.container.link
        async with (
            bench.running(link.pusher.run()),
            bench.running(link.leasing.run()),
            bench.running(link.leasing.look()),
        ):
            await met(bench, lambda: read_lease_terms(bench.container.store).epoch == EPOCH)
            yield bench


async def met(bench: Bench, condition: Callable[[], bool]) -> None:
    """Wait until something is so."""

    async def holds() -> bool:
        return condition()

    await until(holds, "it never came to that")


async def checked(
    bench: Bench, quantity: int = 1, seconds: float | None = None, company: str = "acme"
) -> pb.Decision:
    """Check `tokens`, which has one exact limit."""
    message = pb.CheckAndIncrementRequest(company=company, feature="tokens", quantity=quantity)
    handler = bench.container.methods.check_and_increment
    answer = await answer_of(handler, message.SerializeToString(), seconds)
    return pb.CheckAndIncrementResponse.FromString(answer).decision


def entries(bench: Bench) -> list[LeaseEntry]:
    """What the store has of leases."""
    found, _ = Leases(bench.container.store).page(b"", 100)
    return found


def leasing(bench: Bench) -> Leasing:
    assert bench.container.leasing is not None
    return bench.container.leasing


async def test_a_call_waits_for_its_lease_and_the_next_one_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with started(monkeypatch, tmp_path) as bench:
        first, second = await checked(bench), await checked(bench)
        assert [True, True] == [first.allowed, second.allowed]
        assert [pb.BASIS_MODE_LEASED] * 2 == [first.basis.mode, second.basis.mode]
        asked = [request for message in bench.plane.lease_requests for request in message.requests]
        assert [(1, 0)] == [(request.need, request.used) for request in asked]
        assert {EPOCH} == {message.epoch for message in bench.plane.lease_requests}


async def test_a_lease_is_refilled_before_a_call_waits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with started(monkeypatch, tmp_path) as bench:
        await checked(bench)
        for _ in range(entries(bench)[0].granted // 2):
            assert (await checked(bench)).allowed
        await met(bench, lambda: len(bench.plane.lease_requests) == 2)
        refill = bench.plane.lease_requests[1].requests[0]
        assert (0, True) == (refill.need, refill.used < refill.held)
        await met(bench, lambda: entries(bench)[0].granted == refill.used + refill.want)


async def test_what_is_recalled_is_given_back_and_asked_for_again_by_a_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with started(monkeypatch, tmp_path) as bench:
        await checked(bench)
        counter = entries(bench)[0].counter
        leasing(bench).recalled([counter])
        await met(bench, lambda: len(bench.plane.lease_requests) == 2)
        returned = bench.plane.lease_requests[1].requests[0]
        assert (1, 1, 0, 0) == (returned.held, returned.used, returned.need, returned.want)
        assert counter == name_from_message(returned.counter, "counter")
        assert (await checked(bench)).allowed
        assert 3 == len(bench.plane.lease_requests)


async def test_under_another_epoch_it_reports_what_it_holds_and_asks_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with started(monkeypatch, tmp_path) as bench:
        await checked(bench)
        held = entries(bench)[0]
        bench.plane.reports.clear()
        with monkeypatch.context() as patched:
            patched.setattr(type(bench.plane), "RequestLeases", epoch_changed)
            bench.plane.epoch = "epoch-2"
            asking = asyncio.create_task(checked(bench, quantity=held.granted + 5))
            await met(bench, lambda: bool(bench.plane.reports))
        assert (await asking).allowed
        reported = [lease for report in bench.plane.reports for lease in report.leases]
        assert [(held.granted, held.incarnation)] == [
            (lease.granted, lease.incarnation) for lease in reported
        ]
        assert ["epoch-2"] * len(bench.plane.reports) == [it.epoch for it in bench.plane.reports]
        assert [False, True] == [report.complete for report in bench.plane.reports]
        assert "epoch-2" == bench.plane.lease_requests[-1].epoch
        terms = LeaseTerms(in_use=True, epoch="epoch-2")
        await met(bench, lambda: terms == read_lease_terms(bench.container.store))


async def epoch_changed(_plane: object, _request: object, **_: Any) -> bytes:
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason="EPOCH_CHANGED"))
    code: int = grpc.StatusCode.FAILED_PRECONDITION.value[0]
    status = status_pb2.Status(code=code, message="no", details=[detail])
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    raise grpc.aio.AioRpcError(
        grpc.StatusCode.FAILED_PRECONDITION, grpc.aio.Metadata(), trailing, "no"
    )


async def test_at_the_end_all_is_given_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with started(monkeypatch, tmp_path) as bench:
        await checked(bench)
        await leasing(bench).give_back_all(10)
        returned = bench.plane.lease_requests[-1].requests[0]
        assert (1, 1, 0) == (returned.held, returned.used, returned.want)
        assert [1] == [entry.granted for entry in entries(bench)]


async def test_a_plane_that_grants_none_any_more_has_calls_decided_by_what_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with started(monkeypatch, tmp_path) as bench:
        await checked(bench)
        bench.plane.grants_leases = False
        assert bench.container.pusher is not None
        bench.container.pusher.plane_was_away()
        await met(bench, lambda: not read_lease_terms(bench.container.store).in_use)
        answer = await checked(bench)
        assert (True, pb.BASIS_MODE_LOCAL) == (answer.allowed, answer.basis.mode)


async def away(_plane: object, _request: object, **_: Any) -> bytes:
    raise grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "away"
    )


async def test_once_the_plane_takes_records_again_calls_ask_it_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with started(monkeypatch, tmp_path) as bench:
        assert bench.container.pusher is not None
        status = bench.container.plane_status
        with monkeypatch.context() as patched:
            for method in ("Hello", "RequestLeases"):
                patched.setattr(type(bench.plane), method, away)
            bench.container.pusher.plane_was_away()
            await met(bench, lambda: not status.connected)
            assert pb.REASON_LEASE_UNAVAILABLE == (await checked(bench)).reason
        await met(bench, lambda: status.connected)
        # The failure before said to let the plane rest, perhaps after it was connected again.
        assert (await checked(bench)).allowed


async def test_while_the_plane_does_not_answer_calls_are_denied_without_a_wait(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = 0

    async def counted(plane: object, request: object, **_: Any) -> bytes:
        nonlocal asked
        asked += 1
        return await away(plane, request)

    async with started(monkeypatch, tmp_path) as bench:
        with capture_logs() as logs, monkeypatch.context() as patched:
            patched.setattr(type(bench.plane), "RequestLeases", counted)
            answers = [await checked(bench) for _ in range(20)]
        assert {pb.REASON_LEASE_UNAVAILABLE} == {answer.reason for answer in answers}
        assert asked < len(answers)
        assert 1 == sum(line["event"] in FAILURES for line in logs)


Odd = Callable[[sync_pb2.LeaseRequest], sync_pb2.LeaseResult]


def with_fields(**fields: Any) -> Odd:
    """What is granted, but for some fields."""

    def answer(request: sync_pb2.LeaseRequest) -> sync_pb2.LeaseResult:
        result = granted(request)
        for name, value in fields.items():
            setattr(result, name, value)
        return result

    return answer


def with_more(more: int) -> Odd:
    def answer(request: sync_pb2.LeaseRequest) -> sync_pb2.LeaseResult:
        result = granted(request)
        result.granted += more
        return result

    return answer


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(with_more(1), id="more than was asked for"),
        pytest.param(with_fields(granted=INT64_MAX), id="as much as can be"),
        pytest.param(with_fields(granted=0), id="less than a call needs"),
        pytest.param(with_fields(granted=-1), id="less than nothing"),
        pytest.param(with_fields(number=77), id="to another request"),
        pytest.param(with_fields(number=0), id="to no request"),
        pytest.param(with_fields(status=0), id="of no status"),
        pytest.param(with_fields(status=99), id="of a status that is not known"),
        pytest.param(with_fields(valid_until_us=0 - INT64_MAX), id="until before all time"),
        pytest.param(with_fields(valid_until_us=INT64_MAX - 1), id="until beyond all time"),
        pytest.param(with_fields(amount=-1), id="by an amount below nothing"),
    ],
)
async def test_what_was_not_asked_for_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, odd: Odd
) -> None:
    async with started(monkeypatch, tmp_path) as bench:
        bench.plane.grant = odd
        answer = await checked(bench)
        assert (False, pb.REASON_LEASE_UNAVAILABLE) == (answer.allowed, answer.reason)
        assert [] == [entry for entry in entries(bench) if entry.granted]
        bench.plane.grant = granted

        async def is_well() -> bool:
            return (await checked(bench)).allowed

        await until(is_well, "it does not ask again")


async def test_an_odd_answer_about_one_company_keeps_no_other_from_its_lease(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def odd_of_acme(request: sync_pb2.LeaseRequest) -> sync_pb2.LeaseResult:
        is_odd = request.counter.company == "acme"
        return with_more(1)(request) if is_odd else granted(request)

    async with started(monkeypatch, tmp_path) as bench:
        bench.plane.grant = odd_of_acme
        bench.apply(CONTENT, "globex")
        odd, other = await asyncio.gather(checked(bench), checked(bench, company="globex"))
        assert pb.REASON_LEASE_UNAVAILABLE == odd.reason
        assert other.allowed
        assert (await checked(bench, company="globex")).allowed


async def test_an_answer_that_leaves_requests_out_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def nothing(_plane: object, _request: object, **_: Any) -> bytes:
        return sync_pb2.RequestLeasesResponse(plane_time=Timestamp(seconds=1)).SerializeToString()

    async with started(monkeypatch, tmp_path) as bench:
        monkeypatch.setattr(type(bench.plane), "RequestLeases", nothing)
        assert pb.REASON_LEASE_UNAVAILABLE == (await checked(bench)).reason


async def test_a_refused_lease_is_spent_no_more_and_told_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with started(monkeypatch, tmp_path) as bench:
        await checked(bench)
        room = entries(bench)[0].granted - 1
        bench.plane.grant = with_fields(status=sync_pb2.LEASE_STATUS_REFUSED)
        with capture_logs() as logs:
            answers = [await checked(bench, quantity=room + 1) for _ in range(3)]
        assert not any(answer.allowed for answer in answers)
        assert ["leases.refused"] == [it["event"] for it in logs if it["event"] in FAILURES]
        assert [(1, 1)] == [(entry.granted, entry.own) for entry in entries(bench)]


async def test_an_exhausted_limit_is_not_asked_about_by_every_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with started(monkeypatch, tmp_path) as bench:
        exhausted = sync_pb2.LEASE_STATUS_EXHAUSTED
        bench.plane.grant = with_fields(status=exhausted, granted=0, retry_after_ms=60_000)
        answers = [await checked(bench) for _ in range(20)]
        assert {pb.REASON_LIMIT_EXCEEDED} == {answer.reason for answer in answers}
        assert 1 == len(bench.plane.lease_requests)


async def test_what_is_granted_while_it_stops_is_given_back_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with started(monkeypatch, tmp_path) as bench:
        bench.plane.grant = with_fields(granted=1)
        await checked(bench)
        bench.plane.grant = granted
        number = entries(bench)[0].number
        granting = type(bench.plane).RequestLeases
        held_up = asyncio.Event()

        async def late(plane: object, request: Any, **_: Any) -> bytes:
            answer = granting(plane, request)  # type: ignore[arg-type]
            await held_up.wait()
            return await answer

        monkeypatch.setattr(type(bench.plane), "RequestLeases", late)
        asking = asyncio.create_task(checked(bench, quantity=20))
        await met(bench, lambda: entries(bench)[0].number > number)
        stopping = asyncio.create_task(leasing(bench).give_back_all(10))
        await asyncio.sleep(0)
        held_up.set()
        await stopping
        await asking
        (entry,) = entries(bench)
        assert entry.granted == entry.own
