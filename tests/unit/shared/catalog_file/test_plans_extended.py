"""Plans that extend others: what they take over, and what is refused."""

from __future__ import annotations

import pytest

from sidecar.domain.catalog.model import EntitlementGrant, Plan
from sidecar.shared.catalog_file import plans as plans_module
from sidecar.shared.catalog_file.load import parse_catalog
from tests.unit.shared.catalog_file.sample import problems_of

FEATURES = """\
features:
  tokens: {kind: metered}
  sso: {kind: boolean}
  region: {kind: config}
"""
LIMITS = "{limits: {monthly: {amount: 5, per: month}}}"


def granted(plans: str, key: str) -> dict[str, str]:
    """What a plan grants, in short: `5`, `unlimited`, `on` or a value, by feature."""
    catalog = parse_catalog((FEATURES + plans).encode(), "file").catalog
    plan: Plan = next(plan for plan in catalog.plans if plan.key == key)
    return {grant.feature: in_short(grant) for grant in plan.entitlements}


def in_short(grant: EntitlementGrant) -> str:
    if grant.feature == "tokens":
        return " ".join(str(limit.amount) for limit in grant.limits) or "unlimited"
    return grant.config_value or str(grant.enabled).lower()


PRO = f"plans:\n  pro: {{entitlements: {{tokens: {LIMITS}, region: eu}}}}\n"


@pytest.mark.parametrize(
    ("team", "expected"),
    [
        pytest.param("{extends: pro}", {"region": "eu", "tokens": "5"}, id="all_is_taken_over"),
        pytest.param(
            "{extends: pro, entitlements: {sso: true}}",
            {"region": "eu", "sso": "true", "tokens": "5"},
            id="more_is_added",
        ),
        pytest.param(
            "{extends: pro, entitlements: {tokens: {limits: {daily: {amount: 7, per: day}}}}}",
            {"region": "eu", "tokens": "7"},
            id="an_entitlement_takes_the_place_of_the_other_as_a_whole",
        ),
        pytest.param(
            "{extends: pro, entitlements: {tokens: null}}",
            {"region": "eu"},
            id="null_takes_away",
        ),
        pytest.param(
            "{extends: pro, entitlements: {region: 'null', tokens: ~}}",
            {"region": "null"},
            id="a_quoted_null_is_a_value",
        ),
    ],
)
def test_a_plan_grants_what_it_extends_but_for_its_own(team: str, expected: dict[str, str]) -> None:
    assert granted(f"{PRO}  team: {team}\n", "team") == expected
    assert granted(f"{PRO}  team: {team}\n", "pro") == {"region": "eu", "tokens": "5"}


def test_chains_go_in_any_order_of_the_file() -> None:
    chain = "plans:\n  c: {extends: b, entitlements: {region: null}}\n  b: {extends: a}\n"
    last = f"  a: {{entitlements: {{tokens: {LIMITS}, region: eu}}}}\n"

    assert granted(chain + last, "c") == {"tokens": "5"}
    assert granted(chain + last, "b") == {"region": "eu", "tokens": "5"}


def test_what_a_plan_is_called_is_its_own() -> None:
    plans = "plans: {pro: {name: Pro}, team: {extends: pro}}\n"
    catalog = parse_catalog((FEATURES + plans).encode(), "file").catalog
    assert [plan.name for plan in catalog.plans] == ["Pro", ""]


@pytest.mark.parametrize(
    ("plans", "problems"),
    [
        pytest.param(
            "plans: {pro: {}, team: {extends: por}}",
            ["5:34: plans.team.extends: the catalog has no plan 'por'; did you mean 'pro'?"],
            id="unknown",
        ),
        pytest.param(
            "plans: {a: {extends: c}, b: {extends: a}, c: {extends: b}}",
            [
                (
                    "5:39: plans.b.extends: a plan cannot extend itself: "
                    "a extends c extends b extends a"
                ),
            ],
            id="a_ring",
        ),
        pytest.param(
            "plans: {a: {extends: a}}",
            ["5:22: plans.a.extends: a plan cannot extend itself: a extends a"],
            id="itself",
        ),
        pytest.param(
            "plans: {a: {}, b: {extends: a, entitlements: {sso: null}}}",
            [
                (
                    "5:52: plans.b.entitlements.sso: null takes away what an extended plan grants, "
                    "and none grants 'sso'"
                )
            ],
            id="null_of_what_is_not_granted",
        ),
        pytest.param(
            "plans: {a: {entitlements: {region: null}}}",
            [
                (
                    "5:36: plans.a.entitlements.region: null takes away what an extended plan "
                    "grants, and none grants 'region'"
                )
            ],
            id="null_where_nothing_is_extended",
        ),
        pytest.param(
            "plans:\n  a: {entitlements: {sso: true}}\n  b:\n    extends: a\n"
            "    entitlements:\n      sso:",
            ["10:7: plans.b.entitlements.sso: must be a value or a mapping, is empty"],
            id="an_entitlement_that_was_forgotten",
        ),
        pytest.param(
            "plans:\n  b: {extends: a}\n"
            "  a: {entitlements: {tokens: {limits: {m: {amount: 1, per: day, warn_at: []}}}}}",
            [
                (
                    "7:65: plans.a.entitlements.tokens.limits.m.warn_at: must not be empty; "
                    "leave it out for the default"
                )
            ],
            id="what_is_wrong_is_told_once_where_it_is_written",
        ),
    ],
)
def test_what_cannot_be_extended_is_told_with_its_line(plans: str, problems: list[str]) -> None:
    assert problems_of(FEATURES + plans + "\n") == problems


def test_plans_that_take_over_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans_module, "CATALOG_PARTS_MAX", 3)
    two = "{entitlements: {sso: true, region: eu}}"
    fits = f"plans: {{a: {two}, b: {{extends: a}}}}\n"
    grows = f"plans: {{a: {two}, b: {{extends: a}}, c: {{extends: b}}, d: {{extends: b}}}}\n"

    assert problems_of(FEATURES + fits) == []
    assert problems_of(FEATURES + grows) == [
        "5:83: plans.c.extends: plans would take over more than 3 entitlements in all"
    ]
