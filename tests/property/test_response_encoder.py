"""Answers written by hand are what the generated class would have written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Rate
from sidecar.domain.limits.decide import decide, decide_unmetered
from sidecar.domain.limits.decision import CreditPart, CreditsBurned, Decision
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import Basis, BasisMode, FallbackCause, GrantMode, Reason
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.rpc.response_encoder import ResponseEncoder
from sidecar.rpc.response_messages import fill_decision, outcome_of, replayed
from tests.support.build import (
    DAY,
    HARD,
    LIFETIME,
    MONTH,
    NOW_US,
    SHADOW,
    SOFT,
    limit,
    rate_limit,
    throttled,
    usage,
)

_SIZES: Final = st.sampled_from([0, 1, 127, 128, 16_383, 16_384, INT64_MAX // 4]) | st.integers(
    0, 300
)
_TEXTS: Final = st.sampled_from(["", "ann", "\u00e4" * 128, "x" * 128])
_BASES: Final = st.builds(
    Basis,
    st.sampled_from(list(BasisMode)),
    st.sampled_from([0, 1, 300, INT64_MAX]),
    st.none() | st.sampled_from([0, 1, 10**13]),
    st.none() | st.sampled_from([0, 5]),
    st.sampled_from(FallbackCause),
    st.none() | st.sampled_from([0, 999_999, 1_000_000, 200_000_000]),
    st.sampled_from(["", "free", "\u00e4" * 64]),
    st.none() | st.sampled_from([0, 1, 127, 128, INT64_MAX]),
)
_RATES: Final = st.builds(
    Rate, st.integers(1, 300), st.sampled_from([1_000, 60_000_000]), st.integers(1, 300)
)
_IDS: Final = st.sampled_from(["", "life-1-1", "x" * 56, "y" * 200])


@st.composite
def _usages(draw: st.DrawFn) -> list[QuotaUsage]:
    found = []
    for at in range(draw(st.integers(0, 3))):
        names = ["user", "zone"][: draw(st.integers(0, 2))]
        name = f"limit {at}" * draw(st.sampled_from([1, 20]))
        window = draw(st.sampled_from([DAY, MONTH, LIFETIME]))
        values = tuple(draw(_TEXTS) for _ in names)
        if draw(st.integers(0, 3)) == 0:
            of = throttled(name, draw(_SIZES), draw(_RATES), window, each=names)
        else:
            of = limit(
                name,
                draw(st.none() | _SIZES),
                draw(st.sampled_from([HARD, SOFT, SHADOW])),
                window,
                each=names,
                warn=draw(st.sampled_from([(1000,), (50, 100)])),
            )
        carried = draw(st.sampled_from([0, 0, 0, 1, 300, INT64_MAX // 4]))
        filled = draw(st.integers(0, 400))
        found.append(usage(of, draw(_SIZES), values, carried=carried, throttled=filled))
    return found


@st.composite
def _rate_usages(draw: st.DrawFn) -> list[RateUsage]:
    found = []
    for at in range(draw(st.sampled_from([0, 0, 1, 2]))):
        names = ["user", "zone"][: draw(st.integers(0, 2))]
        of = rate_limit(
            f"rate {at}", draw(_RATES), draw(st.sampled_from([HARD, SHADOW])), each=names
        )
        level = draw(st.sampled_from([0, -5, 1, 999, INT64_MAX]) | st.integers(-(10**6), 10**6))
        found.append(RateUsage(of, level, NOW_US, tuple(draw(_TEXTS) for _ in names)))
    return found


def expected(decision: Decision, basis: Basis, record_id: str) -> pb.CheckAndIncrementResponse:
    response = pb.CheckAndIncrementResponse(record_id=record_id)
    fill_decision(response.decision, decision, basis)
    return response


class _Case(NamedTuple):
    usages: list[QuotaUsage]
    rates: list[RateUsage]
    quantity: int
    mode: GrantMode
    basis: Basis
    record_id: str


_CASES: Final = st.builds(
    _Case, _usages(), _rate_usages(), _SIZES, st.sampled_from(GrantMode), _BASES, _IDS
)


@settings(max_examples=300)
@given(st.lists(_CASES, max_size=4))
def test_decisions(cases: Sequence[_Case]) -> None:
    """One encoder for all, each twice: what it keeps of one answer must not show in another."""
    encode = ResponseEncoder()
    for usages, rates, quantity, mode, basis, record_id in [*cases, *cases]:
        decision = decide(quantity, mode, usages, NOW_US, rates)
        wire = encode(decision, basis, record_id)
        message = expected(decision, basis, record_id)
        assert message == pb.CheckAndIncrementResponse.FromString(wire)
        outcome = pb.CheckOutcome.FromString(outcome_of(wire))
        assert message == outcome.response
        message.replayed = True
        assert message == pb.CheckAndIncrementResponse.FromString(replayed(wire))


@given(st.sampled_from(list(Reason)), _BASES, _IDS)
def test_decisions_without_limits(reason: Reason, basis: Basis, record_id: str) -> None:
    decision = decide_unmetered(reason)
    wire = ResponseEncoder()(decision, basis, record_id)
    assert expected(decision, basis, record_id) == pb.CheckAndIncrementResponse.FromString(wire)


@given(st.lists(st.tuples(_TEXTS, st.integers(0, 300)), min_size=1, max_size=20))
def test_counters_of_one_limit_that_grow(steps: list[tuple[str, int]]) -> None:
    """The same limit and window again and again, for several users, as on the path of calls."""
    encode = ResponseEncoder()
    basis = Basis(BasisMode.LOCAL, 7, None, 0)
    of = limit(amount=None, each=["user"])
    window, used = usage(of).window, dict.fromkeys((user for user, _ in steps), 0)
    for user, quantity in steps:
        known = QuotaUsage(of, window, used[user], (user,))
        decision = decide(quantity, GrantMode.ALL_OR_NOTHING, [known], NOW_US)
        used[user] += quantity
        wire = encode(decision, basis, "id")
        assert expected(decision, basis, "id") == pb.CheckAndIncrementResponse.FromString(wire)


@given(st.sampled_from([0, 1, 127, 128, INT64_MAX]), st.sampled_from(["", "free", "\u00e4" * 64]))
def test_what_a_lease_has_left_is_told_with_a_basis_that_answers_share(
    left: int, default_plan: str
) -> None:
    encode = ResponseEncoder()
    basis = Basis(BasisMode.LEASED, 7, 12, 0, default_plan=default_plan)
    [known] = [usage(limit(amount=100), 3)]
    decision = decide(2, GrantMode.ALL_OR_NOTHING, [known], NOW_US)
    frame = encode.frame(known.limit, known.window)
    for _ in range(2):
        wire = encode.plain(Reason.ALLOWED, 2, frame, 5, (), basis, "id", left)
        told = replace(basis, lease_remaining=left)
        assert expected(decision, told, "id") == pb.CheckAndIncrementResponse.FromString(wire)
        assert encode(decision, told, "id") == wire


_AMOUNTS: Final = st.sampled_from([1, 127, 128, 16_384, 1 << 21, 1 << 40, INT64_MAX])
_BURNED: Final = st.tuples(
    st.sampled_from(["credits", "c" * 100, "c" * 128]),
    st.sampled_from(["monthly", "grant " * 20, "g" * 127]),
    _AMOUNTS,
    st.just(0) | _AMOUNTS,
)


@given(st.lists(_BURNED, min_size=1, max_size=3))
def test_what_one_source_of_each_balance_has_burned(told: list[tuple[str, str, int, int]]) -> None:
    encode = ResponseEncoder()
    frames = [
        (encode.burned_frame(feature, source), amount, left)
        for feature, source, amount, left in told
    ]
    burned = tuple(
        CreditsBurned(feature, amount, amount, (CreditPart(source, amount),), left)
        for feature, source, amount, left in told
    )
    message = pb.CheckAndIncrementResponse()
    decision = Decision(True, Reason.ALLOWED, 1, burned=burned)
    fill_decision(message.decision, decision, Basis(BasisMode.LOCAL, 0, None, None))
    found = pb.CheckAndIncrementResponse.FromString(encode.burned_plain(frames))
    assert list(message.decision.burned) == list(found.decision.burned)
