"""What the plane carries on of packs, and tells.

A limit of 100 a month, and packs of 50 for it. It begins on 15 January 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from sidecar.control.services import usage
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Limit,
    LimitChange,
    Rollover,
)
from sidecar.domain.company.model import Company
from sidecar.domain.company.subscription_changes import (
    NOW,
    CancelSubscription,
    ChangePlan,
    MarkPaid,
    MarkPastDue,
    RenewSubscription,
    ResetUsage,
    SetAddOn,
    SubscriptionChange,
)
from sidecar.domain.time.units import DAY_US
from tests.unit.control.rollover_plane import (
    BILLING_MONTH,
    RolloverPlane,
    catalog_of,
    monthly,
    on_plan,
    utc,
)

MORE: Final = EntitlementGrant("tokens", limit_changes=(LimitChange("monthly", 50, adds=True),))
PACK: Final = AddOn("pack", entitlements=(AddOnEntitlement(MORE),), once=True)
MONTHS: Final = [utc(2026, month, 15) for month in range(1, 8)]


def sold(limit: Limit, **others: Limit) -> Catalog:
    return msgspec.structs.replace(catalog_of(pro=limit, **others), add_ons=(PACK,))


def left(plane: RolloverPlane, at_us: int | None = None) -> int:
    """What packs have left, as the plane tells it."""
    page = usage.company_usage(plane.store, "acme", "tokens", at_us or plane.now_us)
    (limit,) = page.limits
    return limit.packs_left


def change(wanted: SubscriptionChange) -> Callable[[RolloverPlane], None]:
    def make(plane: RolloverPlane) -> None:
        change_subscription(plane.store, "acme", wanted, NOW, plane.now_us)
        plane.settle()

    return make


def use(quantity: int, month: int | None = None) -> Callable[[RolloverPlane], None]:
    def make(plane: RolloverPlane) -> None:
        plane.use(quantity, None if month is None else MONTHS[month])

    return make


def go_on(plane: RolloverPlane) -> None:
    """To the next month, with the plane at work."""
    plane.go_to(next(at_us for at_us in MONTHS if at_us > plane.now_us))


def sleep(plane: RolloverPlane) -> None:
    """To the next month, with the plane down."""
    plane.sleep_until(next(at_us for at_us in MONTHS if at_us > plane.now_us))


def late(plane: RolloverPlane) -> None:
    """A payment is late a day later, and falls back to another plan at once."""
    plane.go_to(plane.now_us + DAY_US)
    change(MarkPastDue(grace_ends_us=plane.now_us, grace_end_plan="free"))(plane)


ONE, TWO, NONE = (change(SetAddOn("pack", quantity)) for quantity in (1, 2, 0))
"""So many packs are held."""
PAID: Final = change(MarkPaid())
UNLIMITED: Final = change(ChangePlan("unlimited"))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([ONE], 50, id="bought: there at once"),
        pytest.param([ONE, use(130)], 20, id="used after the window's own"),
        pytest.param([ONE, use(130), go_on], 20, id="what is left stays"),
        pytest.param([ONE, use(130), sleep], 20, id="also where the plane was down"),
        pytest.param([ONE, use(150), go_on, use(100), go_on], 0, id="used up"),
        pytest.param([ONE, use(120), go_on, use(115), go_on], 15, id="bit by bit"),
        pytest.param([ONE, use(130), go_on, TWO], 70, id="one more adds"),
        pytest.param([ONE, use(999), go_on, TWO], 50, id="one more, after the first is used up"),
        pytest.param([TWO, use(120), go_on, ONE], 30, id="one less: the rest shrinks"),
        pytest.param([TWO, use(180), go_on, ONE], 0, id="one less: not below nothing"),
        pytest.param([ONE, use(150), NONE, go_on, ONE], 50, id="dropped, and bought again"),
        pytest.param([ONE, use(150), NONE, ONE, go_on], 0, id="the same within a window"),
        pytest.param([ONE, use(130), go_on, use(20, 0)], 0, id="late usage takes of it"),
        pytest.param([ONE, use(100), go_on, use(120), use(20, 0)], 10, id="and of what was used"),
        pytest.param(
            [ONE, use(90), go_on, go_on, go_on, use(30, 2), use(45, 0)], 15, id="windows later"
        ),
        pytest.param([ONE, use(130), change(ResetUsage())], 50, id="a reset gives it back"),
        pytest.param(
            [ONE, use(130), go_on, use(110), change(ResetUsage()), go_on],
            20,
            id="but not what was used in earlier windows",
        ),
        pytest.param(
            [ONE, use(130), go_on, change(ChangePlan("large")), use(130), go_on],
            20,
            id="another plan",
        ),
        pytest.param(
            [
                ONE,
                use(130),
                go_on,
                change(CancelSubscription()),
                go_on,
                change(RenewSubscription()),
            ],
            20,
            id="canceled and renewed",
        ),
        pytest.param([ONE, use(130), late, go_on, PAID], 20, id="a late payment over the end"),
        pytest.param([ONE, use(130), late, sleep, PAID], 20, id="also where the plane was down"),
        pytest.param(
            [ONE, use(130), late, go_on, go_on, use(15, 0), PAID, go_on], 5, id="over several"
        ),
        pytest.param([ONE, use(130), late, NONE, go_on, PAID, go_on, ONE], 50, id="and dropped"),
        pytest.param([use(130), late, go_on, PAID, ONE, use(120), go_on], 30, id="not held before"),
        pytest.param(
            [ONE, use(130), go_on, UNLIMITED, use(999), go_on, change(ChangePlan("pro"))],
            20,
            id="unlimited for a while",
        ),
    ],
)
@pytest.mark.parametrize("limit", [monthly(None), monthly(None, window=BILLING_MONTH)])
def test_packs_last_until_they_are_used(
    store: PlaneStore, limit: Limit, steps: list[Callable[[RolloverPlane], None]], expected: int
) -> None:
    plane = RolloverPlane(store, MONTHS[0])
    large = msgspec.structs.replace(limit, amount=150)
    unlimited = msgspec.structs.replace(limit, amount=None)
    free = msgspec.structs.replace(limit, amount=5, rollover=Rollover())
    plane.apply(sold(limit, large=large, unlimited=unlimited, free=free), on_plan())
    for step in steps:
        step(plane)
    assert expected == left(plane)


def test_a_new_billing_cycle_goes_on_with_what_is_left(store: PlaneStore) -> None:
    plane = RolloverPlane(store, MONTHS[0])
    plane.apply(sold(monthly(None, window=BILLING_MONTH)), on_plan())
    for step in (ONE, use(130)):
        step(plane)
    plane.go_to(plane.now_us + DAY_US)
    change(ChangePlan("pro", moves_anchor=True))(plane)
    assert 20 == left(plane)
    go_on(plane)
    assert 20 == left(plane)


def test_with_rollover_both_are_carried_on(store: PlaneStore) -> None:
    plane = RolloverPlane(store, MONTHS[0])
    plane.apply(sold(monthly(Rollover())), on_plan())
    for step in (ONE, use(60), go_on, use(150), go_on):
        step(plane)
    assert (40, ()) == (left(plane), plane.carried(plane.now_us))
    (told,) = usage.company_usage(store, "acme", "tokens", plane.now_us).limits
    assert (0, 40, 40) == (told.used, told.carried, told.packs_left)


def test_packs_of_other_companies_are_their_own(store: PlaneStore) -> None:
    plane = RolloverPlane(store, MONTHS[0])
    other: Company = on_plan(name="beta")
    plane.apply(sold(monthly(None)), on_plan(), other)
    ONE(plane)
    plane.use(130)
    plane.use(130, name="beta")
    go_on(plane)
    assert 20 == left(plane)
    (limit,) = usage.company_usage(store, "beta", "tokens", plane.now_us).limits
    assert (0, 0) == (limit.carried, limit.packs_left)
