"""A batch whose answer would not fit a message is refused before it counts, on both transports."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import grpc
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.daemons import Standalone

MESSAGE_BYTES_MAX: Final = 64 * 1024
NAME: Final = "n" * 110
LIMITS: Final = "".join(
    f"          {NAME}{number:02}: {{amount: 0, per: day, enforcement: shadow}}\n"
    for number in range(20)
)
CATALOG: Final = f"""
features:
  calls: {{kind: metered}}
plans:
  basic:
    entitlements:
      calls:
        limits:
{LIMITS}          all: {{amount: 1_000_000, per: lifetime}}
companies:
  acme: {{plan: basic, anchor: "2026-01-01T00:00:00Z"}}
"""


def batch(count: int) -> pb.BatchCheckAndIncrementRequest:
    checks = [
        pb.CheckAndIncrementRequest(company="acme", feature="calls", idempotency_key=str(number))
        for number in range(count)
    ]
    return pb.BatchCheckAndIncrementRequest(checks=checks)


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_a_batch_whose_answer_is_too_large_counts_nothing(
    tmp_path: Path, transport: str
) -> None:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    options = {"transport": transport, "message_bytes_max": MESSAGE_BYTES_MAX}
    async with Standalone(tmp_path, **options) as sidecar:
        api = sidecar.api
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await api.BatchCheckAndIncrement(batch(100))
        assert grpc.StatusCode.INVALID_ARGUMENT == caught.value.code()
        assert "message_bytes_max" in str(caught.value.details())
        question = pb.CheckRequest(company="acme", feature="calls")
        assert 0 == (await api.Check(question)).limits[-1].used
        for replayed in (False, True):
            outcomes = (await api.BatchCheckAndIncrement(batch(5))).outcomes
            assert {replayed} == {outcome.response.replayed for outcome in outcomes}
        assert 5 == (await api.Check(question)).limits[-1].used
