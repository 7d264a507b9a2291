"""Bad input over real gRPC: the status, the reason and the field; nothing is ever counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.admin.v1 import admin_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.time.units import DAY_US, MINUTE_US
from tests.support.build import NOW_US
from tests.support.processes import until
from tests.support.sidecar_api import COMPANIES, CONTENT, ask, report, stamp
from tests.support.sidecars import Failure, Serving, failure_of, serving

INVALID: Final = grpc.StatusCode.INVALID_ARGUMENT
OUT_OF_RANGE: Final = grpc.StatusCode.OUT_OF_RANGE
NOT_FOUND: Final = grpc.StatusCode.NOT_FOUND
SERVICE: Final = "/sidecar.api.enforcement.v1.EnforcementService"
LONG: Final = "x" * 129
HUGE: Final = "x" * 100_000


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[Serving]:
    bounds = {"concurrent_calls_max": 8, "watches_max": 0}
    async with serving(tmp_path, CONTENT, COMPANIES, **bounds) as found:
        yield found
        assert 0 == found.container.store.head.sequence, "something was counted"


def raw(sidecar: Serving, path: str, data: bytes) -> Any:
    """A call whose message is bytes."""
    call: Any = sidecar.channel.unary_unary(path)
    return call(data)


def invalid(field: str) -> Failure:
    return Failure(INVALID, "INVALID_ARGUMENT", field)


@pytest.mark.parametrize("method", ["CheckAndIncrement", "RecordUsage", "Check"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"company": ""}, invalid("company"), id="no company"),
        pytest.param({"company": LONG}, invalid("company"), id="long company"),
        pytest.param({"company": HUGE}, invalid("company"), id="huge company"),
        pytest.param({"company": "a\nb"}, invalid("company"), id="line break"),
        pytest.param({"company": " acme"}, invalid("company"), id="a space before"),
        pytest.param({"company": "acme\u3000"}, invalid("company"), id="a wide space behind"),
        pytest.param({"company": "a\u0378"}, invalid("company"), id="an unassigned code point"),
        pytest.param({"feature": "calls "}, invalid("feature"), id="a space behind"),
        pytest.param({"feature": ""}, invalid("feature"), id="no feature"),
        pytest.param({"feature": LONG}, invalid("feature"), id="long feature"),
        pytest.param({"quantity": -1}, invalid("quantity"), id="negative"),
        pytest.param({"quantity": -(2**63)}, invalid("quantity"), id="most negative"),
        pytest.param(
            {"dimensions": {str(n): "" for n in range(17)}}, invalid("dimensions"), id="17"
        ),
        pytest.param({"dimensions": {"": "x"}}, invalid("dimensions"), id="no key"),
        pytest.param({"dimensions": {"k" * 65: "x"}}, invalid("dimensions"), id="long key"),
        pytest.param({"dimensions": {HUGE: "x"}}, invalid("dimensions"), id="huge key"),
        pytest.param(
            {"dimensions": {"user": "v" * 257}}, invalid("dimensions[user]"), id="long value"
        ),
        pytest.param({"dimensions": {"user ": "x"}}, invalid("dimensions"), id="a key's space"),
        pytest.param(
            {"dimensions": {"user": "bob\u00a0"}}, invalid("dimensions[user]"), id="a value's space"
        ),
        pytest.param(
            {"event_time": stamp(NOW_US - 36 * DAY_US)},
            Failure(OUT_OF_RANGE, "OUT_OF_RANGE", "event_time"),
            id="too long ago",
        ),
        pytest.param(
            {"event_time": stamp(NOW_US + 7 * MINUTE_US)},
            Failure(OUT_OF_RANGE, "OUT_OF_RANGE", "event_time"),
            id="too far ahead",
        ),
        pytest.param(
            {"event_time": Timestamp(seconds=2**63 - 1)},
            Failure(OUT_OF_RANGE, "OUT_OF_RANGE", "event_time"),
            id="the end of time",
        ),
        pytest.param(
            {"event_time": Timestamp(seconds=-(2**63))},
            Failure(OUT_OF_RANGE, "OUT_OF_RANGE", "event_time"),
            id="the beginning of time",
        ),
        pytest.param(
            {"event_time": Timestamp(seconds=NOW_US // 10**6, nanos=-1)},
            invalid("event_time"),
            id="negative nanos",
        ),
        pytest.param(
            {"event_time": Timestamp(seconds=NOW_US // 10**6, nanos=10**9)},
            invalid("event_time"),
            id="a second of nanos",
        ),
    ],
)
async def test_fields_past_their_bounds(
    sidecar: Serving, method: str, fields: dict[str, Any], expected: Failure
) -> None:
    kind: Any = getattr(pb, f"{method}Request")
    request = kind(**({"company": "acme", "feature": "calls"} | fields))
    assert expected == await failure_of(getattr(sidecar.api, method)(request))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"idempotency_key": LONG}, "idempotency_key"),
        ({"idempotency_key": "a\0b"}, "idempotency_key"),
        ({"idempotency_key": "k "}, "idempotency_key"),
        ({"metadata": {"k": "v" * 4096}}, "metadata"),
        ({"metadata": {HUGE: HUGE}}, "metadata"),
    ],
)
async def test_fields_of_what_is_recorded(
    sidecar: Serving, fields: dict[str, Any], field: str
) -> None:
    assert invalid(field) == await failure_of(sidecar.api.CheckAndIncrement(ask(**fields)))
    assert invalid(field) == await failure_of(sidecar.api.RecordUsage(report(**fields)))


async def test_an_unknown_grant_mode(sidecar: Serving) -> None:
    request = ask()
    request.grant_mode = 9  # type: ignore[assignment]
    assert invalid("grant_mode") == await failure_of(sidecar.api.CheckAndIncrement(request))
    question = pb.CheckRequest(company="acme", feature="calls", grant_mode=9)  # type: ignore[arg-type]
    assert invalid("grant_mode") == await failure_of(sidecar.api.Check(question))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (pb.GetUsageRequest(), invalid("company")),
        (pb.GetUsageRequest(company=HUGE), invalid("company")),
        (pb.GetUsageRequest(company="acme", feature=LONG), invalid("feature")),
        (pb.GetUsageRequest(company="acme", feature=HUGE), invalid("feature")),
        (
            pb.GetUsageRequest(company="acme", at=stamp(NOW_US - 36 * DAY_US)),
            Failure(OUT_OF_RANGE, "OUT_OF_RANGE", "at"),
        ),
        (
            pb.GetUsageRequest(company="unheard of"),
            Failure(NOT_FOUND, "UNKNOWN_COMPANY", "company"),
        ),
        (
            pb.GetUsageRequest(company="acme", feature="unheard of"),
            Failure(NOT_FOUND, "UNKNOWN_FEATURE", "feature"),
        ),
        (pb.GetEntitlementRequest(feature="calls"), invalid("company")),
        (pb.GetEntitlementRequest(company="acme"), invalid("feature")),
        (pb.GetEntitlementRequest(company="acme", feature=HUGE), invalid("feature")),
        (
            pb.GetEntitlementRequest(company="unheard of", feature="calls"),
            Failure(NOT_FOUND, "UNKNOWN_COMPANY", "company"),
        ),
        (
            pb.GetEntitlementRequest(company="acme", feature="unheard of"),
            Failure(NOT_FOUND, "UNKNOWN_FEATURE", "feature"),
        ),
        (pb.ListEntitlementsRequest(), invalid("company")),
        (
            pb.ListEntitlementsRequest(company="unheard of"),
            Failure(NOT_FOUND, "UNKNOWN_COMPANY", "company"),
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, Failure) else value.field,
)
async def test_questions(sidecar: Serving, request_: Any, expected: Failure) -> None:
    method = type(request_).__name__.removesuffix("Request")
    assert expected == await failure_of(getattr(sidecar.api, method)(request_))


@pytest.mark.parametrize(
    "method",
    [
        *("CheckAndIncrement", "BatchCheckAndIncrement", "Check", "RecordUsage", "GetUsage"),
        *("GetEntitlement", "ListEntitlements"),
    ],
)
@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x7fcut short", b"\x0c", b"\0" * 50])
async def test_bytes_that_are_no_message(sidecar: Serving, method: str, data: bytes) -> None:
    found = await failure_of(raw(sidecar, f"{SERVICE}/{method}", data))
    assert Failure(INVALID, "MALFORMED_REQUEST", "") == found


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("company", b"\x0a\x02\xc3\x28"),
        ("feature", b"\x0a\x01a\x12\x01\xff"),
        ("idempotency_key", b"\x0a\x01a\x12\x01b\x18\x05\x22\x03a\xf0\x9f"),
        ("dimensions", b"\x0a\x01a\x12\x01b\x32\x06\x0a\x01k\x12\x01\xff"),
        ("dimensions", b"\x0a\x01a\x12\x01b\x32\x06\x0a\x01\xff\x12\x01v"),
        ("metadata", b"\x0a\x01a\x12\x01b\x3a\x06\x0a\x01k\x12\x01\x80"),
    ],
)
async def test_text_that_is_no_utf8_names_the_field(
    sidecar: Serving, field: str, data: bytes
) -> None:
    for method in ("CheckAndIncrement", "RecordUsage"):
        found = await failure_of(raw(sidecar, f"{SERVICE}/{method}", data))
        assert Failure(INVALID, "MALFORMED_REQUEST", field) == found


async def test_a_message_past_the_bound_is_refused(sidecar: Serving) -> None:
    limit_bytes = sidecar.container.config.message_bytes_max
    request = ask(metadata={"k": "v" * limit_bytes})
    found = await failure_of(sidecar.api.CheckAndIncrement(request))
    assert grpc.StatusCode.RESOURCE_EXHAUSTED == found.code


async def test_more_calls_at_once_than_the_bound_are_refused(sidecar: Serving) -> None:
    streams = [sidecar.api.StreamCheckAndIncrement() for _ in range(8)]
    for call in streams:
        await call.write(pb.StreamCheckAndIncrementRequest())
        assert (await call.read()).outcome.HasField("error")

    async def taken() -> bool:
        one_more = sidecar.api.StreamCheckAndIncrement()
        await one_more.done_writing()
        code: grpc.StatusCode = await one_more.code()
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED)
        return code is grpc.StatusCode.OK

    assert not await taken()
    for call in streams:
        await call.done_writing()
        assert grpc.aio.EOF == await call.read()

    await until(taken, "calls are refused for ever")


@pytest.mark.parametrize("method", ["Flush", "Drain"])
@pytest.mark.parametrize(
    "duration",
    [
        {"seconds": 61},
        {"seconds": -1},
        {"seconds": 2**63 - 1},
        {"seconds": 60, "nanos": 1000},
    ],
    ids=str,
)
async def test_timeouts_past_their_bounds(
    sidecar: Serving, method: str, duration: dict[str, int]
) -> None:
    kind: Any = getattr(admin_pb2, f"{method}Request")
    request = kind(timeout=duration)
    assert invalid("timeout") == await failure_of(getattr(sidecar.admin, method)(request))


async def test_a_method_that_is_not_there(sidecar: Serving) -> None:
    found = await failure_of(raw(sidecar, f"{SERVICE}/Nothing", b""))
    assert grpc.StatusCode.UNIMPLEMENTED == found.code
