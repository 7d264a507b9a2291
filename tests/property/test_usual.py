"""The usual check's shorter way leaves the answers and the store that the general way leaves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.kinds import FeatureCost
from sidecar.domain.catalog.model import Catalog, Dimension, EntitlementGrant, FeatureKind, Limit
from sidecar.domain.company.model import Company
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.errors import FieldError
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.support.build import (
    DAY,
    HARD,
    LIFETIME,
    MONTH,
    NOW_US,
    SHADOW,
    SOFT,
    catalog,
    company,
    counter_ref,
    limit,
    metered,
    rate_limit,
    throttled,
)
from tests.support.inside import Inside
from tests.support.method_calls import answer_of
from tests.support.sidecar_api import stamp

WHOLE: Final = limit("whole", 60, HARD, MONTH, warn=(50, 80))
FEATURES: Final = {
    "calls": [WHOLE, limit("daily", 40, SOFT, DAY), limit("tried", 25, SHADOW, DAY)],
    "messages": [
        limit("per_user", 9, HARD, DAY, each=["user"]),
        limit("large", 30, HARD, MONTH, match={"model": "large"}),
        limit("ever", None, HARD, LIFETIME),
    ],
    "by_value": [
        replace(
            limit("each", 9, HARD, DAY, each=["user"], warn=(50,)),
            amounts=(("ann", 25), ("large", None)),
        ),
        replace(limit("tries", 30, SOFT, DAY, each=["user"]), amounts=(("bob", 2),)),
        limit("whole", 300, HARD, DAY),
    ],
    "paired": [limit("soft", 10, SOFT, DAY), limit("hard", 30, HARD, DAY)],
    "huge": [limit("most", INT64_MAX, HARD, LIFETIME)],
    "declared": [limit("each", 9, HARD, DAY, each=["user"])],
    "capped": [
        limit("whole", 60, HARD, MONTH),
        limit("at_once", 7, HARD, WindowSpec(WindowUnit.REQUEST)),
        limit("large", 2, SOFT, WindowSpec(WindowUnit.REQUEST), match={"model": "large"}),
    ],
    "throttled": [throttled(amount=20)],
    "free": [],
    "priced": [limit("whole", 300, HARD, DAY)],
    "priced_alone": [],
    "priced_twice": [limit("ever", None, HARD, LIFETIME)],
    "credits": [limit("monthly", 40, HARD, MONTH), limit("spare", 30, HARD, LIFETIME)],
    "points": [limit("points", 200, SOFT, DAY)],
}
COSTS: Final = {
    "priced": (FeatureCost("credits", CostTable(Price(2, 3), "model", {"large": Price(3)})),),
    "priced_alone": (FeatureCost("credits", CostTable(Price(1, 2))),),
    "priced_twice": (
        FeatureCost("credits", CostTable(Price(1))),
        FeatureCost("points", CostTable(Price(2))),
    ),
}
DECLARED: Final = (Dimension("model", values=("large",)), Dimension("user", required=True))
_BALANCE: Final[dict[str, Any]] = {"overdraft": 5, "low_balance": (60, 33, 0)}
SOLD: Final[Catalog] = catalog(
    {
        "basic": [
            *(
                replace(metered(key, *limits), **_BALANCE if key == "credits" else {})
                for key, limits in FEATURES.items()
            ),
            EntitlementGrant("rated", rates=(rate_limit("burst"),)),
            EntitlementGrant("sso", enabled=True),
        ],
        "other": [metered("calls", limit("yearly", 100, HARD, LIFETIME)), metered("messages")],
    },
    {
        "sso": FeatureKind.BOOLEAN,
        "rated": FeatureKind.METERED,
        "credits": FeatureKind.CREDITS,
        "points": FeatureKind.CREDITS,
    },
)
CONTENT: Final = replace(
    SOLD,
    features=tuple(
        replace(
            feature,
            dimensions=DECLARED if feature.key == "declared" else None,
            costs=COSTS.get(feature.key, ()),
        )
        for feature in SOLD.features
    ),
)
COMPANIES: Final[Sequence[Company]] = (company("acme"), company("globex", "other"))

_REQUESTS: Final = st.builds(
    lambda fields: pb.CheckAndIncrementRequest(**fields),
    st.fixed_dictionaries(
        {
            "company": st.sampled_from(["acme", "acme", "globex", "nobody", "", "a\n"]),
            "feature": st.sampled_from(
                [*FEATURES, "calls", "calls", "priced", "rated", "sso", "none", ""]
            ),
            "quantity": st.sampled_from([None, 0, 1, 1, 2, 7, 30, -1, INT64_MAX]),
            "idempotency_key": st.sampled_from(["", "", "k1", "k2", "k3", "\u00e4" * 65, "a\tb"]),
            "dimensions": st.dictionaries(
                st.sampled_from(["user", "model", "zone"]),
                st.sampled_from(["ann", "bob", "large", "", "\n"]),
                max_size=3,
            ),
            "metadata": st.dictionaries(
                st.sampled_from(["a", "b"]), st.sampled_from(["", "x", "y" * 200]), max_size=2
            ),
            "grant_mode": st.sampled_from([0, 0, 0, 1, 2, 7]),
            "event_time": st.sampled_from(
                [None, None, None, stamp(NOW_US), stamp(NOW_US - DAY_US), stamp(0)]
            ),
        }
    ),
)


_COUNTED: Final = [
    (feature, of)
    for feature, limits in FEATURES.items()
    for of in limits
    if of.is_counted and not of.scope.dimensions and not of.scope.match
]
"""Limits that have one counter, whatever a request carries."""


class _Later(NamedTuple):
    """Time goes on."""

    us: int


class _Held(NamedTuple):
    """The sidecar gets a lease of a limit's counter: of one that ends soon, or of another limit."""

    feature: str
    of: Limit
    values: tuple[str, ...]
    granted: int
    refill_at: int
    us: int
    amount: int


