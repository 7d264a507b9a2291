"""What a window of recurring credits grants in which the plan changes, case by case."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    LimitChange,
    Merge,
    Plan,
)
from sidecar.domain.catalog.plan_terms import Proration
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    CompanySnapshot,
    Override,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.company.timeline import compile_snapshot, continue_snapshot, segment_at
from sidecar.domain.entitlement.earlier_overrides import snapshot_without_changes
from sidecar.domain.entitlement.proration import PRORATION, Prorating
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from sidecar.shared.instants import instant_of_text
from tests.support.build import MONTH

FULL, BY_TIME, NONE = Proration.FULL, Proration.BY_TIME, Proration.NONE
APRIL: Final = instant_of_text("2026-04-01T00:00:00Z")  # has 30 days
MAY: Final = APRIL + 30 * DAY_US


def day(number: int) -> int:
    """Midnight after so many days of April."""
    return APRIL + number * DAY_US


def plan(key: str, amount: int | None, rule: Proration = FULL) -> Plan:
    """A plan with so many credits a month; `None`: with none."""
    limits = () if amount is None else (EntitlementGrant("credits", limits=(_limit(amount),)),)
    return Plan(key, entitlements=limits, proration=rule)


def _limit(amount: int) -> Limit:
    return Limit("monthly", MONTH, amount)


def catalog_of(rule: Proration, **amounts: int | None) -> Catalog:
    """Plans `small` (300 a month), `large` (900) and `bare` (none), and add-ons for each."""
    more = EntitlementGrant("credits", limit_changes=(LimitChange("monthly", 60, adds=True),))
    whole = EntitlementGrant("credits", limits=(_limit(5_000),))
    sold = {"bare": None, "large": 900, "small": 300, **amounts}
    return Catalog(
        (Feature("credits", FeatureKind.CREDITS),),
        tuple(plan(key, amount, rule) for key, amount in sold.items()),
        (
            AddOn("more", entitlements=(AddOnEntitlement(more),)),
            AddOn("instead", entitlements=(AddOnEntitlement(whole, Merge.OVERRIDE),)),
        ),
    )


def bought(plan: str = "small", *changes: ScheduledChange, **fields: Any) -> Subscription:
    """A subscription since January."""
    anchor_us = instant_of_text("2026-01-01T00:00:00Z")
    return Subscription(plan, anchor_us, changes=changes, **fields)


def company(*changes: ScheduledChange, **fields: Any) -> Company:
    """One on plan small, with changes to come."""
    overrides = fields.pop("overrides", ())
    subscription = bought("small", *changes, **fields)
    return Company("acme", subscription=subscription, overrides=overrides)


def to(plan: str, at_us: int, **fields: Any) -> ScheduledChange:
    return ScheduledChange(at_us, plan, **fields)


def planned(rule: Proration, *changes: ScheduledChange, **fields: Any) -> CompanySnapshot:
    """The timeline of changes that are known from the start."""
    return Prorating(catalog_of(rule)).prorated(compile_snapshot(company(*changes, **fields), 1))


def granted(snapshot: CompanySnapshot, rule: Proration, *instants: int) -> list[int | None]:
    """What is granted in the window of each instant; 0 where that is nothing."""
    index = CatalogIndex(catalog_of(rule), 1)
    found = []
    for at_us in instants:
        entitlement = index.resolve(segment_at(snapshot, at_us), "credits")
        assert entitlement is not None
        amounts = [limit.amount for limit in entitlement.limits]
        found.append(amounts[0] if amounts else 0)
    return found


@pytest.mark.parametrize(
    ("rule", "plan", "expected"),
    [
        pytest.param(FULL, "large", 900, id="full-up"),
        pytest.param(FULL, "bare", 0, id="full-to-none"),
        pytest.param(NONE, "large", 300, id="none-up"),
        pytest.param(BY_TIME, "large", 100 + 600, id="by-time-up"),
        pytest.param(BY_TIME, "bare", 0, id="a-plan-without-it-has-nothing-to-burn-from"),
    ],
)
def test_after_a_third_of_the_month(rule: Proration, plan: str, expected: int) -> None:
    timeline = planned(rule, to(plan, day(10)))
    at = (APRIL, day(10) - 1, day(10), MAY - 1)
    assert [300, 300, expected, expected] == granted(timeline, rule, *at)


@pytest.mark.parametrize("rule", Proration)
def test_the_next_window_is_the_new_plans(rule: Proration) -> None:
    assert [900] == granted(planned(rule, to("large", day(10))), rule, MAY)


@pytest.mark.parametrize(("rule", "expected"), [(FULL, 300), (NONE, 900), (BY_TIME, 600 + 100)])
def test_down_after_two_thirds(rule: Proration, expected: int) -> None:
    timeline = planned(rule, to("large", APRIL), to("small", day(20)))
    assert [900, expected, 300] == granted(timeline, rule, day(19), day(20), MAY)


def test_each_plan_of_a_month_gives_its_part() -> None:
    timeline = planned(BY_TIME, to("large", day(10)), to("small", day(20)))
    assert [700, 100 + 300 + 100] == granted(timeline, BY_TIME, day(10), day(20))


def test_what_a_plan_has_given_is_there_again_after_one_without_it() -> None:
    timeline = planned(BY_TIME, to("bare", day(10)), to("large", day(20)))
    assert [0, 100 + 300] == granted(timeline, BY_TIME, day(10), day(20))


def test_a_part_is_rounded_down() -> None:
    timeline = planned(BY_TIME, to("large", day(10) + 1))
    assert [100 + 599] == granted(timeline, BY_TIME, day(11))


@pytest.mark.parametrize("rule", Proration)
def test_after_a_reset_a_whole_window_is_granted(rule: Proration) -> None:
    timeline = planned(rule, to("large", day(10), resets_usage=True))
    assert [900] == granted(timeline, rule, day(10))


@pytest.mark.parametrize("rule", Proration)
def test_a_new_billing_cycle_begins_with_a_whole_window(rule: Proration) -> None:
    sold = catalog_of(rule)
    anchored = WindowSpec(WindowUnit.MONTH, alignment=Alignment.ANCHORED)
    limit = replace(_limit(900), window=anchored)
    grant = EntitlementGrant("credits", limits=(limit,))
    plans = tuple(
        replace(each, entitlements=(grant,)) if each.entitlements else each for each in sold.plans
    )
    change = to("large", day(10), moves_anchor=True)
    timeline = compile_snapshot(company(change), 1)
    assert timeline == Prorating(replace(sold, plans=plans)).prorated(timeline)


def test_at_a_windows_start_there_is_nothing_to_work_out() -> None:
    timeline = planned(BY_TIME, to("large", APRIL))
    assert () == timeline.overrides
    assert [300, 900] == granted(timeline, BY_TIME, APRIL - 1, APRIL)


def test_add_ons_come_on_top_in_full() -> None:
    held = (AddOnSubscription("more", 2),)
    timeline = planned(BY_TIME, to("large", day(10)), ScheduledChange(day(15), add_ons=held))
    assert [700, 700 + 120] == granted(timeline, BY_TIME, day(14), day(15))


def test_what_takes_a_plans_place_stands_as_it_is() -> None:
    timeline = planned(BY_TIME, to("large", day(10)), add_ons=(AddOnSubscription("instead"),))
    assert [5_000, 5_000] == granted(timeline, BY_TIME, day(9), day(10))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (LimitChange("monthly", 40, adds=True), [340, 740]),
        (LimitChange("monthly", 40), [40, 40]),
    ],
    ids=["what-is-added", "what-is-set"],
)
def test_a_companys_own_amounts_stand(change: LimitChange, expected: list[int]) -> None:
    own = Override(EntitlementGrant("credits", limit_changes=(change,)))
    timeline = planned(BY_TIME, to("large", day(10)), overrides=(own,))
    assert expected == granted(timeline, BY_TIME, day(9), day(10))


def test_it_is_said_by_one_override_that_ends_with_the_window() -> None:
    timeline = planned(BY_TIME, to("large", day(10)))
    (span,) = timeline.overrides
    assert (PRORATION, day(10), MAY) == (span.content.id, span.from_us, span.until_us)
    assert (LimitChange("monthly", 700),) == span.content.limit_changes


def test_the_first_window_of_a_company_is_whole() -> None:
    assert () == planned(BY_TIME).overrides


@pytest.mark.parametrize("rule", Proration)
def test_changes_that_are_made_as_they_come_are_as_those_that_were_planned(
    rule: Proration,
) -> None:
    changes = (to("large", day(10)), to("small", day(20)), to("large", day(25)))
    prorating = Prorating(catalog_of(rule))
    held = prorating.prorated(compile_snapshot(company(), 1))
    for number, change in enumerate(changes, start=1):
        at_us = change.at_us
        now = replace(company(), subscription=bought(change.plan))
        after = continue_snapshot(held, now, number, at_us)
        held = prorating.prorated(after, at_us)
    at = (day(9), day(10), day(15), day(20), day(25), MAY)
    assert granted(planned(rule, *changes), rule, *at) == granted(held, rule, *at)


def test_a_change_of_something_else_leaves_what_was_worked_out() -> None:
    prorating, at_us = Prorating(catalog_of(BY_TIME)), day(15)
    held = planned(BY_TIME, to("large", day(10)))
    more = bought("large", add_ons=(AddOnSubscription("more"),))
    after = continue_snapshot(held, replace(company(), subscription=more), 2, at_us)
    found = prorating.prorated(after, at_us)
    assert [700, 760, 960] == granted(found, BY_TIME, at_us - 1, at_us, MAY)


def test_a_plan_that_grants_more_never_makes_it_less() -> None:
    sold = catalog_of(BY_TIME, large=301)
    timeline = compile_snapshot(company(to("large", day(29) + 1)), 1)
    (span,) = Prorating(sold).prorated(timeline).overrides
    assert (LimitChange("monthly", 300),) == span.content.limit_changes


def mixed(*plans: str) -> list[int | None]:
    """What April grants, on small first, as the plan changes every two days from the second on."""
    sold = catalog_of(FULL, large=900)
    rules = {"large": BY_TIME, "bare": NONE}
    sold = replace(
        sold,
        plans=(
            *(replace(each, proration=rules.get(each.key, FULL)) for each in sold.plans),
            plan("tiny", 30, NONE),
            plan("vast", 9_000, NONE),
        ),
    )
    changes = [to(key, day(2 * number)) for number, key in enumerate(plans, start=1)]
    timeline = Prorating(sold).prorated(compile_snapshot(company(*changes), 1))
    index = CatalogIndex(sold, 1)
    found = []
    for number in range(1, len(plans) + 1):
        entitlement = index.resolve(segment_at(timeline, day(2 * number)), "credits")
        assert entitlement is not None
        found.append(entitlement.limits[0].amount if entitlement.limits else 0)
    return found


def test_plans_that_are_changed_to_and_fro_mint_nothing() -> None:
    assert [20 + 840, 860, 860, 860, 860] == mixed("large", "tiny", "large", "vast", "large")
    assert [860, 0, 860] == mixed("large", "bare", "large")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["small", "large", "tiny", "vast", "bare"]), max_size=12))
def test_no_window_grants_more_than_the_most_of_those_plans_that_give_of_it(
    plans: list[str],
) -> None:
    assert all(amount is not None and 0 <= amount <= 900 for amount in mixed(*plans))


def test_a_plan_that_has_had_none_of_a_window_takes_none_of_it() -> None:
    assert [300, 40 + 780] == mixed("vast", "large")
    assert [300, 300, 60 + 720] == mixed("tiny", "vast", "large")


def test_sidecars_that_know_no_changes_of_overrides_are_told_the_same_amounts() -> None:
    timeline = planned(BY_TIME, to("large", day(10)))
    index = CatalogIndex(catalog_of(BY_TIME), 1)
    plain = snapshot_without_changes(timeline, index)
    assert not any(span.content.is_change for span in plain.overrides)
    at = (day(9), day(10), MAY)
    assert [300, 700, 900] == granted(timeline, BY_TIME, *at) == granted(plain, BY_TIME, *at)
