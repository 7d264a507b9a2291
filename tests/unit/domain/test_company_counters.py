"""Counters of companies that change: who knows of a change and who does not name the same ones."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.domain.bounds import EVENT_PAST_US_MAX
from sidecar.domain.company.model import (
    Company,
    CompanySnapshot,
    Pause,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.company.timeline import compile_snapshot, continue_snapshot, segment_at
from sidecar.domain.limits.counters import slot_of
from sidecar.domain.time.company_windows import company_window, generation_of
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Alignment, Window, WindowSpec, WindowUnit
from tests.support.build import ANCHORED_MONTH, DAY, LIFETIME, MONTH, NOW_US, limit

ANCHOR_US: Final = NOW_US - 40 * DAY_US
PAID: Final = Subscription("basic", ANCHOR_US)
BASIC: Final = Company("acme", "", "America/New_York", PAID)
BERLIN: Final = msgspec.structs.replace(BASIC, time_zone="Europe/Berlin")
YEAR: Final = WindowSpec(WindowUnit.YEAR)
ANCHORED_YEAR: Final = WindowSpec(WindowUnit.YEAR, 1, Alignment.ANCHORED)
SPECS: Final = (DAY, MONTH, YEAR, LIFETIME, ANCHORED_MONTH, ANCHORED_YEAR)
INSTANTS: Final = [NOW_US - 1, *range(NOW_US - EVENT_PAST_US_MAX, NOW_US, DAY_US + 1_234_567_891)]


def named(snapshot: CompanySnapshot, spec: WindowSpec, at_us: int) -> tuple[str, Window]:
    """The counter of a limit on a window, for usage at an instant."""
    generation = generation_of(segment_at(snapshot, at_us), spec)
    window = company_window(snapshot.phases, spec, at_us)
    return slot_of(limit(window=spec), generation), window


def buying(**fields: object) -> Company:
    return msgspec.structs.replace(BASIC, subscription=msgspec.structs.replace(PAID, **fields))


@pytest.mark.parametrize("resets_usage", [False, True], ids=["", "and a reset"])
@pytest.mark.parametrize(
    "company",
    [
        buying(plan="pro"),
        BERLIN,
        buying(anchor_us=NOW_US),
        buying(pause=Pause(NOW_US - DAY_US, NOW_US, moves_anchor=True)),
        buying(changes=(ScheduledChange(NOW_US + DAY_US, resets_usage=True),)),
        buying(cancel_us=NOW_US),
        msgspec.structs.replace(BASIC, subscription=None),
    ],
    ids=["plan", "zone", "anchor", "resumed", "planned", "canceled", "no subscription"],
)
def test_usage_before_a_change_is_counted_the_same_by_who_knows_of_it(
    company: Company, resets_usage: bool
) -> None:
    tokyo = msgspec.structs.replace(BASIC, time_zone="Asia/Tokyo")
    before = continue_snapshot(compile_snapshot(tokyo, 1), BASIC, 2, NOW_US - 20 * DAY_US)
    after = continue_snapshot(before, company, 3, NOW_US, resets_usage=resets_usage)
    for spec in SPECS:
        expected = [named(before, spec, at_us) for at_us in INSTANTS]
        assert expected == [named(after, spec, at_us) for at_us in INSTANTS]


def test_usage_of_a_running_window_is_counted_the_same_until_it_ends() -> None:
    before = compile_snapshot(BASIC, 1)
    after = continue_snapshot(before, BERLIN, 2, NOW_US)
    for spec in (DAY, MONTH, YEAR, ANCHORED_MONTH, ANCHORED_YEAR):
        slot, window = named(before, spec, NOW_US)
        assert (slot, window) == named(after, spec, NOW_US)
        assert (slot, window) == named(after, spec, window.end_us - 1)
        assert window.end_us == named(after, spec, window.end_us)[1].start_us


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.unit.name} {spec.alignment.name}")
def test_usage_that_arrives_late_is_counted_in_its_own_window_and_generation(
    spec: WindowSpec,
) -> None:
    reset_us = NOW_US + 2 * DAY_US
    now_us = NOW_US + EVENT_PAST_US_MAX
    first = compile_snapshot(BASIC, 1)
    second = continue_snapshot(first, BERLIN, 2, NOW_US + DAY_US)
    third = continue_snapshot(second, BERLIN, 3, reset_us, resets_usage=True)
    last = continue_snapshot(third, buying(plan="pro"), 4, now_us)
    expected = [
        named(first, spec, NOW_US),
        named(second, spec, reset_us - 1),
        named(third, spec, reset_us),
    ]
    found = [named(last, spec, at_us) for at_us in (NOW_US, reset_us - 1, reset_us)]
    assert expected == found
    assert [False, False, True] == [slot.endswith(f"|{reset_us}") for slot, _ in found]


def test_a_year_goes_on_though_its_zone_is_history() -> None:
    first = compile_snapshot(BASIC, 1)
    window = company_window(first.phases, YEAR, NOW_US)
    snapshot = continue_snapshot(first, BERLIN, 2, NOW_US)
    for number in range(1, 10):
        now_us = NOW_US + number * 30 * DAY_US
        snapshot = continue_snapshot(snapshot, BERLIN, 2 + number, now_us)
        assert window == company_window(snapshot.phases, YEAR, now_us)
    following = company_window(snapshot.phases, YEAR, window.end_us)
    assert window.end_us == following.start_us


def test_a_moved_anchor_starts_billing_windows_there() -> None:
    moved = buying(changes=(ScheduledChange(NOW_US + DAY_US, moves_anchor=True),))
    snapshot = continue_snapshot(compile_snapshot(BASIC, 1), moved, 2, NOW_US)
    before, after = (named(snapshot, ANCHORED_MONTH, at_us) for at_us in (NOW_US, NOW_US + DAY_US))
    assert named(compile_snapshot(BASIC, 1), ANCHORED_MONTH, NOW_US) == before
    assert NOW_US + DAY_US == after[1].start_us
    assert f"{before[0]}|{NOW_US + DAY_US}" == after[0]
    assert named(snapshot, MONTH, NOW_US) == named(snapshot, MONTH, NOW_US + DAY_US)
