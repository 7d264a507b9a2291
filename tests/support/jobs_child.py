"""A client process that runs jobs under a concurrency limit until it is killed.

`python -m tests.support.jobs_child NAME AT_ONCE TTL_SECONDS BOOK SOCKET...`: so many jobs at once,
each an item at some sidecar. Writes a line into BOOK whenever one has begun, `begun ITEM ASKED
ANSWERED`, before it is taken back, `ends ITEM NOW`, and when none may begin, `denied REASON`. Times
are seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from typing import Final

import grpc
from google.protobuf.duration_pb2 import Duration

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc as pb_grpc
from tests.support.bounds import HANG_SECONDS_MAX

COMPANY: Final = "acme"
JOBS: Final = "jobs"
ALLOWED: Final = pb.Reason.Name(pb.REASON_ALLOWED)
_JOB_SECONDS: Final = (0.05, 0.5)
_REST_SECONDS: Final = (0.1, 0.5)


async def main(name: str, at_once: int, ttl_s: int, book: int, sockets: list[str]) -> None:
    """Run jobs."""
    channels = [grpc.aio.insecure_channel(f"unix:{socket}") for socket in sockets]
    sidecars = [pb_grpc.EnforcementServiceStub(channel) for channel in channels]
    chance = random.Random(name)

    def note(*words: object) -> None:
        os.write(book, (" ".join(map(str, words)) + "\n").encode())

    async def change(sidecar: pb_grpc.EnforcementServiceAsyncStub, amount: int, item: str) -> str:
        request = pb.AdjustLevelRequest(company=COMPANY, feature=JOBS, amount=amount, item=item)
        if amount > 0:
            request.time_to_live.CopyFrom(Duration(seconds=ttl_s))
        answer = await sidecar.AdjustLevel(request, timeout=HANG_SECONDS_MAX)
        return pb.Reason.Name(answer.decision.reason)

    async def run_jobs(number: int) -> None:
        count = 0
        while True:
            count += 1
            sidecar, item = chance.choice(sidecars), f"{name}-{number}-{count}"
            asked_s = time.monotonic()
            reason = await change(sidecar, 1, item)
            if reason != ALLOWED:
                note("denied", reason)
                await asyncio.sleep(chance.uniform(*_REST_SECONDS))
                continue
            note("begun", item, asked_s, time.monotonic())
            await asyncio.sleep(chance.uniform(*_JOB_SECONDS))
            note("ends", item, time.monotonic())
            try:
                await change(sidecar, -1, item)
            except grpc.aio.AioRpcError as error:
                # It came back by itself before, as this client was slow.
                if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise

    await asyncio.gather(*map(run_jobs, range(at_once)))


if __name__ == "__main__":
    file = os.open(sys.argv[4], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), file, sys.argv[5:]))
