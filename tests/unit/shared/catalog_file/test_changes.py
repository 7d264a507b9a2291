"""What add-ons change of limits and rates by name, as a file says it."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.model import EntitlementGrant, LimitChange, RateChange
from sidecar.shared.catalog_file.load import parse_catalog
from tests.unit.shared.catalog_file.sample import problems_of

PLAN: Final = """\
features:
  tokens: {kind: metered}
plans:
  free: {}
  pro:
    entitlements:
      tokens:
        limits:
          monthly: {amount: 100, per: month, align: billing}
          daily: {amount: 10, per: day}
        rates: {burst: {count: 5, per: second}}
add_ons:
  pack:
    plans: [pro]
    entitlements:
      tokens: """


def granted(text: str) -> EntitlementGrant:
    (add_on,) = parse_catalog(f"{PLAN}{text}\n".encode(), "file").catalog.add_ons
    assert ("pro",) == add_on.plans
    (given,) = add_on.entitlements
    return given.grant


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("100_000", 100_000),
        ("7", 7),
        ("+7", 7),
        ('"+7"', 7),
        ('{amount: "+5"}', 5),
        ("+100_000", 100_000),
        ("{amount: 5}", 5),
        ("{amount: +5}", 5),
        ("{amount: +5_000}", 5_000),
        ("unlimited", None),
        ("{amount: unlimited}", None),
    ],
)
def test_an_add_on_adds_to_the_limit_that_it_names(text: str, amount: int | None) -> None:
    expected = EntitlementGrant("tokens", limit_changes=(LimitChange("monthly", amount, True),))
    assert expected == granted(f"{{limits: {{monthly: {text}}}}}")


def test_an_add_on_adds_to_the_rate_that_it_names() -> None:
    changes = (RateChange("burst", 10, 10, True),)
    assert changes == granted("{rates: {burst: {count: 10}}}").rate_changes
    changes = (RateChange("burst", 10, 30, True),)
    assert changes == granted("{rates: {burst: {count: +10, burst: 30}}}").rate_changes


def test_an_add_on_may_change_several() -> None:
    grant = granted("{limits: {monthly: 5, daily: 1}, rates: {burst: {count: 1}}}")
    assert ["monthly", "daily"] == [change.limit for change in grant.limit_changes]
    assert ["burst"] == [change.rate for change in grant.rate_changes]


ANOTHER: Final = (
    "plan 'pro' has no limit 'montly' to add to, but 'monthly', 'daily': name one of them, or say "
    "plans: [...] that the add-on is sold with; did you mean 'monthly'?"
)
BEFORE: Final = len("      tokens: ")
NEEDS_PER: Final = "that is granted already, and leaves the rest of it as it is"
REFUSED = {
    "a name that the plan does not have": ("{limits: {montly: >5}}", f"limits.montly: {ANOTHER}"),
    "a field of a whole limit": (
        "{limits: {monthly: {amount: 5, align: >billing}}}",
        f"limits.monthly.align: needs per: without it this changes the limit 'monthly' {NEEDS_PER}",
    ),
    "a field of a whole rate": (
        "{rates: {burst: {count: 5, >each: [user]}}}",
        f"rates.burst.each: needs per: without it this changes the rate 'burst' {NEEDS_PER}",
    ),
    "a whole limit beside a change": (
        "{limits: {monthly: 5, daily: {amount: 1, per: >day}}}",
        (
            "limits.daily.per: is a whole limit, with its per, beside others that change what is "
            "granted: write all of them with per, or none"
        ),
    ),
    "a change that replaces": (
        "{merge: override, limits: {monthly: >5}}",
        "limits.monthly: what replaces needs whole limits, with their windows (per)",
    ),
    "no amount": ("{limits: {>monthly: {}}}", "limits.monthly.amount: is missing"),
    "less than nothing": ("{limits: {monthly: >-5}}", "limits.monthly: -5 is less than 0"),
    "a word": (
        "{limits: {monthly: >many}}",
        (
            "limits.monthly: must be an amount such as 1_000, +1_000 or unlimited, or a "
            "mapping, is 'many'"
        ),
    ),
    "a window that the plan does not have": (
        "{limits: {>monthly: {amount: 5, per: month}}}",
        (
            "limits.monthly: counts per MONTH CALENDAR what no limit of plan 'pro' counts alike, "
            "and would deny beside them ('monthly' per MONTH ANCHORED, 'daily' per DAY CALENDAR): "
            "write monthly: {amount: 5} to add to that limit, or say plans: [...] that the add-on "
            "is sold with"
        ),
    ),
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_is_told_with_its_place(text: str, problem: str) -> None:
    """The place is where `>` stands."""
    place = f"16:{BEFORE + 1 + text.index('>')}"
    expected = f"{place}: add_ons.pack.entitlements.tokens.{problem}"
    assert [expected] == problems_of(f"{PLAN}{text.replace('>', '')}\n")


def test_plans_that_are_sold_with_exist() -> None:
    text = PLAN.replace("plans: [pro]", "plans: [pro, prro]") + "{limits: {monthly: 5}}\n"
    expected = "14:18: add_ons.pack.plans[1]: the catalog has no plan 'prro'; did you mean 'pro'?"
    assert [expected] == problems_of(text)


def test_a_plan_grants_whole_limits() -> None:
    text = PLAN.replace("{amount: 10, per: day}", "10") + "{limits: {monthly: 5}}\n"
    limit = "plans.pro.entitlements.tokens.limits.daily"
    assert [
        f"10:18: {limit}: must be a mapping such as {{amount: 1_000, per: month}}, is 10"
    ] == problems_of(text)


HELD: Final = """\
companies:
  acme: {plan: free, anchor: 2026-01-01T00:00:00Z, add_ons: {pack: 1}}
  later:
    plan: pro
    anchor: 2026-01-01T00:00:00Z
    add_ons: {pack: 1}
    changes: [{at: 2026-02-01T00:00:00Z, plan: free}]
  bought:
    plan: free
    anchor: 2026-01-01T00:00:00Z
    changes: [{at: 2026-02-01T00:00:00Z, add_ons: {pack: 1}}]
  both:
    plan: pro
    anchor: 2026-01-01T00:00:00Z
    add_ons: {pack: 1}
    changes: [{at: 2026-02-01T00:00:00Z, plan: free, add_ons: {}}]
"""


def test_an_add_on_is_held_with_plans_that_it_is_sold_with() -> None:
    apart = "add-on 'pack' is not sold with plan 'free', only with 'pro'"
    assert [
        f"18:62: companies.acme.add_ons.pack: {apart}",
        f"23:48: companies.later.changes[0].plan: {apart}",
        f"27:52: companies.bought.changes[0].add_ons.pack: {apart}",
    ] == problems_of(f"{PLAN}{{limits: {{monthly: 5}}}}\n{HELD}")
