"""Makes schedules of credits: of each seed always the same, with some of the faults of leases."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from random import Random
from typing import Final

from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.time.units import MINUTE_US, SECOND_US
from tests.simulation.credits.offers import FIRST_AMOUNTS, OFFERS, USES
from tests.simulation.credits.schedule import (
    CreditSchedule,
    CreditStep,
    Give,
    Refund,
    SetPrice,
    Void,
)
from tests.simulation.leases import generate
from tests.simulation.leases.generate import START_US, Calling
from tests.simulation.leases.offers import COMPANIES, KNOWN, PLANS
from tests.simulation.leases.schedule import Ask, BuyPacks, Cut, Replan, Reprice, Reset

LENGTH_US: Final = (25 * SECOND_US, 70 * SECOND_US)
CALLS: Final = (30, 90)
HAPPENINGS: Final = (3, 12)
QUANTITIES: Final = ((1, 1, 2, 3, 7, 15), (1, 1, 2), (1, 143, 1_000, 2_857), (1, 1, 2, 3))
"""Of each use."""

Make = Callable[[Random, int, Calling], list[CreditStep]]
"""Of chance and the instant."""


def schedule_of(seed: int, only: Collection[str] = ()) -> CreditSchedule:
    """The schedule of a seed. `only`: names of `KINDS`, of which alone something happens."""
    random = Random(seed)
    length_us = random.randint(*LENGTH_US)
    pods = random.choice((1, 1, 2, 2, 3, 4))
    kinds = [kind for kind in KINDS.values() if random.random() < 0.4] or [_given]
    if only:
        kinds = [KINDS[name] for name in only]
    uses = random.choices(range(len(USES)), k=random.randint(1, 3))
    calling = Calling(pods, random.randrange(len(KNOWN)), uses)
    steps: list[CreditStep] = []
    for _ in range(random.randint(*HAPPENINGS)):
        at_us = random.randint(0, length_us)
        made = random.choice(kinds)(random, at_us, calling)
        steps += [step for step in made if step.at_us < length_us]
    steps += _calls(random, length_us, calling)
    steps.sort(key=lambda step: step.at_us)
    starts_us = START_US + random.randrange(MINUTE_US)
    return CreditSchedule(seed, starts_us, length_us, pods, tuple(steps))


def _calls(random: Random, length_us: int, calling: Calling) -> list[CreditStep]:
    """Calls: some pods and uses get many of them, and some moments do."""
    pods, company, uses = calling
    weights = [random.choice((1, 1, 2, 5)) for _ in range(pods + 2)]
    keyed, late, reported = random.random() / 2, random.random() / 10, random.random() / 4
    bursts = [random.randrange(length_us) for _ in range(3)]
    steps: list[CreditStep] = []
    for number in range(1, random.randint(*CALLS)):
        at_us = random.randrange(length_us)
        if random.random() < 0.3:
            at_us = min(length_us, random.choice(bursts) + random.randrange(3 * SECOND_US))
        use = random.choice(uses)
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
                use,
                random.choice(QUANTITIES[use]),
                0,
                int(mode),
                number if has_key else 0,
                has_key and random.random() < 0.4,
                random.randrange(40 * SECOND_US) if random.random() < late else 0,
            )
        )
    return steps


def _given(random: Random, at_us: int, calling: Calling) -> list[CreditStep]:
    """Credits are granted, now or soon, for ever or for a short while."""
    in_us = random.choice((0, 0, random.randint(1, 20) * SECOND_US))
    lasts_us = random.choice((0, random.randint(2, 30) * SECOND_US, 600 * SECOND_US))
    amount = random.choice((3, 10, 25, 60))
    priority, is_paid = random.choice((0, 1, 2, 4)), random.random() < 0.5
    return [Give(at_us, _company(random, calling), amount, priority, is_paid, in_us, lasts_us)]


def _voided(random: Random, at_us: int, calling: Calling) -> list[CreditStep]:
    """A grant is given and voided, while somebody may not hear of it."""
    company, void_us = calling.company, at_us + random.randint(1, 20) * SECOND_US
    made = _given(random, at_us, calling)
    made.append(Void(void_us, company, random.randrange(20)))
    if random.random() < 0.5:
        pod = random.randrange(calling.pods)
        made.append(Cut(void_us - SECOND_US // 2, pod, True, True, 8 * SECOND_US))
    return made


def _refunded(random: Random, at_us: int, calling: Calling) -> list[CreditStep]:
    """What a record burned is given back, all or a part, once or in several requests."""
    company, record = calling.company, random.randrange(100)
    amount, again = random.choice((0, 0, 1, 2, 5)), random.random() < 0.4
    made: list[CreditStep] = [Refund(at_us, company, record, amount, again)]
    if random.random() < 0.4:
        made.append(Refund(at_us + 3 * SECOND_US, company, record, 0, again))
    return made


def _priced(random: Random, at_us: int, calling: Calling) -> list[CreditStep]:
    """A use has another price."""
    use = random.choice(calling.offers)
    price = random.choice(((1, 1), (2, 1), (5, 3), (11, 1_000), (4, 1)))
    return [SetPrice(at_us, use, *price)]


def _overdrawn(random: Random, at_us: int, calling: Calling) -> list[CreditStep]:
    """Usage is reported past the balance, and credits come later."""
    pod, company = random.randrange(calling.pods), calling.company
    report = int(GrantMode.RECORD_ONLY)
    made: list[CreditStep] = [
        Ask(at_us + at * SECOND_US, pod, company, 1, random.choice((3, 6, 9)), 0, report)
        for at in range(3)
    ]
    given = _given(random, at_us + 5 * SECOND_US, calling)
    return made + given


def _topped_up(random: Random, at_us: int, calling: Calling) -> list[CreditStep]:
    """Top-ups are bought, and perhaps dropped."""
    return [BuyPacks(at_us, _company(random, calling), random.choice((0, 1, 1, 2)))]


def _repriced(random: Random, at_us: int, calling: Calling) -> list[CreditStep]:
    """A recurring grant, or a limit beside a cost, has another amount."""
    plan, offer = random.choice((0, 0, 0, 1)), random.randrange(len(OFFERS))
    first = FIRST_AMOUNTS[PLANS[plan], OFFERS[offer].feature, OFFERS[offer].limit]
    return [Reprice(at_us, plan, offer, max(0, int(first * random.choice((0, 0.3, 0.6, 1, 1.5)))))]


def _replanned(random: Random, at_us: int, calling: Calling) -> list[CreditStep]:
    """A company has another plan, in a while."""
    in_us = random.choice((0, random.randint(2, 20) * SECOND_US))
    plan, resets = random.choice((0, 1, 1)), random.random() < 0.3
    return [Replan(at_us, _company(random, calling), plan, in_us, resets)]


def _reset(random: Random, at_us: int, calling: Calling) -> list[CreditStep]:
    """A company's usage starts again, and its recurring grants with it."""
    return [Reset(at_us, _company(random, calling))]


def _company(random: Random, calling: Calling) -> int:
    """A company, most of the time the one that calls."""
    return calling.company if random.random() < 0.8 else random.randrange(len(KNOWN))


_OF_LEASES: Final = (
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
    "settled",
    "released",
    "days_off",
    "downgraded_apart",
    "given_up_after_loss",
    "came_or_went",
)


def _as_of_leases(name: str) -> Make:
    def make(random: Random, at_us: int, calling: Calling) -> list[CreditStep]:
        return list(generate.KINDS[name](random, at_us, calling))

    return make


KINDS: Final[Mapping[str, Make]] = {
    "given": _given,
    "voided": _voided,
    "refunded": _refunded,
    "priced": _priced,
    "overdrawn": _overdrawn,
    "topped_up": _topped_up,
    "repriced": _repriced,
    "replanned": _replanned,
    "reset": _reset,
    **{name: _as_of_leases(name) for name in _OF_LEASES},
}
"""What can happen to balances, by name."""
