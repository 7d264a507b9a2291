"""Usage of companies that the plane does not have, or no longer, but of which there is usage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.control.services import apply, usage
from sidecar.control.services.usage import LedgerLimitUsage, LedgerUsagePage
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import EntitlementGrant, Plan
from sidecar.domain.errors import NotFound
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import LIFETIME_WINDOW
from tests.unit.control.plane import Calls, running
from tests.unit.control.support import (
    ALICE,
    CATALOG,
    LIFETIME,
    NOW_US,
    TODAY,
    Writer,
    company,
    per_user,
    record,
)

EVER, DAILY = CATALOG.plans[0].entitlements[1].limits
FREE: Final = Plan(
    "free",
    entitlements=(
        EntitlementGrant("tokens", limits=(msgspec.structs.replace(EVER, amount=10), DAILY)),
        EntitlementGrant("calls"),
    ),
)
BY_DEFAULT: Final = msgspec.structs.replace(
    CATALOG, plans=(FREE, *CATALOG.plans), default_plan="free"
)


def set_up(store: PlaneStore, *names: str, default_plan: bool = True) -> None:
    content = BY_DEFAULT if default_plan else CATALOG
    apply.apply(store, apply.Desired(content, tuple(map(company, names))), NOW_US)


def push(store: PlaneStore, *records: bytes) -> None:
    writer = Writer(ALICE)
    writer.write(*records)
    writer.push(store)


def remove(store: PlaneStore, name: str) -> None:
    apply.apply(store, apply.Desired(remove=(name,)), NOW_US)


def of(store: PlaneStore, name: str = "stranger", feature: str = "") -> LedgerUsagePage:
    return usage.company_usage(store, name, feature, NOW_US)


def shown(page: LedgerUsagePage) -> list[tuple[str, int | None, tuple[str, ...], int]]:
    """Limit, amount, values and usage of each, of a company that is not there."""
    assert page.company_unknown
    return [(one.limit.id, one.limit.amount, one.values, one.used) for one in page.limits]


def only_in_the_ledger(store: PlaneStore) -> None:
    push(store, record(3, name="stranger", counters=[LIFETIME, per_user("eve")]))


def counted_by_the_plane(store: PlaneStore) -> None:
    """A sidecar that could not ask left it to the plane to say on what it counts."""
    push(store, record(3, name="stranger", unattributed=True, user="eve"))


def removed_with_usage(store: PlaneStore) -> None:
    set_up(store, "stranger")
    only_in_the_ledger(store)
    remove(store, "stranger")


@pytest.mark.parametrize("arrange", [only_in_the_ledger, counted_by_the_plane, removed_with_usage])
def test_usage_stands_against_the_limits_of_the_default_plan(
    store: PlaneStore, arrange: Callable[[PlaneStore], None]
) -> None:
    set_up(store)
    arrange(store)
    assert [("ever", 10, (), 3), ("daily", 100, ("eve",), 3)] == shown(of(store))
    assert [("ever", 10, (), 3), ("daily", 100, ("eve",), 3)] == shown(of(store, feature="tokens"))


def test_windows_are_those_of_the_instant(store: PlaneStore) -> None:
    set_up(store)
    only_in_the_ledger(store)
    today = LedgerLimitUsage("tokens", DAILY, ("eve",), TODAY, 3)
    assert today == of(store).limits[1]
    yesterday = usage.company_usage(store, "stranger", "", NOW_US - DAY_US)
    assert [LIFETIME_WINDOW] == [one.window for one in yesterday.limits]


def test_a_removed_company_without_usage_stands_at_0(store: PlaneStore) -> None:
    set_up(store, "stranger")
    remove(store, "stranger")
    assert [("ever", 10, (), 0)] == shown(of(store))


def test_usage_of_features_without_limits_leaves_the_others_at_0(store: PlaneStore) -> None:
    set_up(store)
    push(store, record(7, name="stranger", feature="calls", counters=[]))
    assert [("ever", 10, (), 0)] == shown(of(store))
    assert [] == shown(of(store, feature="calls"))


@pytest.mark.parametrize("arrange", [only_in_the_ledger, counted_by_the_plane])
def test_without_a_default_plan_there_are_no_limits(
    store: PlaneStore, arrange: Callable[[PlaneStore], None]
) -> None:
    set_up(store, default_plan=False)
    arrange(store)
    assert [] == shown(of(store))


def test_one_that_comes_back_stands_against_its_own_limits(store: PlaneStore) -> None:
    set_up(store)
    removed_with_usage(store)
    set_up(store, "stranger")
    page = of(store)
    assert not page.company_unknown
    assert ("ever", 1_000, 3) == (
        page.limits[0].limit.id,
        page.limits[0].limit.amount,
        page.limits[0].used,
    )


@pytest.mark.parametrize("default_plan", [True, False])
def test_a_name_of_which_there_is_nothing_is_not_found(
    store: PlaneStore, default_plan: bool
) -> None:
    """A default plan makes no customer of whoever is misspelt."""
    set_up(store, "acme", default_plan=default_plan)
    with pytest.raises(NotFound) as refused:
        of(store, "acmee")
    assert "company" == refused.value.field


def test_a_feature_that_the_catalog_lacks_is_not_found(store: PlaneStore) -> None:
    set_up(store)
    only_in_the_ledger(store)
    with pytest.raises(NotFound) as refused:
        of(store, feature="unheard-of")
    assert "feature" == refused.value.field


def test_its_users_come_in_pages(store: PlaneStore) -> None:
    set_up(store)
    users = [per_user(f"user {user}") for user in range(5)]
    push(store, *(record(1, name="stranger", counters=[LIFETIME, user]) for user in users))
    page = usage.company_usage(store, "stranger", "", NOW_US, 4)
    found = shown(page)
    assert page.after is not None
    rest = usage.company_usage(store, "stranger", "", NOW_US, 4, page.after)
    found += shown(rest)
    assert (None, 6) == (rest.after, len(set(found)))


async def test_the_answer_says_that_the_company_is_not_there(store: PlaneStore) -> None:
    set_up(store, "acme")
    only_in_the_ledger(store)
    async with running(store) as calls:
        assert [(False, [0]), (True, [3, 3])] == [
            await told(calls, name) for name in ("acme", "stranger")
        ]


async def told(calls: Calls, name: str) -> tuple[bool, list[int]]:
    request = control_pb2.GetCompanyUsageRequest(company=name)
    request.at.FromMicroseconds(NOW_US)
    answer = await calls.control.GetCompanyUsage(request)
    return answer.company_unknown, [limit.used for limit in answer.limits]
