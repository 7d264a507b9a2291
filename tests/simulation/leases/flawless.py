"""Runs without faults: how much of a limit can be used, and how many calls wait for the plane.

A limit is asked for a fifth more than it has. All of it is to be used, none of it twice, and calls
are not to wait for the plane but for the last hundredth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import accumulate
from random import Random
from typing import Final, NamedTuple

from sidecar.domain.time.units import MINUTE_US, SECOND_US
from sidecar.sync.machine.held_leases import LeasePace
from tests.simulation.leases.calls import Call, Told
from tests.simulation.leases.flawless_balance import measure_balance
from tests.simulation.leases.generate import START_US
from tests.simulation.leases.invariants import Invariants
from tests.simulation.leases.offers import FIRST_AMOUNTS
from tests.simulation.leases.report import Measured
from tests.simulation.leases.world import World

SKEWED_PODS: Final = 16
USERS_PODS: Final = 8
WARM_UP_US: Final = 5 * SECOND_US
LAST_PART: Final = 0.01
_COMPANY: Final = "acme"
_PLENTY: Final = 1 << 40


class Arrival(NamedTuple):
    """A call, when it comes, and to which pod."""

    at_us: int
    pod: int
    user: str


def measure_all() -> list[Measured]:
    """All runs, in full."""
    return [measure_skew(20_000), measure_balance(24_000), measure_users(10_000, 10)]


def measure_skew(amount: int, seed: int = 1) -> Measured:
    """One limit, and 16 sidecars of which each has twice the calls of the one before."""
    random = Random(seed)
    weights = [2.0**pod for pod in range(SKEWED_PODS)]
    bounds = list(accumulate(weights))
    span_us = 40 * SECOND_US
    arrivals = [
        Arrival(
            WARM_UP_US + random.randrange(span_us),
            random.choices(range(SKEWED_PODS), cum_weights=bounds)[0],
            "",
        )
        for _ in range(amount * 6 // 5)
    ]
    amounts = {**FIRST_AMOUNTS, ("big", "storage", "total"): amount}
    name = f"{SKEWED_PODS} sidecars, load of 1:2:4:..., a limit of {amount:,}"
    return _measured(name, SKEWED_PODS, amounts, "storage", amount, sorted(arrivals))


def measure_users(users: int, amount: int, seed: int = 1) -> Measured:
    """A limit of each user and window on 8 sidecars, in a window that follows one with usage."""
    random = Random(seed)
    window_us = MINUTE_US
    arrivals: list[Arrival] = []
    for number in range(users):
        pod, user = number % USERS_PODS, f"user-{number}"
        # Of the window before each used something, so that this one's lease was asked for ahead.
        arrivals.append(Arrival(WARM_UP_US + random.randrange(window_us // 2), pod, user))
        arrivals += [
            Arrival(window_us + random.randrange(window_us), pod, user)
            for _ in range(amount * 6 // 5)
        ]
    amounts = {
        **FIRST_AMOUNTS,
        ("big", "exports", "hour"): _PLENTY,
        ("big", "exports", "user"): amount,
    }
    name = f"{USERS_PODS} sidecars, {users:,} users with a limit of {amount:,} each"
    measured_from_us = START_US + window_us
    return _measured(
        name, USERS_PODS, amounts, "exports", amount, sorted(arrivals), measured_from_us
    )


def _measured(
    name: str,
    pods: int,
    amounts: dict[tuple[str, str, str], int],
    feature: str,
    amount: int,
    arrivals: Iterable[Arrival],
    from_us: int = 0,
) -> Measured:
    with closing(World(1, START_US, amounts=amounts, pace=LeasePace())) as world:
        seen = _Seen(world, feature, amount, from_us)
        world.on_told = seen.told
        for _ in range(pods):
            world.add_pod().start()
        last_us = 0
        for arrival in arrivals:
            last_us = arrival.at_us
            world.timeline.at(START_US + arrival.at_us, _asking(world, feature, arrival))
        invariants = Invariants(world)
        while world.timeline.next_step(START_US + last_us + SECOND_US):
            invariants.look_at_admissions()
        assert not invariants.violation, invariants.violation
        return Measured(
            name, seen.calls, seen.utilisation(), seen.round_trips(), invariants.overspent
        )


def _asking(world: World, feature: str, arrival: Arrival) -> Callable[[], None]:
    def ask() -> None:
        process = world.pods[arrival.pod].process
        assert process is not None
        call = Call(world.new_attempt(), _COMPANY, feature, 1, arrival.user)
        process.live(lambda: process.calls.begin(call))

    return ask


class _Seen:
    """What is seen of the calls about one limit, from an instant on."""

    def __init__(self, world: World, feature: str, amount: int, from_us: int) -> None:
        self.calls = 0
        self._world = world
        self._feature = feature
        self._amount = amount
        self._from_us = from_us
        self._admitted: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        self._early = self._waited = 0

    def told(self, told: Told) -> None:
        """A call was answered."""
        if self._world.timeline.now_us < self._from_us:
            return
        self.calls += 1
        user = told.call.user
        admitted = self._admitted.get(user, 0)
        if admitted < self._amount * (1 - LAST_PART):
            self._early += 1
            self._waited += told.waited
        self._admitted[user] = admitted + told.granted
        self._asked[user] = self._asked.get(user, 0) + told.call.quantity

    def utilisation(self) -> float:
        """The least part of a limit that was used, of those that were asked for in full."""
        return min(
            self._admitted[user] / self._amount
            for user, asked in self._asked.items()
            if asked >= self._amount
        )

    def round_trips(self) -> float:
        """The part of calls that waited, before the last hundredth."""
        return self._waited / max(1, self._early)
