"""Asks balances for more once all is at rest: what is left of them must be had, in burn order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.units import MILLISECOND_US
from tests.simulation.credits.lefts import Lefts, held_by, lefts_of, source_of
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
    """One question: whether a pod gets so much usage paid by what is left. `lacked`: why not.

    What it holds burns in burn order. What the plane has of an earlier source may come behind what
    is held of a later one: no call waits for that.
    """

    def __init__(
        self,
        world: CreditWorld,
        process: Process,
        company: str,
        quantity: int,
        lefts: Lefts,
    ) -> None:
        self.lacked = ""
        self._world = world
        self._process = process
        self._lefts = lefts
        self._held: Lefts = {}
        attempt, model = world.new_attempt(), SMALL.model
        self._call = Call(
            attempt, company, CHATS, quantity, "", patience_us=PATIENCE_US, model=model
        )

    def begin(self) -> None:
        """Ask, once what came in a moment ago was told."""
        self._process.after(HEARD_US, self._ask)

    def told(self, told: Told) -> None:
        """The answer."""
        call = self._call
        cost = self._world.given.cost(CHATS, SMALL.model, call.quantity)
        what = f"{self._process.pod.name} asks {call.quantity} of {call.company} for {cost}"
        reason = "an error" if told.reason is None else told.reason.name
        # What is held burns, whatever is owed beyond what may be.
        most = sum(max(0, left) for left in self._lefts.values())
        if cost > most:
            if told.allowed:
                self.lacked = f"{what}, gets it, and there is {self._lefts}"
        elif not told.allowed:
            # The very last is found in a few calls, where more was thought to be left of a source.
            if told.reason is Reason.LEASE_UNAVAILABLE and cost == most:
                return
            self.lacked = f"{what}, gets none of {self._lefts}: {reason}"
        else:
            burned = self._world.burned.burned[call.attempt].parts
            parts = {source_of(name): amount for name, amount in burned}
            sources = list(self._lefts)
            last = max((sources.index(each) for each in parts if each in sources), default=0)
            before = sources[:last]
            if any(parts.get(source, 0) < self._held.get(source, 0) for source in before):
                self.lacked = f"{what}, and burns {parts} while it holds {self._held}"

    def _ask(self) -> None:
        self._held = held_by(self._world, self._process, self._call.company)
        self._process.calls.begin(self._call)


def questions(world: CreditWorld) -> Iterator[BalanceQuestion]:
    """Questions, one after the other: the next is made once the one before was answered."""
    running = [pod.process for pod in world.pods if pod.process and _has_the_time(pod.process)]
    asked = running if len(running) <= PROBED_MAX else [*running[:2], *running[-2:]]
    cost = world.given.cost(CHATS, SMALL.model, 1)
    for company in sorted(set(KNOWN) - world.ceilings.removed_once):
        for process in asked:
            lefts = lefts_of(world, process, company)
            if lefts is not None and sum(lefts.values()) >= cost:
                yield BalanceQuestion(world, process, company, 1, lefts)
        if len(asked) == 1 and len([pod for pod in world.pods if pod.process]) == 1:
            yield from _lone_questions(world, asked[0], company)


def _lone_questions(
    world: CreditWorld, process: Process, company: str
) -> Iterator[BalanceQuestion]:
    """Whether somebody alone gets a half of what is left, then the rest, and nothing then."""
    micro_credits, per = world.given.prices[SMALL]
    for part in (2, 1):
        lefts = lefts_of(world, process, company)
        quantity = 0 if lefts is None else sum(lefts.values()) // part * per // micro_credits
        if lefts is not None and quantity > 0:
            yield BalanceQuestion(world, process, company, quantity, lefts)
    lefts = lefts_of(world, process, company)
    if lefts is not None:
        quantity = sum(max(0, left) for left in lefts.values()) * per // micro_credits + 1
        yield BalanceQuestion(world, process, company, quantity, lefts)


def _has_the_time(process: Process) -> bool:
    """Whether it lives in the windows of the plane; clocks that jumped are followed slowly."""
    return abs(process.now_us - process.world.plane.now_us) < NEAR_US
