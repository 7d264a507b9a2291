"""Mistakes in fail policies, rates, rollover and add-ons: each is told once, with its place."""

from __future__ import annotations

import pytest

from tests.unit.shared.catalog_file.sample import FULL_SAMPLE, problems_after

MONTHLY = "plans.pro.entitlements.tokens.limits.monthly"
DAILY = "plans.pro.entitlements.tokens.limits.daily"
BURST = "plans.pro.entitlements.tokens.rates.burst"
EXTRA = "add_ons.extra_tokens.entitlements"
A_WHOLE_NUMBER = "a whole number such as 1000 or 1_000"
A_LENGTH_OF_TIME = "a length of time such as second, 10 seconds, 250ms or 1h"

CASES: list[tuple[str, str, str, str]] = [
    (
        "default_plan_unknown",
        "default_plan: free",
        "default_plan: none",
        "1:15: default_plan: the catalog has no plan 'none'",
    ),
    (
        "default_plan_missing",
        "default_plan: free\n",
        "",
        "5:20: features.tokens.fail.no_snapshot: DEFAULT_PLAN needs a default plan of the catalog",
    ),
    (
        "default_plan_a_list",
        "default_plan: free",
        "default_plan: [free]",
        "1:1: default_plan: must be a text, is a list",
    ),
    (
        "fail_action_of_another_field",
        "outbox_full: allow",
        "outbox_full: keep",
        "9:20: features.tokens.fail.outbox_full: must be one of deny, allow; is 'keep'",
    ),
    (
        "stale_without_a_time",
        "      stale_after: 15m\n",
        "",
        "5:5: features.tokens.fail.stale_after: must be set, DENY needs a time",
    ),
    (
        "stale_too_soon",
        "stale_after: 15m",
        "stale_after: 9 seconds",
        "8:20: features.tokens.fail.stale_after: must be 10s to 365d, is 9s",
    ),
    (
        "stale_after_a_number",
        "stale_after: 15m",
        "stale_after: 15",
        f"8:20: features.tokens.fail.stale_after: must be {A_LENGTH_OF_TIME}, is 15",
    ),
    (
        "stale_after_unknown_unit",
        "stale_after: 15m",
        "stale_after: 15y",
        f"8:20: features.tokens.fail.stale_after: must be {A_LENGTH_OF_TIME}, is '15y'",
    ),
    (
        "rollover_of_too_many_windows",
        "{windows: 3, amount",
        "{windows: 37, amount",
        f"24:33: {MONTHLY}.rollover.windows: 37 is more than 36",
    ),
    (
        "rollover_amount_too_large",
        "amount: 500,",
        "amount: 9_999_999_999_999_999_999,",
        (
            f"24:44: {MONTHLY}.rollover.amount: must be 0 to 9223372036854775807, "
            "is 9999999999999999999"
        ),
    ),
    (
        "rollover_of_what_is_unlimited",
        "amount: 1_000",
        "amount: unlimited",
        f"24:13: {MONTHLY}.rollover: needs an amount of which something can be left",
    ),
    (
        "rollover_beside_a_wrong_amount",
        "amount: 1_000\n            per: month",
        "amount: 1_0\n            per: month",
        (
            f"20:21: {MONTHLY}.amount: must be a whole number such as 1000000 or 1_000_000, "
            "or unlimited, is '1_0'; did you mean 10?"
        ),
    ),
    (
        "rollover_beside_a_wrong_window",
        "per: month\n            align",
        "per: fortnight\n            align",
        (
            f"21:18: {MONTHLY}.per: must be a window such as day, 3 months, 1 hour, lifetime "
            "or request, is 'fortnight'"
        ),
    ),
    (
        "throttle_without_a_rate",
        "            throttle: {count: 1, per: second, burst: 5}\n",
        "",
        f"25:11: {DAILY}.throttle: must be set, THROTTLE needs the rate past the amount",
    ),
    (
        "throttle_a_number",
        "throttle: {count: 1, per: second, burst: 5}",
        "throttle: 5",
        f"29:23: {DAILY}.throttle: must be a mapping, is 5",
    ),
    (
        "throttle_without_a_count",
        "{count: 1, per: second, burst: 5}",
        "{per: second, burst: 5}",
        f"29:13: {DAILY}.throttle.count: is missing",
    ),
    (
        "throttle_of_hard",
        "enforcement: throttle",
        "enforcement: hard",
        f"29:13: {DAILY}.throttle: only THROTTLE has a rate past the amount, this is HARD",
    ),
    (
        "throttle_misspelt",
        "enforcement: throttle",
        "enforcement: throtle",
        (
            f"28:26: {DAILY}.enforcement: must be one of hard, soft, shadow, throttle; "
            "is 'throtle'; did you mean throttle?"
        ),
    ),
    (
        "throttle_too_slow",
        "{count: 1, per: second, burst: 5}",
        "{count: 1, per: 32d}",
        f"29:39: {DAILY}.throttle.per: must be 1ms to 31d, is 32d",
    ),
    (
        "rate_of_nothing",
        "count: 10",
        "count: 0",
        f"32:20: {BURST}.count: must be 1 to 2305843009213, is 0",
    ),
    (
        "rate_of_a_fraction",
        "count: 10",
        "count: 1.5",
        f"32:20: {BURST}.count: must be {A_WHOLE_NUMBER}, is 1.5",
    ),
    (
        "rate_per_month",
        "per: 2 seconds",
        "per: month",
        f"33:18: {BURST}.per: must be {A_LENGTH_OF_TIME}, is 'month'; did you mean 30d?",
    ),
    (
        "rate_that_throttles",
        "enforcement: shadow",
        "enforcement: throttle",
        f"36:26: {BURST}.enforcement: must be one of hard, shadow; is 'throttle'",
    ),
    (
        "rate_named_as_a_limit",
        "          burst:\n",
        "          daily:\n",
        ("31:11: plans.pro.entitlements.tokens.rates.daily: a limit is named 'daily' already"),
    ),
    (
        "rate_by_a_dimension_and_its_value",
        "when: {model: large}",
        "when: {user: eve}",
        f"37:26: {BURST}.when.user: 'user' cannot be fixed and a dimension at once",
    ),
    (
        "rates_of_a_boolean",
        "sso: true",
        "sso: {rates: {}}",
        f"46:7: {EXTRA}.sso: must be true or false, sso is boolean",
    ),
    (
        "merge_in_a_plan",
        "  free: {}",
        "  free: {entitlements: {sso: {value: true, merge: override}}}",
        (
            "14:44: plans.free.entitlements.sso.merge: is not a field here; "
            "known are value, limits, rates, overdraft, low_balance"
        ),
    ),
    (
        "merge_unknown",
        "merge: override\n        limits: {monthly: {amount: 5, per: month}}",
        "merge: replace\n        limits: {monthly: {amount: 5, per: month, align: billing}}",
        (
            f"44:16: {EXTRA}.tokens.merge: must be one of increment, override; is 'replace'; "
            "did you mean override?"
        ),
    ),
    (
        "rank_too_high",
        "rank: 1",
        "rank: 1000001",
        "41:11: add_ons.extra_tokens.rank: 1000001 is more than 1000000",
    ),
    (
        "add_on_of_an_unknown_feature",
        "      sso: true",
        "      ssso: true",
        f"46:7: {EXTRA}.ssso: the catalog has no feature 'ssso'; did you mean 'sso'?",
    ),
    (
        "add_on_with_a_broken_limit",
        "{amount: 5, per: month}",
        "{amount: 5, per: month, warn_at: [0]}",
        f"45:61: {EXTRA}.tokens.limits.monthly.warn_at[0]: must be 1 to 1000, is 0",
    ),
    (
        "add_on_empty",
        "  seats: {}",
        "  seats:",
        "48:3: add_ons.seats: must be a mapping, is empty",
    ),
]


@pytest.mark.parametrize(("old", "new", "problem"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_a_mistake_in_what_is_sold(old: str, new: str, problem: str) -> None:
    assert [problem] == problems_after(old, new, FULL_SAMPLE)
