"""A subscription's life, from a change at the plane to what a sidecar decides by it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
import pytest_asyncio
from msgspec.structs import replace

from sidecar.api.control.v1 import control_pb2 as pb
from sidecar.cli.common import ExitCode
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.time.units import DAY_US, MINUTE_US
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import apply, flush, now_us
from tests.support.lifecycle import Life, Usage, apply_companies, stamp
from tests.support.processes import until
from tests.support.waits import connected, revision_reached
from tests.unit.cli.fakes import tallyd

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Windows are as long as can be: none ends while a test runs.
CATALOG = """
default_plan: free
features:
  calls: {kind: metered}
plans:
  free:
    entitlements:
      calls: {limits: {all: {amount: 3, per: lifetime}}}
  basic:
    entitlements:
      calls:
        limits:
          all: {amount: 10, per: lifetime}
          billing: {amount: 1000, per: year, align: billing}
          calendar: {amount: 1000, per: year}
  pro:
    entitlements:
      calls:
        limits:
          all: {amount: 100, per: lifetime}
          billing: {amount: 1000, per: year, align: billing}
          calendar: {amount: 1000, per: year}
add_ons:
  boost:
    entitlements:
      calls: {limits: {all: {amount: 5, per: lifetime}}}
"""
EVENTUAL = CATALOG.replace("per: lifetime}", "per: lifetime, across: eventual}").replace(
    "year", "year, across: eventual"
)
"""The same where what is heard decides alone, also while the plane is away."""
SOON_US = 1_500_000
"""Usually long enough to announce a change before it takes effect."""
ATTEMPTS = 7
"""At announcing it, each with twice the time."""
YESTERDAY_US = now_us() - DAY_US
PRO = pb.ChangePlan(plan="pro")
BASIC = pb.ChangePlan(plan="basic")


class System(NamedTuple):
    """A plane and a sidecar that holds every company."""

    plane: ControlPlane
    sidecar: Sidecar


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Shared by tests, each with a company of its own."""
    folder = tmp_path_factory.mktemp("system")
    async with ControlPlane(folder / "control.db") as plane:
        await apply(plane, CATALOG)
        async with Sidecar(folder, plane.address, snapshots="all") as sidecar:
            yield System(plane, sidecar)
            assert [] == plane.errors() + sidecar.errors()


@pytest_asyncio.fixture(loop_scope="module")
async def life(system: System, request: pytest.FixtureRequest) -> Life:
    """The life of a company that pays for the plan `basic` since yesterday."""
    found = Life(system.plane, system.sidecar, request.node.name[:100])
    await found.apply(subscribed(found.company))
    return found


def subscribed(company: str, plan: str = "basic", **fields: Any) -> Company:
    return Company(company, subscription=Subscription(plan, YESTERDAY_US, **fields))


async def test_an_upgrade_keeps_usage_and_raises_the_limit_at_once(life: Life) -> None:
    assert "ALLOWED" == await life.use(8)
    assert "LIMIT_EXCEEDED" == await life.use(3)
    await life.change(plan=PRO)
    assert Usage(8, 92) == await life.usage()
    assert "ALLOWED" == await life.use(92)
    assert "LIMIT_EXCEEDED" == await life.use(1)


async def test_a_downgrade_below_usage_leaves_nothing_and_shows_the_overage(life: Life) -> None:
    await life.change(plan=PRO)
    await life.use(30)
    await life.change(plan=BASIC)
    assert Usage(30, 0, 20) == await life.usage()
    assert "LIMIT_EXCEEDED" == await life.use(1)


async def test_a_plan_with_a_reset_starts_at_0_and_late_usage_stays_before_it(
    system: System, life: Life
) -> None:
    await life.use(8)
    answer = await life.change(plan=pb.ChangePlan(plan="pro", reset_usage=True))
    reset_us = answer.effective_at.ToMicroseconds()
    for limit, amount in (("all", 100), ("billing", 1000), ("calendar", 1000)):
        assert Usage(0, amount) == await life.usage(limit)
    assert "ALLOWED" == await life.use(1, at_us=reset_us - 1)
    assert "ALLOWED" == await life.use(100, at_us=reset_us)
    assert "LIMIT_EXCEEDED" == await life.use(1)
    await flush(system.sidecar)
    for limit in ("all", "billing", "calendar"):
        assert (9, 100) == (
            await life.used_at_plane(limit, at_us=reset_us - 1),
            await life.used_at_plane(limit),
        )
        assert 9 == (await life.usage(limit, at_us=reset_us - 1)).used


