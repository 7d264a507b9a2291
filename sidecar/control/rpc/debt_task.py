"""Has balances repay in the background what they owe, once something comes into force.

Who holds something of what is in force meanwhile is asked to give it back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from sidecar.control.metrics import ControlMetrics
from sidecar.control.rpc.background import in_steps
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.credit_debts import (
    DEBTS_AT_ONCE,
    FIRST_DEBT,
    balances_in_debt,
    repay_debts,
)

ROUND_S: Final = 10.0
"""All balances that owe something are looked at so often, or less often where they are many."""
REST_SHARE: Final = 9
REST_S_MAX: Final = 5.0
"""After each page the task rests nine times as long as it took, but no longer."""


class DebtTask:
    """The background task. `clock` gives microseconds since the Unix epoch, as calls get them."""

    def __init__(
        self, workers: Workers, hub: Hub, metrics: ControlMetrics, clock: Callable[[], int]
    ) -> None:
        self._workers = workers
        self._hub = hub
        self._metrics = metrics
        self._clock = clock
        self._after = FIRST_DEBT
        self._round_due_s = 0.0

    async def run(self) -> None:
        """Look at a page of balances at a time, from the first to the last, until cancelled."""
        await in_steps(self._step, "control.debts_not_repaid")

    async def _step(self) -> bool:
        began_s = time.monotonic()
        if self._after == FIRST_DEBT:
            if began_s < self._round_due_s:
                return False
            self._round_due_s = began_s + ROUND_S
        debts = await self._workers.read(balances_in_debt, self._after)
        if debts:
            repaid = await self._workers.write(repay_debts, debts, self._clock())
            if repaid.changed:
                self._hub.note_change()
            self._metrics.leases.recalled.add(self._hub.recall(repaid.holders))
        self._after = debts[-1] if len(debts) == DEBTS_AT_ONCE else FIRST_DEBT
        await asyncio.sleep(min((time.monotonic() - began_s) * REST_SHARE, REST_S_MAX))
        return self._after != FIRST_DEBT
