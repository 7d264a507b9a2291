"""Calls about windows that others follow: what packs and rollover had left is taken once.

A limit of 10 a minute with a pack of 50, or of 40 a minute that rolls over for one.
"""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.domain.catalog.model import Across, Catalog, Enforcement, Limit, Rollover
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.time.units import MINUTE_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.engine.needs import Needs
from tests.support.build import NOW_US, catalog, check, counter_ref, limit, metered
from tests.support.inside import Inside
from tests.support.packs import NAMED, having, pack

MINUTE: Final = WindowSpec(WindowUnit.MINUTE)
START_US: Final = NOW_US - NOW_US % MINUTE_US
PACKED: Final = limit("daily", 10, window=MINUTE)
ROLLING: Final = msgspec.structs.replace(
    limit("daily", 40, window=MINUTE), rollover=Rollover(1, amount_max=40)
)
SOFT: Final = msgspec.structs.replace(PACKED, enforcement=Enforcement.SOFT)
EVENTUAL: Final = msgspec.structs.replace(PACKED, across=Across.EVENTUAL)


def selling(of: Limit) -> Catalog:
    content = catalog({"basic": [metered("calls", of)]})
    return msgspec.structs.replace(content, add_ons=(pack("pack", NAMED),))


def begun(of: Limit, packs: int) -> Inside:
    """A sidecar alone that has seen the limit ten minutes ago."""
    sidecar = Inside(selling(of), having(packs), authority=True)
    sidecar.now_us = START_US - 10 * MINUTE_US
    assert sidecar.decide(1).decision.allowed
    sidecar.now_us = START_US
    return sidecar


def use(sidecar: Inside, *minutes: int) -> list[int]:
    """What a customer gets who takes all that there is, in minutes before or after the present."""
    return [_granted(sidecar, minute) for minute in minutes]


def _granted(sidecar: Inside, minute: int) -> int:
    at_us = sidecar.now_us + minute * MINUTE_US
    return sidecar.decide(1_000, mode=GrantMode.UP_TO, at_us=at_us).decision.granted


@pytest.mark.parametrize(
    ("of", "packs", "minutes", "granted"),
    [
        pytest.param(PACKED, 1, (0, -1, -2), [60, 10, 10], id="a pack: now, then late"),
        pytest.param(PACKED, 1, (-2, -1, 0), [60, 10, 10], id="a pack: in order"),
        pytest.param(PACKED, 1, (-1, -2, 0), [60, 10, 10], id="a pack: late, then later still"),
        pytest.param(PACKED, 2, (0, 1, 2, -1), [110, 10, 10, 10], id="packs: now, then ahead"),
        pytest.param(PACKED, 1, (2, 0, 1, 3), [60, 10, 10, 10], id="a pack: ahead, then now"),
        pytest.param(PACKED, 1, (0, 0, -1, -1), [60, 0, 10, 0], id="a pack: nothing comes again"),
        pytest.param(ROLLING, 0, (0, -1, -2), [80, 40, 40], id="rollover: now, then late"),
        pytest.param(ROLLING, 0, (-2, -1, 0), [80, 40, 40], id="rollover: in order"),
        pytest.param(ROLLING, 0, (1, 0, -1), [80, 40, 40], id="rollover: ahead, then now"),
        pytest.param(ROLLING, 1, (0, -1, -2), [130, 40, 40], id="both: now, then late"),
    ],
)
def test_what_was_left_is_taken_once(
    of: Limit, packs: int, minutes: tuple[int, ...], granted: list[int]
) -> None:
    assert granted == use(begun(of, packs), *minutes)


def test_what_later_minutes_can_do_without_is_there() -> None:
    sidecar = begun(PACKED, 1)
    assert sidecar.decide(30).decision.allowed
    assert [10 + 30] == use(sidecar, -1)
    assert [0] == use(sidecar, 0)


def test_recorded_late_usage_passes_and_gives_nothing_back() -> None:
    sidecar = begun(PACKED, 1)
    assert [60] == use(sidecar, 0)
    late_us = sidecar.now_us - MINUTE_US
    recorded = sidecar.decide(30, mode=GrantMode.RECORD_ONLY, at_us=late_us).decision
    assert (30, 20) == (recorded.granted, recorded.binding_limit.overage)
    recorded = sidecar.decide(40, mode=GrantMode.RECORD_ONLY, at_us=late_us).decision
    assert (40, 40) == (recorded.granted, recorded.binding_limit.overage)
    assert [0, 0, 10] == use(sidecar, -1, 0, -2)
    sidecar.now_us += MINUTE_US
    assert [10] == use(sidecar, 0)


def test_recorded_late_usage_takes_from_what_checks_may_use_later() -> None:
    sidecar = begun(PACKED, 1)
    late_us = sidecar.now_us - MINUTE_US
    assert sidecar.decide(30, mode=GrantMode.RECORD_ONLY, at_us=late_us).decision.allowed
    assert [10 + 30] == use(sidecar, 0)


def test_past_a_soft_limit_what_was_used_since_is_overage() -> None:
    sidecar = begun(SOFT, 1)
    assert 0 == sidecar.decide(60).decision.overage
    assert 50 == sidecar.decide(60, at_us=sidecar.now_us - MINUTE_US).decision.overage


def test_what_is_told_of_an_earlier_minute_is_what_it_may_use() -> None:
    sidecar = begun(ROLLING, 0)
    assert [80, 80] == use(sidecar, -2, 0)
    denied = sidecar.decide(1, at_us=START_US - MINUTE_US).decision
    assert Reason.LIMIT_EXCEEDED.value == denied.reason
    told = denied.binding_limit
    assert (40, -40, 0, 0) == (told.amount, told.carried, told.used, told.remaining)
    assert sidecar.question(0, at_us=START_US - MINUTE_US).decision.allowed


def test_of_later_minutes_that_are_over_totals_are_asked_for_first() -> None:
    sidecar = Inside(selling(EVENTUAL), having(1))
    sidecar.now_us = START_US
    for minute in (-3, -2, -1, 0):
        ref = counter_ref(EVENTUAL, at_us=START_US + minute * MINUTE_US)
        said = CounterTotal("acme", "calls", ref, 0, 0, 1, ())
        sidecar.opened.counters.hear("life-1", [said])
    asked = check("acme", "calls", 60, at_us=START_US - 3 * MINUTE_US)
    had = Needs(frozenset(("acme",)))
    needs = sidecar.enforcer.check_and_increment(asked, sidecar.now_us, had)
    assert isinstance(needs, Needs)
    windows = sorted(name.counter.window.start_us for name in needs.counters)
    assert [START_US + minute * MINUTE_US for minute in (-3, -2, -1)] == windows