async def test_a_new_billing_cycle_starts_at_0_and_leaves_other_windows_alone(life: Life) -> None:
    await life.use(8)
    answer = await life.change(plan=pb.ChangePlan(plan="pro", move_anchor=True))
    assert Usage(0, 1000) == await life.usage("billing")
    assert answer.effective_at == (await life.status("billing")).window_start
    assert Usage(8, 92) == await life.usage("all")
    assert Usage(8, 992) == await life.usage("calendar")


async def test_an_add_on_raises_the_limit_and_its_removal_lowers_it(life: Life) -> None:
    await life.change(add_on=pb.SetAddOn(add_on="boost", quantity=2))
    assert "ALLOWED" == await life.use(18)
    assert Usage(18, 2) == await life.usage()
    await life.change(add_on=pb.SetAddOn(add_on="boost", quantity=1))
    assert Usage(18, 0, 3) == await life.usage()
    await life.change(add_on=pb.SetAddOn(add_on="boost", quantity=0))
    assert Usage(18, 0, 8) == await life.usage()


@pytest.mark.parametrize("move_anchor", [False, True], ids=["same cycle", "new cycle"])
async def test_a_pause_denies_until_it_is_resumed(life: Life, move_anchor: bool) -> None:
    await life.use(8)
    began = (await life.status("billing")).window_start
    await life.change(pause=pb.PauseSubscription())
    assert "SUBSCRIPTION_PAUSED" == await life.use(1)
    answer = await life.change(resume=pb.ResumeSubscription(move_anchor=move_anchor))
    assert "ALLOWED" == await life.use(1)
    assert Usage(9, 1) == await life.usage()
    billing = await life.status("billing")
    expected = (1, answer.effective_at) if move_anchor else (9, began)
    assert expected == (billing.used, billing.window_start)


async def test_a_canceled_subscription_is_denied_until_it_is_renewed(life: Life) -> None:
    await life.use(8)
    await life.change(cancel=pb.CancelSubscription())
    assert "SUBSCRIPTION_CANCELED" == await life.use(1)
    await life.change(renew=pb.RenewSubscription())
    assert Usage(8, 2) == await life.usage()
    assert "ALLOWED" == await life.use(2)


async def test_a_planned_cancellation_takes_effect_on_the_microsecond_and_can_be_taken_back(
    life: Life,
) -> None:
    cancel_us = now_us() + 4 * MINUTE_US
    await life.change(at_us=cancel_us, cancel=pb.CancelSubscription())
    assert ["ALLOWED", "SUBSCRIPTION_CANCELED"] == await around(life, cancel_us)
    await life.change(renew=pb.RenewSubscription())
    assert ["ALLOWED", "ALLOWED"] == await around(life, cancel_us)


async def test_a_late_payment_is_tolerated_for_its_grace(life: Life) -> None:
    grace_ends_us = await past_due_with_grace(life)
    assert ["ALLOWED", "SUBSCRIPTION_PAST_DUE"] == await around(life, grace_ends_us)
    assert "ALLOWED" == await life.use(8, at_us=grace_ends_us - 1)
    await switched(life, "ALLOWED", "SUBSCRIPTION_PAST_DUE", grace_ends_us)
    await life.change(paid=pb.MarkPaid())
    assert Usage(8, 2) == await life.usage()
    assert "ALLOWED" == await life.use(2)


async def test_an_unknown_company_has_the_default_plan_until_the_plane_knows_it(
    system: System,
) -> None:
    newcomer = Life(system.plane, system.sidecar, "newcomer")
    assert "ALLOWED" == await newcomer.use(3)
    assert "LIMIT_EXCEEDED" == await newcomer.use(1)
    await newcomer.apply(subscribed("newcomer"))
    assert Usage(3, 7) == await newcomer.usage()
    await flush(system.sidecar)
    assert 3 == await newcomer.used_at_plane()


async def test_another_time_zone_keeps_usage_in_the_window_that_is_running(
    system: System, life: Life
) -> None:
    await life.use(8)
    running = await life.status("calendar")
    await life.apply(replace(subscribed(life.company), time_zone="Asia/Tokyo"))
    assert "ALLOWED" == await life.use(1)
    still = await life.status("calendar")
    assert (9, running.window_start) == (still.used, still.window_start)
    assert running.resets_at == still.resets_at
    await flush(system.sidecar)
    assert 9 == await life.used_at_plane("calendar")
    following = await life.at_plane("calendar", at_us=running.resets_at.ToMicroseconds())
    assert (0, running.resets_at) == (following.used, following.window.start)


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
async def test_without_its_plane_a_sidecar_switches_by_itself(
    tmp_path: Path, restart: bool
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, EVENTUAL)
        async with Sidecar(tmp_path, plane.address, snapshots="all") as sidecar:
            trial, planned, switch_us = await announced(plane, sidecar)
            await plane.kill()
            if restart:
                await sidecar.kill()
                await sidecar.start()
                await sidecar.ready()
            await connected(sidecar, False)
            await switched(trial, "ALLOWED", "TRIAL_ENDED", switch_us)
            await switched(planned, "ALLOWED", "LIMIT_EXCEEDED", switch_us, quantity=20)
            assert Usage(0, 10) == await planned.usage()
            assert "ALLOWED" == await planned.use(1)
            assert ["ALLOWED", "TRIAL_ENDED"] == await around(trial, switch_us)

            await plane.start()
            await flush(sidecar)
            assert (30, 1) == (
                await planned.used_at_plane(at_us=switch_us - 1),
                await planned.used_at_plane(),
            )
            assert [] == plane.errors() + sidecar.errors()


