"""A company that a file and calls change in turn, for tests of who owns what of it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sidecar.control.rules.ownership import (
    FieldConflict,
    TakeOver,
    owners_of_created,
    path_text,
)
from sidecar.control.services import apply, directory
from sidecar.control.services.apply import Applied, Desired
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.services.timelines import prorating_of, with_timeline
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import StoredCompany
from sidecar.domain.catalog.model import AddOn, Plan
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Subscription,
)
from sidecar.domain.company.subscription_changes import (
    NOW,
    ChangeTime,
    OnPlanned,
    SubscriptionChange,
    When,
)
from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.unit.control.support import CATALOG, DAY_START_US, NOW_US

SOLD: Final = msgspec.structs.replace(
    CATALOG, plans=(Plan("max"), *CATALOG.plans), add_ons=(AddOn("gb"), AddOn("seat"))
)
CALL_US: Final = NOW_US + HOUR_US
LATER_US: Final = NOW_US + DAY_US
NEXT_US: Final = NOW_US + 9 * DAY_US
AT_NEXT: Final = When(ChangeTime.AT, NEXT_US)
SEAT: Final = (AddOnSubscription("seat"),)
SEATS: Final = (AddOnSubscription("seat", 3),)
ALL: Final = TakeOver(everything=True)


def bought(**fields: Any) -> Company:
    """The company acme as a file gives it, on plan pro."""
    overrides = fields.pop("overrides", ())
    subscription = Subscription(**{"plan": "pro", "anchor_us": DAY_START_US, **fields})
    return Company("acme", subscription=subscription, overrides=overrides)


def start(store: PlaneStore, company: Company) -> None:
    apply.apply(store, Desired(SOLD, (company,)), NOW_US)


def call(store: PlaneStore, change: SubscriptionChange, when: When = NOW) -> None:
    change_subscription(store, "acme", change, when, CALL_US, OnPlanned.KEEP)


def given(
    store: PlaneStore, company: Company, now_us: int = LATER_US, take_over: TakeOver | None = None
) -> Applied:
    taken = take_over or TakeOver()
    return apply.apply(store, Desired(companies=(company,), take_over=taken), now_us)


def stored(store: PlaneStore) -> StoredCompany:
    return directory.get_company(store, "acme")


def subscription(store: PlaneStore) -> Subscription:
    found = stored(store).company.subscription
    assert found is not None
    return found


def fields_in(conflicts: tuple[FieldConflict, ...]) -> list[str]:
    return [path_text(conflict.path) for conflict in conflicts]


def create(store: PlaneStore, company: Company) -> None:
    """Store a company that a call created."""
    with store.write() as transaction:
        owners = owners_of_created(company, "CreateCompany", CALL_US)
        revision = transaction.next_revision()
        created = with_timeline(
            company, revision, CALL_US, None, prorating_of(transaction), owners=owners
        )
        transaction.put_companies([created])