class _Heard(NamedTuple):
    """The plane tells what others counted on a limit of a feature."""

    feature: str
    of: Limit
    total: int
    corrections: int | None


_HEARD: Final = st.builds(
    lambda counted, total, corrections: _Heard(counted[0], counted[1], total, corrections),
    st.sampled_from([("calls", WHOLE), *_COUNTED]),
    st.sampled_from([0, 5, -3, 55, INT64_MAX - 2, INT64_MAX]),
    st.sampled_from([None, 0, -3, 2, INT64_MAX, -INT64_MAX]),
)
_HELD: Final = st.builds(
    lambda counted, user, *lease: _Held(
        counted[0], counted[1], (user,) if counted[1].scope.dimensions else (), *lease
    ),
    st.sampled_from(
        [(feature, of) for feature, limits in FEATURES.items() for of in limits if of.is_counted]
    ),
    st.sampled_from(["ann", "bob", "large"]),
    st.sampled_from([0, 3, 20, 50, INT64_MAX]),
    st.sampled_from([0, 2, 10, INT64_MAX]),
    st.sampled_from([0, 400, SECOND_US, 40 * DAY_US]),
    st.sampled_from([0, 0, 9, 60, INT64_MAX]),
)
_STEPS: Final = st.lists(
    st.one_of(
        _REQUESTS,
        st.lists(_REQUESTS, min_size=1, max_size=4),
        st.builds(_Later, st.sampled_from([1, 400, SECOND_US, DAY_US, 40 * DAY_US])),
        _HEARD,
        _HELD,
        st.just("restart"),
        st.just("loss of power"),
        st.just("new catalog"),
    ),
    max_size=25,
)


async def _single(sidecar: Inside, request: pb.CheckAndIncrementRequest) -> object:
    try:
        return await answer_of(sidecar.methods.check_and_increment, request.SerializeToString())
    except FieldError as error:
        return type(error), error.field, error.message, error.reason


async def _taken(sidecar: Inside, step: Any, number: int) -> object:
    """Take one step: what came of it."""
    if isinstance(step, pb.CheckAndIncrementRequest):
        return await _single(sidecar, step)
    if isinstance(step, list):
        batch = pb.BatchCheckAndIncrementRequest(checks=step).SerializeToString()
        return await answer_of(sidecar.methods.batch_check_and_increment, batch)
    if isinstance(step, _Later):
        sidecar.now_us += step.us
    elif isinstance(step, _Heard):
        ref = counter_ref(step.of, at_us=sidecar.now_us)
        incarnation = sidecar.opened.store.incarnation.id
        news = CounterTotal(
            "acme", step.feature, ref, step.total, 0, number, corrections=step.corrections
        )
        sidecar.opened.counters.hear(incarnation, [news])
    elif isinstance(step, _Held):
        at_us = sidecar.now_us
        until_us, amount = at_us + step.us, step.amount
        sidecar.leases.hold(
            step.of, step.granted, step.values, feature=step.feature, refill_at=step.refill_at,
            valid_until_us=until_us, amount=amount, at_us=at_us,
        )  # fmt: skip
    elif step in ("restart", "loss of power"):
        sidecar.reopen(power_lost=step == "loss of power")
    else:
        sidecar.apply(CONTENT)
    return None


def _hold_all(sidecar: Inside, granted: Sequence[int]) -> None:
    """Give leases of every limit, for two users where each has a counter."""
    by_turns = cycle(granted)
    for feature, limits in FEATURES.items():
        for of in limits:
            for values in [("ann",), ("large",)] if of.scope.dimensions else [()]:
                if of.is_counted:
                    sidecar.leases.hold(of, next(by_turns), values, feature=feature, amount=0)


