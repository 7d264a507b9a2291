"""What is known of a company's usage once its plan changes, by outcome."""

from __future__ import annotations

from typing import Final

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import AddOn, AddOnEntitlement, Catalog, Plan
from sidecar.domain.company.model import Segment, SubscriptionStatus
from sidecar.domain.entitlement.resolve import CatalogIndex
from tests.support.build import DAY, catalog, company, counter_ref, limit, metered, total
from tests.support.inside import Inside

PLANS: Final = catalog(
    {
        "basic": [metered("calls", limit("monthly", 100))],
        "endless": [metered("calls")],
        "daily": [metered("calls", limit("daily", 50, window=DAY))],
        "users": [metered("calls", limit("per_user", 50, window=DAY, each=["user"]))],
    }
)


def used_after(before: str, after: str) -> int:
    """Count 30 calls under one plan, change to another: what its limit says was used."""
    sidecar = Inside(PLANS, company(plan=before))
    sidecar.decide(30, dimensions={"user": "ana"})
    sidecar.apply(None, company(plan=after))
    return sidecar.decide(0, dimensions={"user": "ana"}).decision.binding_limit.used


def test_what_was_used_without_a_limit_counts_once_there_is_one() -> None:
    assert 30 == used_after("endless", "basic")


def test_what_was_used_under_another_window_counts_in_each() -> None:
    assert 30 == used_after("daily", "basic")
    assert 30 == used_after("basic", "daily")


def test_counters_of_each_user_begin_with_the_limit_that_asks_for_them() -> None:
    assert 0 == used_after("basic", "users")


def test_a_limit_that_is_shared_is_counted_on_once() -> None:
    sidecar = Inside(PLANS, company(plan="basic"))
    assert sidecar.decide(100).decision.allowed
    assert not sidecar.decide(1).decision.allowed


def counted_beside(plan: str, content: Catalog = PLANS) -> list[str]:
    index = CatalogIndex(content, 1)
    entitlement = index.resolve(Segment(status=SubscriptionStatus.ACTIVE, plan=plan), "calls")
    assert entitlement is not None
    return [found.id for found in index.also_counted(entitlement)]


def test_limits_of_other_plans_are_counted_on_but_those_of_each_user() -> None:
    assert ["monthly", "daily"] == counted_beside("endless")
    assert ["daily"] == counted_beside("basic")


def test_limits_of_add_ons_are_counted_on_too() -> None:
    grant = metered("calls", limit("large", 5, match={"model": "large"}))
    content = Catalog(
        PLANS.features,
        (Plan("endless", "", (metered("calls"),)),),
        (AddOn("more", entitlements=(AddOnEntitlement(grant),)),),
    )
    assert ["large"] == counted_beside("endless", content)


def test_never_more_than_a_record_can_name() -> None:
    limits = [limit(f"m{n}", 5, match={"model": str(n)}) for n in range(32)]
    content = catalog(
        {
            "basic": [metered("calls", *limits[:30])],
            "other": [metered("calls", *limits[20:], limit("d", 5, window=DAY))],
        }
    )
    assert ["m30", "m31"] == counted_beside("basic", content)


def test_more_use_without_a_limit_than_a_counter_holds_stays_at_the_most() -> None:
    """In whatever incarnation: after a loss of power, and once the plane refused a history."""
    sidecar = Inside(PLANS, company(plan="endless"))
    opened, outbox = sidecar.opened, sidecar.opened.outbox
    monthly = counter_ref(limit())
    opened.counters.hear("life-1", [total(monthly, 5, 0, 1)])
    for _ in range(3):
        assert sidecar.decide(INT64_MAX).decision.allowed
    outbox.begin_incarnation(opened.new_incarnation(), "life-1", 0)
    found = [opened.used(monthly)]
    assert sidecar.decide(1).decision.allowed
    while outbox.move_fenced():
        pass
    assert [INT64_MAX] == found
    assert 4 == len(sidecar.records())
