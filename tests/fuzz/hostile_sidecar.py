"""A sidecar that says anything: real calls of a plane's sync service, with a few fields otherwise.

It greets, pushes, asks and watches as itself and as others: with histories that were forged or
cloned, sequences at the ends of 64 bits, records of odd names and windows, and bytes that are none.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from hashlib import sha256
from itertools import islice
from typing import Any, Final
from uuid import UUID

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from sidecar.api.sync.v1 import sync_pb2
from tests.fuzz.mutation import INT64_MAX, NAMES, WHOLE_NUMBERS, garbled, mutate
from tests.support.bounds import HANG_SECONDS_MAX

SERVICE: Final = sync_pb2.DESCRIPTOR.services_by_name["SyncService"]
FIRST_CHAIN: Final = bytes(32)
RECORDS_MAX: Final = 20
STEPS_MAX: Final = 3
"""Of a stream, before it is given up."""
REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,  # a watch, where its state was replaced
    }
)
"""What a plane may say to nonsense; anything else is a fault of its own."""
UNREADABLE: Final = "Exception deserializing request!"
"""What gRPC says, as INTERNAL, to bytes that are no message; the plane never sees those."""


class HostileSidecar:
    """Calls a plane on a channel. `victim`: another's incarnation, which it takes for its own.

    `told`: how often it called, by method and what came of it. `wrong`: answers that no plane may
    give. `incarnations`: those that it made up.
    """

    def __init__(self, channel: grpc.aio.Channel, rng: random.Random, victim: str) -> None:
        self.told: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.victim = victim
        self._channel = channel
        self._rng = rng
        self.incarnations = [str(UUID(int=rng.getrandbits(128), version=4)) for _ in range(4)]
        self._histories: dict[str, list[bytes]] = {name: [] for name in self.incarnations}

    async def call(self, now_us: int) -> None:
        """Do one thing, whatever it is."""
        method: Any = self._rng.choice(SERVICE.methods)
        request = self._request(method, now_us)
        data = request.SerializeToString()
        if self._rng.random() < 0.15:
            data = garbled(self._rng, data)
        try:
            outcome = await self._exchange(method, data)
            if method.name == "PushUsage":
                self._taken(data)
        except grpc.aio.AioRpcError as error:
            outcome = error.code().name
            if error.code() not in REFUSALS and UNREADABLE not in (error.details() or ""):
                self.wrong.append(f"{method.name}: {outcome}: {error.details()}")
        self.told[f"{method.name}: {outcome}"] += 1

    async def _exchange(self, method: Any, data: bytes) -> str:
        path = f"/{SERVICE.full_name}/{method.name}"
        if not method.server_streaming:
            unary: Any = self._channel.unary_unary(path)
            await unary(data, timeout=HANG_SECONDS_MAX)
            return "OK"
        streaming: Any = self._channel.unary_stream(path)
        stream = streaming(data, timeout=HANG_SECONDS_MAX)
        try:
            for _ in range(self._rng.randrange(STEPS_MAX)):
                if await stream.read() == grpc.aio.EOF:
                    break
        finally:
            stream.cancel()
        return "OK"

    def _taken(self, data: bytes) -> None:
        """Note what the plane has of a made-up incarnation, so that it can go on."""
        push = sync_pb2.PushUsageRequest.FromString(data)
        history = self._histories.get(push.incarnation)
        if history is not None and push.first_sequence <= len(history) + 1:
            history[push.first_sequence - 1 :] = push.records

    def _request(self, method: Any, now_us: int) -> Message:
        makers = {"Hello": self._hello, "PushUsage": self._push}
        make = makers.get(method.name, self._other)
        request: Message = make(method, now_us)
        if self._rng.random() < 0.5:
            mutate(self._rng, request, self._rng.choice((1, 1, 2, 4)))
        return request

    def _incarnation(self) -> str:
        return self.victim if self._rng.random() < 0.05 else self._rng.choice(self.incarnations)

    def _hello(self, _method: Any, _now_us: int) -> Message:
        incarnation = self._incarnation()
        history = self._histories.get(incarnation, [])
        acknowledged = self._rng.randint(0, len(history))
        return sync_pb2.HelloRequest(
            incarnation=incarnation,
            last_sequence=len(history),
            node="hostile",
            version="0",
            acknowledged_sequence=acknowledged,
            acknowledged_chain=_chain(history[:acknowledged]),
            last_chain=_chain(history),
        )

    def _push(self, _method: Any, now_us: int) -> Message:
        """A run that goes on, comes again, has another history, or leaves a gap."""
        rng, incarnation = self._rng, self._incarnation()
        history = self._histories.get(incarnation, [])
        first = len(history) + 1
        records = [self._record(now_us) for _ in range(rng.randint(1, RECORDS_MAX))]
        kind = rng.randrange(6)
        if kind == 0 and history:
            first = rng.randint(1, len(history))
            records = list(islice(history, first - 1, first - 1 + RECORDS_MAX))
        elif kind == 1 and history:
            first = rng.randint(1, len(history))
        elif kind == 2:
            first = rng.choice(WHOLE_NUMBERS)
        return sync_pb2.PushUsageRequest(
            incarnation=incarnation,
            first_sequence=first,
            previous_chain=_chain(history[: max(0, first - 1)] if first < INT64_MAX else []),
            records=records,
        )

    def _record(self, now_us: int) -> bytes:
        """A record that could be a sidecar's, or one that could not."""
        rng = self._rng
        if rng.random() < 0.9:
            return sync_pb2.UsageRecord(
                company=rng.choice(("acme", "globex", "nobody")),
                feature=rng.choice(("calls", "tokens")),
                quantity=rng.choice((1, 5, 1 << 40)),
                event_time_us=now_us,
                accepted_time_us=now_us,
                idempotency_key=rng.choice(("", "key-1", "key-7")),
                payload_digest=rng.randbytes(16),
                counters=[_lifetime()],
            ).SerializeToString()
        record = sync_pb2.UsageRecord(
            company=rng.choice(("acme", "globex", "nobody", *NAMES)),
            feature=rng.choice(("calls", "tokens", "exports", "sso", *NAMES)),
            quantity=rng.choice((1, 5, *WHOLE_NUMBERS)),
            event_time_us=rng.choice((now_us, now_us, *WHOLE_NUMBERS)),
            accepted_time_us=rng.choice((now_us, now_us, *WHOLE_NUMBERS)),
            idempotency_key=rng.choice(("", "key-1", "key-7", *NAMES)),
            payload_digest=rng.randbytes(16),
            counters=[
                sync_pb2.Counter(
                    slot=rng.choice(("LIFETIME||", "MONTH/1/ANCHORED||", *NAMES)),
                    window_start_us=rng.choice((0, now_us, *WHOLE_NUMBERS)),
                    window_end_us=rng.choice((INT64_MAX, now_us, *WHOLE_NUMBERS)),
                )
                for _ in range(rng.choice((0, 1, 1, 2, 40)))
            ],
            overage=rng.choice((0, *WHOLE_NUMBERS)),
            unattributed=rng.random() < 0.2,
        )
        if rng.random() < 0.3:
            mutate(rng, record)
        data = record.SerializeToString()
        return garbled(rng, data) if rng.random() < 0.15 else data

    def _other(self, method: Any, _now_us: int) -> Any:
        """Any other request, as itself, about companies that are there or not."""
        request: Any = GetMessageClass(method.input_type)()
        fields = method.input_type.fields_by_name
        if "incarnation" in fields:
            request.incarnation = self._incarnation()
        if "companies" in fields:
            many = self._rng.choice((1, 3, 1_000, 1_001))
            request.companies.extend(self._rng.choice(("acme", "nobody")) for _ in range(many))
        if "counters" in fields:
            address = request.counters.add(company="acme", feature="calls")
            address.counter.CopyFrom(_lifetime())
        return request


def _lifetime() -> sync_pb2.Counter:
    return sync_pb2.Counter(slot="LIFETIME||", window_end_us=INT64_MAX)


async def play(hostile: HostileSidecar, calls: int, now_us: int, callers: int = 4) -> None:
    """So many calls in all, from several callers at a time."""
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(_calls(hostile, calls // callers, now_us))


async def _calls(hostile: HostileSidecar, calls: int, now_us: int) -> None:
    for _ in range(calls):
        await hostile.call(now_us)


def _chain(records: list[bytes]) -> bytes:
    chain = FIRST_CHAIN
    for record in records:
        chain = sha256(chain + record).digest()
    return chain
