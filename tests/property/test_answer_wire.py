"""Answers written by hand are what the generated class would have written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.decide import decide, decide_unmetered
from sidecar.domain.decision import Basis, BasisMode, Decision, Gauge, GrantMode, Reason
from sidecar.rpc.answer_wire import AnswerEncoder
from sidecar.rpc.answers import fill_decision, outcome_of, replayed
from tests.support.build import DAY, HARD, LIFETIME, MONTH, NOW_US, SHADOW, SOFT, gauge, limit

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
)
_IDS: Final = st.sampled_from(["", "life-1-1", "x" * 56, "y" * 200])


@st.composite
def _gauges(draw: st.DrawFn) -> list[Gauge]:
    found = []
    for at in range(draw(st.integers(0, 3))):
        names = ["user", "zone"][: draw(st.integers(0, 2))]
        of = limit(
            f"limit {at}" * draw(st.sampled_from([1, 20])),
            draw(st.none() | _SIZES),
            draw(st.sampled_from([HARD, SOFT, SHADOW])),
            draw(st.sampled_from([DAY, MONTH, LIFETIME])),
            each=names,
            warn=draw(st.sampled_from([(1000,), (50, 100)])),
        )
        values = tuple(draw(_TEXTS) for _ in names)
        found.append(gauge(of, draw(_SIZES), values))
    return found


def expected(decision: Decision, basis: Basis, record_id: str) -> pb.CheckAndIncrementResponse:
    response = pb.CheckAndIncrementResponse(record_id=record_id)
    fill_decision(response.decision, decision, basis)
    return response


@given(
    st.lists(
        st.tuples(_gauges(), _SIZES, st.sampled_from(list(GrantMode)), _BASES, _IDS), max_size=4
    )
)
def test_decisions(cases: Sequence[tuple[list[Gauge], int, GrantMode, Basis, str]]) -> None:
    """One encoder for all, each twice: what it keeps of one answer must not show in another."""
    encode = AnswerEncoder()
    for gauges, quantity, mode, basis, record_id in [*cases, *cases]:
        decision = decide(quantity, mode, gauges, NOW_US)
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
    wire = AnswerEncoder()(decision, basis, record_id)
    assert expected(decision, basis, record_id) == pb.CheckAndIncrementResponse.FromString(wire)


@given(st.lists(st.tuples(_TEXTS, st.integers(0, 300)), min_size=1, max_size=20))
def test_counters_of_one_limit_that_grow(steps: list[tuple[str, int]]) -> None:
    """The same limit and window again and again, for several users, as on the path of calls."""
    encode = AnswerEncoder()
    basis = Basis(BasisMode.LOCAL, 7, None, 0)
    of = limit(amount=None, each=["user"])
    window, used = gauge(of).window, dict.fromkeys((user for user, _ in steps), 0)
    for user, quantity in steps:
        known = Gauge(of, window, used[user], (user,))
        decision = decide(quantity, GrantMode.ALL_OR_NOTHING, [known], NOW_US)
        used[user] += quantity
        wire = encode(decision, basis, "id")
        assert expected(decision, basis, "id") == pb.CheckAndIncrementResponse.FromString(wire)
