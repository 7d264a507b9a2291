"""The same calls on both transports: equal answers, statuses and details.

Two sidecars with equal stores and clocks, one behind the native front and one behind grpcio, get
the same random calls of all methods, good and bad. What must differ is left out: the incarnation's
name, figures of the process, and the time until a window ends.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from sidecar.api.admin.v1 import admin_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.build import NOW_US
from tests.support.seeds import rounds, seeded
from tests.support.sidecar_api import COMPANIES, CONTENT, stamp
from tests.support.sidecars import Serving, serving

API: Final = "sidecar.api.enforcement.v1.EnforcementService"
ADMIN: Final = "sidecar.api.admin.v1.AdminService"
HEALTH: Final = "grpc.health.v1.Health"
REFLECTION: Final = "grpc.reflection.v1alpha.ServerReflection"
NAMES: Final = ("acme", "acme", "acme", "special", "bare", "canceled", "nowhere", "", "a\n")
FEATURES: Final = ("calls", "calls", "tokens", "messages", "free", "sso", "days", "none", "")
DIFFERENT: Final = ("retry_after", "started_at", "oldest_waiting_at", "clock_offset_us")
MESSAGE_BYTES_MAX: Final = 64 * 1024

Make = Callable[[random.Random], Message]
Raw = tuple[Any, ...]


def check_of(rng: random.Random) -> pb.CheckAndIncrementRequest:
    request = pb.CheckAndIncrementRequest(
        company=rng.choice(NAMES),
        feature=rng.choice(FEATURES),
        quantity=rng.choice((None, 0, 1, 1, 2, 3, 50, -1, 2**63 - 1)),
        idempotency_key=rng.choice(("", "", f"k{rng.randrange(9)}", "x" * 129, "\t")),
        grant_mode=pb.GrantMode.ValueType(rng.choice((0, 0, 1, 2, 9))),
        metadata=rng.choice(({}, {"a": "b"}, {"a": "x" * 5_000})),
    )
    if rng.random() < 0.5:
        request.dimensions[rng.choice(("user", "model", ""))] = rng.choice(("ann", "large", "\n"))
    if rng.random() < 0.2:
        at_us = NOW_US + rng.choice((0, -1, 40, 10)) * 86_400_000_000
        request.event_time.CopyFrom(stamp(at_us))
    return request


def batch_of(rng: random.Random) -> Message:
    size = rng.choice((0, 1, 3, 20, 1001))
    return pb.BatchCheckAndIncrementRequest(checks=[check_of(rng) for _ in range(size)])


def _record(rng: random.Random) -> Message:
    check = check_of(rng)
    return pb.RecordUsageRequest(
        company=check.company,
        feature=check.feature,
        quantity=check.quantity,
        idempotency_key=check.idempotency_key,
        dimensions=check.dimensions,
    )


def _question(rng: random.Random) -> Message:
    check = check_of(rng)
    return pb.CheckRequest(
        company=check.company, feature=check.feature, quantity=check.quantity,
        dimensions=check.dimensions, grant_mode=check.grant_mode,
    )  # fmt: skip


def _of_company(kind: type[Message]) -> Make:
    def make(rng: random.Random) -> Message:
        fields = {"company": rng.choice(NAMES)}
        if "feature" in kind.DESCRIPTOR.fields_by_name:
            fields["feature"] = rng.choice(FEATURES)
        return kind(**fields)

    return make


UNARY: Final[dict[str, tuple[Make, type[Message]]]] = {
    f"/{API}/CheckAndIncrement": (check_of, pb.CheckAndIncrementResponse),
    f"/{API}/BatchCheckAndIncrement": (batch_of, pb.BatchCheckAndIncrementResponse),
    f"/{API}/RecordUsage": (_record, pb.RecordUsageResponse),
    f"/{API}/Check": (_question, pb.CheckResponse),
    f"/{API}/GetUsage": (_of_company(pb.GetUsageRequest), pb.GetUsageResponse),
    f"/{API}/GetEntitlement": (
        _of_company(pb.GetEntitlementRequest),
        pb.GetEntitlementResponse,
    ),
    f"/{API}/ListEntitlements": (
        _of_company(pb.ListEntitlementsRequest),
        pb.ListEntitlementsResponse,
    ),
    f"/{API}/ExplainEntitlement": (
        _of_company(pb.ExplainEntitlementRequest),
        pb.ExplainEntitlementResponse,
    ),
    f"/{ADMIN}/GetStatus": (lambda _: admin_pb2.GetStatusRequest(), admin_pb2.GetStatusResponse),
    f"/{ADMIN}/Flush": (lambda _: admin_pb2.FlushRequest(), admin_pb2.FlushResponse),
    f"/{HEALTH}/Check": (
        lambda rng: health_pb2.HealthCheckRequest(service=rng.choice(("", API, "none"))),
        health_pb2.HealthCheckResponse,
    ),
}
UNKNOWN: Final = (f"/{API}/None", "/none.Service/Check", f"/{API}/", "/x")


def request_of(rng: random.Random, make: Make) -> bytes:
    """A request, or what an accident made of it."""
    data = make(rng).SerializeToString()
    kind = rng.random()
    if kind < 0.06 and data:
        return data[: rng.randrange(len(data))]
    if kind < 0.12 and data:
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(damaged)
    return data + b"\x7a\x00" if kind < 0.14 else data


def normal(kind: type[Message], data: bytes, sidecar: Serving) -> Message | bytes:
    """An answer without what must differ between two sidecars."""
    incarnation = sidecar.container.store.incarnation.id
    text = data.replace(incarnation.encode(), b"x" * len(incarnation))
    try:
        answer = kind.FromString(text)
    except DecodeError:
        return text
    _clear(answer)
    return answer


def _clear(message: Message) -> None:
    for field, value in message.ListFields():
        if field.name in DIFFERENT or field.name.startswith(("store_", "outbox_")):
            message.ClearField(field.name)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for inner in value if field.is_repeated else [value]:
                _clear(inner)


async def unary(sidecar: Serving, path: str, data: bytes, options: dict[str, Any]) -> Raw:
    """What comes of a unary call: code, message, details; or the answer's bytes."""
    channel: Any = sidecar.channel
    call = channel.unary_unary(path)(data, **options)
    try:
        return ("answer", await call)
    except grpc.aio.AioRpcError as error:
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
        # The words about a message over the bound are each transport's own.
        words = None if len(data) > MESSAGE_BYTES_MAX else error.details()
        return (error.code(), words, details)


