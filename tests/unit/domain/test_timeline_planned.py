"""Changes of a subscription that are planned: from when on they hold, and what starts anew."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.bounds import BEGINNING_US
from sidecar.domain.company.held_plans import bought_at
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Pause,
    ScheduledChange,
    Segment,
    Subscription,
)
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.timeline import anchor_at, compile_snapshot
from sidecar.domain.time.units import DAY_US
from tests.support.build import MIDNIGHT_US, NOW_US

ANCHOR_US: Final = MIDNIGHT_US - 30 * DAY_US
LATER_US: Final = NOW_US + DAY_US
BOOST: Final = (AddOnSubscription("boost", 2),)


def segments(subscription: Subscription) -> tuple[Segment, ...]:
    return tuple(segments_of(compile_snapshot(Company("acme", subscription=subscription), 3)))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param([], [(BEGINNING_US, "basic", ())], id="none"),
        pytest.param(
            [ScheduledChange(NOW_US, "pro")],
            [(BEGINNING_US, "basic", ()), (NOW_US, "pro", ())],
            id="an upgrade",
        ),
        pytest.param(
            [ScheduledChange(NOW_US, add_ons=BOOST), ScheduledChange(LATER_US, "pro")],
            [(BEGINNING_US, "basic", ()), (NOW_US, "basic", BOOST), (LATER_US, "pro", BOOST)],
            id="an add-on, then an upgrade",
        ),
        pytest.param(
            [ScheduledChange(NOW_US, "pro", BOOST), ScheduledChange(LATER_US, "basic", ())],
            [(BEGINNING_US, "basic", ()), (NOW_US, "pro", BOOST), (LATER_US, "basic", ())],
            id="there and back",
        ),
        pytest.param(
            [ScheduledChange(NOW_US, "pro"), ScheduledChange(NOW_US, "max")],
            [(BEGINNING_US, "basic", ()), (NOW_US, "max", ())],
            id="two at once: the last",
        ),
        pytest.param(
            [ScheduledChange(NOW_US, "basic")],
            [(BEGINNING_US, "basic", ())],
            id="to the plan that is held",
        ),
    ],
)
def test_planned_changes(
    changes: list[ScheduledChange], expected: list[tuple[int, str, tuple[AddOnSubscription, ...]]]
) -> None:
    subscription = Subscription("basic", ANCHOR_US, changes=tuple(changes))
    found = segments(subscription)
    assert expected == [(of.from_us, of.plan, of.add_ons) for of in found]
    bought = [(of.from_us, bought_at(subscription, of.from_us)) for of in found]
    assert expected == [(from_us, it.plan, it.add_ons) for from_us, it in bought]


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        pytest.param(
            Subscription("basic", ANCHOR_US, changes=(ScheduledChange(NOW_US, resets_usage=True),)),
            [(ANCHOR_US, 0, 0), (ANCHOR_US, NOW_US, NOW_US)],
            id="a reset",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, changes=(ScheduledChange(NOW_US, moves_anchor=True),)),
            [(ANCHOR_US, 0, 0), (NOW_US, 0, NOW_US)],
            id="a moved anchor",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, pause=Pause(NOW_US, LATER_US, moves_anchor=True)),
            [(ANCHOR_US, 0, 0), (ANCHOR_US, 0, 0), (LATER_US, 0, LATER_US)],
            id="a pause at whose end the anchor moves",
        ),
        pytest.param(
            Subscription("basic", ANCHOR_US, pause=Pause(NOW_US, None, moves_anchor=True)),
            [(ANCHOR_US, 0, 0), (ANCHOR_US, 0, 0)],
            id="a pause without an end",
        ),
        pytest.param(
            Subscription(
                "basic",
                ANCHOR_US,
                changes=(
                    ScheduledChange(NOW_US, moves_anchor=True),
                    ScheduledChange(LATER_US, "pro", resets_usage=True),
                ),
                pause=Pause(NOW_US - 2, NOW_US - 1, moves_anchor=True),
            ),
            [
                (ANCHOR_US, 0, 0),
                (ANCHOR_US, 0, 0),
                (NOW_US - 1, 0, NOW_US - 1),
                (NOW_US, 0, NOW_US),
                (NOW_US, LATER_US, LATER_US),
            ],
            id="all of them: the last one counts",
        ),
    ],
)
def test_fresh_starts(subscription: Subscription, expected: list[tuple[int, int, int]]) -> None:
    found = segments(subscription)
    assert expected == [(of.anchor_us, of.generation, of.anchored_generation) for of in found]
    assert [of.anchor_us for of in found] == [anchor_at(subscription, of.from_us) for of in found]


def test_without_a_subscription_no_anchor_is_in_force() -> None:
    assert anchor_at(None, NOW_US) is None
