"""Changes at a control plane, and when sidecars begin to decide by them.

`python -m tests.bench.change_probe --plane ADDRESS --sidecar TARGET ...` changes a plan and single
companies, and prints one JSON object, with lists over all changes:

- `plan`, `replaced` and `company`, all under a light load: `answered_ms`, from the call to its
  answer; `obeyed_ms`, for each sidecar, from the call to the first answer by the new limit, asked
  for on a connection of its own every millisecond; `message_bytes`, what a watch was sent.
- `told_ms`: from the call to the last of many watches having got a changed plan.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import grpc

from sidecar.api.admin.v1 import admin_pb2, admin_pb2_grpc
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from tests.bench.catalogs import COUNTED
from tests.bench.change_kinds import (
    CALL_SECONDS_MAX,
    COMPANY_CHANGE,
    PLAN_CHANGE,
    PLAN_REPLACED,
    Feed,
    Kind,
    Plane,
    Sidecar,
    channel,
    first_allowed_s,
    is_allowed,
)
from tests.bench.errors import BenchError
from tests.bench.traffic import company_id, idempotency_key

_LEVEL_SECONDS_MAX: Final = 120.0
_POLL_SECONDS: Final = 0.01
_PAUSE_SECONDS_MAX: Final = 0.2
_LOAD_CALLERS: Final = 2
_LOAD_REST_SECONDS: Final = 0.005
_FEEDS_A_CHANNEL: Final = 50


class Probe:
    """Makes changes, one after another, and times them. `changes`: how many of each kind."""

    def __init__(self, plane: Plane, sidecars: Sequence[Sidecar], feed: Feed, changes: int) -> None:
        self._plane = plane
        self._sidecars = sidecars
        self._feed = feed
        self._changes = changes
        self._made = 0

    async def obeyed(self, kind: Kind) -> dict[str, object]:
        """Times until each sidecar decides by a change."""
        answered_ms: list[float] = []
        obeyed_ms: list[list[float]] = [[] for _ in self._sidecars]
        message_bytes: list[int] = []
        for number in self._numbers():
            question = kind.question(number)
            await self._require_denied(question)
            probes = [
                asyncio.create_task(first_allowed_s(sidecar, question))
                for sidecar in self._sidecars
            ]
            began_s, answered_s = await self._change(kind, number)
            answered_ms.append((answered_s - began_s) * 1_000)
            for times_ms, probe in zip(obeyed_ms, probes, strict=True):
                times_ms.append((await probe - began_s) * 1_000)
            _, size = await self._feed.next_change(kind)
            message_bytes.append(size)
        return {
            "answered_ms": answered_ms,
            "obeyed_ms": obeyed_ms,
            "message_bytes": message_bytes,
        }

    async def told(self, feeds: Sequence[Feed]) -> list[float]:
        """Times until the last of many watches has got a changed plan."""
        told_ms: list[float] = []
        for number in self._numbers():
            waiting = [asyncio.create_task(feed.next_change(PLAN_CHANGE)) for feed in feeds]
            began_s, _ = await self._change(PLAN_CHANGE, number)
            came = await asyncio.gather(*waiting)
            told_ms.append((max(at_s for at_s, _ in came) - began_s) * 1_000)
        return told_ms

    def _numbers(self) -> range:
        first, self._made = self._made + 1, self._made + self._changes
        return range(first, self._made + 1)

    async def _change(self, kind: Kind, number: int) -> tuple[float, float]:
        """Make a change; when it was sent, and when it was answered."""
        request = kind.request(number)
        await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS_MAX))  # in step with nothing
        began_s = time.perf_counter()
        await getattr(self._plane, kind.method)(request, timeout=CALL_SECONDS_MAX)
        return began_s, time.perf_counter()

    async def _require_denied(self, question: pb.CheckRequest) -> None:
        """Make sure that the change is still to come; from here on, the company is held."""
        for sidecar in self._sidecars:
            if await is_allowed(sidecar, question):
                raise BenchError("a change is obeyed before it is made")


@asynccontextmanager
async def _load(targets: Sequence[str], companies: int) -> AsyncIterator[None]:
    """A light load on sidecars while the block lasts, of companies from number 0 on."""

    async def call(target: str) -> None:
        async with channel(target) as connection:
            sidecar: Sidecar = enforcement_pb2_grpc.EnforcementServiceStub(connection)
            while True:
                request = pb.CheckAndIncrementRequest(
                    company=company_id(random.randrange(companies)),
                    feature=COUNTED,
                    idempotency_key=idempotency_key(),
                )
                answer = await sidecar.CheckAndIncrement(request, timeout=CALL_SECONDS_MAX)
                if not answer.decision.allowed:
                    raise BenchError(f"a call of the load was denied: {answer}")
                await asyncio.sleep(_LOAD_REST_SECONDS)

    async with asyncio.TaskGroup() as group:
        callers = [
            group.create_task(call(target)) for target in targets for _ in range(_LOAD_CALLERS)
        ]
        yield
        for caller in callers:
            caller.cancel()


async def _level(plane: Plane, targets: Sequence[str]) -> int:
    """Wait until every sidecar is level with the plane; the revision."""
    applied = await plane.Apply(control_pb2.ApplyRequest(), timeout=CALL_SECONDS_MAX)
    for target in targets:
        async with channel(target) as connection, asyncio.timeout(_LEVEL_SECONDS_MAX):
            admin = admin_pb2_grpc.AdminServiceStub(connection)
            revision = -1
            while revision < applied.revision:
                await asyncio.sleep(_POLL_SECONDS)
                revision = (await admin.GetStatus(admin_pb2.GetStatusRequest())).revision
    return int(applied.revision)


async def _run(arguments: argparse.Namespace) -> dict[str, object]:
    targets: list[str] = arguments.sidecar
    async with AsyncExitStack() as stack:

        async def connected(target: str) -> grpc.aio.Channel:
            return await stack.enter_async_context(channel(target))

        to_plane = await connected(arguments.plane)
        plane: Plane = control_pb2_grpc.ControlServiceStub(to_plane)
        sidecars: list[Sidecar] = [
            enforcement_pb2_grpc.EnforcementServiceStub(await connected(target))
            for target in targets
        ]
        feed = Feed(to_plane, await _level(plane, targets))
        probe = Probe(plane, sidecars, feed, arguments.changes)
        async with _load(targets, arguments.companies):
            result: dict[str, object] = {
                "plan": await probe.obeyed(PLAN_CHANGE),
                "replaced": await probe.obeyed(PLAN_REPLACED),
                "company": await probe.obeyed(COMPANY_CHANGE),
            }
        # Without the load, since so many watches of all usage would be a heavy one by themselves.
        revision = await _level(plane, targets)
        feeds: list[Feed] = []
        for number in range(arguments.watches):
            if number % _FEEDS_A_CHANNEL == 0:
                to_plane = await connected(arguments.plane)
            feeds.append(Feed(to_plane, revision))
            await feeds[-1].opened()
        result["told_ms"] = await probe.told(feeds)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="time changes from the plane to sidecars")
    parser.add_argument("--plane", required=True, help="ADDRESS:PORT")
    parser.add_argument("--sidecar", action="append", required=True, help="repeatable")
    parser.add_argument("--changes", type=int, required=True, help="of each kind")
    parser.add_argument("--companies", type=int, required=True, help="that the load is about")
    parser.add_argument("--watches", type=int, required=True, help="beside those of the sidecars")
    print(json.dumps(asyncio.run(_run(parser.parse_args()))))


if __name__ == "__main__":
    main()