COMMANDS = [
    ("change {} --plan pro --reset-usage", "ALLOWED", Usage(0, 100)),
    ("add-on {} boost 2", "ALLOWED", Usage(0, 110)),
    ("add-on {} boost 0", "ALLOWED", Usage(0, 100)),
    ("pause {}", "SUBSCRIPTION_PAUSED", None),
    ("resume {}", "ALLOWED", Usage(0, 100)),
    ("cancel {}", "SUBSCRIPTION_CANCELED", None),
    ("renew {}", "ALLOWED", Usage(0, 100)),
    ("past-due {}", "ALLOWED", Usage(0, 100)),
    ("paid {}", "ALLOWED", Usage(0, 100)),
    ("change {} --plan basic --at +1h", "ALLOWED", Usage(0, 100)),
    ("drop-planned {}", "ALLOWED", Usage(0, 100)),
    ("change {} --plan basic", "ALLOWED", Usage(0, 10)),
]


async def test_the_command_line_changes_what_a_sidecar_decides(system: System, life: Life) -> None:
    await life.use(8)
    for command, reason, usage in COMMANDS:
        answer = await asyncio.to_thread(
            subscription, system.plane, command.format(life.company).split()
        )
        await revision_reached(system.sidecar, int(answer["revision"]))
        assert reason == await life.ask(), command
        if usage is not None:
            assert usage == await life.usage(), command
    shown = await asyncio.to_thread(subscription, system.plane, ["show", life.company])
    assert ("ACTIVE", "basic", {}) == tuple(
        shown["now"][key] for key in ("status", "plan", "add_ons")
    )


def subscription(plane: ControlPlane, args: list[str]) -> Any:
    """Run `tallyd subscription`; what it printed."""
    places = {"TALLYD_CONTROL": plane.address}
    result = tallyd("subscription", *args, "--json", environment=places)
    assert ExitCode.OK == result.exit_code, result.output
    return json.loads(result.stdout)


async def past_due_with_grace(life: Life) -> int:
    """Say that a payment is late; when its grace ends, which the sidecar knows before."""
    for attempt in range(ATTEMPTS):
        grace_ends_us = now_us() + (SOON_US << attempt)
        await life.change(past_due=pb.MarkPastDue(grace_ends_at=stamp(grace_ends_us)))
        if now_us() < grace_ends_us:
            return grace_ends_us
        await life.change(paid=pb.MarkPaid())
    raise AssertionError("a grace is always over before the sidecar knows of it")


async def announced(plane: ControlPlane, sidecar: Sidecar) -> tuple[Life, Life, int]:
    """One whose trial ends and one whose plan changes, and when; the sidecar knows before."""
    for attempt in range(ATTEMPTS):
        trial, planned = (
            Life(plane, sidecar, f"{name}-{attempt}") for name in ("trial", "planned")
        )
        await planned.apply(subscribed(planned.company, "pro"))
        assert "ALLOWED" == await planned.use(30)
        await flush(sidecar)
        switch_us = now_us() + (SOON_US << attempt)
        await apply_companies(plane, subscribed(trial.company, trial_ends_us=switch_us))
        change = pb.ChangePlan(plan="basic", reset_usage=True)
        try:
            await planned.change(at_us=switch_us, plan=change)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:  # it is past
                raise
        if now_us() < switch_us:
            return trial, planned, switch_us
    raise AssertionError("a change always takes effect before the sidecar knows of it")


async def around(life: Life, at_us: int) -> list[str]:
    """What is decided of usage just before an instant, and at it."""
    return [await life.ask(at_us=at_us - 1), await life.ask(at_us=at_us)]


async def switched(life: Life, before: str, after: str, at_us: int, *, quantity: int = 1) -> None:
    """Ask until the answer changes: not before the instant, and not long after it."""

    async def changed() -> bool:
        asked_us = now_us()
        answer = await life.ask(quantity)
        if now_us() < at_us:
            assert before == answer
        if asked_us >= at_us:
            assert after == answer
        return answer == after

    await until(changed, f"{life.company} stays {before}")
