"""Generations: usage of before a reset does not touch what came after, and is not lost."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.company.model import Company, Pause, ScheduledChange, Subscription
from sidecar.domain.limits.counters import CounterRef, CounterTotal, generation_in
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.domain.time.windows import window_at
from tests.support.build import ANCHORED_MONTH, DAY, MONTH, NOW_US, catalog, limit, metered
from tests.support.inside import Inside

ANCHOR_US: Final = 1_767_225_600_000_000
MONTHLY: Final = limit("monthly", 100)
CYCLE: Final = limit("cycle", 100, window=ANCHORED_MONTH)
PER_USER: Final = limit("per_user", 50, window=DAY, each=["user"])
CONTENT: Final = catalog(
    {"basic": [metered("calls", MONTHLY), metered("cycles", CYCLE), metered("each", PER_USER)]}
)
ACME: Final = Company("acme", subscription=Subscription("basic", ANCHOR_US))


def later(sidecar: Inside, acme: Company = ACME, *, resets_usage: bool = False) -> int:
    """An hour passes, the plane changes the company; when."""
    sidecar.now_us += HOUR_US
    sidecar.apply(None, acme, resets_usage=resets_usage)
    return sidecar.now_us


def used(sidecar: Inside, feature: str = "calls", at_us: int | None = None, user: str = "") -> int:
    """Usage at an instant, in the window and the generation that it belongs to."""
    dimensions = {"user": user} if user else {}
    (usage,) = sidecar.question(0, feature, at_us=at_us, dimensions=dimensions).usages
    assert isinstance(usage, QuotaUsage)
    return usage.used


def generations(sidecar: Inside) -> list[int]:
    """Of the counters in each record that waits."""
    return [
        generation_in(counter.slot) for record in sidecar.records() for counter in record.counters
    ]


def test_after_a_reset_usage_starts_from_nothing() -> None:
    sidecar = Inside(CONTENT, ACME)
    sidecar.decide(70)
    reset_us = later(sidecar, resets_usage=True)
    assert (0, True) == (used(sidecar), sidecar.allows(100))
    sidecar.decide(5)
    assert [0, reset_us] == generations(sidecar)


def test_usage_of_before_the_reset_counts_on_the_counter_of_before() -> None:
    sidecar = Inside(CONTENT, ACME)
    sidecar.decide(70)
    reset_us = later(sidecar, resets_usage=True)
    sidecar.decide(5)
    sidecar.decide(20, at_us=reset_us - 1)
    sidecar.decide(4, at_us=reset_us)
    assert (90, 9) == (used(sidecar, at_us=reset_us - 1), used(sidecar))
    assert [0, reset_us, 0, reset_us] == generations(sidecar)


def test_what_was_full_before_the_reset_is_full_for_usage_of_that_time() -> None:
    sidecar = Inside(CONTENT, ACME)
    sidecar.decide(100)
    reset_us = later(sidecar, resets_usage=True)
    late = sidecar.decide(1, at_us=reset_us - 1).decision
    assert (False, 100) == (late.allowed, late.binding_limit.used)
    assert sidecar.decide(100).decision.allowed


def test_resets_follow_each_other() -> None:
    sidecar = Inside(CONTENT, ACME)
    instants = [sidecar.now_us]
    for quantity in (10, 20, 30):
        sidecar.decide(quantity)
        instants.append(later(sidecar, resets_usage=True))
    assert [10, 20, 30, 0] == [used(sidecar, at_us=at_us) for at_us in instants]


def test_counters_of_every_user_start_anew() -> None:
    sidecar = Inside(CONTENT, ACME)
    for user in ("ann", "bob"):
        sidecar.decide(50, "each", dimensions={"user": user})
    later(sidecar, resets_usage=True)
    assert [0, 0] == [used(sidecar, "each", user=user) for user in ("ann", "bob")]


def test_another_anchor_starts_cycles_anew_and_calendar_months_go_on() -> None:
    sidecar = Inside(CONTENT, ACME)
    for feature in ("calls", "cycles"):
        sidecar.decide(70, feature)
    subscription = Subscription("basic", NOW_US)
    moved_us = later(sidecar, msgspec.structs.replace(ACME, subscription=subscription))
    assert (70, 0) == (used(sidecar), used(sidecar, "cycles"))
    sidecar.decide(5, "cycles", at_us=moved_us - 1)
    assert (75, 0) == (used(sidecar, "cycles", moved_us - 1), used(sidecar, "cycles"))


def test_a_late_event_gets_the_window_of_its_own_anchor() -> None:
    sidecar = Inside(CONTENT, ACME)
    subscription = Subscription("basic", NOW_US)
    moved_us = later(sidecar, msgspec.structs.replace(ACME, subscription=subscription))
    sidecar.decide(5, "cycles", at_us=moved_us - 1)
    sidecar.decide(5, "cycles")
    windows = [
        (counter.window_start_us, counter.window_end_us)
        for record in sidecar.records()
        for counter in record.counters
    ]
    before = window_at(ANCHORED_MONTH, moved_us - 1, anchor_us=ANCHOR_US)
    after = window_at(ANCHORED_MONTH, moved_us, anchor_us=NOW_US)
    assert [(before.start_us, before.end_us), (after.start_us, after.end_us)] == windows


def test_the_end_of_a_pause_that_moves_the_anchor_starts_cycles_anew() -> None:
    until_us = NOW_US + DAY_US
    subscription = Subscription("basic", ANCHOR_US, pause=Pause(NOW_US + 1, until_us, True))
    sidecar = Inside(CONTENT, msgspec.structs.replace(ACME, subscription=subscription))
    sidecar.decide(70, "cycles")
    sidecar.now_us = until_us - 1
    sidecar.decide(5, "cycles", mode=GrantMode.RECORD_ONLY)
    sidecar.now_us = until_us
    assert (75, 0) == (used(sidecar, "cycles", until_us - 1 - DAY_US), used(sidecar, "cycles"))


def test_usage_that_was_counted_before_the_news_of_a_reset_stays_with_what_was_before() -> None:
    """The sidecar was away for an hour: it counts on the generation that it knows."""
    sidecar = Inside(CONTENT, ACME)
    sidecar.decide(70)
    reset_us = sidecar.now_us + HOUR_US
    sidecar.now_us = reset_us + HOUR_US
    sidecar.decide(5)
    sidecar.now_us = reset_us
    sidecar.apply(None, ACME, resets_usage=True)
    sidecar.now_us = reset_us + HOUR_US
    assert (75, 0) == (used(sidecar, at_us=reset_us - 1), used(sidecar))


def test_totals_of_an_earlier_generation_leave_the_present_one_alone() -> None:
    sidecar = Inside(CONTENT, ACME)
    reset_us = later(sidecar, resets_usage=True)
    window = window_at(MONTH, NOW_US)
    before = CounterRef("MONTH/1/CALENDAR||", (), window)
    now = CounterRef(f"MONTH/1/CALENDAR|||{reset_us}", (), window)
    for ref, total in ((now, 30), (before, 90)):
        said = CounterTotal("acme", "calls", ref, total, 0, sidecar.now_us)
        sidecar.opened.counters.hear("life-1", [said])
    assert (90, 30) == (used(sidecar, at_us=reset_us - 1), used(sidecar))


def test_a_plan_change_without_a_reset_keeps_the_generation_and_the_usage() -> None:
    sidecar = Inside(CONTENT, ACME)
    sidecar.decide(70)
    subscription = Subscription(
        "basic", ANCHOR_US, changes=(ScheduledChange(NOW_US + DAY_US, "basic"),)
    )
    later(sidecar, msgspec.structs.replace(ACME, subscription=subscription))
    sidecar.now_us += 2 * DAY_US
    sidecar.decide(5)
    assert (75, [0, 0]) == (used(sidecar), generations(sidecar))


def test_a_restart_knows_the_generations_of_before() -> None:
    sidecar = Inside(CONTENT, ACME)
    sidecar.decide(70)
    reset_us = later(sidecar, resets_usage=True)
    sidecar.decide(5)
    sidecar.reopen()
    assert (70, 5) == (used(sidecar, at_us=reset_us - 1), used(sidecar))
