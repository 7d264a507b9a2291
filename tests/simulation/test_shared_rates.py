"""Rates that sidecars share: what flows where, how soon, and what all of them pass together."""

from __future__ import annotations

import random
from typing import Final

import pytest

from sidecar.domain.catalog.model import Rate
from sidecar.domain.limits.rates import WHOLE_PPM
from sidecar.domain.time.units import HOUR_US, SECOND_US
from tests.simulation.shared_rates import INTERVAL_US, STEP_US, SharedRateWorld, SharingPod

HUNDRED: Final = Rate(100, SECOND_US, 100)
"""100 a second, as many at once; two and a half in a step."""
BUSY: Final = 5
"""Calls in a step: twice what the rate lets pass."""


def world(pods: int, rate: Rate = HUNDRED, seed: int = 1, loses: float = 0.0) -> SharedRateWorld:
    return SharedRateWorld(pods, rate, random.Random(seed).random, loses=loses)


def assert_bounded(of: SharedRateWorld, rate: Rate, more: int = 0) -> None:
    """In no stretch of time did all pass more than the burst and what flowed in, and `more`."""
    passed = sorted(passing for pod in of.pods for passing in pod.passed)
    burst, highest = rate.burst + more, 0.0
    level, last_us = 0.0, passed[0][0]
    for at_us, quantity in passed:
        level = max(0.0, level - (at_us - last_us) * rate.count / rate.period_us) + quantity
        last_us, highest = at_us, max(highest, level)
    assert highest <= burst + 0.001, f"{highest} at once, where {burst} are the most"


async def test_one_alone_goes_by_the_whole_rate_from_its_first_call() -> None:
    found = world(1)
    await found.go(1)
    for _ in range(100):
        assert found.pods[0].ask()
    assert not found.pods[0].ask()
    await found.go(5, lambda _: BUSY)
    assert [WHOLE_PPM] == [pod.told_ppm for pod in found.pods]
    assert_bounded(found, HUNDRED)


