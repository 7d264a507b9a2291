"""Leases of windows that others follow: what packs and rollover had left is granted once.

A limit of 10 a day with a pack of 50, or of 40 a day that rolls over for one. It is noon of the
20th of January; the plane has seen every day since the 10th.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite.store import SqliteStore
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    EntitlementGrant,
    Limit,
    LimitChange,
    Rollover,
)
from sidecar.domain.company.model import AddOnSubscription, Company
from sidecar.domain.leases.model import LeaseRequest, LeaseStatus
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.support.pack_model import PackModel
from tests.unit.control.leasing_plane import leased
from tests.unit.control.rollover_plane import RolloverPlane, catalog_of, monthly, on_plan, utc
from tests.unit.control.support import ALICE, BOB

DAY: Final = WindowSpec(WindowUnit.DAY)
FIRST_US: Final = utc(2026, 1, 10, 12)
TODAY: Final = 10
PACKED: Final = monthly(None, 10, DAY)
ROLLING: Final = monthly(Rollover(1), 40, DAY)
MORE: Final = EntitlementGrant("tokens", limit_changes=(LimitChange("monthly", 50, adds=True),))
PACK: Final = AddOn("pack", entitlements=(AddOnEntitlement(MORE),), once=True)


def with_packs(packs: int) -> Company:
    acme = on_plan()
    assert acme.subscription is not None
    held = (AddOnSubscription("pack", packs),) if packs else ()
    return msgspec.structs.replace(
        acme, subscription=msgspec.structs.replace(acme.subscription, add_ons=held)
    )


class LeasingPlane(RolloverPlane):
    """A plane on the last of eleven days; `granted`, `used`: by pod and by pod and day."""

    def __init__(self, store: PlaneStore, of: Limit, packs: int) -> None:
        super().__init__(store, FIRST_US)
        catalog = msgspec.structs.replace(catalog_of(pro=of), add_ons=(PACK,))
        self.apply(catalog, with_packs(packs))
        self.go_to(FIRST_US + TODAY * DAY_US)
        self.granted: dict[tuple[str, int], int] = {}
        self.used: dict[tuple[str, int], int] = {}
        self._numbers = 0

    def ask(self, day: int, need: int, who: str = BOB) -> bool:
        """Ask for so much more than is held; whether it was granted."""
        return self._request(day, need, self.granted.get((who, day), 0), who) is _GRANTED

    def give_back(self, day: int, who: str = BOB) -> None:
        """Give back what is not used."""
        own = self.used.get((who, day), 0)
        assert self._request(day, 0, own, who) is _GRANTED
        assert own == self.granted[who, day]

    def spend(self, day: int) -> None:
        """What ALICE holds of a day is used, and reported."""
        left = self.granted.get((ALICE, day), 0) - self.used.get((ALICE, day), 0)
        if left:
            self.use(left, FIRST_US + day * DAY_US)
            self.used[ALICE, day] = self.granted[ALICE, day]
            self.settle()

    def most(self, day: int) -> int:
        """The most that can be had of a day."""
        return max(
            quantity for quantity in range(200) if quantity == 0 or self._tries(day, quantity)
        )

    def _tries(self, day: int, quantity: int) -> bool:
        is_granted = self.ask(day, quantity)
        if is_granted:
            self.give_back(day)
        return is_granted

    def _request(self, day: int, need: int, held: int, who: str) -> LeaseStatus:
        self._numbers += 1
        key = self.key(FIRST_US + day * DAY_US)
        name = CounterName(key.company, key.feature, key.counter)
        own = self.used.get((who, day), 0)
        need += held - own if need else 0
        request = LeaseRequest(name, self._numbers, held, own, need, need)
        (result,) = leased(self.store, who, [request], self.now_us).results
        if result.status is _GRANTED:
            self.granted[who, day] = result.granted
        return result.status


_GRANTED: Final = LeaseStatus.GRANTED


@pytest.mark.parametrize(
    ("of", "packs", "days", "granted"),
    [
        pytest.param(PACKED, 1, (10, 9, 8), [60, 10, 10], id="a pack: now, then late"),
        pytest.param(PACKED, 1, (8, 9, 10), [60, 10, 10], id="a pack: late, then now"),
        pytest.param(PACKED, 2, (3, 10, 2), [110, 10, 10], id="packs: late, now, later still"),
        pytest.param(ROLLING, 0, (10, 9, 8), [80, 40, 40], id="rollover: now, then late"),
        pytest.param(ROLLING, 0, (8, 9, 10), [80, 40, 40], id="rollover: late, then now"),
        pytest.param(ROLLING, 1, (10, 9, 1), [130, 40, 80], id="both"),
    ],
)
@pytest.mark.parametrize("is_reported", [True, False], ids=["reported", "outstanding"])
def test_what_was_left_is_granted_once(
    store: PlaneStore,
    of: Limit,
    packs: int,
    days: Sequence[int],
    granted: list[int],
    is_reported: bool,
) -> None:
    plane = LeasingPlane(store, of, packs)
    found = []
    for day in days:
        found.append(plane.most(day))
        assert plane.ask(day, found[-1], ALICE)
        if is_reported:
            plane.spend(day)
    assert granted == found


def test_what_was_given_back_can_be_had_of_an_earlier_day(store: PlaneStore) -> None:
    plane = LeasingPlane(store, PACKED, 1)
    assert plane.ask(TODAY, 60, ALICE)
    assert 10 == plane.most(3)
    plane.give_back(TODAY, ALICE)
    assert 60 == plane.most(3)


def test_what_is_recorded_beyond_it_gives_nothing_back(store: PlaneStore) -> None:
    plane = LeasingPlane(store, PACKED, 1)
    assert plane.ask(TODAY, 60, ALICE)
    plane.spend(TODAY)
    plane.use(30, FIRST_US + 3 * DAY_US)
    plane.settle()
    assert [0, 10, 0] == [plane.most(day) for day in (3, 4, TODAY)]


_STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "ask", "spend", "back"]),
        st.sampled_from([ALICE, BOB]),
        st.sampled_from([0, 3, 7, 8, 9, 10]),
        st.integers(1, 90),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(st.none() | st.builds(Rollover, st.integers(1, 2)), st.integers(0, 2), _STEPS)
def test_all_that_is_granted_can_be_used_in_time(
    rollover: Rollover | None, packs: int, steps: list[tuple[str, str, int, int]]
) -> None:
    """The model gives out every unit anew, the first day first (`PackModel`)."""
    with contextlib.closing(SqliteStore(":memory:")) as store:
        plane = LeasingPlane(store, monthly(rollover, 10, DAY), packs)
        for what, who, day, quantity in steps:
            if what == "ask":
                _ask(plane, rollover, packs, who, day, quantity)
            elif what == "spend":
                plane.spend(day)
            elif (who, day) in plane.granted:
                plane.give_back(day, who)
            assert _fits(plane, rollover, packs)


def _ask(
    plane: LeasingPlane, rollover: Rollover | None, packs: int, who: str, day: int, quantity: int
) -> None:
    held, at = dict(plane.granted), (who, day)
    is_settled = held == {key: plane.used.get(key, 0) for key in held}
    is_granted = plane.ask(day, quantity, who)
    if is_settled:  # else what is outstanding of earlier days is held back from later ones
        found = dict(plane.granted)
        plane.granted = {**held, at: held.get(at, 0) + quantity}
        assert is_granted == _fits(plane, rollover, packs)
        plane.granted = found


def _fits(plane: LeasingPlane, rollover: Rollover | None, packs: int) -> bool:
    """Whether all that is granted could have been used, had it come in time."""
    model = PackModel(10, 50, packs, rollover)
    for at in range(TODAY + 1):
        used = sum(granted for (_, day), granted in plane.granted.items() if day == at)
        if used > model.room(packs):
            return False
        model.used = used
        model.ends(packs)
    return True
