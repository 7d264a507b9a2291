"""The changes that are timed, and what sidecars and watches show of them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from sidecar.api.sync.v1 import sync_pb2, sync_pb2_grpc
from sidecar.shared.convert.catalog import catalog_to_message
from tests.bench.catalogs import LARGER_PLAN, PROBED, change_catalog
from tests.bench.errors import BenchError
from tests.bench.traffic import company_id

PROBED_MAX: Final = 1_000
"""The probed feature's limit before the first change."""
CALL_SECONDS_MAX: Final = 10.0
PROBE_REST_SECONDS: Final = 0.001
"""Between two questions: asked without a rest, a sidecar would take a processor from the plane."""
_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    # Each channel has a connection of its own: probes do not wait behind the load.
    ("grpc.use_local_subchannel_pool", 1),
)

Plane: TypeAlias = "control_pb2_grpc.ControlServiceAsyncStub"
Sidecar: TypeAlias = "enforcement_pb2_grpc.EnforcementServiceAsyncStub"


def channel(target: str) -> grpc.aio.Channel:
    """A connection of its own."""
    return grpc.aio.insecure_channel(target, options=_OPTIONS)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of change, numbered from 1 on; no number is used twice.

    `method` of the plane makes the change that `request` gives. `question`: what is denied before
    that change, and allowed by it. `companies`: of how many a watch is told; the catalog, if none.
    """

    method: str
    request: Callable[[int], Any]
    question: Callable[[int], pb.CheckRequest]
    companies: int


def _raised_limit(number: int) -> control_pb2.ApplyRequest:
    catalog = change_catalog(PROBED_MAX + number)
    return control_pb2.ApplyRequest(catalog=catalog_to_message(catalog))


def _replaced_plan(number: int) -> control_pb2.ApplyRequest:
    # What a company may still have must not go: all of them are looked at.
    catalog = change_catalog(PROBED_MAX + number, f"spare-{number}")
    return control_pb2.ApplyRequest(catalog=catalog_to_message(catalog))


def _upgrade(number: int) -> control_pb2.ChangeSubscriptionRequest:
    return control_pb2.ChangeSubscriptionRequest(
        company=company_id(number), plan=control_pb2.ChangePlan(plan=LARGER_PLAN)
    )


def _of_the_plan(number: int) -> pb.CheckRequest:
    return pb.CheckRequest(company=company_id(0), feature=PROBED, quantity=PROBED_MAX + number)


def _of_the_company(number: int) -> pb.CheckRequest:
    # More than the first plan comes to grant here, and less than the larger one does.
    return pb.CheckRequest(company=company_id(number), feature=PROBED, quantity=1_000 * PROBED_MAX)


PLAN_CHANGE: Final = Kind("Apply", _raised_limit, _of_the_plan, companies=0)
PLAN_REPLACED: Final = Kind("Apply", _replaced_plan, _of_the_plan, companies=0)
COMPANY_CHANGE: Final = Kind("ChangeSubscription", _upgrade, _of_the_company, companies=1)


async def is_allowed(sidecar: Sidecar, question: pb.CheckRequest) -> bool:
    """Whether the limit allows it. BenchError where something else decides."""
    answer = await sidecar.Check(question, timeout=CALL_SECONDS_MAX)
    reason = answer.decision.reason
    if reason not in (pb.REASON_ALLOWED, pb.REASON_LIMIT_EXCEEDED):
        raise BenchError(f"a question was answered {pb.Reason.Name(reason)}")
    return bool(answer.decision.allowed)


async def first_allowed_s(sidecar: Sidecar, question: pb.CheckRequest) -> float:
    """When it was first allowed, to about `PROBE_REST_SECONDS`."""
    async with asyncio.timeout(CALL_SECONDS_MAX):
        while not await is_allowed(sidecar, question):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(PROBE_REST_SECONDS)
    return time.perf_counter()


class Feed:
    """A watch of all companies, as of a sidecar that was level with the plane at a revision."""

    def __init__(self, to_plane: grpc.aio.Channel, revision: int) -> None:
        stub = sync_pb2_grpc.SyncServiceStub(to_plane)
        request = sync_pb2.WatchSnapshotsRequest(
            incarnation=str(uuid.uuid4()), resume_revision=revision
        )
        self._call: Any = stub.WatchSnapshots(request)

    async def opened(self) -> None:
        """Wait for its first message, which tells of nothing new."""
        await self._call.read()

    async def next_change(self, kind: Kind) -> tuple[float, int]:
        """When the next change came, and its bytes; BenchError if it has more than has changed."""
        async with asyncio.timeout(CALL_SECONDS_MAX):
            while True:
                message = await self._call.read()
                if message is grpc.aio.EOF:
                    raise BenchError("a watch ended")
                told = len(message.companies) + len(message.removed_companies)
                has_catalog = message.HasField("catalog")
                if not told and not has_catalog:
                    continue
                if told != kind.companies or has_catalog == bool(kind.companies):
                    raise BenchError(f"a change came with {told} companies, and {has_catalog=}")
                return time.perf_counter(), message.ByteSize()
