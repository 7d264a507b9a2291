"""What a pod hears of others is complete: however much it is, whenever it was, whoever it is of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.time.units import DAY_US, MINUTE_US
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import apply, flush, hold, now_us, used_by_sidecar
from tests.support.processes import until
from tests.support.proxy import Proxy

COMPANIES: Final = 150
USERS: Final = 80
BATCH: Final = 1_000
DENIED: Final = pb.REASON_LIMIT_EXCEEDED


def sold(companies: Iterable[str] = ("acme", "globex")) -> str:
    """A catalog of HARD limits, with a plan for companies that are unknown.

    What is heard of others decides alone about `daily`.
    """
    lines = "".join(
        f'  {name}: {{plan: basic, anchor: "2026-01-01T00:00:00Z"}}\n' for name in companies
    )
    return f"""
features:
  calls: {{kind: metered}}
  daily: {{kind: metered}}
  minutely: {{kind: metered}}
plans:
  basic:
    entitlements:
      calls: {{limits: {{each: {{amount: 1, per: lifetime, each: [user], enforcement: hard}}}}}}
      daily: {{limits: {{all: {{amount: 10, per: day, enforcement: hard, across: eventual}}}}}}
      minutely: {{limits: {{all: {{amount: 10, per: minute, enforcement: hard}}}}}}
default_plan: basic
companies:
{lines}"""


def asked(
    feature: str, quantity: int, company: str = "acme", at_us: int | None = None
) -> pb.CheckAndIncrementRequest:
    request = pb.CheckAndIncrementRequest(company=company, feature=feature, quantity=quantity)
    if at_us is not None:
        request.event_time.CopyFrom(Timestamp(seconds=at_us // 1_000_000))
    return request


async def decision(sidecar: Sidecar, request: pb.CheckAndIncrementRequest) -> pb.Decision:
    answer = await sidecar.api.CheckAndIncrement(request, timeout=HANG_SECONDS_MAX)
    return answer.decision


async def counted(sidecar: Sidecar, *requests: pb.CheckAndIncrementRequest) -> None:
    """Have checks allowed, and sent."""
    for request in requests:
        assert (await decision(sidecar, request)).allowed
    await flush(sidecar)


async def reasons(sidecar: Sidecar, names: Sequence[str]) -> set[int]:
    """Why a call by each user of companies is answered as it is."""
    found: set[int] = set()
    checks = [
        pb.CheckAndIncrementRequest(
            company=name, feature="calls", dimensions={"user": f"user-{user}"}
        )
        for name in names
        for user in range(USERS)
    ]
    for start in range(0, len(checks), BATCH):
        batch = pb.BatchCheckAndIncrementRequest(checks=checks[start : start + BATCH])
        answer = await sidecar.api.BatchCheckAndIncrement(batch, timeout=HANG_SECONDS_MAX)
        found.update(outcome.response.decision.reason for outcome in answer.outcomes)
    return found


@pytest.mark.parametrize("snapshots", ["on_demand", pytest.param("all", marks=pytest.mark.slow)])
async def test_a_new_pod_misses_no_counter_however_many_there_are(
    tmp_path: Path, snapshots: str
) -> None:
    names = [f"company-{at}" for at in range(COMPANIES)]
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, sold(names))
        async with Sidecar(tmp_path / "a", plane.address) as first:
            await first.ready()
            assert {pb.REASON_ALLOWED} == await reasons(first, names)
            await flush(first)
        async with Sidecar(tmp_path / "b", plane.address, snapshots=snapshots) as second:
            await second.ready()
            assert {DENIED} == await reasons(second, names)


async def test_who_is_held_but_not_in_memory_is_heard_of_after_an_interruption(
    tmp_path: Path,
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, sold())
        async with (
            Sidecar(tmp_path / "a", plane.address) as near,
            Sidecar(tmp_path / "b", proxy.address) as far,
        ):
            for sidecar in (near, far):
                await hold(sidecar, ["acme", "globex"])
            await counted(far, asked("daily", 1))
            await proxy.disconnect()
            await far.stop()  # so that it has nobody in memory
            await counted(near, asked("daily", 8))
            await apply(plane, sold(["acme", "globex", "hooli"]))
            await far.start()
            await proxy.connect()
            await said(far, "daily", 9)
            assert DENIED == (await decision(far, asked("daily", 2))).reason


@pytest.mark.parametrize("way", ["alone", "in a batch"])
async def test_windows_that_are_over_are_asked_for(tmp_path: Path, way: str) -> None:
    at_us = now_us() - 2 * DAY_US
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, sold())
        async with Sidecar(tmp_path / "a", plane.address) as first:
            await first.ready()
            await counted(first, asked("daily", 10, at_us=at_us))
        async with Sidecar(tmp_path / "b", plane.address) as second:
            await second.ready()
            await hold(second, ["acme"])
            late = asked("daily", 1, at_us=at_us)
            assert (await decision(second, asked("daily", 1))).allowed
            if way == "alone":
                denied = await decision(second, late)
            else:
                batch = pb.BatchCheckAndIncrementRequest(checks=[asked("daily", 1), late])
                answer = await second.api.BatchCheckAndIncrement(batch, timeout=HANG_SECONDS_MAX)
                denied = answer.outcomes[1].response.decision
            assert (DENIED, 10) == (denied.reason, denied.binding_limit.used)
            # Once it was asked for, it is told.
            await plane.kill()
            again = await decision(second, late)
            assert DENIED == again.reason
            # What was never heard of is decided by what is known, and the basis says that.
            unheard = await decision(second, asked("daily", 1, at_us=at_us - DAY_US))
            assert unheard.allowed
            assert unheard.basis.plane_age_ms > 10 * 365 * DAY_US // 1_000


async def test_windows_that_have_not_begun_are_told_to_a_new_pod(tmp_path: Path) -> None:
    at_us = now_us() + 3 * MINUTE_US
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, sold())
        async with Sidecar(tmp_path / "a", plane.address) as first:
            await first.ready()
            await counted(first, asked("minutely", 10, at_us=at_us))
        async with Sidecar(tmp_path / "b", plane.address) as second:
            await second.ready()
            assert DENIED == (await decision(second, asked("minutely", 1, at_us=at_us))).reason


async def test_companies_on_the_default_plan_are_told_to_a_new_and_to_a_restarted_pod(
    tmp_path: Path,
) -> None:
    stranger = "stranger"
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, sold())
        async with Sidecar(tmp_path / "a", plane.address) as first:
            await first.ready()
            await counted(first, asked("daily", 4, stranger))
            async with Sidecar(tmp_path / "b", plane.address) as second:
                await second.ready()
                assert DENIED == (await decision(second, asked("daily", 7, stranger))).reason
                assert 0 == await second.stop()
                await counted(first, asked("daily", 5, stranger))
                await second.start()
                await second.ready()
                assert DENIED == (await decision(second, asked("daily", 2, stranger))).reason
                assert (await decision(second, asked("daily", 1, stranger))).allowed


async def said(sidecar: Sidecar, feature: str, expected: int) -> None:
    """Wait until a sidecar says so of the usage that acme has of a feature."""

    async def as_expected() -> bool:
        used = await used_by_sidecar(sidecar, now_us(), ["acme"])
        return used.get(("acme", feature, "all", ()), 0) == expected

    await until(as_expected, f"other usage of {feature} is said")
