"""What a company has of its own, as a file says it."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.model import EntitlementGrant, LimitChange, RateChange
from sidecar.domain.company.model import Override
from sidecar.shared.catalog_file.load import parse_catalog
from tests.unit.shared.catalog_file.sample import problems_of

FILE: Final = """\
features:
  tokens: {kind: metered}
plans:
  free: {}
  pro:
    entitlements:
      tokens:
        limits: {monthly: {amount: 100, per: month}, daily: {amount: 10, per: day}}
        rates: {burst: {count: 5, per: second}}
companies:
  acme:
    plan: pro
    anchor: 2026-01-01
    overrides:
      tokens: """


def read(text: str) -> Override:
    (company,) = parse_catalog(f"{FILE}{text}\n".encode(), "file").companies
    (override,) = company.overrides
    return override


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("+100", LimitChange("monthly", 100, True)),
        ('"+100"', LimitChange("monthly", 100, True)),
        ("+1_000", LimitChange("monthly", 1_000, True)),
        ("5000", LimitChange("monthly", 5_000)),
        ("5_000", LimitChange("monthly", 5_000)),
        ("0", LimitChange("monthly", 0)),
        ("unlimited", LimitChange("monthly", None)),
        ("{amount: +100}", LimitChange("monthly", 100, True)),
        ("{amount: 5_000}", LimitChange("monthly", 5_000)),
    ],
)
def test_a_limit_is_changed_by_its_name(text: str, change: LimitChange) -> None:
    expected = EntitlementGrant("tokens", limit_changes=(change,))
    assert expected == read(f"{{limits: {{monthly: {text}}}}}").entitlement


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("{count: 10}", RateChange("burst", 10, 10)),
        ("{count: +10, burst: 20}", RateChange("burst", 10, 20, True)),
    ],
)
def test_a_rate_is_changed_by_its_name(text: str, change: RateChange) -> None:
    assert (change,) == read(f"{{rates: {{burst: {text}}}}}").entitlement.rate_changes


def test_it_has_a_reason_and_an_end() -> None:
    text = "{limits: {monthly: +1}, reason: promised, expires_at: 1970-01-02T00:00:00Z}"
    override = read(text)
    assert ("promised", 86_400_000_000) == (override.reason, override.expires_us)


def test_whole_limits_replace_where_that_is_said() -> None:
    grant = read("{replace: true, limits: {m: {amount: 1, per: day}}}").entitlement
    assert (False, "m") == (grant.is_change, grant.limits[0].id)


@pytest.mark.parametrize("text", ["unlimited", "{limits: {}}"])
def test_unlimited_needs_no_more_words(text: str) -> None:
    assert EntitlementGrant("tokens") == read(text).entitlement


BEFORE: Final = len("      tokens: ")
REFUSED = {
    "whole limits without a word": (
        "{limits: {>monthly: {amount: 500, per: month}}}",
        (
            "limits.monthly: with its per it would take the place of all that is granted of "
            "tokens: say so with replace: true, or leave out per to change the limit of that name "
            "and nothing else"
        ),
    ),
    "a change that is said to replace": (
        "{replace: >true, limits: {monthly: 5}}",
        "replace: needs whole limits, with their per: what has none changes what is granted",
    ),
    "a name that there is not": (
        "{limits: {montly: >+5}}",
        (
            "limits.montly: there is no limit 'montly' of 'tokens' to change, but 'monthly', "
            "'daily'; did you mean 'monthly'?"
        ),
    ),
    "a rate that there is not": (
        "{rates: {>slow: {count: 5}}}",
        "rates.slow: there is no rate 'slow' of 'tokens' to change, but 'burst'",
    ),
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_is_told_with_its_place(text: str, problem: str) -> None:
    """The place is where `>` stands."""
    place = f"15:{BEFORE + 1 + text.index('>')}"
    expected = f"{place}: companies.acme.overrides.tokens.{problem}"
    assert [expected] == problems_of(f"{FILE}{text.replace('>', '')}\n")


def test_what_a_planned_change_will_grant_can_be_changed() -> None:
    later = "    changes: [{at: 2026-03-01, plan: pro}]\n"
    text = FILE.replace("plan: pro\n", f"plan: free\n{later}") + "{limits: {monthly: +5}}\n"
    assert [] == problems_of(text)
    (problem,) = problems_of(text.replace(later, ""))
    assert problem.endswith("'tokens' is not granted, so there is no limit 'monthly' to change")
