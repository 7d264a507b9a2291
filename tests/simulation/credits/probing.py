"""Asks balances for more once all is at rest: what is left of them must be had, in burn order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from sidecar.domain.time.units import MILLISECOND_US
from tests.simulation.credits.lefts import lefts_of
from tests.simulation.credits.offers import CHATS, USES
from tests.simulation.leases.calls import Call, Told
from tests.simulation.leases.offers import KNOWN
from tests.simulation.leases.probing import NEAR_US, PATIENCE_US, PROBED_MAX

if TYPE_CHECKING:
    from tests.simulation.credits.world import CreditWorld
    from tests.simulation.leases.sidecars import Process

SMALL: Final = USES[0]
HEARD_US: Final = 300 * MILLISECOND_US


class BalanceQuestion:
    """One question: whether a pod gets so much usage paid by what is left. `lacked`: why not."""

    def __init__(
        self, world: CreditWorld, process: Process, company: str, quantity: int, left: int
    ) -> None:
        self.lacked = ""
        self._process = process
        self._left = left
        attempt = world.new_attempt()
        self._call = Call(
            attempt,
            company,
            CHATS,
            quantity,
            "",
            patience_us=PATIENCE_US,
            model=SMALL.model,
        )

    def begin(self) -> None:
        """Ask, once what came in a moment ago was told."""
        self._process.after(HEARD_US, lambda: self._process.calls.begin(self._call))

    def told(self, told: Told) -> None:
        """The answer."""
        if not told.allowed:
            why = "an error" if told.reason is None else told.reason.name
            pod, call = self._process.pod.name, self._call
            self.lacked = f"{pod} gets no {call.quantity} for {call.company} of {self._left}: {why}"


def questions(world: CreditWorld) -> Iterator[BalanceQuestion]:
    """Questions, one after the other: the next is made once the one before was answered."""
    running = [pod.process for pod in world.pods if pod.process and _has_the_time(pod.process)]
    asked = running if len(running) <= PROBED_MAX else [*running[:2], *running[-2:]]
    cost = world.given.cost(CHATS, SMALL.model, 1)
    for company in KNOWN:
        for process in asked:
            left = sum(lefts_of(world, company).values())
            if left >= cost:
                yield BalanceQuestion(world, process, company, 1, left)


def _has_the_time(process: Process) -> bool:
    """Whether it lives in the windows of the plane; clocks that jumped are followed slowly."""
    return abs(process.now_us - process.world.plane.now_us) < NEAR_US
