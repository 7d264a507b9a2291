"""Mistakes in the life of a subscription: each is told once, with its place."""

from __future__ import annotations

from typing import Final

import pytest

from tests.unit.shared.catalog_file.sample import FULL_SAMPLE, problems_after

A_WHOLE_NUMBER = "a whole number such as 1000 or 1_000"

FORMS: Final = '"2026-01-31T00:00:00Z" or a date such as 2026-01-31'
NOT_SOON: Final = f"62:19: pause.resumes_at: 'soon' is not a date-time such as {FORMS}"
NOT_LATER: Final = f"68:14: changes[1].at: 'later' is not a date-time such as {FORMS}"

CASES: list[tuple[str, str, str, str]] = [
    (
        "add_on_unknown",
        "add_ons: {extra_tokens: 2,",
        "add_ons: {tokens: 2,",
        "54:15: add_ons.tokens: the catalog has no add-on 'tokens'",
    ),
    (
        "add_on_none_of_it",
        "seats: 1_000}",
        "seats: 0}",
        "54:39: add_ons.seats: must be 1 to 1000000, is 0",
    ),
    (
        "add_on_without_a_quantity",
        "seats: 1_000}",
        "seats: }",
        f"54:32: add_ons.seats: must be {A_WHOLE_NUMBER}, is empty",
    ),
    (
        "add_ons_a_list",
        "add_ons: {extra_tokens: 2, seats: 1_000}",
        "add_ons: [seats]",
        (
            "54:5: add_ons: must be a mapping of add-ons and how many, such as {extra_tokens: 2}, "
            "is a list"
        ),
    ),
    (
        "billing_period_of_hours",
        "billing_period: 3 months",
        "billing_period: 3 hours",
        "53:21: billing_period: must be a period such as month, 2 weeks or year, is '3 hours'",
    ),
    (
        "billing_period_too_long",
        "billing_period: 3 months",
        "billing_period: 3000 months",
        "53:21: billing_period: interval: must be 1 to 1000, is 3000",
    ),
    (
        "past_due_without_a_start",
        "{since: 2026-02-02T00:00:00Z, grace",
        "{grace",
        "59:5: past_due.since: is missing",
    ),
    (
        "grace_that_ends_before_it_starts",
        "grace_ends_at: 2026-02-03",
        "grace_ends_at: 2026-02-01",
        "59:60: past_due.grace_ends_at: must not be before since",
    ),
    (
        "pause_that_ends_before_it_starts",
        "resumes_at: 2026-02-05",
        "resumes_at: 2026-02-04",
        "62:19: pause.resumes_at: must be after starts_at",
    ),
    (
        "anchor_that_moves_at_no_time",
        "      resumes_at: 2026-02-05T00:00:00Z\n",
        "",
        "62:21: pause.moves_anchor: needs resumes_at, at which the anchor moves",
    ),
    (
        "anchor_that_moves_at_a_wrong_time",
        "resumes_at: 2026-02-05T00:00:00Z",
        "resumes_at: soon",
        NOT_SOON,
    ),
    (
        "moves_anchor_a_text",
        "      moves_anchor: true",
        "      moves_anchor: yes",
        "63:21: pause.moves_anchor: must be true or false, is the text 'yes'",
    ),
    (
        "change_without_a_time",
        "- at: 2026-02-06T00:00:00Z\n        plan",
        "- plan",
        "65:9: changes[0].at: is missing",
    ),
    (
        "change_of_nothing",
        "{at: 2026-02-07T00:00:00Z, add_ons: {}, resets_usage: true, moves_anchor: true}",
        "{at: 2026-02-07T00:00:00Z}",
        "68:9: changes[1]: changes nothing",
    ),
    (
        "changes_out_of_order",
        "{at: 2026-02-07",
        "{at: 2026-02-05",
        "68:14: changes[1].at: must be after the change before",
    ),
    (
        "change_at_no_time",
        "{at: 2026-02-07T00:00:00Z",
        "{at: later",
        NOT_LATER,
    ),
    (
        "change_to_an_unknown_plan",
        "        plan: free",
        "        plan: max",
        "66:15: changes[0].plan: the catalog has no plan 'max'",
    ),
    (
        "change_to_an_unknown_add_on",
        "{seats: 3}",
        "{chairs: 3}",
        "67:19: changes[0].add_ons.chairs: the catalog has no add-on 'chairs'",
    ),
    (
        "change_of_an_unknown_field",
        "resets_usage: true",
        "reset_usage: true",
        "68:49: changes[1].reset_usage: is not a field here; did you mean resets_usage?",
    ),
    (
        "override_with_a_broken_rate",
        "{count: 1, per: 1 minute}",
        "{count: 1, per: 1us}",
        "71:39: overrides.tokens.rates.slow.per: must be 1ms to 31d, is 1us",
    ),
]


@pytest.mark.parametrize(("old", "new", "problem"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_a_mistake_in_a_company(old: str, new: str, problem: str) -> None:
    found = [line.replace("companies.acme.", "") for line in problems_after(old, new, FULL_SAMPLE)]
    assert [problem] == found


def test_what_needs_a_plan_is_told_without_one() -> None:
    (found,) = problems_after("    plan: pro\n", "", FULL_SAMPLE)
    beginning, _, rest = found.partition("; ")
    assert "50:3: companies.acme.plan: is missing" == beginning
    fields = {"anchor", "trial_ends_at", "cancel_at", "billing_period", "add_ons", "ends_at"}
    fields |= {"past_due", "pause", "changes"}
    assert fields == set(rest.removesuffix(" need it").replace(" and ", ", ").split(", "))
