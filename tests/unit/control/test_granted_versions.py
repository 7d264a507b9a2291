"""What is told and compared of versions is what companies are granted, also after a move now."""

from __future__ import annotations

import pytest

from sidecar.control.services import directory
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import StoredCompany
from sidecar.domain.company.subscription_changes import (
    NOW,
    ChangePlan,
    DropPlannedChanges,
    PauseSubscription,
)
from tests.unit.control.support import NOW_US
from tests.unit.control.test_plan_versions import (
    AT_ONCE,
    AT_PERIOD_END,
    KEEP,
    amount,
    applied,
    moved_all,
    period_end_us,
    sold,
)

__all__ = ["sold"]

LATER_US = NOW_US + 10


def shown(store: PlaneStore, name: str = "acme") -> StoredCompany:
    """The company as GetCompany tells it."""
    return directory.get_granted_company(store, name, LATER_US)


def versions_to_come(store: PlaneStore) -> list[int]:
    phases = shown(store).snapshot.phases
    return [phase.plan_version for phase in phases if phase.until_us > LATER_US]


def test_a_move_at_the_period_end_that_a_later_move_went_past_is_told_no_more(
    sold: PlaneStore,
) -> None:
    applied(sold, 6, AT_PERIOD_END)
    moved_all(sold)
    assert [0, 1] == versions_to_come(sold)
    applied(sold, 7, AT_ONCE)

    subscription = shown(sold).company.subscription
    assert subscription is not None
    assert (2, ()) == (subscription.plan_version, subscription.changes)
    assert [2] == versions_to_come(sold)
    assert [7, 7] == [amount(sold, "acme", at) for at in (LATER_US, period_end_us(sold, "acme"))]


def test_who_drops_what_is_planned_is_told_of_a_move_that_stays(sold: PlaneStore) -> None:
    applied(sold, 6, AT_PERIOD_END)
    moved_all(sold)
    done = change_subscription(sold, "acme", DropPlannedChanges(), NOW, LATER_US)
    assert done.unchanged
    (note,) = done.notes
    assert note.startswith("version 1 of the plan comes at ")
    assert 6 == amount(sold, "acme", period_end_us(sold, "acme"))


def test_a_version_that_is_kept_is_told_as_it_is(sold: PlaneStore) -> None:
    applied(sold, 6, KEEP)
    applied(sold, 7, KEEP)
    assert directory.get_company(sold, "acme").company == shown(sold).company
    assert [0] == versions_to_come(sold)


def test_buying_what_a_move_has_brought_already_changes_nothing_and_takes_nothing(
    sold: PlaneStore,
) -> None:
    applied(sold, 6, AT_ONCE)
    before = directory.get_company(sold, "acme")
    assert change_subscription(sold, "acme", ChangePlan("pro"), NOW, LATER_US).unchanged
    assert before == directory.get_company(sold, "acme")


@pytest.mark.parametrize("planned", [False, True])
def test_another_call_does_not_make_the_versions_the_apis(sold: PlaneStore, planned: bool) -> None:
    if planned:
        applied(sold, 6, AT_PERIOD_END)
        moved_all(sold)
    applied(sold, 7, AT_ONCE)
    change_subscription(sold, "acme", PauseSubscription(), NOW, LATER_US)

    owners = directory.get_company(sold, "acme").owners
    assert [("pause",)] == [owner.path for owner in owners]
    assert 7 == amount(sold, "acme", LATER_US)