async def stream(sidecar: Serving, messages: list[bytes]) -> list[Raw]:
    """What comes of a stream of checks."""
    path = f"/{API}/StreamCheckAndIncrement"
    channel: Any = sidecar.channel
    call = channel.stream_stream(path)(_each(messages))
    found: list[Raw] = []
    try:
        async for data in call:
            found.append(("answer", data))  # noqa: PERF401 what came before an error counts
    except grpc.aio.AioRpcError as error:
        found.append((error.code(), error.details()))
    return found


async def _each(messages: list[bytes]) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[tuple[Serving, Serving]]:
    """Two sidecars that differ in their transport alone."""
    for name in ("native", "grpcio"):
        (folder / name).mkdir()
    bounds = {"message_bytes_max": MESSAGE_BYTES_MAX}
    async with (
        serving(folder / "native", CONTENT, COMPANIES, transport="native", **bounds) as native,
        serving(folder / "grpcio", CONTENT, COMPANIES, transport="grpcio", **bounds) as grpcio,
    ):
        yield native, grpcio


async def compare_unary(rng: random.Random, native: Serving, grpcio: Serving) -> None:
    """Make one unary call on both."""
    path = rng.choice([*UNARY, *list(UNARY)[:3], rng.choice(UNKNOWN)])
    make, kind = UNARY.get(path, (check_of, pb.CheckAndIncrementResponse))
    data = request_of(rng, make)
    options: dict[str, Any] = {}
    if rng.random() < 0.2:
        options["metadata"] = (("x-id", str(rng.random())), ("x-bin", rng.randbytes(5)))
    if rng.random() < 0.1:
        options["compression"] = grpc.Compression.Gzip
    if rng.random() < 0.1:
        options["timeout"] = 600 + rng.random()
    if rng.random() < 0.02:
        data = bytes(MESSAGE_BYTES_MAX + 1)
    ours = await unary(native, path, data, options)
    theirs = await unary(grpcio, path, data, options)
    if ours[0] == theirs[0] == "answer":
        ours = (normal(kind, ours[1], native),)
        theirs = (normal(kind, theirs[1], grpcio),)
    assert theirs == ours, (path, data)


async def compare_stream(rng: random.Random, native: Serving, grpcio: Serving) -> None:
    """Send one stream of checks on both."""
    messages = [
        request_of(rng, lambda rng: pb.StreamCheckAndIncrementRequest(check=check_of(rng)))
        for _ in range(rng.randrange(6))
    ]
    found = []
    for sidecar in (native, grpcio):
        outcomes = await stream(sidecar, messages)
        found.append(
            [
                normal(pb.StreamCheckAndIncrementResponse, outcome[1], sidecar)
                if outcome[0] == "answer"
                else outcome
                for outcome in outcomes
            ]
        )
    assert found[1] == found[0], messages


@pytest.mark.parametrize(("calls", "seed"), rounds(500, 31, slow=1_500, seeds=(131, 132)))
async def test_both_transports_answer_the_same(tmp_path: Path, calls: int, seed: int) -> None:
    rng = seeded(seed)
    async with both(tmp_path) as (native, grpcio):
        for _ in range(calls):
            compare = compare_stream if rng.random() < 0.1 else compare_unary
            await compare(rng, native, grpcio)
        assert native.container.store.head.sequence == grpcio.container.store.head.sequence > 0


async def test_watches_and_reflection_tell_the_same(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        found = []
        for sidecar in pair:
            watch = sidecar.api.WatchEntitlements(pb.WatchEntitlementsRequest(company="acme"))
            events = [await watch.read() for _ in range(5)]
            watch.cancel()
            question = reflection_pb2.ServerReflectionRequest(list_services="")
            path = f"/{REFLECTION}/ServerReflectionInfo"
            channel: Any = sidecar.channel
            call = channel.stream_stream(path)(_each([question.SerializeToString()]))
            services = [answer async for answer in call]
            found.append(([(event.event, event.feature) for event in events], services))
        assert found[1] == found[0]
