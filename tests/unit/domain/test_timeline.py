"""Timelines: what is known to change, and when."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US, PLAN_VERSION_NEWEST
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    PastDue,
    Pause,
    Segment,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.timeline import (
    compile_snapshot,
    cut_instants,
    default_snapshot,
    segment_at,
)
from sidecar.domain.time.units import DAY_US
from tests.support.build import MIDNIGHT_US, NOW_US

Status = SubscriptionStatus

ANCHOR_US: Final = MIDNIGHT_US - 30 * DAY_US
LATER_US: Final = NOW_US + DAY_US
PAID: Final = Subscription("basic", ANCHOR_US)
BOOST: Final = (AddOnSubscription("boost", 2),)


def company(subscription: Subscription | None = PAID, *overrides: Override) -> Company:
    return Company("acme", "Acme", "Europe/Berlin", subscription, overrides)


def segments(of: Company) -> tuple[Segment, ...]:
    return tuple(segments_of(compile_snapshot(of, 3)))


def statuses(subscription: Subscription) -> list[tuple[int, str]]:
    """Where each status starts; with what denies in spite of it."""
    return [
        (
            segment.from_us,
            segment.status.name
            + segment.after_trial * " after trial"
            + segment.past_grace * " past grace",
        )
        for segment in segments(company(subscription))
    ]


def in_force(of: Company) -> list[tuple[int, tuple[str, ...]]]:
    return [
        (segment.from_us, tuple(grant.config_value for grant in segment.overrides))
        for segment in segments(of)
    ]


def override(value: str, expires_us: int = FOREVER_US, feature: str = "days") -> Override:
    return Override(EntitlementGrant(feature, config_value=value), expires_us)


def test_a_snapshot_says_whose_it_is_and_as_of_when() -> None:
    snapshot = compile_snapshot(company(), 42)
    assert ("acme", 42) == (snapshot.company, snapshot.version)


def test_a_segment_stands_for_itself() -> None:
    paid = Subscription("basic", ANCHOR_US, add_ons=BOOST)
    expected = Segment(
        BEGINNING_US,
        FOREVER_US,
        Status.ACTIVE,
        plan="basic",
        add_ons=BOOST,
        overrides=(override("a").entitlement,),
        time_zone="Europe/Berlin",
        anchor_us=ANCHOR_US,
    )
    assert (expected,) == segments(company(paid, override("a")))


def test_without_a_subscription_there_is_no_plan_and_no_anchor() -> None:
    assert (Segment(time_zone="Europe/Berlin"),) == segments(company(None))


def test_the_default_plan_decides_for_ever() -> None:
    snapshot = default_snapshot("acme", "free", 42)
    newest = PLAN_VERSION_NEWEST
    expected = (Segment(status=Status.ACTIVE, plan="free", plan_version=newest),)
    assert ("acme", 42, expected) == (
        snapshot.company,
        snapshot.version,
        tuple(segments_of(snapshot)),
    )


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        pytest.param(PAID, [(BEGINNING_US, "ACTIVE")], id="paid"),
        pytest.param(
            Subscription("basic", ANCHOR_US, NOW_US, Status.ACTIVE),
            [(BEGINNING_US, "TRIALING"), (NOW_US, "ACTIVE")],
            id="a trial that turns into a paid subscription",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, NOW_US),
            [(BEGINNING_US, "TRIALING"), (NOW_US, "ENDED after trial")],
            id="a trial that ends",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, cancel_us=NOW_US),
            [(BEGINNING_US, "ACTIVE"), (NOW_US, "CANCELED")],
            id="canceled",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, LATER_US, Status.ACTIVE, NOW_US),
            [(BEGINNING_US, "TRIALING"), (NOW_US, "CANCELED")],
            id="canceled during the trial",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, NOW_US, Status.ACTIVE, NOW_US),
            [(BEGINNING_US, "TRIALING"), (NOW_US, "CANCELED")],
            id="canceled at the end of the trial",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, NOW_US, Status.ENDED, LATER_US),
            [(BEGINNING_US, "TRIALING"), (NOW_US, "ENDED after trial"), (LATER_US, "CANCELED")],
            id="canceled after the trial",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, ends_us=NOW_US),
            [(BEGINNING_US, "ACTIVE"), (NOW_US, "ENDED")],
            id="the term ends",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, ends_us=NOW_US, cancel_us=LATER_US),
            [(BEGINNING_US, "ACTIVE"), (NOW_US, "ENDED"), (LATER_US, "CANCELED")],
            id="canceled after the term",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, past_due=PastDue(NOW_US, LATER_US)),
            [(BEGINNING_US, "ACTIVE"), (NOW_US, "PAST_DUE"), (LATER_US, "PAST_DUE past grace")],
            id="a late payment",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, past_due=PastDue(NOW_US)),
            [(BEGINNING_US, "ACTIVE"), (NOW_US, "PAST_DUE")],
            id="a late payment with grace for ever",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, LATER_US, Status.ACTIVE, past_due=PastDue(NOW_US)),
            [(BEGINNING_US, "TRIALING"), (NOW_US, "PAST_DUE")],
            id="a late payment during the trial",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, pause=Pause(NOW_US, LATER_US)),
            [(BEGINNING_US, "ACTIVE"), (NOW_US, "PAUSED"), (LATER_US, "ACTIVE")],
            id="a pause",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, pause=Pause(NOW_US)),
            [(BEGINNING_US, "ACTIVE"), (NOW_US, "PAUSED")],
            id="a pause without an end",
        ),
        pytest.param(
            Subscription(
                "basic",
                ANCHOR_US,
                pause=Pause(NOW_US, LATER_US),
                past_due=PastDue(NOW_US - 1, NOW_US + 1),
            ),
            [
                (BEGINNING_US, "ACTIVE"),
                (NOW_US - 1, "PAST_DUE"),
                (NOW_US, "PAUSED"),
                (LATER_US, "PAST_DUE past grace"),
            ],
            id="a pause while a payment is late",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, NOW_US, pause=Pause(NOW_US - 1, LATER_US)),
            [(BEGINNING_US, "TRIALING"), (NOW_US - 1, "PAUSED"), (NOW_US, "ENDED after trial")],
            id="a trial that ends during a pause",
        ),
    ],
)
def test_status(subscription: Subscription, expected: list[tuple[int, str]]) -> None:
    assert expected == statuses(subscription)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (
            company(
                PAID,
                override("a", NOW_US),
                override("b", LATER_US, "hours"),
                override("c", FOREVER_US, "x"),
            ),
            [(BEGINNING_US, ("a", "b", "c")), (NOW_US, ("b", "c")), (LATER_US, ("c",))],
        ),
        (company(PAID, override("a")), [(BEGINNING_US, ("a",))]),
        (company(None, override("a", NOW_US)), [(BEGINNING_US, ("a",)), (NOW_US, ())]),
    ],
    ids=["one after the other", "never ends", "without a subscription"],
)
def test_overrides(of: Company, expected: list[tuple[int, tuple[str, ...]]]) -> None:
    assert expected == in_force(of)


MANY: Final = company(PAID, *(override(str(n), NOW_US + n, f"f{n}") for n in range(900)))


@pytest.mark.parametrize(
    "of",
    [
        company(),
        company(None),
        company(Subscription("basic", ANCHOR_US, NOW_US, Status.ACTIVE, LATER_US)),
        MANY,
    ],
    ids=["paid", "none", "trial and cancellation", "900 overrides"],
)
def test_segments_cover_all_time_without_gap_or_overlap(of: Company) -> None:
    found = segments(of)
    assert (BEGINNING_US, FOREVER_US) == (found[0].from_us, found[-1].until_us)
    assert [s.until_us for s in found[:-1]] == [s.from_us for s in found[1:]]
    assert all(s.from_us < s.until_us for s in found)
    assert sorted(cut_instants(of)) == [s.from_us for s in found[1:]]


def test_an_override_holds_to_the_microsecond() -> None:
    snapshot = compile_snapshot(MANY, 3)
    for number in (0, 1, 450, 899):
        last, first = NOW_US + number - 1, NOW_US + number
        held = [len(segment_at(snapshot, at_us).overrides) for at_us in (last, first)]
        assert [900 - number, 900 - number - 1] == held


@pytest.mark.parametrize(
    ("at_us", "expected"),
    [
        (BEGINNING_US - 1, Status.TRIALING),
        (BEGINNING_US, Status.TRIALING),
        (NOW_US - 1, Status.TRIALING),
        (NOW_US, Status.ACTIVE),
        (LATER_US - 1, Status.ACTIVE),
        (LATER_US, Status.CANCELED),
        (FOREVER_US - 1, Status.CANCELED),
        (FOREVER_US, Status.CANCELED),
    ],
)
def test_the_segment_of_an_instant(at_us: int, expected: Status) -> None:
    of = Subscription("basic", ANCHOR_US, NOW_US, Status.ACTIVE, LATER_US)
    assert expected == segment_at(compile_snapshot(company(of), 3), at_us).status


def test_compiling_again_gives_the_same_but_for_the_version() -> None:
    of = company(PAID, override("a", NOW_US))
    later = compile_snapshot(of, 4)
    assert compile_snapshot(of, 3) == msgspec.structs.replace(later, version=3)
