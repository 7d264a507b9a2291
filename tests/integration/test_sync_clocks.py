"""Clocks that are wrong, or jump: the plane's, the machine's, and those of callers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as api
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from sidecar.shared.convert.times import timestamp
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.clocks import SetClock
from tests.support.daemons import ControlPlane, Sidecar, nobody
from tests.support.ledger import apply, check, flush, hold, ledger_lines, now_us, status
from tests.support.processes import ROOT, environment, tallyd_command, until

YEAR_US: Final = 365 * DAY_US
CALLS: Final = "calls"
CATALOG: Final = """
features:
  calls: {kind: metered}
plans:
  basic:
    entitlements:
      calls:
        limits:
          yearly: {amount: 10, per: year, align: billing, enforcement: hard, across: eventual}
companies:
  acme: {plan: basic, anchor: "2026-01-31T00:00:00Z"}
"""


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    plane = ControlPlane(tmp_path / "control.db")
    plane.clock = SetClock(tmp_path / "plane.clock")
    async with plane:
        await apply(plane, CATALOG)
        yield plane


@pytest.fixture
async def sidecar(tmp_path: Path, plane: ControlPlane) -> AsyncIterator[Sidecar]:
    sidecar = Sidecar(tmp_path / "a", plane.address)
    sidecar.clock = SetClock(tmp_path / "sidecar.clock")
    async with sidecar:
        await hold(sidecar, ["acme"])
        yield sidecar


def clock_of(daemon: ControlPlane | Sidecar) -> SetClock:
    assert daemon.clock is not None
    return daemon.clock


async def use_up(sidecar: Sidecar) -> api.CheckAndIncrementResponse:
    """Use all of the year, under a key."""
    answer = await check(sidecar, "acme", CALLS, 10, idempotency_key="once")
    assert answer.decision.allowed
    await flush(sidecar)
    return answer


async def assert_no_year_has_passed(sidecar: Sidecar, first: api.CheckAndIncrementResponse) -> None:
    """A retry gets the first answer, and no window has opened."""
    retry = await check(sidecar, "acme", CALLS, 10, idempotency_key="once")
    assert (True, first.record_id) == (retry.replayed, first.record_id)
    denied = await check(sidecar, "acme", CALLS)
    assert (False, api.REASON_LIMIT_EXCEEDED) == (denied.decision.allowed, denied.decision.reason)
    assert denied.decision.binding_limit.resets_at.ToMicroseconds() < now_us() + YEAR_US


async def doctor(sidecar: Sidecar, plane: ControlPlane) -> str:
    """What `tallyd doctor` prints."""
    child = await asyncio.create_subprocess_exec(
        *tallyd_command(),
        "doctor",
        f"--sidecar={sidecar.address}",
        f"--control={plane.address}",
        cwd=ROOT,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(HANG_SECONDS_MAX):
        printed, _ = await child.communicate()
    return printed.decode()


async def test_a_plane_that_jumps_by_a_year_opens_no_window_and_expires_no_key(
    sidecar: Sidecar, plane: ControlPlane
) -> None:
    first = await use_up(sidecar)
    clock_of(plane).set(YEAR_US)
    for number in range(8):
        record = api.RecordUsageRequest(company="acme", feature=CALLS, idempotency_key=f"{number}")
        await sidecar.api.RecordUsage(record, timeout=HANG_SECONDS_MAX)
        await flush(sidecar)
    await assert_no_year_has_passed(sidecar, first)
    told = await status(sidecar)
    assert abs(told.clock_doubted_us - YEAR_US) < HOUR_US
    assert abs(told.clock_offset_us) < MINUTE_US
    (doubted,) = sidecar.seen("clock.jump_doubted")
    assert "plane" == doubted["clock"]
    assert "the control plane's clock has jumped ahead by" in await doctor(sidecar, plane)


async def test_a_machine_whose_clock_jumps_by_a_year_is_told_so_and_goes_on(
    sidecar: Sidecar,
) -> None:
    """While it runs, and over a restart without the plane: the counter has gone on."""
    first = await use_up(sidecar)
    clock_of(sidecar).set(YEAR_US)

    async def is_told() -> bool:
        return abs((await status(sidecar)).clock_offset_us + YEAR_US) < MINUTE_US

    await until(is_told, "the jump was not seen")
    await assert_no_year_has_passed(sidecar, first)
    sidecar.options["control"] = nobody(sidecar.store.parent)
    await sidecar.kill()
    await sidecar.start()
    await assert_no_year_has_passed(sidecar, first)


async def test_a_restart_without_the_plane_knows_how_wrong_the_clock_is(
    tmp_path: Path, plane: ControlPlane
) -> None:
    sidecar = Sidecar(tmp_path / "a", plane.address)
    sidecar.clock = SetClock(tmp_path / "sidecar.clock")
    sidecar.clock.set(-600 * SECOND_US)
    async with sidecar:
        await hold(sidecar, ["acme"])
        await sidecar.stop()
        sidecar.options["control"] = nobody(sidecar.store.parent)
        await sidecar.start()
        before_us = now_us()
        assert abs((await status(sidecar)).clock_offset_us - 600 * SECOND_US) < SECOND_US
        answer = await check(sidecar, "acme", CALLS)
        assert answer.decision.allowed
        await sidecar.stop()
        sidecar.options["control"] = plane.address
        await sidecar.start()
        await flush(sidecar)
        (line,) = await ledger_lines(plane, ["acme"])
        assert before_us - SECOND_US <= line.event_time.ToMicroseconds() <= now_us() + SECOND_US


async def test_a_plane_that_is_400_s_behind_makes_no_call_that_is_stamped_now_out_of_range(
    tmp_path: Path,
) -> None:
    plane = ControlPlane(tmp_path / "control.db")
    plane.clock = SetClock(tmp_path / "plane.clock")
    plane.clock.set(-400 * SECOND_US)
    async with plane, Sidecar(tmp_path / "a", plane.address) as sidecar:
        await apply(plane, CATALOG)
        await hold(sidecar, ["acme"])
        assert abs((await status(sidecar)).clock_offset_us + 400 * SECOND_US) < MINUTE_US
        stamped = timestamp(now_us())
        assert (await check(sidecar, "acme", CALLS, event_time=stamped)).decision.allowed
        await sidecar.api.RecordUsage(
            api.RecordUsageRequest(company="acme", feature=CALLS, event_time=stamped),
            timeout=HANG_SECONDS_MAX,
        )
        question = api.CheckRequest(company="acme", feature=CALLS, event_time=stamped)
        assert (await sidecar.api.Check(question, timeout=HANG_SECONDS_MAX)).decision.allowed
        asked = api.GetUsageRequest(company="acme", at=stamped)
        await sidecar.api.GetUsage(asked, timeout=HANG_SECONDS_MAX)
        await flush(sidecar)
        assert 2 == len(await ledger_lines(plane, ["acme"]))
