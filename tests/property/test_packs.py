"""What is left of packs agrees with a model that has every pack in its hands.

The model has a list of packs, and takes usage from the oldest; whoever holds fewer loses the
youngest. It never looks back. The sidecar has no plane, is closed and opened, and is swept; what is
bought and dropped, resets, late usage and late payments reach it in any order.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.catalog.model import Rollover
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.storage.sweep import Sweep
from tests.support.build import DAY, catalog, limit, metered
from tests.support.inside import Inside
from tests.support.pack_model import PackModel
from tests.support.packs import NAMED, fallen_back, having, limit_usage, pack

AMOUNT: Final = 10
PACK: Final = 50
_ROLLOVERS: Final = st.none() | st.builds(Rollover, st.sampled_from([1, 3]))


class _Day(NamedTuple):
    """A day's usage before and after so many packs are held; how many days of rest follow.

    `is_unpaid`: from then until after the rest another plan is in force, and no packs are.
    """

    used: int
    packs: int
    then_used: int
    is_reset: bool
    is_reopened: bool
    is_swept: bool
    is_unpaid: bool
    rest: int


_DAYS: Final = st.lists(
    st.builds(
        _Day,
        st.integers(0, 70),
        st.integers(0, 3),
        st.integers(0, 70),
        st.sampled_from([False, False, False, True]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from([0, 0, 0, 1, 3, 38, 60]),
    ),
    max_size=9,
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 3), _ROLLOVERS, _DAYS)
def test_what_is_left_of_packs_agrees_with_the_model(
    packs: int, rollover: Rollover | None, days: list[_Day]
) -> None:
    of = msgspec.structs.replace(limit("daily", AMOUNT, window=DAY), rollover=rollover)
    plans = {"basic": [metered("calls", of)], "without": []}
    given_once = msgspec.structs.replace(
        NAMED, limit_changes=(msgspec.structs.replace(NAMED.limit_changes[0], amount=PACK),)
    )
    content = msgspec.structs.replace(catalog(plans), add_ons=(pack("pack", given_once),))
    sidecar = Inside(content, having(packs), authority=True)
    model = PackModel(AMOUNT, PACK, packs, rollover)
    model.used += sidecar.decide(1).decision.granted  # it begins with the first window that it sees
    forgets = False
    for day in days:
        for held, used in ((packs, day.used), (day.packs, day.then_used)):
            sidecar.apply(None, having(held))
            room = model.room(held)
            assert [True, False] == [sidecar.allows(room), sidecar.allows(room + 1)]
            assert model.left(held) == limit_usage(sidecar).packs_left
            if used:
                granted = sidecar.decide(used, mode=GrantMode.UP_TO).decision.granted
                assert min(room, used) == granted
                model.used += granted
            sidecar.now_us += HOUR_US
        is_unpaid = day.is_unpaid and day.packs >= packs
        forgets = forgets or is_unpaid or day.packs < packs
        packs = day.packs
        if day.is_reset:
            sidecar.apply(None, having(packs), resets_usage=True)
            model.used = 0
            assert model.left(packs) == limit_usage(sidecar).packs_left
        if day.is_swept:
            Sweep(sidecar.opened.store).step(sidecar.now_us, 10_000)
        if day.is_reopened:
            sidecar.reopen()
        if is_unpaid:
            sidecar.apply(None, fallen_back(packs, sidecar.now_us))
        # A sidecar alone does not know for ever what was dropped, or in force, since.
        days_on = 1 + (min(day.rest, 2) if forgets else day.rest)
        for _ in range(days_on):
            model.ends(packs, rolls_over=not is_unpaid)
        sidecar.now_us += days_on * DAY_US - 2 * HOUR_US
        if is_unpaid:
            sidecar.apply(None, having(packs))
        assert model.left(packs) == limit_usage(sidecar).packs_left