@pytest.mark.parametrize("seed", range(8))
async def test_the_share_of_one_that_comes_to_rest_flows_to_a_busy_one_within_two_intervals(
    seed: int,
) -> None:
    found = world(2, seed=seed)
    first, second = found.pods
    await found.go(10, lambda _: BUSY)
    assert abs((first.told_ppm or 0) - WHOLE_PPM // 2) < WHOLE_PPM // 20
    await found.go(2 * INTERVAL_US / SECOND_US, lambda pod: BUSY if pod is second else 0)
    assert [0, WHOLE_PPM] == [first.told_ppm, second.told_ppm]
    from_us = found.now_us
    await found.go(5, lambda pod: BUSY if pod is second else 0)
    assert 495 <= second.passed_since(from_us) <= 505
    await found.go(2 * INTERVAL_US / SECOND_US, lambda _: BUSY)
    assert abs((first.told_ppm or 0) - WHOLE_PPM // 2) < WHOLE_PPM // 10
    assert_bounded(found, HUNDRED, more=HUNDRED.burst // 2 + HUNDRED.count)


async def test_nearly_all_of_the_rate_is_used_and_never_more_whatever_the_skew() -> None:
    found = world(8)
    weights = {pod.id: 2**number for number, pod in enumerate(found.pods)}
    rng = random.Random(7)

    def load(pod: SharingPod) -> int:
        wanted = 10 * weights[pod.id] / 255  # ten a step in all: four times the rate
        return int(wanted) + int(rng.random() < wanted % 1)

    await found.go(10, load)
    from_us = found.now_us
    await found.go(30, load)
    passed = sum(pod.passed_since(from_us) for pod in found.pods)
    assert 0.97 * 3_000 <= passed <= 3_000 + HUNDRED.burst
    assert found.told_ppm <= WHOLE_PPM


async def test_with_the_plane_away_the_last_share_stays() -> None:
    found = world(2)
    await found.go(10, lambda _: BUSY)
    shares = [pod.told_ppm for pod in found.pods]
    for pod in found.pods:
        pod.is_away = True
    from_us = found.now_us
    await found.go(30, lambda pod: BUSY if pod is found.pods[0] else 0)
    assert shares == [pod.told_ppm for pod in found.pods]
    expected = 30 * 100 * (shares[0] or 0) // WHOLE_PPM
    assert abs(expected - found.pods[0].passed_since(from_us)) <= 5


async def test_the_share_of_one_that_is_gone_is_another_s_after_a_minute_and_not_before() -> None:
    found = world(2)
    gone, left = found.pods
    await found.go(10, lambda _: BUSY)
    gone.is_down = True
    await found.go(55, lambda _: BUSY)
    assert (left.told_ppm or 0) < WHOLE_PPM * 6 // 10
    await found.go(10, lambda _: BUSY)
    assert WHOLE_PPM == left.told_ppm


async def test_what_was_used_of_a_slow_rate_moves_along_with_its_share() -> None:
    """100 an hour: used up by one, nothing is left for the other; used by none, all is there."""
    rate = Rate(100, HOUR_US, 100)
    found = world(2, rate)
    first, second = found.pods
    await found.go(2)
    for _ in range(40):
        first.ask()
    await found.go(5)
    assert 40 == first.passed_since(0)
    while second.ask():
        await found.go(1)
    assert 55 <= second.passed_since(0) <= 61
    assert_bounded(found, rate, more=1)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))]
)
async def test_shares_never_add_up_to_more_than_the_whole_whatever_is_lost_or_restarted(
    seed: int,
) -> None:
    """Requests and answers lost, late and doubled; sidecars and the plane killed."""
    rng = random.Random(seed)
    found = world(4, seed=seed, loses=0.15)
    busy = {pod.id: 0 for pod in found.pods}
    for _ in range(60):
        event = rng.random()
        pod = rng.choice(found.pods)
        if event < 0.5:
            busy[pod.id] = rng.choice([0, 0, 1, BUSY])
        elif event < 0.6:
            pod.start()
        elif event < 0.63:
            found.restart_plane()
        for _ in range(rng.randrange(1, 60)):
            for each in found.pods:
                for _ in range(busy[each.id]):
                    each.ask()
            await found.step()
            assert found.told_ppm <= WHOLE_PPM
    found.loses = 0.0
    await found.go(70, lambda _: BUSY)
    from_us = found.now_us
    await found.go(10, lambda _: BUSY)
    assert 950 <= sum(pod.passed_since(from_us) for pod in found.pods) <= 1_005


@pytest.mark.parametrize("shared_before", [False, True])
async def test_with_a_plane_of_before_shares_each_goes_by_the_whole(shared_before: bool) -> None:
    """From the start, or since it was put in the place of a later one; and not for ever."""
    found = world(2)
    if shared_before:
        await found.go(5, lambda _: BUSY)
    found.shares_none = True
    await found.go(2, lambda _: BUSY)
    from_us = found.now_us
    await found.go(5, lambda _: BUSY)
    assert all(490 <= pod.passed_since(from_us) <= 510 for pod in found.pods)
    found.shares_none = False
    await found.go(70, lambda _: BUSY)
    from_us = found.now_us
    await found.go(5, lambda _: BUSY)
    assert 490 <= sum(pod.passed_since(from_us) for pod in found.pods) <= 510


async def test_calls_within_the_rate_are_hardly_ever_denied_when_sidecars_come_and_go() -> None:
    """Thirty a second, at four in turn, of a rate of a hundred: who begins is not starved."""
    found = world(4)
    await found.go(2)
    for turn in range(40):
        pod = found.pods[turn % 4]
        for step in range(40):
            if step % 4 != 3:
                pod.ask()
            await found.step()
    asked = 40 * 30
    assert sum(pod.passed_since(0) for pod in found.pods) >= 0.99 * asked
    assert STEP_US * 40 == SECOND_US
