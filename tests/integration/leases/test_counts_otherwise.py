"""A limit comes to count otherwise while a sidecar is cut off with a lease: it is not passed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.fleet import OPTIONS
from tests.support.ledger import EXPORTS, apply, check, flush, status
from tests.support.networks import network
from tests.support.processes import until

MOST: Final = 100
USED: Final = 15
"""What is used before the limit changes."""
MONTHLY: Final = "per: month"
BILLING: Final = "per: month, align: billing"
JANUARY: Final = "acme: {plan: one, anchor: 2026-01-01}"


def catalog_text(limit: str, companies: str, other: str = "per: lifetime") -> str:
    """A catalog of two plans; the first one is also for those who have none."""
    return f"""
default_plan: one
features:
  exports: {{kind: metered}}
plans:
  one: {{entitlements: {{exports: {{limits: {{all: {{amount: {MOST}, {limit}}}}}}}}}}}
  two: {{entitlements: {{exports: {{limits: {{every: {{amount: {MOST}, {other}}}}}}}}}}}
companies: {{{companies}}}
"""


CHANGES: Final[dict[str, tuple[str, str, int]]] = {
    "another window": (
        catalog_text(MONTHLY, JANUARY),
        catalog_text("per: lifetime", JANUARY),
        USED,
    ),
    "another alignment": (catalog_text(MONTHLY, JANUARY), catalog_text(BILLING, JANUARY), USED),
    "a moved anchor": (  # gives everything anew
        catalog_text(BILLING, JANUARY),
        catalog_text(BILLING, "acme: {plan: one, anchor: 2026-01-20}"),
        0,
    ),
    "another plan": (
        catalog_text(MONTHLY, JANUARY),
        catalog_text(MONTHLY, "acme: {plan: two, anchor: 2026-01-01}"),
        USED,
    ),
    "a company that was not there": (
        catalog_text(MONTHLY, ""),
        catalog_text(MONTHLY, "acme: {plan: two, anchor: 2026-01-01}"),
        USED,
    ),
    "a company that is removed": (
        catalog_text(MONTHLY, "acme: {plan: two, anchor: 2026-01-01}"),
        catalog_text(MONTHLY, ""),
        USED,
    ),
}


@pytest.mark.parametrize(("before", "after", "taken"), CHANGES.values(), ids=CHANGES)
async def test_a_lease_of_what_a_limit_counted_before_is_not_granted_again(
    tmp_path: Path, before: str, after: str, taken: int
) -> None:
    async def change(plane: ControlPlane) -> int:
        return await apply(plane, after, () if "acme" in after else ("acme",))

    await _holds_over(tmp_path, before, change, taken)


async def test_a_lease_of_before_a_reset_is_not_granted_again(tmp_path: Path) -> None:
    async def reset(plane: ControlPlane) -> int:
        request = control_pb2.ChangeSubscriptionRequest(
            company="acme", reset_usage=control_pb2.ResetUsage()
        )
        revision: int = (await plane.control.ChangeSubscription(request)).revision
        return revision

    await _holds_over(tmp_path, catalog_text(MONTHLY, JANUARY), reset, taken=0)


async def _holds_over(
    tmp_path: Path, before: str, change: Callable[[ControlPlane], Awaitable[int]], taken: int
) -> None:
    """What is left after a change is used once, also by who has not heard of it.

    `change`: makes it, and says its revision. `taken`: what is used by then.
    """
    async with network(tmp_path / "control.db", 2) as net:
        await apply(net.plane, before)
        away = net.sidecar(0, tmp_path / "0", **OPTIONS, lease_seconds=60)
        other = net.sidecar(1, tmp_path / "1", **OPTIONS)
        async with away, other:
            assert USED == (await used(away, USED))[0]
            await flush(away)
            await net.cut(0)
            revision = await change(net.plane)

            async def heard() -> bool:
                return (await status(other)).revision >= revision

            await until(heard, "the change is not heard of")
            elsewhere, _ = await used(other, MOST)
            held, _ = await used(away, MOST)
            # It was leased some, which it spends, not knowing better; and it had not all.
            assert 0 < held < MOST - USED
            assert taken + elsewhere + held <= MOST
            await net.mend(0)
            for sidecar in (away, other):
                elsewhere += await used_up(sidecar)
            assert taken + elsewhere + held == MOST


async def used(sidecar: Sidecar, most: int) -> tuple[int, int]:
    """Use one after the other until it is denied; how many were allowed, and the last reason."""
    for admitted in range(most):
        decision = (await check(sidecar, "acme", EXPORTS)).decision
        if not decision.allowed:
            return admitted, decision.reason
    return most, pb.REASON_ALLOWED


async def used_up(sidecar: Sidecar) -> int:
    """Use what there is until nothing is; how much."""
    admitted = 0

    async def denied() -> bool:
        nonlocal admitted
        more, reason = await used(sidecar, MOST)
        admitted += more
        return reason == pb.REASON_LIMIT_EXCEEDED

    await until(denied, "something is still held")
    return admitted