async def _play_both_ways(one: Inside, other: Inside, steps: list[Any]) -> None:
    for number, step in enumerate(steps):
        assert await _taken(one, step, number) == await _taken(other, step, number)
        assert one.contents() == other.contents()
        due, due_by_the_rules = (
            set(sidecar.plane_status.lease_book.take_due()) for sidecar in (one, other)
        )
        assert due >= due_by_the_rules


@settings(max_examples=150)
@given(st.booleans(), _STEPS)
async def test_both_ways_answer_and_store_the_same(authority: bool, steps: list[Any]) -> None:
    one, other = (
        Inside(CONTENT, *COMPANIES, authority=authority, usual=usual) for usual in (True, False)
    )
    await _play_both_ways(one, other, steps)


@settings(max_examples=150)
@given(
    st.sampled_from([0, 30, INT64_MAX]),
    st.booleans(),
    st.lists(st.sampled_from([0, 6, 7, 8, 40]), max_size=10),
    _STEPS,
)
async def test_both_ways_answer_and_store_the_same_by_leases(
    available: int, exact: bool, granted: list[int], steps: list[Any]
) -> None:
    """`available`: what the plane has still of each counter. `exact`: whether all know leases.

    `granted`: leases that are held from the start, of as many limits by turns.
    """
    one, other = (Inside(CONTENT, *COMPANIES, leases=True, usual=usual) for usual in (True, False))
    for sidecar in (one, other):
        sidecar.leases.available = available
        sidecar.plane_status.lease_book.note_exact("acme", exact)
        if granted:
            _hold_all(sidecar, granted)
    await _play_both_ways(one, other, steps)


@pytest.mark.parametrize("leases", [False, True])
async def test_the_usual_check_goes_the_shorter_way(leases: bool) -> None:
    """The property would hold, too, if nothing ever did."""
    sidecar = Inside(CONTENT, *COMPANIES, leases=leases)
    _hold_all(sidecar, [8])

    def decided_by_rules(*_: object) -> None:
        raise AssertionError("a usual check went the general way")

    sidecar.enforcer.check_and_increment = decided_by_rules  # type: ignore[assignment]
    for number, (feature, dimensions) in enumerate(
        [
            ("calls", {}),
            ("messages", {"user": "ann"}),
            ("messages", {"model": "large"}),
            ("huge", {}),
            ("declared", {"user": "ann", "model": "large"}),
            ("by_value", {"user": "ann"}),
            ("by_value", {"user": "large"}),
            ("priced", {}),
            ("priced_alone", {}),
            ("priced_twice", {}),
            ("free", {"user": "ann"}),
        ]
    ):
        request = pb.CheckAndIncrementRequest(
            company="acme",
            feature=feature,
            quantity=3,
            idempotency_key=f"6f2a1c1e-58f4-4a53-9a1b-{number:012}",
            dimensions=dimensions,
        )
        data = await answer_of(sidecar.methods.check_and_increment, request.SerializeToString())
        assert pb.CheckAndIncrementResponse.FromString(data).decision.allowed


@pytest.mark.parametrize("usual", [True, False])
@pytest.mark.parametrize("feature", ["calls", "free", "priced", "priced_alone", "priced_twice"])
async def test_a_retry_gets_the_answer_again(feature: str, usual: bool) -> None:
    sidecar = Inside(CONTENT, *COMPANIES, usual=usual)
    request = pb.CheckAndIncrementRequest(
        company="acme", feature=feature, quantity=3, idempotency_key="k"
    )
    first, again = [
        pb.CheckAndIncrementResponse.FromString(
            await answer_of(sidecar.methods.check_and_increment, request.SerializeToString())
        )
        for _ in range(2)
    ]
    assert (False, True) == (first.replayed, again.replayed)
    first.replayed = True
    assert first == again


@pytest.mark.parametrize("granted", [[9, 20], [20, 9], [9, 20, 30], [8]])
async def test_both_ways_tell_the_same_of_several_leases(granted: list[int]) -> None:
    """Where the property would seldom come: several limits, and one that is named without lease."""
    one, other = (Inside(CONTENT, *COMPANIES, leases=True, usual=usual) for usual in (True, False))
    for sidecar in (one, other):
        _hold_all(sidecar, granted)
    for feature, dimensions in [
        ("calls", {}),
        ("messages", {"user": "ann", "model": "large"}),
        ("by_value", {"user": "ann"}),
        ("by_value", {"user": "large"}),
    ]:
        request = pb.CheckAndIncrementRequest(
            company="acme", feature=feature, quantity=3, dimensions=dimensions
        )
        answers = [await _single(sidecar, request) for sidecar in (one, other)]
        assert answers[0] == answers[1]
        assert one.contents() == other.contents()
