"""Whatever leases there are, checks never count past them, nor lack one that the plane grants."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Limit
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.units import DAY_US
from sidecar.storage.codec import StoredCounter
from tests.support.build import DAY, catalog, company, counter_ref, limit, metered
from tests.support.inside import Inside
from tests.support.method_calls import COUNTING, call
from tests.support.sidecar_api import ask

WHOLE: Final = limit("whole", 60)
EACH: Final = limit("each", 20, window=DAY, each=["user"])
CONTENT: Final = catalog({"basic": [metered("calls", WHOLE, EACH)]})
USERS: Final = ("ann", "bob")
COUNTERS: Final = ((WHOLE, ()), *((EACH, (user,)) for user in USERS))


class _Asked(NamedTuple):
    """Checks that are asked in one of the ways."""

    way: str
    requests: list[pb.CheckAndIncrementRequest]


class _Held(NamedTuple):
    """A lease, up to where its counter may be counted on."""

    counter: tuple[Limit, tuple[str, ...]]
    granted: int


_REQUESTS: Final = st.builds(
    lambda quantity, user, mode: ask(
        quantity=quantity, dimensions={"user": user} if user else {}, grant_mode=mode
    ),
    st.sampled_from([0, 1, 3, 9, 30]),
    st.sampled_from([*USERS, ""]),
    st.sampled_from([pb.GRANT_MODE_ALL_OR_NOTHING, pb.GRANT_MODE_UP_TO]),
)
_STEPS: Final = st.lists(
    st.one_of(
        st.builds(_Asked, st.sampled_from(COUNTING), st.lists(_REQUESTS, min_size=1, max_size=4)),
        st.builds(_Held, st.sampled_from(COUNTERS), st.sampled_from([1, 5, 20, 70])),
        st.sampled_from(["restart", "loss of power", "a day"]),
    ),
    max_size=25,
)


def _counters(sidecar: Inside) -> dict[str, StoredCounter]:
    found = {}
    for of, values in COUNTERS:
        counter = sidecar.opened.counter(counter_ref(of, values, at_us=sidecar.now_us))
        if counter is not None:
            found[f"{of.id} {values}"] = counter
    return found


async def _take(sidecar: Inside, step: Any) -> list[pb.CheckOutcome]:
    if isinstance(step, _Asked):
        return await call(step.way, sidecar, *step.requests)
    if isinstance(step, _Held):
        (of, values), granted = step
        sidecar.leases.hold(of, granted, values, at_us=sidecar.now_us)
    elif step == "a day":
        sidecar.now_us += DAY_US
    else:
        sidecar.reopen(power_lost=step == "loss of power")
    return []


@settings(max_examples=200)
@given(st.sampled_from([0, 10, INT64_MAX]), _STEPS)
async def test_checks_count_within_leases(available: int, steps: list[Any]) -> None:
    sidecar = Inside(CONTENT, company(), leases=True)
    sidecar.leases.available = available
    for step in steps:
        before = _counters(sidecar)
        outcomes = await _take(sidecar, step)
        for name, counter in _counters(sidecar).items() if isinstance(step, _Asked) else ():
            own = before[name].own if name in before else 0
            granted = 0 if counter.lease is None else counter.lease.granted
            assert counter.own <= max(own, granted)
            assert counter.used <= (60 if name.startswith("whole") else 20)
        for outcome in outcomes:
            decision = outcome.response.decision
            assert decision.allowed or decision.granted == 0
            lacks = Reason(decision.reason) is Reason.LEASE_UNAVAILABLE
            assert not lacks or available < INT64_MAX
