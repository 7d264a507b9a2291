"""A run without faults on a balance: how much of it is burned before the first denial.

Two features burn it, each at a price of its own, on 16 sidecars of which each has twice the calls
of the one before. A fifth more is asked for than there is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from itertools import accumulate
from random import Random
from typing import Final

from sidecar.domain.catalog.kinds import FeatureCost
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
)
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.units import SECOND_US
from sidecar.sync.machine.held_leases import LeasePace
from tests.simulation.leases.calls import Call, Told
from tests.simulation.leases.generate import START_US
from tests.simulation.leases.offers import FIRST_AMOUNTS, LIFETIME, PLANS, Amounts
from tests.simulation.leases.report import Measured
from tests.simulation.leases.world import World

PODS: Final = 16
WARM_UP_US: Final = 5 * SECOND_US
SPAN_US: Final = 40 * SECOND_US
LAST_PART: Final = 0.01
_COMPANY: Final = "acme"
_BALANCE: Final = "credits"
_IMAGES, _WORDS = "images", "words"
_IMAGE_COST, _WORDS_COST, _WORDS_PER = 25, 2, 3
_PRICES: Final = {_IMAGES: Price(_IMAGE_COST), _WORDS: Price(_WORDS_COST, _WORDS_PER)}
_WORDS_MAX: Final = 20


class BalanceWorld(World):
    """One in which a balance is sold, and two features that burn it."""

    def __init__(self, amount: int) -> None:
        self._amount = amount
        super().__init__(1, START_US, amounts=FIRST_AMOUNTS, pace=LeasePace())

    def catalog_of(self, amounts: Amounts) -> Catalog:
        """What is sold, whatever limits others have."""
        features = [
            Feature(key, FeatureKind.METERED, costs=(FeatureCost(_BALANCE, CostTable(price)),))
            for key, price in _PRICES.items()
        ]
        grants = (
            EntitlementGrant(_BALANCE, limits=(Limit("all", LIFETIME, self._amount),)),
            *(EntitlementGrant(key) for key in _PRICES),
        )
        plans = tuple(Plan(plan, "", grants) for plan in PLANS)
        return Catalog((Feature(_BALANCE, FeatureKind.CREDITS), *features), plans)


def measure_balance(calls: int, seed: int = 1) -> Measured:
    """So many calls that cost a fifth more than there is; `utilisation` at the first denial."""
    random = Random(seed)
    bounds = list(accumulate(2.0**pod for pod in range(PODS)))
    asked = [_call(str(number), random) for number in range(calls)]
    amount = sum(map(_cost, asked)) * 5 // 6
    times = sorted(WARM_UP_US + random.randrange(SPAN_US) for _ in asked)
    with closing(BalanceWorld(amount)) as world:
        seen = _Seen(amount)
        world.on_told = seen.told
        for _ in range(PODS):
            world.add_pod().start()
        for at_us, call in zip(times, asked, strict=True):
            pod = random.choices(range(PODS), cum_weights=bounds)[0]
            world.timeline.at(START_US + at_us, _asking(world, pod, call))
        while world.timeline.next_step(START_US + times[-1] + SECOND_US):
            pass
    name = f"{PODS} sidecars, load of 1:2:4:..., a balance of {amount:,} that two features burn"
    return Measured(
        name,
        seen.calls,
        seen.burned_before_denial / amount,
        seen.waited / max(1, seen.early),
        max(0, seen.burned - amount),
    )


def _call(attempt: str, random: Random) -> Call:
    if random.randrange(4) == 0:
        return Call(attempt, _COMPANY, _IMAGES, 1, "")
    return Call(attempt, _COMPANY, _WORDS, random.randint(1, _WORDS_MAX), "")


def _cost(call: Call) -> int:
    """What a call costs, in micro-credits."""
    if call.feature == _IMAGES:
        return _IMAGE_COST * call.quantity
    return -(-call.quantity * _WORDS_COST // _WORDS_PER)


def _asking(world: World, pod: int, call: Call) -> Callable[[], None]:
    def ask() -> None:
        process = world.pods[pod].process
        assert process is not None
        process.live(lambda: process.calls.begin(call))

    return ask


class _Seen:
    """What is seen of the calls: what they burned, in all and before the first was denied."""

    def __init__(self, amount: int) -> None:
        self.calls = self.burned = self.early = self.waited = 0
        self._amount = amount
        self._at_denial: int | None = None

    @property
    def burned_before_denial(self) -> int:
        """How much was burned when the first call was denied; all where none was."""
        return self.burned if self._at_denial is None else self._at_denial

    def told(self, told: Told) -> None:
        """A call was answered."""
        self.calls += 1
        if self.burned < self._amount * (1 - LAST_PART):
            self.early += 1
            self.waited += told.waited
        if told.allowed:
            self.burned += _cost(told.call)
        elif self._at_denial is None:
            assert told.reason is Reason.CREDITS_EXHAUSTED, told
            self._at_denial = self.burned
