"""Features, plans and companies that a catalog file gets wrong, each told with its place."""

import pytest

from tests.unit.shared.catalog_file.sample import problems_after

LONG = "x" * 129
TOO_LONG = "must be at most 128 bytes, is 129"

# name, what stands in the sample, what stands there instead, problems
CASES = [
    (
        "limit_name_too_long",
        "monthly:",
        f"{LONG}:",
        [f"10:11: plans.pro.entitlements.tokens.limits.{LONG}: {TOO_LONG}"],
    ),
    (
        "limit_twice",
        "            warn_at: [50, 100]",
        "            warn_at: [50, 100]\n          monthly: {amount: 1, per: day}",
        [
            (
                "16:11: plans.pro.entitlements.tokens.limits.monthly: is here twice; "
                "the first is in line 10"
            )
        ],
    ),
    (
        "kind_unknown",
        "kind: boolean",
        "kind: bool",
        [
            (
                "3:15: features.sso.kind: must be one of boolean, config, metered, credits, seats, "
                "level; is 'bool'; did you mean boolean?"
            )
        ],
    ),
    ("kind_missing", "{kind: config}", "{name: Days}", ["4:3: features.days.kind: is missing"]),
    (
        "feature_twice",
        "  days: {kind: config}",
        "  days: {kind: config}\n  sso: {kind: config}",
        ["5:3: features.sso: is here twice; the first is in line 3"],
    ),
    (
        "feature_of_plan_unknown",
        "      sso: true",
        "      ssso: true",
        [
            (
                "16:7: plans.pro.entitlements.ssso: "
                "the catalog has no feature 'ssso'; did you mean 'sso'?"
            )
        ],
    ),
    (
        "boolean_says_yes",
        "      sso: true",
        "      sso: yes",
        [
            (
                "16:12: plans.pro.entitlements.sso: must be true or false, sso is "
                "boolean; is the text 'yes'; did you mean true?"
            )
        ],
    ),
    (
        "boolean_has_limits",
        "      sso: true",
        "      sso: {limits: {}}",
        ["16:7: plans.pro.entitlements.sso: must be true or false, sso is boolean"],
    ),
    (
        "config_has_limits",
        "      days: 30",
        "      days: {limits: {}}",
        ["17:7: plans.pro.entitlements.days: must be one value, days is config"],
    ),
    (
        "config_empty",
        "      days: 30",
        "      days:",
        ["17:7: plans.pro.entitlements.days: must be a value or a mapping, is empty"],
    ),
    (
        "metered_is_a_value",
        "      tokens:\n        limits:",
        "      tokens: 5\n      other:\n        limits:",
        [
            (
                "8:15: plans.pro.entitlements.tokens: must be limits, rates or unlimited, "
                "tokens is metered; is 5; "
                "did you mean {limits: {monthly: {amount: 5, per: month}}}?"
            ),
            "9:7: plans.pro.entitlements.other: the catalog has no feature 'other'",
        ],
    ),
    (
        "grant_says_nothing",
        "      sso: true",
        "      sso: {}",
        ["16:7: plans.pro.entitlements.sso: must be true or false, sso is boolean"],
    ),
    (
        "plan_unknown",
        "plan: pro",
        "plan: pr0",
        ["21:11: companies.acme.plan: the catalog has no plan 'pr0'; did you mean 'pro'?"],
    ),
    (
        "anchor_without_offset",
        "anchor: 2026-01-31T00:00:00Z",
        "anchor: 2026-01-31T00:00:00",
        [
            (
                "22:13: companies.acme.anchor: '2026-01-31T00:00:00' has no offset; "
                "end it in Z, or in one such as +01:00"
            )
        ],
    ),
    (
        "anchor_without_seconds",
        "anchor: 2026-01-31T00:00:00Z",
        "anchor: 2026-01-31T00:00Z",
        [
            (
                "22:13: companies.acme.anchor: '2026-01-31T00:00Z' is not a date-time such "
                'as "2026-01-31T00:00:00Z" or a date such as 2026-01-31'
            )
        ],
    ),
    (
        "anchor_not_in_calendar",
        "anchor: 2026-01-31T00:00:00Z",
        "anchor: 2026-02-30T00:00:00Z",
        [
            (
                "22:13: companies.acme.anchor: '2026-02-30T00:00:00Z' is not a time "
                "that the calendar has"
            )
        ],
    ),
    (
        "anchor_too_fine",
        "anchor: 2026-01-31T00:00:00Z",
        "anchor: 2026-01-31T00:00:00.1234567Z",
        [
            (
                "22:13: companies.acme.anchor: '2026-01-31T00:00:00.1234567Z' is "
                "finer than a microsecond"
            )
        ],
    ),
    (
        "anchor_in_year_1",
        "anchor: 2026-01-31T00:00:00Z",
        "anchor: 0001-01-31T00:00:00Z",
        ["22:13: companies.acme.anchor: must lie in the years 2 to 9998"],
    ),
    (
        "anchor_without_plan",
        "    plan: pro\n",
        "",
        ["19:3: companies.acme.plan: is missing; anchor needs it"],
    ),
    (
        "time_zone_unknown",
        "Europe/Berlin",
        "Europe/Atlantis",
        ["20:16: companies.acme.time_zone: unknown time zone 'Europe/Atlantis'"],
    ),
    (
        "after_trial_without_trial",
        "plan: pro",
        "plan: pro\n    after_trial: active",
        ["19:3: companies.acme.trial_ends_at: is missing; after_trial needs it"],
    ),
    (
        "expiry_in_a_plan",
        "      sso: true",
        "      sso: {value: true, expires_at: 2027-01-01T00:00:00Z}",
        [
            (
                "16:26: plans.pro.entitlements.sso.expires_at: is not a field here; "
                "known are value, limits, rates, overdraft, low_balance"
            )
        ],
    ),
    (
        "expiry_wrong",
        "2027-01-01T00:00:00Z",
        "soon",
        [
            (
                "24:39: companies.acme.overrides.sso.expires_at: 'soon' is not a "
                'date-time such as "2026-01-31T00:00:00Z" or a date such as 2026-01-31'
            )
        ],
    ),
    (
        "override_without_subscription",
        "    plan: pro\n    anchor: 2026-01-31T00:00:00Z\n    overrides:\n",
        (
            "    overrides:\n"
            "      tokens: {replace: true, limits: {m: {amount: 1, per: month, align: billing}}}\n"
        ),
        [
            (
                "22:74: companies.acme.overrides.tokens.limits.m.align: ANCHORED "
                "needs a subscription, whose anchor windows start from"
            )
        ],
    ),
    ("company_id_too_long", "  acme:", f"  {LONG}:", [f"19:3: companies.{LONG}: {TOO_LONG}"]),
    ("company_id_empty", "  acme:", "  '':", ['19:3: companies."": must not be empty']),
    (
        "company_is_a_text",
        "  acme:",
        "  other: pro\n  acme:",
        ["19:10: companies.other: must be a mapping, is 'pro'"],
    ),
    (
        "company_empty",
        "  acme:",
        "  other:\n  acme:",
        ["19:3: companies.other: must be a mapping, is empty"],
    ),
    (
        "plan_name_too_long",
        "  pro:\n",
        "  pro:\n    name: " + "n" * 257 + "\n",
        ["7:11: plans.pro.name: must be at most 256 bytes, is 257"],
    ),
    ("plans_missing", "plans:", "x-plans:", ["1:1: plans: is missing; features needs it"]),
    (
        "top_field_unknown",
        "companies:",
        "customers:",
        ["18:1: customers: is not a field here; did you mean companies?"],
    ),
]


@pytest.mark.parametrize(("old", "new", "problems"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_a_wrong_field_is_told_with_its_place(old: str, new: str, problems: list[str]) -> None:
    assert problems == problems_after(old, new)
