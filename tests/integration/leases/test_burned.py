"""Two sidecars and a plane burn one balance: all of it, and never a micro-credit more."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Final

import grpc
import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import credits_pb2, credits_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.crash.chaos import SMALL_PUSHES, errors_but_of_kills, kill_again_and_again
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import apply, check, flush, hold, ledger_lines
from tests.support.processes import until
from tests.support.seeds import seeded

PRICES: Final = {"small": Fraction(2, 3), "large": Fraction(10)}
MONTHLY: Final = 3_000
EVER: Final = 4_001
OVERDRAFT: Final = 500
WHOLE: Final = MONTHLY + EVER + OVERDRAFT
CATALOG: Final = f"""
features:
  credits: {{kind: credits}}
  calls: {{kind: metered}}
  models:
    kind: metered
    dimensions: {{model: {{required: true, values: [small, large]}}}}
    costs: {{credits: {{per: 3, by: {{model: {{small: 2, large: 30}}}}}}}}
plans:
  standard:
    entitlements:
      calls: {{limits: {{all: {{amount: 1_000_000, per: lifetime}}}}}}
      models: {{limits: {{all: {{amount: unlimited, per: lifetime}}}}}}
      credits:
        overdraft: {OVERDRAFT}
        limits:
          monthly: {{amount: {MONTHLY}, per: year}}
          ever: {{amount: {EVER}, per: lifetime, priority: 5}}
companies:
  acme: {{plan: standard, anchor: "2026-01-31T00:00:00Z"}}
"""


def cost(model: str, quantity: int) -> int:
    return ceil(PRICES[model] * quantity)


class System:
    """A plane and sidecars, and what was answered: ids of records with their costs."""

    def __init__(self, folder: Path, plane: ControlPlane, sidecars: list[Sidecar]) -> None:
        self.plane, self.sidecars = plane, sidecars
        self.answered = 0
        self._folder = folder
        self._numbers = iter(range(1_000_000))

    async def call(self, sidecar: Sidecar, model: str, quantity: int) -> pb.Decision:
        """A check, until it is answered, whatever is killed meanwhile."""
        key = f"key-{next(self._numbers)}"
        decision = pb.Decision()

        async def decided() -> bool:
            nonlocal decision
            try:
                answer = await check(
                    sidecar,
                    "acme",
                    "models",
                    quantity,
                    idempotency_key=key,
                    dimensions={"model": model},
                )
            except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.CancelledError):
                return False
            decision = answer.decision
            return decision.reason != pb.REASON_LEASE_UNAVAILABLE

        await until(decided, "a call was not decided")
        self.answered += 1
        if decision.allowed:
            (burned,) = decision.burned
            assert cost(model, quantity) == burned.needed == burned.amount
        return decision

    async def spend(
        self,
        sidecar: Sidecar,
        seed: int,
        quantity_max: int = 12,
        goes_on: Callable[[], bool] = lambda: False,
    ) -> None:
        """Call until the balance has nothing left for a call like this, and it need not go on."""
        rng = seeded(seed)
        while True:
            model, quantity = rng.choice(sorted(PRICES)), rng.randint(1, quantity_max)
            decision = await self.call(sidecar, model, quantity)
            if not decision.allowed:
                assert pb.REASON_CREDITS_EXHAUSTED == decision.reason
                if not goes_on():
                    return

    async def use_up(self) -> None:
        """Call for the least that there is, until there is nothing."""
        for sidecar in (*self.sidecars, *self.sidecars):
            while (await self.call(sidecar, "small", 1)).allowed:
                pass

    async def burned(self) -> Mapping[str, int]:
        """What the plane has on the balance's counters, once all was sent."""
        for sidecar in self.sidecars:
            await flush(sidecar)
        lines = [line for line in await ledger_lines(self.plane, ["acme"]) if not line.duplicate_of]
        price = sum(cost(line.dimensions["model"], line.quantity) for line in lines)
        with closing(sqlite3.connect(self._folder / "control.db")) as database:
            found = database.execute("SELECT slot, total FROM counter WHERE feature = 'credits'")
            totals = {slot.partition("|")[0]: total for slot, total in found}
        assert price == sum(totals.values())
        return totals


