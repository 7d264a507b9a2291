"""What is dropped of what is planned; each row is named by its outcome."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.company.model import Pause, ScheduledChange, Subscription
from sidecar.domain.company.planned import planned_of
from sidecar.domain.company.subscription_changes import NOW, DropPlannedChanges
from sidecar.domain.company.subscription_lifecycle import ChangeResult, apply_change
from sidecar.domain.errors import FailedPrecondition
from tests.support.build import NOW_US
from tests.unit.domain.lifecycle_samples import GB, LATER_US, SEAT, SOON_US, sub

LATEST_US: Final = LATER_US + 1_000_000
FULL: Final = sub(
    cancel_us=LATEST_US,
    pause=Pause(LATER_US),
    changes=(
        ScheduledChange(SOON_US, "pro", (GB,), resets_usage=True),
        ScheduledChange(LATER_US, "max", (GB, SEAT)),
        ScheduledChange(LATEST_US, moves_anchor=True),
    ),
)


def dropped(subscription: Subscription, *whats: str, at_us: int | None = None) -> ChangeResult:
    change = DropPlannedChanges(whats, at_us)
    return apply_change(subscription, change, NOW, NOW_US, "UTC")


CASES: Final[dict[str, tuple[tuple[str, ...], int | None, list[str]]]] = {
    "everything without a name": (
        (),
        None,
        [
            "plan pro with a reset of usage",
            "add-on gb x 1",
            "plan max",
            "add-on seat x 2",
            "pause",
            "a new billing cycle",
            "cancellation",
        ],
    ),
    "a cancellation": (("cancellation",), None, ["cancellation"]),
    "a pause": (("pause",), None, ["pause"]),
    "every plan": (("plan",), None, ["plan pro with a reset of usage", "plan max"]),
    "one plan": (("plan max",), None, ["plan max"]),
    "the plan of an instant": (("plan",), SOON_US, ["plan pro with a reset of usage"]),
    "all of an instant": ((), SOON_US, ["plan pro with a reset of usage", "add-on gb x 1"]),
    "one add-on": (("add-on seat",), None, ["add-on seat x 2"]),
    "what it is called in full": (("a new billing cycle",), None, ["a new billing cycle"]),
    "several": (("pause", "plan pro"), None, ["plan pro with a reset of usage", "pause"]),
}


@pytest.mark.parametrize(("whats", "at_us", "expected"), CASES.values(), ids=CASES)
def test_it_drops(whats: tuple[str, ...], at_us: int | None, expected: list[str]) -> None:
    done = dropped(FULL, *whats, at_us=at_us)
    everything = [planned.what for planned in planned_of(FULL, NOW_US)]

    assert expected == [planned.what for planned in done.dropped]
    left = [planned.what for planned in planned_of(done.subscription, NOW_US)]
    assert [what for what in everything if what not in expected] == left


def test_what_is_left_of_an_add_on_goes_on_without_the_one_that_was_dropped() -> None:
    after = dropped(FULL, "add-on gb").subscription

    assert ScheduledChange(LATER_US, "max", (SEAT,)) == after.changes[1]


@pytest.mark.parametrize(
    ("whats", "at_us", "said"),
    [
        (("cancelation",), None, "called 'cancelation'; did you mean 'cancellation'?"),
        (("plan basic",), None, "nothing is planned that is called 'plan basic'"),
        (("plan", "seat"), None, "nothing is planned that is called 'seat'"),
        ((), NOW_US, "nothing is planned for 2026-"),
        (("pause",), SOON_US, "nothing is planned that is called 'pause'"),
    ],
)
def test_what_is_not_planned_is_refused(
    whats: tuple[str, ...], at_us: int | None, said: str
) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        dropped(FULL, *whats, at_us=at_us)

    assert said in refused.value.message
    assert "NOT_PLANNED" == refused.value.reason


@given(st.lists(st.sampled_from([planned.what for planned in planned_of(FULL, NOW_US)])))
def test_dropping_one_after_another_is_dropping_them_at_once(whats: list[str]) -> None:
    names = list(dict.fromkeys(whats))
    subscription = FULL
    for what in names:
        subscription = dropped(subscription, what).subscription

    assert not names or dropped(FULL, *names).subscription == subscription
