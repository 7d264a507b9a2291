"""Timelines: what is known to change, and when."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.domain.bounds import BEGINNING_US, DAY_US, FOREVER_US
from sidecar.domain.catalog import (
    Company,
    EntitlementGrant,
    Override,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.timeline import compile_snapshot, segment_at
from tests.support.build import MIDNIGHT_US, NOW_US

Status = SubscriptionStatus

ANCHOR_US: Final = MIDNIGHT_US - 30 * DAY_US
PAID: Final = Subscription("basic", ANCHOR_US)


def company(subscription: Subscription | None = PAID, *overrides: Override) -> Company:
    return Company("acme", "Acme", "Europe/Berlin", subscription, overrides)


def statuses(of: Company) -> list[tuple[int, int, Status, bool]]:
    return [
        (segment.from_us, segment.until_us, segment.status, segment.after_trial)
        for segment in compile_snapshot(of, 3).segments
    ]


def in_force(of: Company) -> list[tuple[int, tuple[str, ...]]]:
    return [
        (segment.from_us, tuple(grant.config_value for grant in segment.overrides))
        for segment in compile_snapshot(of, 3).segments
    ]


def override(value: str, expires_us: int = FOREVER_US, feature: str = "days") -> Override:
    return Override(EntitlementGrant(feature, config_value=value), expires_us)


def test_a_snapshot_says_whose_it_is_and_as_of_when() -> None:
    snapshot = compile_snapshot(company(), 42)
    assert ("acme", 42, "Europe/Berlin", ANCHOR_US) == (
        snapshot.company,
        snapshot.version,
        snapshot.time_zone,
        snapshot.anchor_us,
    )
    assert {"basic"} == {segment.plan for segment in snapshot.segments}


def test_without_a_subscription_there_is_no_plan_and_no_anchor() -> None:
    snapshot = compile_snapshot(company(None), 3)
    assert snapshot.anchor_us is None
    assert [(BEGINNING_US, FOREVER_US, Status.NONE, False)] == statuses(company(None))
    assert "" == snapshot.segments[0].plan


def test_a_paid_subscription_is_active_for_ever() -> None:
    assert [(BEGINNING_US, FOREVER_US, Status.ACTIVE, False)] == statuses(company())


def test_a_trial_that_turns_into_a_paid_subscription() -> None:
    trial = Subscription("basic", ANCHOR_US, NOW_US, Status.ACTIVE)
    expected = [
        (BEGINNING_US, NOW_US, Status.TRIALING, False),
        (NOW_US, FOREVER_US, Status.ACTIVE, False),
    ]
    assert expected == statuses(company(trial))


def test_a_trial_that_ends_says_so() -> None:
    expected = [
        (BEGINNING_US, NOW_US, Status.TRIALING, False),
        (NOW_US, FOREVER_US, Status.ENDED, True),
    ]
    assert expected == statuses(company(Subscription("basic", ANCHOR_US, NOW_US)))


def test_a_cancellation_takes_effect_when_it_is_due() -> None:
    canceled = Subscription("basic", ANCHOR_US, cancel_us=NOW_US)
    expected = [
        (BEGINNING_US, NOW_US, Status.ACTIVE, False),
        (NOW_US, FOREVER_US, Status.CANCELED, False),
    ]
    assert expected == statuses(company(canceled))


def test_a_cancellation_during_the_trial_comes_before_its_end() -> None:
    canceled = Subscription("basic", ANCHOR_US, NOW_US + DAY_US, Status.ACTIVE, NOW_US)
    expected = [
        (BEGINNING_US, NOW_US, Status.TRIALING, False),
        (NOW_US, NOW_US + DAY_US, Status.CANCELED, False),
        (NOW_US + DAY_US, FOREVER_US, Status.CANCELED, False),
    ]
    assert expected == statuses(company(canceled))


def test_a_cancellation_at_the_end_of_the_trial_is_one_cut() -> None:
    canceled = Subscription("basic", ANCHOR_US, NOW_US, Status.ACTIVE, NOW_US)
    assert [Status.TRIALING, Status.CANCELED] == [found[2] for found in statuses(company(canceled))]


def test_overrides_end_one_after_the_other() -> None:
    of = company(
        PAID,
        override("a", NOW_US),
        override("b", NOW_US + DAY_US, "hours"),
        override("c", FOREVER_US, "x"),
    )
    expected = [
        (BEGINNING_US, ("a", "b", "c")),
        (NOW_US, ("b", "c")),
        (NOW_US + DAY_US, ("c",)),
    ]
    assert expected == in_force(of)


def test_an_override_without_a_subscription_is_kept() -> None:
    assert [(BEGINNING_US, ("a",)), (NOW_US, ())] == in_force(company(None, override("a", NOW_US)))


def test_an_override_that_never_ends_cuts_nothing() -> None:
    assert [(BEGINNING_US, ("a",))] == in_force(company(PAID, override("a")))


@pytest.mark.parametrize(
    "of",
    [
        company(),
        company(None),
        company(Subscription("basic", ANCHOR_US, NOW_US, Status.ACTIVE, NOW_US + DAY_US)),
        company(PAID, *(override(str(n), NOW_US + n, f"f{n}") for n in range(1000))),
    ],
    ids=["paid", "none", "trial and cancellation", "1,000 overrides"],
)
def test_segments_cover_all_time_without_gap_or_overlap(of: Company) -> None:
    segments = compile_snapshot(of, 3).segments
    assert (BEGINNING_US, FOREVER_US) == (segments[0].from_us, segments[-1].until_us)
    assert [s.until_us for s in segments[:-1]] == [s.from_us for s in segments[1:]]
    assert all(s.from_us < s.until_us for s in segments)


@pytest.mark.parametrize(
    ("at_us", "expected"),
    [
        (BEGINNING_US, Status.TRIALING),
        (NOW_US - 1, Status.TRIALING),
        (NOW_US, Status.ACTIVE),
        (NOW_US + DAY_US - 1, Status.ACTIVE),
        (NOW_US + DAY_US, Status.CANCELED),
        (FOREVER_US - 1, Status.CANCELED),
    ],
)
def test_the_segment_of_an_instant(at_us: int, expected: Status) -> None:
    of = Subscription("basic", ANCHOR_US, NOW_US, Status.ACTIVE, NOW_US + DAY_US)
    assert expected == segment_at(compile_snapshot(company(of), 3), at_us).status


def test_compiling_again_gives_the_same_but_for_the_version() -> None:
    of = company(PAID, override("a", NOW_US))
    later = compile_snapshot(of, 4)
    assert compile_snapshot(of, 3) == msgspec.structs.replace(later, version=3)
