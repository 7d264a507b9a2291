"""Seats are had by the rules, whatever the order: by a model that knows all that ever happened."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.control.services.seat_lists import SeatPlace, list_seats
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.seats.model import SeatStatus
from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.support.build import company
from tests.support.inside import Inside
from tests.support.seats import (
    ACTIVE,
    NAMED,
    SWAPPED,
    SeatModel,
    SeatPlane,
    SeatSidecar,
    seats_catalog,
    status_of,
)

HOLDERS: Final = ("ann", "bob", "cat", "dan", "eve")
LIMITS: Final = ((NAMED,), (ACTIVE,), (SWAPPED,), (SWAPPED, ACTIVE))


class _Takes(NamedTuple):
    holder: str
    pod: int


class _GivesBack(NamedTuple):
    holder: str
    pod: int


_STEPS: Final = st.lists(
    st.one_of(
        st.builds(_Takes, st.sampled_from(HOLDERS), st.integers(0, 1)),
        st.builds(_GivesBack, st.sampled_from(HOLDERS), st.integers(0, 1)),
        st.sampled_from(["hours", "a day", "hear", "restart"]),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(limits=st.sampled_from(LIMITS), steps=_STEPS, alone=st.booleans())
def test_whoever_asks_gets_what_the_model_says(limits: Any, steps: Any, alone: bool) -> None:
    content = seats_catalog(*limits)
    pods = [Inside(content, company(), authority=alone) for _ in range(1 if alone else 2)]
    plane = None if alone else SeatPlane(content, now_us=pods[0].now_us)
    sidecars = [SeatSidecar(pod, plane) for pod in pods]
    models = [SeatModel(limit, DAY_US) for limit in limits]
    for step in steps:
        now_us = pods[0].now_us
        if isinstance(step, str):
            _passes(step, sidecars, alone)
        elif isinstance(step, _Takes):
            _takes(sidecars[step.pod % len(sidecars)], step.holder, models, now_us)
        else:
            given_back = [model.give_back(step.holder, now_us) for model in models]
            answer = sidecars[step.pod % len(sidecars)].release(step.holder)
            assert any(given_back) == answer.released
            for sidecar in () if alone else sidecars:
                sidecar.hear()  # who has not heard yet answers by what was
        if plane is not None:
            _agrees(plane, models, pods[0].now_us)


def _passes(step: str, sidecars: list[SeatSidecar], alone: bool) -> None:
    for sidecar in sidecars:
        if step in ("hours", "a day"):
            sidecar.inside.now_us += 5 * HOUR_US if step == "hours" else DAY_US
        elif step == "hear" and not alone:
            sidecar.hear()
        elif step == "restart":
            sidecar.inside.reopen()
            sidecar.open()


def _takes(sidecar: SeatSidecar, holder: str, models: list[SeatModel], now_us: int) -> None:
    refused = any(model.refuses(holder, now_us) for model in models)
    asked = sidecar.asked
    answer = sidecar.acquire(holder)
    if refused:
        assert Reason.SEATS_EXHAUSTED.name == status_of(answer)
        return
    is_new = [model.take(holder, now_us) for model in models]
    expected = SeatStatus.ASSIGNED if any(is_new) else SeatStatus.HELD
    assert expected is status_of(answer)
    assert 1 == answer.decision.granted
    shown = answer.decision.binding
    assert shown is not None
    if sidecar.plane is None or sidecar.asked > asked:  # else it is as was told last
        assert shown.used in {len(model.held(now_us)) for model in models}


def _agrees(plane: SeatPlane, models: list[SeatModel], now_us: int) -> None:
    """What the plane keeps of seats is what there are, by rows and by number."""
    page = list_seats(plane.store, "acme", "members", SeatPlace(now_us), 100)
    for number, model in enumerate(models):
        held = model.held(now_us)
        assert held == {seat.holder for at, seat in page.seats if at == number}
        assert len(held) == page.limits[number].pool.held
