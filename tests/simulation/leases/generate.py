"""Makes schedules: of each seed always the same, with some of the faults, and not always all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from random import Random
from typing import Final, NamedTuple

from msgspec.structs import replace

from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from tests.simulation.leases.offers import COMPANIES, FIRST_AMOUNTS, OFFERS, PLANS, USERS
from tests.simulation.leases.schedule import (
    AnyStep,
    Ask,
    Backup,
    BuyPacks,
    Clone,
    Create,
    Cut,
    EndRecovery,
    Freeze,
    GrantOverride,
    Grow,
    Jump,
    JumpPlane,
    Kill,
    KillPlane,
    LeaseSchedule,
    Noise,
    ReleaseAfter,
    Remove,
    Replan,
    Reprice,
    Reset,
    Rollback,
    Settle,
    Shrink,
)

START_US: Final = 1_773_576_000_000_000
LENGTH_US: Final = (60 * SECOND_US, 150 * SECOND_US)
CALLS: Final = (60, 220)
FAULTS: Final = (2, 10)
PODS_MAX: Final = 50
CARRIED: Final = next(at for at, offer in enumerate(OFFERS) if offer.rollover is not None)
_DAYS: Final = (-40, -2, -1, 1, 2, 40)
"""Usage may be late by 35 days; leases of LIFETIME limits wait for a day."""


class Calling(NamedTuple):
    """How many pods there are, and where calls go: faults and changes are to be near."""

    pods: int
    company: int
    offers: list[int]


Make = Callable[[Random, int, Calling], list[AnyStep]]
"""Of chance and the instant."""


def schedule_of(seed: int, only: Collection[str] = ()) -> LeaseSchedule:
    """The schedule of a seed. `only`: names of `KINDS`, of which alone something happens."""
    random = Random(seed)
    length_us = random.randint(*LENGTH_US)
    pods = random.choice((1, 2, 2, 3, 3, 4, 5, 8))
    kinds = [kind for kind in KINDS.values() if random.random() < 0.4] or [_killed]
    if only:
        kinds = [KINDS[name] for name in only]
    offers = random.choices(range(len(OFFERS)), k=random.randint(1, 3))
    calling = Calling(pods, random.randrange(len(COMPANIES)), offers)
    steps: list[AnyStep] = []
    for _ in range(random.randint(*FAULTS)):
        at_us = random.randint(0, length_us)
        made = random.choice(kinds)(random, at_us, calling)
        steps += [step for step in made if step.at_us < length_us]
    steps += _calls(random, length_us, calling)
    steps.sort(key=lambda step: step.at_us)
    starts_us = START_US + random.randrange(MINUTE_US)
    return LeaseSchedule(seed, starts_us, length_us, pods, tuple(steps))


def _calls(random: Random, length_us: int, calling: Calling) -> list[AnyStep]:
    """Calls: some pods and offers get many of them, and some moments do."""
    pods, company, offers = calling
    weights = [random.choice((1, 1, 2, 5)) for _ in range(pods + 2)]
    keyed, late, reported = random.random() / 2, random.random() / 10, random.random() / 8
    bursts = [random.randrange(length_us) for _ in range(3)]
    steps: list[AnyStep] = []
    for number in range(1, random.randint(*CALLS)):
        at_us = random.randrange(length_us)
        if random.random() < 0.3:
            at_us = min(length_us, random.choice(bursts) + random.randrange(3 * SECOND_US))
        offer = random.choice(offers)
        mode = random.choices(
            (GrantMode.ALL_OR_NOTHING, GrantMode.UP_TO, GrantMode.RECORD_ONLY),
            (1 - reported, 0.1, reported),
        )[0]
        has_key = random.random() < keyed
        steps.append(
            Ask(
                at_us,
                random.choices(range(pods + 2), weights)[0],
                company if random.random() < 0.85 else random.randrange(len(COMPANIES)),
                offer,
                random.choice((1, 1, 1, 2, 3, 7)),
                random.choice((0, 0, 0, 1, 2, 3)) % len(USERS),
                int(mode),
                number if has_key else 0,
                has_key and random.random() < 0.3,
                random.randrange(90 * SECOND_US) if random.random() < late else 0,
            )
        )
    return steps


def _for_us(random: Random) -> int:
    return random.choice((300_000, 2 * SECOND_US, 8 * SECOND_US, 25 * SECOND_US))


def _cut(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    up, down = random.choice(((True, True), (True, False), (False, True)))
    return [Cut(at_us, random.randrange(calling.pods), up, down, _for_us(random))]


def _noise(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    lost, late, doubled = (random.choice((0, 50, 300)) for _ in range(3))
    pod, for_us = random.randrange(calling.pods), 4 * _for_us(random)
    return [Noise(at_us, pod, lost, late, doubled, for_us)]


def _killed(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    points, before = random.choice((1, 1, 2, 3, 5)), random.random() < 0.4
    return [Kill(at_us, random.randrange(calling.pods), points, before, _for_us(random))]


def _power_lost(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    lost, put_back = random.choice((1, 2, 5, 20, 100)), random.random() < 0.3
    pod = random.randrange(calling.pods)
    return [Kill(at_us, pod, 1, False, _for_us(random), lost, put_back)]


def _frozen(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    return [Freeze(at_us, random.randrange(calling.pods), _for_us(random))]


def _cloned(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    return [Clone(at_us, random.randrange(calling.pods), random.choice((0, 0, 1, 10)))]


def _scaled(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    if random.random() < 0.03:
        until_us = at_us + random.randint(5, 30) * SECOND_US
        return [Grow(at_us, PODS_MAX), Shrink(until_us, PODS_MAX - 1)]
    some = random.randint(1, 3)
    return [random.choice((Grow(at_us, some), Shrink(at_us, some)))]


def _plane_killed(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    points, before = random.choice((1, 1, 2, 3, 5)), random.random() < 0.4
    return [KillPlane(at_us, points, before, _for_us(random), random.random() < 0.3)]


def _rolled_back(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    until_us = at_us + random.randint(1, 40) * SECOND_US
    steps: list[AnyStep] = [Backup(at_us), Rollback(until_us, _for_us(random))]
    if random.random() < 0.5:  # somebody does not hear of it
        steps.append(Cut(until_us - 1, random.randrange(calling.pods), True, True, _for_us(random)))
    return steps


def _jumped(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    by_us = random.choice((-HOUR_US, -MINUTE_US, -10 * SECOND_US, 10 * SECOND_US, MINUTE_US))
    return [Jump(at_us, random.randrange(calling.pods), by_us)]


def _days_off(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    """A machine has a time that is days off for a while, and perhaps comes up with it."""
    by_us, back_us = random.choice(_DAYS) * DAY_US, at_us + 2 * _for_us(random)
    if random.random() < 0.4:
        return [JumpPlane(at_us, by_us), JumpPlane(back_us, -by_us)]
    pod = random.randrange(calling.pods)
    begun_anew = Kill(at_us + 1, pod, 1, False, random.choice((1, 300_000)), 1)
    return [Jump(at_us, pod, by_us), begun_anew, Jump(back_us, pod, -by_us)]


def _plane_jumped(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    by_us = random.choice((-MINUTE_US, -5 * SECOND_US, 5 * SECOND_US, MINUTE_US))
    return [JumpPlane(at_us, by_us)]


def _repriced(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    plan, offer = random.choice((0, 0, 0, 1)), _offer(random, calling)
    first = FIRST_AMOUNTS[PLANS[plan], OFFERS[offer].feature, OFFERS[offer].limit]
    return [Reprice(at_us, plan, offer, max(0, int(first * random.choice((0, 0.3, 0.6, 1, 1.5)))))]


def _granted(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    offer = _offer(random, calling)
    first = FIRST_AMOUNTS[PLANS[0], OFFERS[offer].feature, OFFERS[offer].limit]
    amount = int(first * random.choice((0.3, 1.5, 2)))
    return [
        GrantOverride(
            at_us, _company(random, calling), offer, amount, random.randint(5, 60) * SECOND_US
        )
    ]


def _replanned(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    company, plan = _company(random, calling), random.choice((0, 1, 1))
    in_us = random.choice((0, random.randint(2, 40) * SECOND_US))
    return [Replan(at_us, company, plan, in_us, random.random() < 0.3)]


def _downgraded_apart(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    """A downgrade is planned, and comes while somebody hears of nothing."""
    in_us = random.randint(5, 20) * SECOND_US
    cut_us = at_us + random.randint(1, 4) * SECOND_US
    return [
        Replan(at_us, calling.company, 1, in_us, False),
        Cut(cut_us, random.randrange(calling.pods), True, True, 25 * SECOND_US),
    ]


def _lowered_apart(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    """A limit is lowered while somebody can't tell what he has counted."""
    offer = random.choice(calling.offers)
    first = FIRST_AMOUNTS[PLANS[0], OFFERS[offer].feature, OFFERS[offer].limit]
    lowered_us = at_us + random.randint(1, 10) * SECOND_US
    return [
        Cut(at_us, random.randrange(calling.pods), True, True, 25 * SECOND_US),
        Reprice(lowered_us, 0, offer, first // 3),
    ]


def _packs_bought(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    """Packs are bought, and perhaps dropped."""
    return [BuyPacks(at_us, _company(random, calling), random.choice((0, 1, 1, 2)))]


def _came_or_went(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    """A company is created or removed, while somebody does not hear of it."""
    company, away_us = _company(random, calling), at_us + random.randint(1, 30) * SECOND_US
    made: list[AnyStep] = [Create(at_us, company), Remove(away_us, company)]
    if random.random() < 0.5:
        made = [Remove(at_us, company), Create(away_us, company)]
    if random.random() < 0.6:
        pod, cut_us = random.randrange(calling.pods), max(0, at_us - SECOND_US)
        made.append(Cut(cut_us, pod, True, True, _for_us(random)))
    return made


def _kept_over_the_end(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    """Somebody can tell nothing of what it counts, while a window ends and others go on asking."""
    at_us = 30 * SECOND_US + at_us // 3  # the window before has something left
    pod, company = random.randrange(calling.pods), calling.company
    made: list[AnyStep] = [
        BuyPacks(0, company, random.choice((0, 0, 1))),
        Cut(at_us + 2 * SECOND_US, pod, True, True, 65 * SECOND_US),
    ]
    made += [Ask(at_us + at * SECOND_US, pod, company, CARRIED, 1, 0) for at in range(10)]
    others = range(4, 75, 2)
    made += [Ask(at_us + at * SECOND_US, pod + 1, company, CARRIED, 2, 0) for at in others]
    if random.random() < 0.4:
        made = [_late(random, step) if isinstance(step, Ask) else step for step in made]
    return made


def _late(random: Random, ask: Ask) -> Ask:
    """The same call, of a while ago."""
    return replace(ask, late_us=random.choice((0, 30, 70)) * SECOND_US)


def _settled(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    """Somebody is gone for long enough to be called silent, and what it holds is ended by hand."""
    at_us //= 4
    until_us = at_us + random.randint(62, 80) * SECOND_US
    settles = [
        Settle(until_us + number * SECOND_US, number, random.random() < 0.4) for number in range(3)
    ]
    return [_gone(random, at_us, calling, 85 * SECOND_US), *settles]


def _released(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    """Somebody is gone for longer than leases of LIFETIME limits are kept for it."""
    at_us //= 3
    return [
        ReleaseAfter(0, 30 * SECOND_US),
        KillPlane(0, 1, False, 200_000),
        _gone(random, at_us, calling, random.choice((5, 40, 60, 80)) * SECOND_US),
    ]


def _gone(random: Random, at_us: int, calling: Calling, for_us: int) -> AnyStep:
    """Nothing is heard of a pod, which can count meanwhile or not."""
    pod = random.randrange(calling.pods)
    if random.random() < 0.6:
        return Cut(at_us, pod, True, True, for_us)
    return random.choice((Kill(at_us, pod, 1, False, for_us), Freeze(at_us, pod, for_us)))


def _given_up_after_loss(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    """The plane loses state while somebody is away, and an operator does not wait for it."""
    until_us = at_us + random.randint(1, 20) * SECOND_US
    ended_us = until_us + random.randint(1, 10) * SECOND_US
    return [
        Backup(at_us),
        _gone(random, until_us - SECOND_US // 2, calling, 40 * SECOND_US),
        Rollback(until_us, 300_000),
        EndRecovery(ended_us),
    ]


def _reset(random: Random, at_us: int, calling: Calling) -> list[AnyStep]:
    return [Reset(at_us, _company(random, calling))]


def _offer(random: Random, calling: Calling) -> int:
    """An offer, most of the time one that is used."""
    return random.choice(calling.offers) if random.random() < 0.8 else random.randrange(len(OFFERS))


def _company(random: Random, calling: Calling) -> int:
    """A company, most of the time the one that calls."""
    return calling.company if random.random() < 0.8 else random.randrange(len(COMPANIES))


KINDS: Final[Mapping[str, Make]] = {
    "cut": _cut,
    "noise": _noise,
    "killed": _killed,
    "power_lost": _power_lost,
    "frozen": _frozen,
    "cloned": _cloned,
    "scaled": _scaled,
    "plane_killed": _plane_killed,
    "rolled_back": _rolled_back,
    "jumped": _jumped,
    "plane_jumped": _plane_jumped,
    "days_off": _days_off,
    "repriced": _repriced,
    "granted": _granted,
    "replanned": _replanned,
    "reset": _reset,
    "downgraded_apart": _downgraded_apart,
    "lowered_apart": _lowered_apart,
    "packs_bought": _packs_bought,
    "came_or_went": _came_or_went,
    "kept_over_the_end": _kept_over_the_end,
    "settled": _settled,
    "released": _released,
    "given_up_after_loss": _given_up_after_loss,
}
"""What can happen to leases, by name."""
