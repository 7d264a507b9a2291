"""Timelines of companies that change: what was and what is planned stay, counters start anew."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
import pytest

from sidecar.domain.bounds import BEGINNING_US, EVENT_PAST_US_MAX, FOREVER_US
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    CompanySnapshot,
    Override,
    PastDue,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.timeline import (
    HISTORY_US,
    PHASES_MAX,
    compile_snapshot,
    continue_snapshot,
    segment_at,
)
from sidecar.domain.time.units import DAY_US
from tests.support.build import MIDNIGHT_US, NOW_US

Status = SubscriptionStatus
Step: TypeAlias = tuple[int, Company]

ANCHOR_US: Final = MIDNIGHT_US - 30 * DAY_US
PAID: Final = Subscription("basic", ANCHOR_US)
BASIC: Final = Company("acme", subscription=PAID)
NOBODY: Final = Company("acme")
IN_TOKYO: Final = msgspec.structs.replace(BASIC, time_zone="Asia/Tokyo")
BOOST: Final = (AddOnSubscription("boost", 2),)


def day(number: int) -> int:
    return NOW_US + number * DAY_US


def buying(**fields: object) -> Company:
    """BASIC with another subscription."""
    return Company("acme", subscription=msgspec.structs.replace(PAID, **fields))


def planning(*changes: ScheduledChange) -> Company:
    return buying(changes=changes)


def after(*steps: Step, first: Company = BASIC, resets: tuple[int, ...] = ()) -> CompanySnapshot:
    """The timeline of a company after changes; `resets`: instants at which usage is reset, too."""
    snapshot = compile_snapshot(first, 1)
    for number, (at_us, company) in enumerate(steps, start=2):
        resets_usage = at_us in resets
        snapshot = continue_snapshot(snapshot, company, number, at_us, resets_usage=resets_usage)
    return snapshot


def told(snapshot: CompanySnapshot, *fields: str) -> list[tuple[object, ...]]:
    """Where each segment starts, and some of its fields."""
    return [
        (segment.from_us, *(getattr(segment, field) for field in fields))
        for segment in segments_of(snapshot)
    ]


def generations(snapshot: CompanySnapshot) -> list[tuple[object, ...]]:
    return told(snapshot, "generation", "anchored_generation")


def test_a_snapshot_is_as_of_the_last_change() -> None:
    assert 3 == after((day(0), BASIC), (day(1), BASIC)).version


@pytest.mark.parametrize(
    ("company", "field", "expected"),
    [
        pytest.param(buying(plan="pro"), "plan", ("basic", "pro"), id="an upgrade"),
        pytest.param(buying(add_ons=BOOST), "add_ons", ((), BOOST), id="an add-on"),
        pytest.param(
            buying(cancel_us=day(0)), "status", (Status.ACTIVE, Status.CANCELED), id="canceled"
        ),
        pytest.param(
            buying(pause=Pause(day(0))), "status", (Status.ACTIVE, Status.PAUSED), id="paused"
        ),
        pytest.param(
            buying(past_due=PastDue(day(-3))),
            "status",
            (Status.ACTIVE, Status.PAST_DUE),
            id="a payment is late since earlier",
        ),
        pytest.param(IN_TOKYO, "time_zone", ("UTC", "Asia/Tokyo"), id="another time zone"),
        pytest.param(NOBODY, "status", (Status.ACTIVE, Status.NONE), id="no subscription any more"),
    ],
)
def test_a_change_holds_from_now_on(
    company: Company, field: str, expected: tuple[object, object]
) -> None:
    before, since = expected
    assert [(BEGINNING_US, before), (day(0), since)] == told(after((day(0), company)), field)


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        (buying(cancel_us=day(-1)), BASIC, Status.CANCELED),
        (buying(ends_us=day(-1)), buying(ends_us=None), Status.ENDED),
        (buying(past_due=PastDue(day(-1))), BASIC, Status.PAST_DUE),
        (buying(pause=Pause(day(-1))), buying(pause=Pause(day(-1), day(0))), Status.PAUSED),
        (buying(pause=Pause(day(-1), day(9))), buying(pause=None), Status.PAUSED),
        (buying(trial_ends_us=day(-1)), BASIC, Status.ENDED),
    ],
    ids=["canceled", "ended", "past due", "paused", "paused until later", "the trial ended"],
)
def test_a_renewal_leaves_what_was_as_it_was(
    first: Company, then: Company, expected: Status
) -> None:
    found = told(after((day(0), then), first=first), "status")
    assert [(day(-1), expected), (day(0), Status.ACTIVE)] == found[-2:]


def test_what_is_planned_stays_when_something_else_changes() -> None:
    changes = (
        ScheduledChange(day(5), "pro", resets_usage=True),
        ScheduledChange(day(7), "basic", moves_anchor=True),
    )
    of = buying(changes=changes, cancel_us=day(9))
    other = msgspec.structs.replace(
        of, overrides=(Override(EntitlementGrant("days", config_value="1"), day(8)),)
    )
    found = told(
        after((day(1), of), (day(2), other)),
        "plan",
        "status",
        "anchor_us",
        "generation",
        "anchored_generation",
    )
    expected = [
        (BEGINNING_US, "basic", Status.ACTIVE, ANCHOR_US, 0, 0),
        (day(2), "basic", Status.ACTIVE, ANCHOR_US, 0, 0),
        (day(5), "pro", Status.ACTIVE, ANCHOR_US, day(5), day(5)),
        (day(7), "basic", Status.ACTIVE, day(7), day(5), day(7)),
        (day(8), "basic", Status.ACTIVE, day(7), day(5), day(7)),
        (day(9), "basic", Status.CANCELED, day(7), day(5), day(7)),
    ]
    assert expected == found


def test_counters_stay_unless_a_reset_is_asked_for() -> None:
    pro = buying(plan="pro")
    assert [(BEGINNING_US, 0, 0), (day(0), 0, 0)] == generations(after((day(0), pro)))
    reset = after((day(0), pro), resets=(day(0),))
    assert [(BEGINNING_US, 0, 0), (day(0), day(0), day(0))] == generations(reset)


RESET: Final = planning(ScheduledChange(day(0), resets_usage=True))
MOVE: Final = planning(ScheduledChange(day(0), moves_anchor=True))


@pytest.mark.parametrize(
    ("company", "expected"),
    [
        pytest.param(BASIC, (0, 0), id="nothing"),
        pytest.param(IN_TOKYO, (0, 0), id="a time zone"),
        pytest.param(buying(plan="pro", add_ons=BOOST), (0, 0), id="plan and add-ons"),
        pytest.param(buying(anchor_us=day(-3)), (0, day(0)), id="an anchor that is corrected"),
        pytest.param(NOBODY, (0, day(0)), id="no subscription any more"),
        pytest.param(
            buying(pause=Pause(day(-5), day(0), moves_anchor=True)), (0, day(0)), id="a pause's end"
        ),
        pytest.param(MOVE, (0, day(0)), id="a move planned for now"),
        pytest.param(RESET, (day(0), day(0)), id="a reset planned for now"),
        pytest.param(
            planning(ScheduledChange(day(-3), moves_anchor=True)), (0, day(0)), id="a late move"
        ),
        pytest.param(
            planning(ScheduledChange(day(-3), resets_usage=True)),
            (day(0), day(0)),
            id="a late reset",
        ),
    ],
)
def test_what_makes_counters_start_anew(company: Company, expected: tuple[int, int]) -> None:
    last = after((day(0), company)).phases[-1]
    assert expected == (last.generation, last.anchored_generation)


def test_a_late_reset_takes_place_once() -> None:
    late = planning(ScheduledChange(day(-3), resets_usage=True))
    found = after((day(-2), late), (day(-1), late), (day(0), late))
    assert [(BEGINNING_US, 0, 0), (day(-2), day(-2), day(-2))] == generations(found)


def test_a_late_reset_starts_what_is_anchored_anew_too() -> None:
    moved = ScheduledChange(day(-2), moves_anchor=True)
    late = planning(ScheduledChange(day(-3), resets_usage=True), moved)
    found = after((day(-2), planning(moved)), (day(0), late))
    assert (day(0), day(0), day(0)) == generations(found)[-1]


def test_a_reset_that_took_place_is_not_taken_back() -> None:
    found = after((day(-1), RESET), (day(1), BASIC))
    assert [(BEGINNING_US, 0, 0), (day(0), day(0), day(0))] == generations(found)


@pytest.mark.parametrize(
    "instead",
    [BASIC, planning(ScheduledChange(day(1), resets_usage=True)), buying(cancel_us=day(1))],
    ids=["dropped", "put off", "gave way"],
)
def test_a_generation_that_was_planned_and_did_not_come_never_comes_back(instead: Company) -> None:
    found = after((day(-2), RESET), (day(-1), instead), (day(2), instead), resets=(day(2),))
    assert 0 == segment_at(found, day(0)).generation
    assert day(2) == segment_at(found, day(2)).generation
    assert all(segment.generation != day(0) for segment in segments_of(found))


def test_resets_in_one_microsecond_are_of_different_generations() -> None:
    found = after((day(0), BASIC), (day(0), BASIC), resets=(day(0),))
    assert [(BEGINNING_US, 0, 0), (day(0), day(0) + 1, day(0) + 1)] == generations(found)


def test_another_subscription_starts_what_is_anchored_anew() -> None:
    found = after((day(0), NOBODY), (day(1), BASIC))
    expected = [(BEGINNING_US, 0, 0), (day(0), 0, day(0)), (day(1), 0, day(1))]
    assert expected == generations(found)


def test_of_two_changes_in_one_microsecond_the_last_one_holds() -> None:
    found = after((day(0), buying(plan="pro")), (day(0), buying(plan="max")))
    assert [(BEGINNING_US, "basic"), (day(0), "max")] == told(found, "plan")


def test_equal_neighbours_are_joined() -> None:
    assert after().phases == after((day(0), BASIC), (day(1), BASIC)).phases
    there_and_back = after((day(0), buying(plan="pro")), (day(1), BASIC), (day(2), BASIC))
    expected = [(BEGINNING_US, "basic"), (day(0), "pro"), (day(1), "basic")]
    assert expected == told(there_and_back, "plan")


@pytest.mark.parametrize(
    ("now_us", "expected"),
    [
        (HISTORY_US - 1, [(BEGINNING_US, "basic"), (day(0), "pro"), (day(1), "max")]),
        (HISTORY_US, [(BEGINNING_US, "pro"), (day(1), "max")]),
        (HISTORY_US + DAY_US - 1, [(BEGINNING_US, "pro"), (day(1), "max")]),
        (HISTORY_US + DAY_US, [(BEGINNING_US, "max")]),
    ],
)
def test_history_stays_for_36_days(now_us: int, expected: list[tuple[int, str]]) -> None:
    assert HISTORY_US == EVENT_PAST_US_MAX + DAY_US == 36 * DAY_US
    company = buying(plan="max")
    found = after((day(0), buying(plan="pro")), (day(1), company), (day(0) + now_us, company))
    assert expected == told(found, "plan")


def test_a_time_zone_stays_as_long_as_its_windows_may_run() -> None:
    pro_in_tokyo = msgspec.structs.replace(IN_TOKYO, subscription=buying(plan="pro").subscription)
    found = after((day(0), buying(plan="pro")), (day(5), pro_in_tokyo), (day(300), IN_TOKYO))
    expected = [
        (BEGINNING_US, "pro", "UTC"),
        (day(5), "pro", "Asia/Tokyo"),
        (day(300), "basic", "Asia/Tokyo"),
    ]
    assert expected == told(found, "plan", "time_zone")


def test_a_time_zone_goes_with_the_generation_that_it_counted_on() -> None:
    steps = [(day(1), IN_TOKYO), (day(2), IN_TOKYO), (day(39), IN_TOKYO)]
    found = after(*steps, resets=(day(2),))
    expected = [(BEGINNING_US, "Asia/Tokyo", 0), (day(2), "Asia/Tokyo", day(2))]
    assert expected == told(found, "time_zone", "generation")


def test_of_older_generations_one_stays_so_that_the_last_one_has_its_start() -> None:
    steps = [(day(1), BASIC), (day(2), BASIC), (day(3), buying(plan="pro")), (day(90), BASIC)]
    found = after(*steps, resets=(day(1), day(2)))
    expected = [
        (BEGINNING_US, "basic", day(1)),
        (day(2), "pro", day(2)),
        (day(90), "basic", day(2)),
    ]
    assert expected == told(found, "plan", "generation")


def test_beyond_the_bound_the_oldest_history_is_forgotten() -> None:
    steps = [(day(0) + at, buying(plan=f"p{at}")) for at in range(PHASES_MAX + 5)]
    phases = after(*steps).phases
    assert (PHASES_MAX, BEGINNING_US) == (len(phases), phases[0].from_us)
    assert ("p5", f"p{PHASES_MAX + 4}") == (phases[0].plan, phases[-1].plan)


def test_segments_cover_all_time_without_gap_or_overlap() -> None:
    steps = [(day(3 * at), buying(plan=f"p{at}", cancel_us=day(at * 4))) for at in range(30)]
    segments = list(segments_of(after(*steps)))
    assert (BEGINNING_US, FOREVER_US) == (segments[0].from_us, segments[-1].until_us)
    assert [of.until_us for of in segments[:-1]] == [of.from_us for of in segments[1:]]
    assert all(of.from_us < of.until_us for of in segments)
