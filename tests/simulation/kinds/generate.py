"""Makes schedules of calls about seats and levels: of each seed always the same, with faults."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import Final

from sidecar.domain.time.units import MINUTE_US, SECOND_US
from tests.simulation.kinds.offers import (
    DISKS,
    FIRST_AMOUNTS,
    JOBS,
    OFFERS,
    SEATS,
)
from tests.simulation.kinds.schedule import (
    Acquire,
    KindSchedule,
    KindStep,
    ListHolders,
    Release,
    Tune,
    Use,
)
from tests.simulation.leases import generate as leases
from tests.simulation.leases.generate import START_US, Calling
from tests.simulation.leases.offers import KNOWN, PLANS
from tests.simulation.leases.schedule import AnyStep, Ask, GrantOverride, Replan, Reprice, Reset

LENGTH_US: Final = (20 * SECOND_US, 60 * SECOND_US)
CALLS: Final = (30, 110)
FAULTS: Final = (1, 6)
HOLDERS: Final = 7
ITEMS: Final = 4
_SHARED: Final = (
    "cut",
    "noise",
    "killed",
    "power_lost",
    "frozen",
    "cloned",
    "scaled",
    "plane_killed",
    "rolled_back",
    "jumped",
    "plane_jumped",
)


def schedule_of(seed: int, only: Collection[str] = ()) -> KindSchedule:
    """The schedule of a seed. `only`: names of `KINDS`, of which alone something happens."""
    random = Random(seed)
    length_us = random.randint(*LENGTH_US)
    pods = random.choice((1, 2, 2, 3, 3))
    kinds = [kind for kind in KINDS.values() if random.random() < 0.3] or [KINDS["killed"]]
    if only:
        kinds = [KINDS[name] for name in only]
    offers = random.sample(range(len(OFFERS)), k=random.randint(1, 2))
    calling = Calling(pods, random.randrange(len(KNOWN)), offers)
    steps: list[KindStep] = []
    for _ in range(random.randint(*FAULTS)):
        made = random.choice(kinds)(random, random.randint(0, length_us), calling)
        steps += [step for step in made if step.at_us < length_us and not isinstance(step, Ask)]
    for _ in range(random.randint(*CALLS)):
        steps.append(_call(random, random.randrange(length_us), calling))
    steps.sort(key=lambda step: step.at_us)
    starts_us = START_US + random.randrange(MINUTE_US)
    return KindSchedule(seed, starts_us, length_us, pods, tuple(steps))


def _call(random: Random, at_us: int, calling: Calling) -> KindStep:
    pod = random.randrange(calling.pods + 1)
    company = calling.company if random.random() < 0.9 else random.randrange(len(KNOWN))
    offer = random.choice(calling.offers)
    if offer >= len(SEATS):
        return _use(random, at_us, pod, company, offer)
    holder, chance = random.randrange(HOLDERS), random.random()
    if chance < 0.05:
        return ListHolders(at_us, pod, company, offer)
    if chance < 0.4:
        return Release(at_us, pod, company, offer, holder)
    return Acquire(at_us, pod, company, offer, holder)


def _use(random: Random, at_us: int, pod: int, company: int, offer: int) -> KindStep:
    ttl_us = random.choice((2, 5, 12)) * SECOND_US
    if random.random() < 0.25:
        item = random.randint(0 if offer == DISKS else 1, ITEMS)
        level = random.choice((0, 1, 2, 5))
        return Tune(at_us, pod, company, offer, item, level, ttl_us if offer == JOBS else 0)
    is_job = offer == JOBS
    is_named = is_job or random.random() < 0.5
    is_keyed = random.random() < 0.4
    return Use(
        at_us,
        pod,
        company,
        offer,
        random.choice((1, 1, 2)) if is_job else random.choice((1, 3, 8)),
        random.choice((0, 1, 4, 15)) * SECOND_US // 2,
        named=is_named,
        ttl_us=ttl_us if is_job or (is_named and random.random() < 0.3) else 0,
        keyed=is_keyed,
        retried=is_keyed and random.random() < 0.3,
        elsewhere=random.random() < 0.3,
        late_us=random.choice((0, 0, 0, random.randrange(90 * SECOND_US))),
    )


def _repriced(random: Random, at_us: int, calling: Calling) -> list[KindStep]:
    plan, offer = random.choice((0, 0, 0, 1)), random.choice(calling.offers)
    first = FIRST_AMOUNTS[PLANS[plan], OFFERS[offer].feature, OFFERS[offer].limit]
    return [Reprice(at_us, plan, offer, int(first * random.choice((0, 0.5, 0.5, 1, 1.5))))]


def _granted(random: Random, at_us: int, calling: Calling) -> list[KindStep]:
    offer = random.choice(calling.offers)
    first = FIRST_AMOUNTS[PLANS[0], OFFERS[offer].feature, OFFERS[offer].limit]
    amount, for_us = int(first * random.choice((0.5, 1.5, 2))), random.randint(5, 40) * SECOND_US
    return [GrantOverride(at_us, calling.company, offer, amount, for_us)]


def _replanned(random: Random, at_us: int, calling: Calling) -> list[KindStep]:
    in_us = random.choice((0, random.randint(2, 20) * SECOND_US))
    plan, resets = random.choice((0, 1, 1)), random.random() < 0.3
    return [Replan(at_us, calling.company, plan, in_us, resets)]


def _reset(random: Random, at_us: int, calling: Calling) -> list[KindStep]:
    return [Reset(at_us, calling.company)]


Make = Callable[[Random, int, Calling], Sequence[AnyStep | KindStep]]

KINDS: Final[Mapping[str, Make]] = {
    **{name: leases.KINDS[name] for name in _SHARED},
    "repriced": _repriced,
    "granted": _granted,
    "replanned": _replanned,
    "reset": _reset,
}
"""What can happen, by name."""
