"""Keys without end on a small store: each call is counted, and answers say what is remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.daemons import CATALOG_FILE, Standalone
from tests.support.processes import until

MIB: Final = 1 << 20
BATCH: Final = 200
OPTIONS: Final = {"store_bytes_max": 4 * MIB, "answers_percent_max": 25}


def check(number: int) -> pb.CheckAndIncrementRequest:
    return pb.CheckAndIncrementRequest(
        company="acme", feature="calls", idempotency_key=f"key {number}"
    )


async def count(api: Any, first: int) -> list[pb.CheckAndIncrementResponse]:
    """Send a batch under new keys: its answers."""
    checks = [check(number) for number in range(first, first + BATCH)]
    request = pb.BatchCheckAndIncrementRequest(checks=checks)
    outcomes = (await api.BatchCheckAndIncrement(request)).outcomes
    answers = [outcome.response for outcome in outcomes]
    assert all(answer.decision.allowed for answer in answers)
    return answers


async def test_calls_with_keys_never_stop_counting_and_the_basis_says_what_is_remembered(
    tmp_path: Path,
) -> None:
    (tmp_path / "catalog.yaml").write_text(CATALOG_FILE.replace("amount: 100", "amount: 1000000"))
    async with Standalone(tmp_path, **OPTIONS) as sidecar:
        api, sent = sidecar.api, 0
        [first, *_] = await count(api, 0)
        assert not first.decision.basis.HasField("remembered")

        async def is_short() -> bool:
            nonlocal sent
            sent += BATCH
            answers = await count(api, sent)
            return answers[0].decision.basis.HasField("remembered")

        await until(is_short, "everything is remembered")
        told = await sidecar.event("answers.forgotten_early")
        assert MIB == told["quota_bytes"]
        counted = sent + BATCH

        async def is_remembered() -> bool:
            nonlocal counted
            newest = await api.CheckAndIncrement(check(counted))
            again = await api.CheckAndIncrement(check(counted))
            counted += 1 if again.replayed else 2
            return again.replayed and newest.record_id == again.record_id

        await until(is_remembered, "nothing is kept any more")

        async def is_forgotten() -> bool:
            oldest = await api.CheckAndIncrement(check(0))
            return not oldest.replayed

        await until(is_forgotten, "the oldest key is still known")
        used = (await api.Check(pb.CheckRequest(company="acme", feature="calls"))).limits[0].used
        assert counted + 1 == used
        assert 1 == len(sidecar.seen("answers.forgotten_early"))
        assert [] == sidecar.errors()
