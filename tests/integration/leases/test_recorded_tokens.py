"""Real LLM traffic, split over eight sidecars, against a limit on tokens that ends half-way."""

from __future__ import annotations

import asyncio
import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.daemons import Sidecar
from tests.support.fleet import SIDECARS, pods
from tests.support.ledger import check, flush, ledger_sums

_BESIDE_REPOSITORY: Final = Path(__file__).resolve().parents[4] / "shared"
TRACE: Final = (
    Path(os.environ.get("TALLYD_SHARED", _BESIDE_REPOSITORY)) / "data" / "azure_llm_2023_code.csv"
)
_AT_ONCE: Final = 4
"""Calls under way at a sidecar."""
TOKENS: Final = "tokens"


def _catalog(tokens_max: int) -> str:
    return f"""
features:
  calls: {{kind: metered}}
  tokens: {{kind: metered}}
plans:
  pro:
    entitlements:
      calls: unlimited
      tokens: {{limits: {{monthly: {{amount: {tokens_max}, per: lifetime}}}}}}
companies:
  acme: {{plan: pro, anchor: 2026-01-01}}
"""


class _Share:
    """What one sidecar is asked, and what it admits."""

    def __init__(self, sidecar: Sidecar, quantities: Sequence[int]) -> None:
        self.admitted = 0
        self.answers: Counter[tuple[str, str]] = Counter()
        self._sidecar = sidecar
        self._quantities = iter(quantities)

    async def ask(self) -> None:
        """Ask for all of it, a few at once."""
        await asyncio.gather(*(self._ask(self._quantities) for _ in range(_AT_ONCE)))

    async def _ask(self, quantities: Iterator[int]) -> None:
        for quantity in quantities:
            decision = (await check(self._sidecar, "acme", TOKENS, quantity)).decision
            self.admitted += quantity if decision.allowed else 0
            mode, reason = pb.BasisMode.Name(decision.basis.mode), pb.Reason.Name(decision.reason)
            self.answers[mode, reason] += 1
            if decision.allowed:
                assert pb.BASIS_MODE_LEASED == decision.basis.mode, decision
                assert 0 == decision.basis.uncertainty, decision


async def test_real_tokens_never_pass_their_limit_and_use_nearly_all_of_it(tmp_path: Path) -> None:
    if not TRACE.exists():
        pytest.skip("no recorded traffic here: set TALLYD_SHARED to the directory that has it")
    with TRACE.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    quantities = [int(row["ContextTokens"]) + int(row["GeneratedTokens"]) for row in rows]
    tokens_max = sum(quantities) // 2
    async with pods(tmp_path, _catalog(tokens_max), companies=["acme"]) as (net, sidecars):
        shares = [
            _Share(sidecar, quantities[place::SIDECARS]) for place, sidecar in enumerate(sidecars)
        ]
        await asyncio.gather(*(share.ask() for share in shares))
        admitted = sum(share.admitted for share in shares)
        found = sum((share.answers for share in shares), Counter[tuple[str, str]]())
        print(f"{admitted:,} of {tokens_max:,} tokens: {admitted / tokens_max:.3%}; {dict(found)}")
        await asyncio.gather(*map(flush, sidecars))
        assert {TOKENS: admitted} == await ledger_sums(net.plane)
        assert admitted <= tokens_max
        assert admitted >= 0.99 * tokens_max
