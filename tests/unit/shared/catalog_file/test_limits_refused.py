"""Limits that a catalog file gets wrong: each is told with its line, its column and its field."""

import pytest

from tests.unit.shared.catalog_file.sample import problems_after

AMOUNT = "must be a whole number such as 1000000 or 1_000_000, or unlimited"
WINDOW = "must be a window such as day, 3 months, 1 hour, lifetime or request"

# name, what stands in the sample, what stands there instead, problems below the limit
CASES = [
    ("negative_amount", "amount: 100", "amount: -5", ["11:21: amount: -5 is less than 0"]),
    ("fractional_amount", "amount: 100", "amount: 1.5", [f"11:21: amount: {AMOUNT}, is 1.5"]),
    (
        "whole_amount_with_a_fraction",
        "amount: 100",
        "amount: 100.0",
        [f"11:21: amount: {AMOUNT}, is 100.0; did you mean 100?"],
    ),
    ("amount_in_words", "amount: 100", "amount: plenty", [f"11:21: amount: {AMOUNT}, is 'plenty'"]),
    (
        "amount_in_quotes",
        "amount: 100",
        'amount: "100"',
        [f"11:21: amount: {AMOUNT}, is '100'; did you mean 100?"],
    ),
    (
        "amount_too_large",
        "amount: 100",
        "amount: 9223372036854775808",
        ["11:21: amount: 9223372036854775808 is more than 9223372036854775807"],
    ),
    (
        "amount_too_large_with_underscores",
        "amount: 100",
        "amount: 9_223_372_036_854_775_808",
        ["11:21: amount: must be 0 to 9223372036854775807, is 9223372036854775808"],
    ),
    ("amount_true", "amount: 100", "amount: true", [f"11:21: amount: {AMOUNT}, is true"]),
    (
        "amount_infinite",
        "amount: 100",
        "amount: .inf",
        [f"11:21: amount: {AMOUNT}, is '.inf'; did you mean unlimited?"],
    ),
    (
        "amount_empty",
        "amount: 100",
        "amount:",
        [f"11:13: amount: {AMOUNT}, is empty; did you mean unlimited?"],
    ),
    ("amount_missing", "            amount: 100\n", "", ["10:11: amount: is missing"]),
    ("window_unknown", "per: month", "per: fortnight", [f"12:18: per: {WINDOW}, is 'fortnight'"]),
    ("window_zero", "per: month", "per: 0 months", [f"12:18: per: {WINDOW}, is '0 months'"]),
    (
        "window_too_long",
        "per: month",
        "per: 1001 months",
        ["12:18: per: interval: must be 1 to 1000, is 1001"],
    ),
    (
        "window_interval_negative",
        "per: month",
        "per: {unit: month, interval: -1}",
        ["12:42: per.interval: -1 is less than 1"],
    ),
    ("window_unit_missing", "per: month", "per: {interval: 2}", ["12:13: per.unit: is missing"]),
    ("window_is_a_number", "per: month", "per: 30", [f"12:18: per: {WINDOW}, is 30"]),
    (
        "alignment_unknown",
        "per: month",
        "per: month\n            align: anchor",
        ["13:20: align: must be one of calendar, billing; is 'anchor'; did you mean billing?"],
    ),
    (
        "weekday_unknown",
        "per: month",
        "per: week\n            week_starts: sun",
        [
            (
                "13:26: week_starts: must be one of monday, tuesday, wednesday, "
                "thursday, friday, saturday, sunday; is 'sun'; did you mean sunday?"
            )
        ],
    ),
    (
        "weekday_of_a_month",
        "per: month",
        "per: month\n            week_starts: sunday",
        ["13:26: week_starts: only a CALENDAR WEEK has a first weekday"],
    ),
    (
        "enforcement_misspelt",
        "per: month",
        "per: month\n            enforcement: Hard",
        [
            (
                "13:26: enforcement: must be one of hard, soft, shadow, throttle; is 'Hard'; "
                "did you mean hard?"
            )
        ],
    ),
    (
        "each_is_a_text",
        "each: [user]",
        "each: user",
        ["13:19: each: must be a list, is 'user'; write [user]"],
    ),
    ("each_twice", "each: [user]", "each: [user, user]", ["13:26: each[1]: 'user' is here twice"]),
    (
        "each_and_when",
        "when: {model: large}",
        "when: {user: joe}",
        ["14:26: when.user: 'user' cannot be fixed and a dimension at once"],
    ),
    (
        "when_values_are_none",
        "when: {model: large}",
        "when: {model: []}",
        ["14:20: when.model: must not be an empty list"],
    ),
    (
        "when_value_is_a_mapping",
        "when: {model: large}",
        "when: {model: {a: b}}",
        ["14:20: when.model: must be a value, or a list of which any will do, is a mapping"],
    ),
    (
        "warning_descends",
        "warn_at: [50, 100]",
        "warn_at: [80, 50]",
        ["15:27: warn_at[1]: must be above 80, is 50"],
    ),
    (
        "warning_out_of_bounds",
        "warn_at: [50, 100]",
        "warn_at: [0, 2000]",
        [
            "15:23: warn_at[0]: must be 1 to 1000, is 0",
            "15:26: warn_at[1]: must be 1 to 1000, is 2000",
        ],
    ),
    (
        "warning_fraction",
        "warn_at: [50, 100]",
        "warn_at: [50.5]",
        ["15:23: warn_at[0]: must be a whole number, is 50.5"],
    ),
    (
        "warnings_none",
        "warn_at: [50, 100]",
        "warn_at: []",
        ["15:13: warn_at: must not be empty; leave it out for the default"],
    ),
    (
        "unknown_field_with_a_likely_one",
        "amount: 100",
        "amout: 100",
        ["10:11: amount: is missing", "11:13: amout: is not a field here; did you mean amount?"],
    ),
]


@pytest.mark.parametrize(("old", "new", "problems"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_a_wrong_limit_is_told_with_its_place(old: str, new: str, problems: list[str]) -> None:
    found = [
        line.replace("plans.pro.entitlements.tokens.limits.monthly.", "")
        for line in problems_after(old, new)
    ]

    assert problems == found
