"""What packs and rollover had left is taken once, whatever windows calls name, and in any order.

The model keeps nothing but what was used in each minute. It gives every unit out anew, the first
minute first (`PackModel`), and says by how much minutes pass what they may use. A check passes if
that makes no minute pass by more; what is recorded passes anyhow.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.catalog.model import Across, Rollover
from sidecar.domain.company.model import ScheduledChange
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.time.units import MINUTE_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.support.build import NOW_US, catalog, limit, metered
from tests.support.inside import Inside
from tests.support.pack_model import PackModel
from tests.support.packs import NAMED, bought, having, limit_usage, pack

AMOUNT: Final = 10
PACK: Final = 50
START_US: Final = NOW_US - NOW_US % MINUTE_US
LOOKED_BACK: Final = 40
_ROLLOVERS: Final = st.none() | st.builds(Rollover, st.sampled_from([1, 2, 3]))
_MODES: Final = st.sampled_from([GrantMode.ALL_OR_NOTHING, GrantMode.UP_TO, GrantMode.RECORD_ONLY])


class _Call(NamedTuple):
    """Some minutes later, a call about a minute before or after the present one."""

    rest: int
    offset: int
    quantity: int
    mode: GrantMode
    is_reopened: bool


_CALLS: Final = st.lists(
    st.builds(
        _Call,
        st.sampled_from([0, 0, 0, 1, 1, 2, 5]),
        st.integers(-6, 4),
        st.integers(1, 70),
        _MODES,
        st.booleans(),
    ),
    max_size=12,
)
_LATE_CALLS: Final = st.lists(
    st.builds(
        _Call,
        st.sampled_from([0, 0, 1, 30, 45]),
        st.integers(-100, 0),
        st.integers(1, 70),
        _MODES,
        st.just(False),
    ),
    max_size=8,
)


class _Model:
    """What was used in each minute; `packs`: so many were held from a minute on."""

    def __init__(self, rollover: Rollover | None, packs: list[tuple[int, int]]) -> None:
        self._rollover = rollover
        self._packs = packs
        self._used: dict[int, int] = {0: 1}

    def use(self, minute: int, quantity: int) -> None:
        self._used[minute] = self._used.get(minute, 0) + quantity

    def most(self, minute: int, quantity: int) -> int:
        """The most of a quantity that a check gets."""
        before = self._passed(minute, 0)
        for granted in range(quantity, 0, -1):
            after = self._passed(minute, granted)
            if all(one <= other for one, other in zip(after, before, strict=True)):
                return granted
        return 0

    def _passed(self, minute: int, more: int) -> list[int]:
        """By how much each minute passes what it may use, with more in one of them."""
        model = PackModel(AMOUNT, PACK, self._held(0), self._rollover)
        passed = []
        for at in range(max(*self._used, minute) + 1):
            used = self._used.get(at, 0) + (more if at == minute else 0)
            passed.append(max(0, used - model.room(self._held(at))))
            model.used = used
            model.ends(self._held(at))
        return passed

    def _held(self, minute: int) -> int:
        return [held for since, held in self._packs if since <= minute][-1]


def _sidecar(rollover: Rollover | None, packs: list[tuple[int, int]], across: Across) -> Inside:
    each = limit("daily", AMOUNT, window=WindowSpec(WindowUnit.MINUTE))
    of = msgspec.structs.replace(each, rollover=rollover, across=across)
    change = msgspec.structs.replace(NAMED.limit_changes[0], amount=PACK)
    given_once = msgspec.structs.replace(NAMED, limit_changes=(change,))
    content = catalog({"basic": [metered("calls", of)]})
    content = msgspec.structs.replace(content, add_ons=(pack("pack", given_once),))
    (_, first), *later = packs
    changes: list[ScheduledChange] = [
        bought(START_US + since * MINUTE_US, held) for since, held in later
    ]
    sidecar = Inside(content, having(first, *changes), authority=True)
    sidecar.now_us = START_US
    assert sidecar.decide(1).decision.allowed  # it begins with the first window that it sees
    return sidecar


def _play(sidecar: Inside, model: _Model, calls: list[_Call]) -> None:
    minute = 0
    for call in calls:
        minute += call.rest
        sidecar.now_us += call.rest * MINUTE_US
        if call.is_reopened:
            sidecar.reopen()
        named = max(0, minute + call.offset)
        at_us = START_US + named * MINUTE_US
        expected = model.most(named, call.quantity)
        decision = sidecar.decide(call.quantity, mode=call.mode, at_us=at_us).decision
        if call.mode is GrantMode.RECORD_ONLY:
            expected = call.quantity
        elif call.mode is GrantMode.ALL_OR_NOTHING and expected < call.quantity:
            expected = 0
        assert decision.granted <= expected
        if minute - named <= LOOKED_BACK:
            assert expected == decision.granted
        model.use(named, decision.granted)


@settings(max_examples=300, deadline=None)
@given(
    _ROLLOVERS,
    st.lists(st.integers(0, 2), min_size=1, max_size=3),
    st.sampled_from([Across.EXACT, Across.EVENTUAL]),
    _CALLS,
)
def test_checks_get_what_is_left_whatever_window_they_name(
    rollover: Rollover | None, held: list[int], across: Across, calls: list[_Call]
) -> None:
    packs = [(at * 4, packs) for at, packs in enumerate(held)]
    _play(_sidecar(rollover, packs, across), _Model(rollover, packs), calls)


@settings(max_examples=100, deadline=None)
@given(_ROLLOVERS, st.integers(0, 2), _LATE_CALLS)
def test_checks_that_are_very_late_get_nothing_that_was_used_since(
    rollover: Rollover | None, held: int, calls: list[_Call]
) -> None:
    packs = [(0, held)]
    _play(_sidecar(rollover, packs, Across.EVENTUAL), _Model(rollover, packs), calls)


def test_what_is_told_to_remain_is_what_can_be_had() -> None:
    sidecar = _sidecar(None, [(0, 1)], Across.EVENTUAL)
    sidecar.now_us += MINUTE_US
    assert sidecar.decide(40, at_us=sidecar.now_us + 2 * MINUTE_US).decision.allowed
    assert 10 + 20 == limit_usage(sidecar).left
