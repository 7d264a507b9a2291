"""Whatever clocks do for a while, no time passes that has not."""

from __future__ import annotations

from typing import Final, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.time.sure import NEAR_US
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from sidecar.sync.machine.clock import JUMP_US
from tests.support.node_time import Node

_WIDTHS: Final = st.integers(2 * HOUR_US, 400 * DAY_US) | st.integers(-400 * DAY_US, -2 * HOUR_US)
_LOOK_US: Final = 30 * SECOND_US


class _Trouble(NamedTuple):
    """A time with wrong clocks, in minutes; then all is right for ten.

    `restarts`: the process does, in the middle of it.
    """

    plane_us: int
    wall_us: int
    minutes: int
    exchanges: bool
    restarts: bool


_TROUBLES: Final = st.builds(
    _Trouble,
    st.just(0) | _WIDTHS,
    st.just(0) | _WIDTHS,
    st.integers(1, 50),
    st.booleans(),
    st.booleans(),
)


def _lasts(node: Node, minutes: int, *, exchanges: bool) -> None:
    node.goes_on(minutes * MINUTE_US, exchanges=exchanges, each_us=_LOOK_US)


@given(st.lists(_TROUBLES, max_size=4), st.sampled_from([0, 0, 600 * SECOND_US, -DAY_US]))
def test_clocks_that_are_wrong_for_less_than_an_hour_change_nothing(
    troubles: list[_Trouble], offset_us: int
) -> None:
    node = Node(wall_us=offset_us)
    node.exchange()
    for trouble in troubles:
        node.plane_us, node.wall_us = trouble.plane_us, offset_us + trouble.wall_us
        for half in (trouble.minutes // 2, trouble.minutes - trouble.minutes // 2):
            _lasts(node, half, exchanges=trouble.exchanges)
            assert abs(node.off_us) <= JUMP_US
            assert node.estimate.sure_us(node.ticks_us) <= node.true_us + JUMP_US
            if trouble.restarts and half:
                node.restart(down_us=7 * SECOND_US)
        node.plane_us, node.wall_us = 0, offset_us
        _lasts(node, 10, exchanges=True)
        assert abs(node.off_us) <= JUMP_US
        assert 0 == node.estimate.doubted_us
        # The first word of the plane has moved a new store, which had nothing to forget.
        assert node.missing_us <= max(NEAR_US, -offset_us)


@given(_WIDTHS, st.booleans(), st.booleans())
def test_a_clock_that_stays_where_it_jumped_is_followed_in_the_end(
    width_us: int, restarts: bool, machine_too: bool
) -> None:
    node = Node()
    node.exchange()
    node.plane_us = width_us
    node.wall_us = width_us if machine_too else 0
    if restarts:
        node.restart(down_us=SECOND_US)
    node.goes_on(3 * DAY_US, each_us=10 * MINUTE_US)
    assert abs(node.off_us - width_us) <= JUMP_US
    assert node.missing_us <= NEAR_US
