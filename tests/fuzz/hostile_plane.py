"""A plane that says anything: it stands before an honest one, and tells its answers otherwise.

What it is asked reaches the honest plane, or does not; what is told may be late, an older answer,
one with other fields, bytes that are no message, an error with odd details, or nothing at all. It
lies about everything but one thing: which records the honest plane has. A sidecar forgets what is
acknowledged, and offers anew what the plane is said to have lost, and must; so what it may forget
is true, too little, or more than was ever sent, and what is fenced is true, or no record of it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from sidecar.api.sync.v1 import sync_pb2
from tests.fuzz.mutation import garbled, mutate
from tests.fuzz.relay import ANSWERS, Relay

WAYS: Final = ("other fields", "no message", "an error", "an older one", "twice", "late")
REASONS: Final = ("SEQUENCE_GAP", "FENCED", "EPOCH_CHANGED", "", "NEVER_HEARD_OF")
NUMBERS: Final = ("", "0x1", "seven", "-7", "9" * 99, "\u0667", " 1", "1e3", str(1 << 62))
LATE_SECONDS: Final = 0.05
TIMES_S: Final = (
    1 << 62,
    -(1 << 62),
    0,
    5,
    1_600_000_000,
    1_830_000_000,
    4_102_444_800,
    253_402_300_799,
)
"""Beyond the calendar, and years from now on either side."""


class HostilePlane(Relay):
    """Honest until `hostile` is set; `sells`: lies of what is sold, too.

    `told`: how often it was odd, by what and how.
    """

    def __init__(self, honest: str, rng: random.Random, *, sells: bool) -> None:
        super().__init__(honest)
        self.hostile = False
        self.told: Counter[str] = Counter()
        self._rng = rng
        self._sells = sells
        self._earlier: dict[str, bytes] = {}

    def odd(self) -> int:
        """How many odd answers it has given."""
        return self.told.total()

    async def answer(self, name: str, request: bytes, context: Any) -> bytes:
        """An answer of the honest plane, or something else."""
        rng = self._rng
        if not self.hostile or rng.random() < 0.3:
            return self._kept(name, await self.ask(name, request, context))
        way = rng.choice(WAYS)
        self.told[f"{name}: {way}"] += 1
        if way == "an error":
            if rng.random() < 0.5:
                await self.ask(name, request, context)
            await self._fail(context)
        if way == "twice":
            await self.ask(name, request, context)
        true = self._kept(name, await self.ask(name, request, context))
        if way == "late":
            await asyncio.sleep(rng.uniform(0, LATE_SECONDS))
        elif way == "other fields":
            return self._told(name, true, request)
        elif way == "no message":
            return self._guarded(name, garbled(rng, true), true, request)
        elif way == "an older one":
            return self._guarded(name, self._earlier.get(name, true), true, request)
        return true

    def _kept(self, name: str, answer: bytes) -> bytes:
        """Remember an answer sometimes, to tell it once more later."""
        if self._rng.random() < 0.2:
            self._earlier[name] = answer
        return answer

    def _told(self, name: str, true: bytes, request: bytes) -> bytes:
        answer = ANSWERS[name].FromString(true)
        mutate(self._rng, answer, self._rng.choice((1, 1, 2, 5)))
        self._jump(answer)
        return self._guarded(name, answer.SerializeToString(), true, request)

    def _jump(self, answer: Any) -> None:
        """Let its clock say something else, now and then."""
        if self._rng.random() < 0.3:
            answer.plane_time.seconds = self._rng.choice(TIMES_S)
            answer.plane_time.nanos = self._rng.choice((0, -1, 999_999_999))

    def _guarded(self, name: str, told: bytes, true: bytes, request: bytes) -> bytes:
        """Take back a lie that nobody can see through: records that it does not have."""
        kind = ANSWERS[name]
        try:
            answer: Any = kind.FromString(told)
        except DecodeError:
            return told
        honest: Any = kind.FromString(true)
        if name == "FetchSnapshots" and not self._sells:
            _sell_truly(answer, honest)
        if name not in ("Hello", "PushUsage"):
            return bytes(answer.SerializeToString())
        sent = _last_sequence(name, request)
        if not (answer.watermark <= honest.watermark or answer.watermark > sent):
            answer.watermark = honest.watermark
        if name == "Hello" and answer.common_sequence <= sent:
            answer.fenced, answer.common_sequence = honest.fenced, honest.common_sequence
        return bytes(answer.SerializeToString())

    async def _fail(self, context: Any) -> None:
        """End a call with a status and details that make more or less sense."""
        rng = self._rng
        code = rng.choice([code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
        info = error_details_pb2.ErrorInfo(reason=rng.choice(REASONS), domain="tallyd")
        for key in ("expected_sequence", "common_sequence"):
            if rng.random() < 0.7:
                info.metadata[key] = rng.choice(NUMBERS)
        detail = AnyMessage()
        detail.Pack(info)
        status_code = rng.choice((code.value[0], 0, 99))
        status = status_pb2.Status(code=status_code, message="no", details=[detail])
        details = status.SerializeToString()
        if rng.random() < 0.3:
            details = garbled(rng, details)
        metadata = (("grpc-status-details-bin", details),) if rng.random() < 0.8 else ()
        await context.abort(code, rng.choice(("", "no", "x" * 2_000)), metadata)

    async def watch(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """The steps of a watch, or others, until it is cut."""
        earlier = b""
        async for step in self.steps(request):
            for told in self._steps(step, earlier):
                yield told
            earlier = step
            if self.hostile and self._rng.random() < 0.3:
                self.told["WatchSnapshots: cut"] += 1
                await self._fail(context)

    def _steps(self, true: bytes, earlier: bytes) -> list[bytes]:
        """What is told instead of a step of a watch."""
        rng = self._rng
        if not self.hostile or rng.random() < 0.4:
            return [true]
        way = rng.choice(("other fields", "no message", "none", "twice", "an older one"))
        self.told[f"WatchSnapshots: {way}"] += 1
        if way == "none":
            return []
        if way == "twice":
            return [true, true]
        if way == "an older one":
            return [earlier or true, true]
        if way == "no message":
            return [self._step(garbled(rng, true), true)]
        step = sync_pb2.WatchSnapshotsResponse.FromString(true)
        mutate(rng, step, rng.choice((1, 1, 2, 5)))
        self._jump(step)
        if rng.random() < 0.2:
            step.epoch = rng.choice(("", "another", "x" * 300))
        return [self._step(step.SerializeToString(), true)]

    def _step(self, told: bytes, true: bytes) -> bytes:
        try:
            answer = sync_pb2.WatchSnapshotsResponse.FromString(told)
        except DecodeError:
            return told
        honest = sync_pb2.WatchSnapshotsResponse.FromString(true)
        if not self._sells:
            _sell_truly(answer, honest)
            del answer.removed_companies[:]
            answer.removed_companies.extend(honest.removed_companies)
        return answer.SerializeToString()


def _sell_truly(answer: Any, honest: Any) -> None:
    """Let it say the truth of catalog and companies, and of nothing else."""
    answer.ClearField("catalog")
    if honest.HasField("catalog"):
        answer.catalog.CopyFrom(honest.catalog)
    del answer.companies[:]
    answer.companies.extend(honest.companies)


def _last_sequence(name: str, request: bytes) -> int:
    """The last record that a request shows to have been written."""
    if name == "Hello":
        return int(sync_pb2.HelloRequest.FromString(request).last_sequence)
    push = sync_pb2.PushUsageRequest.FromString(request)
    return int(push.first_sequence) + len(push.records) - 1
