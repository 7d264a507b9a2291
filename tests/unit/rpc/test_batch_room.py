"""What is counted in a batch can be told: the largest answers are reckoned before anything is."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog.model import Catalog, Limit
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.reasons import GrantMode
from sidecar.rpc.batch_room import FIXED_BYTES, most_bytes_of
from tests.support.build import (
    DAY,
    HARD,
    LIFETIME,
    NOW_US,
    SHADOW,
    SOFT,
    catalog,
    company,
    limit,
    metered,
    rate_limit,
    throttled,
)
from tests.support.inside import Inside
from tests.support.method_calls import answer_of

KIB: Final = 1024
MESSAGE_BYTES_MAX: Final = 64 * KIB
LONG: Final = "n" * 120


def talkative(count: int) -> list[Limit]:
    """Limits that are named in each answer, at length."""
    return [limit(f"{number:02}{LONG}", 0, SHADOW, DAY, warn=()) for number in range(count)]


def sold(*limits: Limit) -> Catalog:
    return catalog({"basic": [metered("calls", *limits)]})


def batch(count: int, first: int = 0) -> pb.BatchCheckAndIncrementRequest:
    return pb.BatchCheckAndIncrementRequest(
        checks=[
            pb.CheckAndIncrementRequest(
                company="acme", feature="calls", idempotency_key=f"{number:04}"
            )
            for number in range(first, first + count)
        ]
    )


async def answered(sidecar: Inside, request: pb.BatchCheckAndIncrementRequest) -> bytes:
    method = sidecar.methods.batch_check_and_increment
    return await answer_of(method, request.SerializeToString())


def outcomes_of(answer: bytes) -> list[pb.CheckOutcome]:
    return list(pb.BatchCheckAndIncrementResponse.FromString(answer).outcomes)


async def fits(sidecar: Inside, count: int) -> bool:
    """Whether a batch of new checks is counted; one that is not counts nothing."""
    before = len(sidecar.records())
    try:
        await answered(sidecar, batch(count))
    except InvalidInput as error:
        found = error.field, error.reason
    else:
        return True
    assert ("checks", "ANSWER_TOO_LARGE") == found
    assert before == len(sidecar.records())
    return False


async def test_a_batch_whose_answers_may_not_fit_counts_nothing_and_what_fits_is_replayed() -> None:
    content = sold(*talkative(20), limit("all", 10**6, HARD, LIFETIME))
    sidecar = Inside(content, company("acme"), message_bytes_max=MESSAGE_BYTES_MAX)
    count = 100
    while not await fits(sidecar, count):
        count -= 1
    assert 5 <= count < 100
    assert count == len(sidecar.records())
    for _ in range(2):  # again and again: retries fit where the first answer did
        again = await answered(sidecar, batch(count))
        assert len(again) <= MESSAGE_BYTES_MAX
        assert all(outcome.response.replayed for outcome in outcomes_of(again))
    assert count == len(sidecar.records())


async def test_batches_of_plain_answers_are_as_large_as_they_may_be() -> None:
    sidecar = Inside(sold(limit("all", 10**6, HARD, LIFETIME)), company("acme"))
    assert 1_000 == len(outcomes_of(await answered(sidecar, batch(1_000))))


async def test_a_stored_answer_that_has_no_room_is_had_alone() -> None:
    """It comes from a catalog with more to say: two of them do not fit by today's."""
    content = sold(*talkative(28), limit("all", 10**6, HARD, LIFETIME))
    sidecar = Inside(content, company("acme"), message_bytes_max=MESSAGE_BYTES_MAX)
    for first in range(0, 40, 5):
        await answered(sidecar, batch(5, first))
    sidecar.apply(sold(limit("all", 10**6, HARD, LIFETIME)))
    answer = await answered(sidecar, batch(60))
    assert len(answer) <= MESSAGE_BYTES_MAX
    outcomes = outcomes_of(answer)
    assert 60 == len(sidecar.records())
    kinds = [
        outcome.error.reason or ("replayed" if outcome.response.replayed else "counted")
        for outcome in outcomes
    ]
    assert {"replayed", "ANSWER_TOO_LARGE"} == {*kinds[:40]}
    assert {"counted"} == {*kinds[40:]}
    alone = kinds.index("ANSWER_TOO_LARGE")
    [outcome] = outcomes_of(await answered(sidecar, batch(1, alone)))
    assert outcome.response.replayed


_NAMES: Final = st.text(st.sampled_from("ab\u00e4\u4e00"), min_size=1, max_size=40)
_LIMITS: Final = st.lists(
    st.builds(
        limit,
        _NAMES,
        st.sampled_from([0, 5, 10**15, None]),
        st.sampled_from([HARD, SOFT, SHADOW]),
        st.sampled_from([DAY, LIFETIME]),
        each=st.sampled_from([(), ("user",), ("user", "zone \u00e4")]),
        warn=st.sampled_from([(), (50,), (1, 50, 80, 100)]),
    ),
    max_size=5,
    unique_by=lambda found: found.id,
)


@settings(max_examples=60)
@given(
    _LIMITS,
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 7, 10**15]),
    st.sampled_from(["", "x" * 256]),
    st.booleans(),
)
async def test_no_outcome_is_larger_than_was_reckoned(
    limits: list[Limit], rated: bool, throttles: bool, quantity: int, user: str, reports: bool
) -> None:
    rates = (rate_limit("burst"),) if rated else ()
    more = [throttled(amount=2)] if throttles else []
    grant = metered("calls", *more, *limits)
    content = catalog({"basic": [type(grant)("calls", limits=grant.limits, rates=rates)]})
    sidecar = Inside(content, company("acme"))
    found = sidecar.directory.company("acme", NOW_US)
    assert found is not None
    feature = found.feature("calls")
    assert feature is not None
    values = {"user": user, "zone \u00e4": user} if user else {}
    mode = GrantMode.RECORD_ONLY if reports else GrantMode.UP_TO
    for number in range(3):
        for _ in range(2):
            answer = sidecar.decide(quantity, mode=mode, key=f"key {number}", dimensions=values)
            outcome = pb.CheckOutcome(response=answer).ByteSize() + 4
            request = pb.CheckAndIncrementRequest(dimensions=values).ByteSize()
            assert outcome <= most_bytes_of(feature) + request
    [refused] = outcomes_of(
        await answered(
            sidecar,
            pb.BatchCheckAndIncrementRequest(
                checks=[pb.CheckAndIncrementRequest(company="acme", feature="calls\n" * 1_000)]
            ),
        )
    )
    assert refused.ByteSize() <= FIXED_BYTES


@pytest.mark.parametrize("count", [1, 30])
async def test_small_batches_are_not_reckoned(count: int) -> None:
    """Whatever their answers are, they fit: nothing is looked up for them."""
    sidecar = Inside(sold(*talkative(20)), company("acme"))
    assert count == len(outcomes_of(await answered(sidecar, batch(count))))
