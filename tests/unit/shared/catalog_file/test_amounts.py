"""Amounts of single values, as a file says them."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.bounds import VALUE_AMOUNTS_MAX
from sidecar.shared.catalog_file.load import parse_catalog
from tests.unit.shared.catalog_file.sample import problems_of

FILE: Final = """\
features:
  tokens: {kind: metered, dimensions: {user: required, zone: optional}}
plans:
  pro:
    entitlements:
      tokens: {limits: {per_user: """


def amounts(text: str) -> tuple[tuple[str, int | None], ...]:
    (plan,) = parse_catalog(f"{FILE}{text}}}}}\n".encode(), "file").catalog.plans
    return plan.entitlements[0].limits[0].amounts


def test_amounts_are_sorted_by_value() -> None:
    text = "{amount: 100, per: day, each: [user], amounts: {vip: 5_00, ci: unlimited, a: 0}}"
    expected = (("a", 0), ("ci", None), ("vip", 500))
    assert expected == amounts(text.replace("5_00", "500"))


BEFORE: Final = len("      tokens: {limits: {per_user: ")
MANY: Final = ", ".join(f"v{at}: 1" for at in range(VALUE_AMOUNTS_MAX + 1))
ONE_DIMENSION: Final = "need a limit with a counter for each value of exactly one dimension (each)"
NO_PATTERN: Final = (
    "'files/*' would be met by that value alone: there are no patterns; name the values, or let "
    "requests carry a dimension of its own for the group"
)
REFUSED = {
    "no dimension": (
        "{amount: 1, per: day, >amounts: {ci: 5}}",
        f"amounts: {ONE_DIMENSION}",
    ),
    "two dimensions": (
        "{amount: 1, per: day, each: [user, zone], >amounts: {ci: 5}}",
        f"amounts: {ONE_DIMENSION}",
    ),
    "too many": (
        f"{{amount: 1, per: day, each: [user], >amounts: {{{MANY}}}}}",
        f"amounts: must be at most {VALUE_AMOUNTS_MAX}, is {VALUE_AMOUNTS_MAX + 1}",
    ),
    "less than nothing": (
        "{amount: 1, per: day, each: [user], amounts: {ci: >-5}}",
        "amounts.ci: -5 is less than 0",
    ),
    "a word": (
        "{amount: 1, per: day, each: [user], amounts: {ci: >much}}",
        "amounts.ci: must be a whole number such as 1000 or 1_000, or unlimited, is 'much'",
    ),
    "a pattern of amounts": (
        "{amount: 1, per: day, each: [user], amounts: {'files/*': >5}}",
        f'amounts."files/*": {NO_PATTERN}',
    ),
    "a pattern of fixed values": (
        "{amount: 1, per: day, when: {user: >'files/*'}}",
        f"when.user: {NO_PATTERN}",
    ),
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_is_told_with_its_place(text: str, problem: str) -> None:
    """The place is where `>` stands."""
    place = f"6:{BEFORE + 1 + text.index('>')}"
    expected = f"{place}: plans.pro.entitlements.tokens.limits.per_user.{problem}"
    assert [expected] == problems_of(f"{FILE}{text.replace('>', '')}}}}}\n")


def test_a_pattern_of_declared_values_is_refused() -> None:
    text = FILE.replace("zone: optional", "zone: ['files/*']")
    told = problems_of(f"{text}{{amount: 1, per: day}}}}}}\n")
    assert [f"2:56: features.tokens.dimensions.zone: {NO_PATTERN}"] == told


def test_an_exemption_that_lifts_nothing_is_a_warning_with_what_to_write() -> None:
    text = (
        "{amount: 100, per: day, each: [user]}, ci: {amount: unlimited, per: day, when: {user: ci}}"
    )
    (warning,) = parse_catalog(f"{FILE}{text}}}}}\n".encode(), "file").warnings
    assert "plans.pro.entitlements.tokens.limits.ci" == warning.field
    assert warning.message.endswith("write amounts: {ci: unlimited} in 'per_user'")
