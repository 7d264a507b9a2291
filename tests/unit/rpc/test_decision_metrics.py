"""What is counted of SHADOW limits and rates: what they would have denied, asked in any way."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog.model import EntitlementGrant, Rate
from sidecar.domain.time.units import SECOND_US
from tests.support.build import SHADOW, catalog, company, limit, metered, rate_limit
from tests.support.burning import CREDITS, costs, credits_catalog, recurring, with_low_balances
from tests.support.inside import Inside
from tests.support.method_calls import COUNTING, call
from tests.support.sidecar_api import ask

WATCHED: Final = EntitlementGrant(
    "calls",
    limits=(limit("hard", 20), limit("trial", 5, SHADOW)),
    rates=(rate_limit("calm", Rate(1, SECOND_US, 8), SHADOW),),
)
CONTENT: Final = catalog({"basic": [WATCHED, metered("tokens", limit("trial", 5, SHADOW))]})


@pytest.fixture
def sidecar() -> Inside:
    return Inside(CONTENT, company())


def counted(sidecar: Inside) -> dict[str, int]:
    """By feature and limit; those at 0 are left out."""
    pairs = [("calls", "hard"), ("calls", "trial"), ("calls", "calm"), ("tokens", "trial")]
    found = {
        f"{feature} {name}": int(
            sidecar.metric("tallyd_shadow_denials_total", feature=feature, limit=name)
        )
        for feature, name in pairs
    }
    return {name: count for name, count in found.items() if count}


@pytest.mark.parametrize("way", [*COUNTING, "record"])
@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        pytest.param(5, {}, id="within"),
        pytest.param(6, {"calls trial": 1}, id="past the limit"),
        pytest.param(9, {"calls trial": 1, "calls calm": 1}, id="past limit and rate"),
        pytest.param(21, {"calls trial": 1, "calls calm": 1}, id="past the hard limit, too"),
    ],
)
async def test_what_would_have_been_denied_is_counted(
    sidecar: Inside, way: str, quantity: int, expected: dict[str, int]
) -> None:
    await call(way, sidecar, ask(quantity=quantity))
    assert expected == counted(sidecar)


async def test_a_question_is_not_counted(sidecar: Inside) -> None:
    (outcome,) = await call("question", sidecar, ask(quantity=9))
    assert ["trial", "calm"] == list(outcome.response.decision.shadow_denials)
    assert {} == counted(sidecar)


async def test_a_retry_is_not_counted_again(sidecar: Inside) -> None:
    for _ in range(3):
        await call("check", sidecar, ask(quantity=6, idempotency_key="k"))
    assert {"calls trial": 1} == counted(sidecar)


async def test_what_is_granted_in_part_is_counted_by_what_was_granted(sidecar: Inside) -> None:
    await call("check", sidecar, ask(quantity=16))
    before = counted(sidecar)
    await call("check", sidecar, ask(quantity=99, grant_mode=pb.GRANT_MODE_UP_TO))
    assert {"calls trial": 1, "calls calm": 1} == before
    assert {"calls trial": 2, "calls calm": 1} == counted(sidecar)


async def test_features_and_the_checks_of_a_batch_are_told_apart(sidecar: Inside) -> None:
    requests = [ask(quantity=6), ask("tokens", 6), ask("tokens", 1), ask(quantity=-1)]
    await call("batch", sidecar, *requests)
    assert {"calls trial": 1, "tokens trial": 2} == counted(sidecar)


@pytest.mark.parametrize("way", [*COUNTING, "record"])
async def test_calls_that_take_a_balance_to_a_low_one_are_counted_and_told(way: str) -> None:
    sidecar = Inside(
        with_low_balances(credits_catalog({"calls": [costs()]}, recurring()), 50), company()
    )
    told = []
    for quantity in (40, 10, 10):
        (outcome,) = await call(way, sidecar, ask(quantity=quantity))
        (burned,) = outcome.response.decision.burned
        told.append(list(burned.low_balance))
    assert [[], [50], []] == told
    assert 1 == sidecar.metric("tallyd_low_balances_total", feature=CREDITS)