@asynccontextmanager
async def system(folder: Path) -> AsyncIterator[System]:
    async with ControlPlane(folder / "control.db") as plane:
        await apply(plane, CATALOG)
        async with (
            Sidecar(folder / "a", plane.address, **SMALL_PUSHES) as first,
            Sidecar(folder / "b", plane.address, **SMALL_PUSHES) as second,
        ):
            for sidecar in (first, second):
                await hold(sidecar, ["acme"])
            yield System(folder, plane, [first, second])
            assert [] == plane.errors()
            assert [] == [e for each in (first, second) for e in errors_but_of_kills(each)]


async def test_a_balance_is_burned_to_the_last_by_both_and_never_past_it(tmp_path: Path) -> None:
    async with system(tmp_path) as credits_system:
        first, second = credits_system.sidecars
        async with asyncio.TaskGroup() as group:
            for seed, sidecar in enumerate((first, first, first, second)):
                group.create_task(credits_system.spend(sidecar, seed))
        await credits_system.use_up()
        totals = await credits_system.burned()
        assert {"YEAR/1/CALENDAR": MONTHLY, "LIFETIME": EVER, "OVERDRAFT": OVERDRAFT} == totals


async def test_a_grant_repays_what_is_owed_and_what_is_left_of_it_burns(tmp_path: Path) -> None:
    async with system(tmp_path) as credits_system:
        first, second = credits_system.sidecars
        await asyncio.gather(credits_system.spend(first, 1), credits_system.spend(second, 2))
        await credits_system.use_up()
        await credits_system.burned()
        grants = credits_pb2_grpc.CreditServiceStub(credits_system.plane.channel)
        gift = catalog_pb2.CreditGrant(id="gift", feature="credits", amount=700)
        answer = await grants.GrantCredits(
            credits_pb2.GrantCreditsRequest(company="acme", grant=gift)
        )
        assert OVERDRAFT == answer.repaid

        async def is_heard() -> bool:
            answers = [await credits_system.call(each, "small", 1) for each in (first, second)]
            return all(decision.allowed for decision in answers)

        await until(is_heard, "the grant was not heard of")
        await credits_system.use_up()
        totals = await credits_system.burned()
        assert (700, OVERDRAFT) == (totals["GRANT"], totals["OVERDRAFT"])
        assert WHOLE + 700 == sum(totals.values())


async def test_what_has_happened_is_burned_past_what_there_is(tmp_path: Path) -> None:
    async with system(tmp_path) as credits_system:
        first, second = credits_system.sidecars
        await credits_system.call(second, "large", 10)
        request = pb.RecordUsageRequest(
            company="acme", feature="models", quantity=1_000, dimensions={"model": "large"}
        )
        answer = await first.api.RecordUsage(request, timeout=HANG_SECONDS_MAX)
        (burned,) = answer.decision.burned
        assert (10_000, 0) == (burned.needed, burned.amount)
        totals = await credits_system.burned()
        assert 10_100 == sum(totals.values())


@pytest.mark.crash
async def test_kills_neither_lose_nor_double_what_was_burned(tmp_path: Path) -> None:
    async with system(tmp_path) as credits_system:
        first, second = credits_system.sidecars
        kills = True
        async with asyncio.TaskGroup() as group:
            for seed, sidecar in enumerate((first, first, second)):
                # Kills come after so many answers: there are some, also once all is burned.
                group.create_task(credits_system.spend(sidecar, seed, 3, lambda: kills))
            for seed, daemon in ((4, first), (5, credits_system.plane)):
                killing = kill_again_and_again(
                    daemon, seeded(seed), 1, lambda: credits_system.answered, 40
                )
                await killing
            kills = False
        await credits_system.use_up()
        totals = await credits_system.burned()
        assert WHOLE == sum(totals.values())
