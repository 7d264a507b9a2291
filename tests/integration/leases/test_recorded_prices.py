"""Real LLM traffic, split over eight sidecars, against a balance that it burns at two prices."""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from sidecar.api.control.v1 import credits_pb2, credits_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.integration.leases.test_recorded_tokens import TRACE
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.fleet import SIDECARS, pods
from tests.support.ledger import check, flush, ledger_lines

COMPANY: Final = "acme"
INPUT: Final = "input_tokens"
OUTPUT: Final = "output_tokens"
PRICES: Final = {INPUT: Fraction(5, 2), OUTPUT: Fraction(43, 4)}
"""Micro-credits for a token: most calls cost no whole number of them."""
_AT_ONCE: Final = 4
"""Calls under way at a sidecar."""
_LOOK_SECONDS: Final = 0.2


class Tokens(NamedTuple):
    """What one call is about."""

    feature: str
    quantity: int

    @property
    def cost(self) -> int:
        """In micro-credits, each call rounded up."""
        return ceil(PRICES[self.feature] * self.quantity)


def catalog(credits_max: int) -> str:
    return f"""
features:
  calls: {{kind: metered}}
  credits: {{kind: credits}}
  {INPUT}: {{kind: metered, costs: {{credits: {{per: 2, price: 5}}}}}}
  {OUTPUT}: {{kind: metered, costs: {{credits: {{per: 4, price: 43}}}}}}
plans:
  pro:
    entitlements:
      calls: unlimited
      credits: {{limits: {{bought: {{amount: {credits_max}, per: lifetime}}}}}}
      {INPUT}: unlimited
      {OUTPUT}: unlimited
companies:
  {COMPANY}: {{plan: pro, anchor: 2026-01-01}}
"""


class Share:
    """What one sidecar is asked, and what it burns."""

    def __init__(self, sidecar: Sidecar, calls: Sequence[Tokens]) -> None:
        self.burned = 0
        self.answers: Counter[str] = Counter()
        self._sidecar = sidecar
        self._calls = iter(calls)

    async def ask(self) -> None:
        """Ask for all of it, a few at once."""
        await asyncio.gather(*(self._ask(self._calls) for _ in range(_AT_ONCE)))

    async def _ask(self, calls: Iterator[Tokens]) -> None:
        for call in calls:
            decision = (await check(self._sidecar, COMPANY, *call)).decision
            (burned,) = decision.burned
            assert call.cost == burned.needed
            assert burned.amount == (call.cost if decision.allowed else 0)
            assert burned.left >= 0
            self.burned += burned.amount
            self.answers[pb.Reason.Name(decision.reason)] += 1


@pytest.mark.slow
async def test_real_tokens_burn_nearly_all_of_a_balance_and_never_more_than_it_has(
    tmp_path: Path,
) -> None:
    if not TRACE.exists():
        pytest.skip("no recorded traffic here: set TALLYD_SHARED to the directory that has it")
    with TRACE.open(newline="", encoding="utf-8-sig") as file:
        rows = [
            (
                Tokens(INPUT, int(row["ContextTokens"])),
                Tokens(OUTPUT, int(row["GeneratedTokens"])),
            )
            for row in csv.DictReader(file)
        ]
    credits_max = sum(call.cost for call in chain(*rows)) // 2
    async with pods(tmp_path, catalog(credits_max), companies=[COMPANY]) as (net, sidecars):
        shares = [
            Share(sidecar, list(chain(*rows[place::SIDECARS])))
            for place, sidecar in enumerate(sidecars)
        ]
        watching = asyncio.create_task(_watch(net.plane))
        await asyncio.gather(*(share.ask() for share in shares))
        burned = sum(share.burned for share in shares)
        found = sum((share.answers for share in shares), Counter[str]())
        print(f"{burned:,} of {credits_max:,}: {burned / credits_max:.4%}; {dict(found)}")
        await asyncio.gather(*map(flush, sidecars))
        assert not watching.done(), watching.result()
        watching.cancel()
        lines = await ledger_lines(net.plane, [COMPANY])
        assert burned == sum(Tokens(line.feature, line.quantity).cost for line in lines)
        account = await _account(net.plane)
        assert burned == account.burned
        assert (credits_max, 0) == (account.amount, account.overcommitted)
        assert 0.99 * credits_max <= burned <= credits_max


async def _watch(plane: ControlPlane) -> None:
    """Look at the balance again and again: never is more of it burned and leased than there is."""
    while True:
        account = await _account(plane)
        assert 0 == account.overcommitted
        assert account.burned + account.leased + account.left == account.amount
        await asyncio.sleep(_LOOK_SECONDS)


async def _account(plane: ControlPlane) -> credits_pb2.CreditAccount:
    """Where the balance's amount is, by the plane."""
    request = credits_pb2.GetCreditBalanceRequest(company=COMPANY)
    service = credits_pb2_grpc.CreditServiceStub(plane.channel)
    answer = await service.GetCreditBalance(request, timeout=HANG_SECONDS_MAX)
    [balance] = answer.balances
    [source] = balance.sources
    account: credits_pb2.CreditAccount = source.account
    return account
