"""Which limits count something else after a change, by outcome."""

from __future__ import annotations

from dataclasses import replace as replaced

import pytest
from msgspec.structs import replace

from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Limit,
    Merge,
    Plan,
    Scope,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.company.model import Override
from sidecar.domain.difference.recounting import (
    RecountedLimit,
    recounted_in_catalog,
    recounted_in_overrides,
)
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit

MONTH = WindowSpec(WindowUnit.MONTH)
BILLING = WindowSpec(WindowUnit.MONTH, alignment=Alignment.ANCHORED)
DAY = WindowSpec(WindowUnit.DAY)
REQUEST = WindowSpec(WindowUnit.REQUEST)
MONTHLY = Limit("monthly", MONTH, 100)
DAILY = Limit("daily", DAY, 10, scope=Scope(("user",)))
BY_MODEL = Scope((), (("model", "large"),))


def _catalog(*limits: Limit, existing: ExistingCompanies = ExistingCompanies.MOVE_NOW) -> Catalog:
    grant = EntitlementGrant("tokens", limits=limits)
    bought = AddOnEntitlement(EntitlementGrant("calls", limits=limits), Merge.OVERRIDE)
    return Catalog(
        plans=(Plan("pro", entitlements=(grant,), existing=existing),),
        add_ons=(AddOn("extra", entitlements=(bought,)),),
    )


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param([MONTHLY], [replace(MONTHLY, amount=7)], [], id="an amount"),
        pytest.param([MONTHLY], [replace(MONTHLY, id="quota")], [], id="a name alone"),
        pytest.param([MONTHLY], [MONTHLY, DAILY], [], id="a limit that comes"),
        pytest.param([MONTHLY, DAILY], [MONTHLY], [], id="a limit that goes"),
        pytest.param([MONTHLY, DAILY], [DAILY, MONTHLY], [], id="an order"),
        pytest.param(
            [MONTHLY, DAILY],
            [replace(MONTHLY, id="daily"), replace(DAILY, id="monthly")],
            [],
            id="names that are exchanged",
        ),
        pytest.param([replace(MONTHLY, window=REQUEST)], [MONTHLY], [], id="what counted nothing"),
        pytest.param([MONTHLY], [replace(MONTHLY, window=REQUEST)], [], id="what counts nothing"),
        pytest.param(
            [MONTHLY],
            [replace(MONTHLY, window=BILLING)],
            [(0, "monthly", "MONTH CALENDAR", "MONTH ANCHORED")],
            id="an alignment",
        ),
        pytest.param(
            [MONTHLY, DAILY],
            [MONTHLY, replace(DAILY, window=MONTH)],
            [(1, "daily", "DAY CALENDAR for each user", "MONTH CALENDAR for each user")],
            id="a window",
        ),
        pytest.param(
            [MONTHLY],
            [replace(MONTHLY, scope=BY_MODEL)],
            [(0, "monthly", "MONTH CALENDAR", "MONTH CALENDAR when model=large")],
            id="a scope",
        ),
        pytest.param(
            [MONTHLY, DAILY],
            [DAILY, Limit("weekly", WindowSpec(WindowUnit.WEEK), 10)],
            [(1, "weekly", "MONTH CALENDAR", "WEEK CALENDAR")],
            id="a name and a window",
        ),
    ],
)
def test_a_limit_is_told_where_it_counts_something_else(
    before: list[Limit], after: list[Limit], told: list[tuple[int, str, str, str]]
) -> None:
    found = list(recounted_in_catalog(_catalog(*before), _catalog(*after)))
    plan, add_on = ("plans", 0, "entitlements", 0), ("add_ons", 0, "entitlements", 0, "entitlement")
    assert found == [
        *(RecountedLimit((*plan, "limits", at), "plan", "pro", "tokens", *of) for at, *of in told),
        *(
            RecountedLimit((*add_on, "limits", at), "add-on", "extra", "calls", *of)
            for at, *of in told
        ),
    ]


def test_companies_that_keep_what_they_have_count_as_before() -> None:
    after = _catalog(replace(MONTHLY, window=BILLING), existing=ExistingCompanies.KEEP)
    assert ["add-on"] == [each.source for each in recounted_in_catalog(_catalog(MONTHLY), after)]


def test_companies_of_earlier_versions_are_told_of_once_they_are_moved() -> None:
    (sold,) = _catalog(replace(MONTHLY, window=BILLING)).plans
    kept = _catalog(MONTHLY).plans
    before = Catalog(plans=(sold,), plan_versions=kept)
    assert [] == list(recounted_in_catalog(before, Catalog(plans=(sold,))))
    after = _catalog(replace(MONTHLY, window=BILLING, amount=7))
    (found,) = recounted_in_catalog(before, Catalog(plans=after.plans))
    assert ("MONTH CALENDAR", "MONTH ANCHORED") == (found.before, found.after)


def test_what_is_new_in_a_catalog_counted_nothing_before() -> None:
    assert [] == list(recounted_in_catalog(Catalog(), _catalog(MONTHLY)))


def test_the_order_of_a_scope_is_no_change() -> None:
    before = replace(DAILY, scope=Scope(("user", "org")))
    after = replace(DAILY, scope=Scope(("org", "user")))
    assert [] == list(recounted_in_catalog(_catalog(before), _catalog(after)))


def test_a_lifetime_has_no_alignment_that_could_change() -> None:
    before = Limit("ever", WindowSpec(WindowUnit.LIFETIME), 10)
    after = replace(before, window=replaced(before.window, alignment=Alignment.ANCHORED))
    assert [] == list(recounted_in_catalog(_catalog(before), _catalog(after)))


def test_overrides_are_compared_by_feature_and_id() -> None:
    def held(limit: Limit, override: str = "") -> Override:
        return Override(EntitlementGrant("tokens", limits=(limit,), id=override))

    weekly = replace(MONTHLY, window=WindowSpec(WindowUnit.WEEK))
    before = [held(MONTHLY), held(weekly, "promised")]
    assert [] == list(recounted_in_overrides(before, before[::-1]))
    (found,) = recounted_in_overrides(before, [held(weekly), held(weekly, "promised")])
    assert ("overrides", 0, "entitlement", "limits", 0) == found.path
    assert ("override", "", "MONTH CALENDAR", "WEEK CALENDAR") == (
        found.source,
        found.key,
        found.before,
        found.after,
    )
