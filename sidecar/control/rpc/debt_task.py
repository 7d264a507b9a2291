"""Has balances repay in the background what they owe, once something comes into force.

Who holds something of what is in force meanwhile is asked to give it back.
"""

from __future__ import annotations

from collections.abc import Callable

from sidecar.control.metrics import ControlMetrics
from sidecar.control.rpc.background import in_rounds
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.credit_debts import (
    DEBTS_AT_ONCE,
    FIRST_DEBT,
    balances_in_debt,
    repay_debts,
)


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

    async def run(self) -> None:
        """Look at a page of balances at a time, from the first to the last, until cancelled."""
        await in_rounds(self._page, self._is_under_way, "control.debts_not_repaid")

    def _is_under_way(self) -> bool:
        return self._after != FIRST_DEBT

    async def _page(self) -> None:
        debts = await self._workers.read(balances_in_debt, self._after)
        if debts:
            repaid = await self._workers.write(repay_debts, debts, self._clock())
            if repaid.changed:
                self._hub.note_change()
            self._metrics.leases.recalled.add(self._hub.recall(repaid.holders))
        self._after = debts[-1] if len(debts) == DEBTS_AT_ONCE else FIRST_DEBT
