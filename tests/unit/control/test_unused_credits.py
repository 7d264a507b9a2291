"""What becomes of credits that are left once a subscription is over, as the plan says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.services.lease_maintenance import LeaseLooker
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.services.unused_credits import (
    COMPANIES_AT_ONCE,
    KeptUnusedTerms,
    companies_with_unused,
    void_unused,
)
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.plan_terms import UnusedCredits
from sidecar.domain.company.model import Subscription, SubscriptionStatus
from sidecar.domain.company.subscription_changes import (
    NOW,
    CancelSubscription,
    PauseSubscription,
    RenewSubscription,
)
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.support.processes import until
from tests.unit.control.credit_plane import CATALOG, CreditPlane, counter, grant
from tests.unit.control.plane import running
from tests.unit.control.support import ALICE, DAY_START_US, NOW_US, company

GIVEN: Final = grant("given", 100)
BOUGHT: Final = grant("bought", 200, kind=GrantKind.PAID)
KEEP, VOID = UnusedCredits.KEEP, UnusedCredits.VOID
ENDS_US: Final = NOW_US + DAY_US


def plane_of(store: PlaneStore, becomes: UnusedCredits) -> CreditPlane:
    """A company on a plan that says so, with a grant that was given and one that was bought."""
    plane = CreditPlane(store)
    plans = tuple(replace(plan, unused_credits=becomes) for plan in CATALOG.plans)
    apply.apply(store, Desired(replace(CATALOG, plans=plans)), plane.now_us)
    plane.grant(GIVEN)
    plane.grant(BOUGHT)
    return plane


def end(plane: CreditPlane, **ends: object) -> None:
    """Have the subscription end so, and the day go by."""
    of = Subscription("bare", anchor_us=DAY_START_US, **ends)  # type: ignore[arg-type]
    apply.apply(
        plane.store, Desired(companies=(replace(company(), subscription=of),)), plane.now_us
    )
    plane.now_us = ENDS_US


def sweep(plane: CreditPlane) -> int:
    """Do what the plane does in the background; how many grants were voided."""
    kept = KeptUnusedTerms()
    found, after = companies_with_unused(plane.store, kept, "", plane.now_us)
    assert not after
    return void_unused(plane.store, kept, found, plane.now_us)[0] if found else 0


@pytest.mark.parametrize(
    ("becomes", "left"),
    [
        (KEEP, ["given", "bought"]),
        (UnusedCredits.VOID_PROMOTIONAL, ["bought"]),
        (VOID, []),
    ],
)
@pytest.mark.parametrize(
    "ends",
    [
        {"cancel_us": ENDS_US},
        {"ends_us": ENDS_US},
        {"trial_ends_us": ENDS_US, "trial_end_status": SubscriptionStatus.ENDED},
    ],
    ids=["canceled", "term-over", "trial-over"],
)
def test_what_is_left_once_it_is_over(
    store: PlaneStore, becomes: UnusedCredits, left: list[str], ends: dict[str, int]
) -> None:
    plane = plane_of(store, becomes)
    end(plane, **ends)
    assert 2 - len(left) == sweep(plane)
    assert left == plane.told()
    assert 0 == sweep(plane)
    amounts = {"given": 100, "bought": 200}
    expected = {id_: 0 if id_ in left else amount for id_, amount in amounts.items()}
    assert expected == {id_: account.voided for id_, account in plane.accounts().items()}


def _goes_on(plane: CreditPlane) -> None:
    plane.now_us = ENDS_US


def _ends_later(plane: CreditPlane) -> None:
    end(plane, cancel_us=ENDS_US + 1)


def _is_paused(plane: CreditPlane) -> None:
    change_subscription(plane.store, "acme", PauseSubscription(), NOW, plane.now_us)
    plane.now_us = ENDS_US


def _trial_is_followed(plane: CreditPlane) -> None:
    end(plane, trial_ends_us=ENDS_US, trial_end_plan="pro")


@pytest.mark.parametrize("lives", [_goes_on, _ends_later, _is_paused, _trial_is_followed])
def test_nothing_is_void_while_it_is_not_over(
    store: PlaneStore, lives: Callable[[CreditPlane], None]
) -> None:
    plane = plane_of(store, VOID)
    lives(plane)
    assert 0 == sweep(plane)
    assert ["given", "bought"] == plane.told()


def test_a_renewal_brings_nothing_back_that_was_not_swept_yet(store: PlaneStore) -> None:
    plane = plane_of(store, VOID)
    end(plane, cancel_us=ENDS_US)
    change_subscription(store, "acme", RenewSubscription(), NOW, plane.now_us)
    assert [] == plane.told()
    assert {100, 200} == {account.voided for account in plane.accounts().values()}


def test_a_file_that_renews_it_brings_nothing_back(store: PlaneStore) -> None:
    plane = plane_of(store, VOID)
    end(plane, ends_us=ENDS_US)
    end(plane, ends_us=ENDS_US + DAY_US)
    assert [] == plane.told()


def test_what_is_granted_after_the_end_stays(store: PlaneStore) -> None:
    plane = plane_of(store, VOID)
    end(plane, cancel_us=ENDS_US)
    plane.now_us += HOUR_US
    plane.grant(grant("come back", 50, effective_us=plane.now_us))
    assert 2 == sweep(plane)
    assert ["come back"] == plane.told()


def test_what_is_leased_is_void_once_it_is_given_back(store: PlaneStore) -> None:
    plane = plane_of(store, VOID)
    plane.lease(counter(BOUGHT), 60)
    end(plane, cancel_us=ENDS_US)
    kept = KeptUnusedTerms()
    _, holders = void_unused(store, kept, ["acme"], plane.now_us)
    assert [ALICE] == [who for who, _ in holders]
    assert 140 == plane.accounts()["bought"].voided
    plane.burn(counter(BOUGHT), 10)
    plane.give_back(counter(BOUGHT), 10)
    assert (10, 190) == (plane.accounts()["bought"].burned, plane.accounts()["bought"].voided)


def test_who_holds_what_a_renewal_has_voided_is_asked_to_give_it_back(store: PlaneStore) -> None:
    plane = plane_of(store, VOID)
    plane.lease(counter(GIVEN), 30)
    end(plane, cancel_us=ENDS_US)
    change_subscription(store, "acme", RenewSubscription(), NOW, plane.now_us)

    look = LeaseLooker(DAY_US).look(store, None, {ALICE}, plane.now_us)

    assert [(ALICE, counter(GIVEN))] == [(who, key.counter) for who, key in look.recalls]
    plane.give_back(counter(GIVEN), 0)
    assert 100 == plane.accounts()["given"].voided


def test_a_cancellation_now_is_swept_like_one_that_was_planned(store: PlaneStore) -> None:
    plane = plane_of(store, VOID)
    change_subscription(store, "acme", CancelSubscription(), NOW, plane.now_us)
    plane.now_us += 1
    assert 2 == sweep(plane)


def test_companies_are_looked_at_a_page_at_a_time(store: PlaneStore) -> None:
    plane = plane_of(store, VOID)
    names = [f"company{at:03}" for at in range(COMPANIES_AT_ONCE)]
    apply.apply(store, Desired(companies=tuple(company(each, "bare") for each in names)), NOW_US)
    for name in names:
        plane.grant(GIVEN, name=name)
    kept, after, pages = KeptUnusedTerms(), "", 0
    while True:
        found, after = companies_with_unused(store, kept, after, plane.now_us)
        assert not found
        pages += 1
        if not after:
            break
    assert 2 == pages


async def test_a_plane_that_runs_voids_it_and_tells_sidecars(store: PlaneStore) -> None:
    plane = plane_of(store, VOID)
    end(plane, cancel_us=ENDS_US)

    async def voided() -> bool:
        return not plane.told()

    async with running(store):
        await until(voided, "what is left is not voided")
