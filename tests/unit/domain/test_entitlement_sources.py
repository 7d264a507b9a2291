"""How an entitlement comes about from plan, add-ons and override, source by source."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    LimitChange,
    Merge,
    Plan,
    Rate,
    RateLimit,
)
from sidecar.domain.company.model import AddOnSubscription, Segment, SubscriptionStatus
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from sidecar.domain.entitlement.sources import SourceEffect, SourceKind
from tests.support.build import DAY, limit, metered

CALLS: Final = Feature("calls", FeatureKind.METERED)
DAYS: Final = Feature("days", FeatureKind.CONFIG)
SSO: Final = Feature("sso", FeatureKind.BOOLEAN)
BURST: Final = RateLimit("burst", Rate(10, 1_000_000, 20))


def value(text: str) -> EntitlementGrant:
    return EntitlementGrant("days", config_value=text)


def switch(*, on: bool) -> EntitlementGrant:
    return EntitlementGrant("sso", enabled=on)


def adds(*grants: EntitlementGrant) -> tuple[AddOnEntitlement, ...]:
    return tuple(AddOnEntitlement(grant, Merge.INCREMENT) for grant in grants)


def replaces(*grants: EntitlementGrant) -> tuple[AddOnEntitlement, ...]:
    return tuple(AddOnEntitlement(grant, Merge.OVERRIDE) for grant in grants)


def names(limit_: str, amount: int | None) -> EntitlementGrant:
    return EntitlementGrant("calls", limit_changes=(LimitChange(limit_, amount, adds=True),))


INDEX: Final = CatalogIndex(
    Catalog(
        features=(CALLS, DAYS, SSO),
        plans=(
            Plan("bare"),
            Plan(
                "full",
                "",
                (metered("calls", limit("monthly", 100)), value("30"), switch(on=False)),
            ),
            Plan("on", "", (switch(on=True),)),
            Plan("open", "", (metered("calls"),)),
            Plan("fast", "", (EntitlementGrant("calls", rates=(BURST,)),)),
        ),
        add_ons=(
            AddOn("best", "", 2, replaces(metered("calls", limit("best", 9)), value("3"))),
            AddOn("daily", "", 0, adds(metered("calls", limit("daily", 5, window=DAY)))),
            AddOn("early", "", 1, adds(value("1"), switch(on=True))),
            AddOn("flat", "", 1, replaces(metered("calls", limit("flat", 7)), switch(on=False))),
            AddOn("late", "", 1, adds(value("2"))),
            AddOn("more", "", 0, adds(metered("calls", limit("more", 10)))),
            AddOn("named", "", 0, adds(names("monthly", 10))),
            AddOn("open", "", 0, adds(metered("calls"))),
        ),
    ),
    version=7,
)


def segment(plan: str, add_ons: dict[str, int], *overrides: EntitlementGrant) -> Segment:
    held = tuple(AddOnSubscription(key, quantity) for key, quantity in add_ons.items())
    return Segment(status=SubscriptionStatus.ACTIVE, plan=plan, add_ons=held, overrides=overrides)


def resolve(of: Segment, feature: str) -> Entitlement:
    found = INDEX.resolve(of, feature)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("plan", "add_ons", "expected"),
    [
        pytest.param("full", {}, [("monthly", 100)], id="the plan alone"),
        pytest.param("full", {"more": 1}, [("monthly", 110)], id="adds"),
        pytest.param("full", {"more": 4}, [("monthly", 140)], id="adds times the quantity"),
        pytest.param("full", {"flat": 1}, [("flat", 7)], id="replaces"),
        pytest.param("full", {"flat": 4}, [("flat", 7)], id="replaces whatever the quantity"),
        pytest.param(
            "full", {"flat": 2, "more": 2}, [("flat", 27)], id="first replaces, then adds"
        ),
        pytest.param("full", {"best": 1, "flat": 1}, [("best", 9)], id="the higher rank replaces"),
        pytest.param("full", {"daily": 2}, [("monthly", 100), ("daily", 10)], id="applies beside"),
        pytest.param(
            "full", {"daily": 1, "more": 1}, [("monthly", 110), ("daily", 5)], id="adds and beside"
        ),
        pytest.param("full", {"open": 1}, [], id="adds without end"),
        pytest.param("full", {"more": 1, "open": 1}, [], id="something and without end"),
        pytest.param("open", {"more": 3}, [], id="adds to what has no end"),
        pytest.param("fast", {"more": 3}, [], id="adds to what has a rate alone"),
        pytest.param("open", {"flat": 1}, [("flat", 7)], id="replaces what has no end"),
        pytest.param("bare", {"more": 3}, [("more", 30)], id="grants what the plan lacks"),
        pytest.param("gone", {"more": 3}, [("more", 30)], id="a plan that the catalog lacks"),
        pytest.param("full", {"named": 3}, [("monthly", 130)], id="adds to what it names"),
        pytest.param("full", {"named": 1, "more": 1}, [("monthly", 120)], id="adds both ways"),
        pytest.param("full", {"named": 1, "flat": 1}, [("flat", 7)], id="names what was replaced"),
        pytest.param("open", {"named": 3}, [], id="names what has no end"),
        pytest.param("full", {"gone": 3}, [("monthly", 100)], id="unknown, so ignored"),
        pytest.param("full", {"late": 3}, [("monthly", 100)], id="says nothing of it"),
    ],
)
def test_an_add_on_of_a_metered_feature(
    plan: str, add_ons: dict[str, int], expected: list[tuple[str, int]]
) -> None:
    found = resolve(segment(plan, add_ons), "calls")
    assert (True, expected) == (found.entitled, [(of.id, of.amount) for of in found.limits])


@pytest.mark.parametrize(
    ("plan", "add_ons", "overrides", "expected"),
    [
        ("full", {}, [], False),
        ("full", {"early": 1}, [], True),
        ("bare", {"early": 1}, [], True),
        ("bare", {"flat": 1}, [], False),
        ("on", {"flat": 1}, [], True),
        ("bare", {"early": 1, "flat": 1}, [], True),
        ("full", {"early": 1}, [switch(on=False)], False),
        ("on", {}, [switch(on=False)], False),
        ("bare", {"flat": 1}, [switch(on=True)], True),
    ],
)
def test_a_boolean_is_on_where_any_source_says_so_but_an_override_wins(
    plan: str, add_ons: dict[str, int], overrides: list[EntitlementGrant], expected: bool
) -> None:
    assert expected == resolve(segment(plan, add_ons, *overrides), "sso").entitled


@pytest.mark.parametrize(
    ("plan", "add_ons", "overrides", "expected"),
    [
        ("full", {}, [], "30"),
        ("full", {"early": 1}, [], "1"),
        ("bare", {"early": 1}, [], "1"),
        ("full", {"early": 9, "late": 1}, [], "2"),
        ("full", {"best": 1, "early": 1, "late": 1}, [], "3"),
        ("full", {"best": 1}, [value("4")], "4"),
        ("full", {"more": 1}, [], "30"),
    ],
)
def test_a_config_value_is_that_of_the_highest_rank(
    plan: str, add_ons: dict[str, int], overrides: list[EntitlementGrant], expected: str
) -> None:
    assert expected == resolve(segment(plan, add_ons, *overrides), "days").config_value


def test_an_override_replaces_plan_and_add_ons() -> None:
    override = metered("calls", limit("own", 1))
    found = resolve(segment("full", {"flat": 1, "more": 2, "daily": 1}, override), "calls")
    assert (limit("own", 1),) == found.limits


@pytest.mark.parametrize(
    ("of", "feature", "expected"),
    [
        pytest.param(
            segment("full", {"more": 2, "flat": 3, "gone": 1, "late": 1}, switch(on=True)),
            CALLS,
            [
                (SourceKind.PLAN, "full", 1, SourceEffect.GRANTED),
                (SourceKind.ADD_ON, "flat", 3, SourceEffect.REPLACED),
                (SourceKind.ADD_ON, "late", 1, SourceEffect.SILENT),
                (SourceKind.ADD_ON, "more", 2, SourceEffect.ADDED),
            ],
            id="metered",
        ),
        pytest.param(
            segment("open", {"more": 1, "daily": 1}, metered("calls")),
            CALLS,
            [
                (SourceKind.PLAN, "open", 1, SourceEffect.GRANTED),
                (SourceKind.ADD_ON, "daily", 1, SourceEffect.OUTRANKED),
                (SourceKind.ADD_ON, "more", 1, SourceEffect.OUTRANKED),
                (SourceKind.OVERRIDE, "", 1, SourceEffect.REPLACED),
            ],
            id="metered, unlimited",
        ),
        pytest.param(
            segment("bare", {"more": 2, "daily": 1}),
            CALLS,
            [
                (SourceKind.PLAN, "bare", 1, SourceEffect.SILENT),
                (SourceKind.ADD_ON, "daily", 1, SourceEffect.GRANTED),
                (SourceKind.ADD_ON, "more", 2, SourceEffect.ADDED),
            ],
            id="metered, not in the plan",
        ),
        pytest.param(
            segment("full", {"flat": 1, "named": 1}),
            CALLS,
            [
                (SourceKind.PLAN, "full", 1, SourceEffect.GRANTED),
                (SourceKind.ADD_ON, "flat", 1, SourceEffect.REPLACED),
                (SourceKind.ADD_ON, "named", 1, SourceEffect.SILENT),
            ],
            id="a name that there is not",
        ),
        pytest.param(
            segment("open", {"named": 2}),
            CALLS,
            [
                (SourceKind.PLAN, "open", 1, SourceEffect.GRANTED),
                (SourceKind.ADD_ON, "named", 2, SourceEffect.OUTRANKED),
            ],
            id="a name in what is unlimited",
        ),
        pytest.param(
            segment("bare", {"named": 2}),
            CALLS,
            [
                (SourceKind.PLAN, "bare", 1, SourceEffect.SILENT),
                (SourceKind.ADD_ON, "named", 2, SourceEffect.SILENT),
            ],
            id="a name where there is nothing",
        ),
        pytest.param(
            segment("full", {"flat": 1}),
            SSO,
            [
                (SourceKind.PLAN, "full", 1, SourceEffect.GRANTED),
                (SourceKind.ADD_ON, "flat", 1, SourceEffect.OUTRANKED),
            ],
            id="boolean, off and off",
        ),
        pytest.param(
            segment("full", {"flat": 1, "early": 1}, switch(on=False)),
            SSO,
            [
                (SourceKind.PLAN, "full", 1, SourceEffect.GRANTED),
                (SourceKind.ADD_ON, "early", 1, SourceEffect.REPLACED),
                (SourceKind.ADD_ON, "flat", 1, SourceEffect.OUTRANKED),
                (SourceKind.OVERRIDE, "", 1, SourceEffect.REPLACED),
            ],
            id="boolean",
        ),
        pytest.param(
            segment("bare", {"best": 1, "late": 1, "early": 1}),
            DAYS,
            [
                (SourceKind.PLAN, "bare", 1, SourceEffect.SILENT),
                (SourceKind.ADD_ON, "early", 1, SourceEffect.GRANTED),
                (SourceKind.ADD_ON, "late", 1, SourceEffect.REPLACED),
                (SourceKind.ADD_ON, "best", 1, SourceEffect.REPLACED),
            ],
            id="config",
        ),
        pytest.param(
            segment("", {}, value("4")),
            DAYS,
            [
                (SourceKind.PLAN, "", 1, SourceEffect.SILENT),
                (SourceKind.OVERRIDE, "", 1, SourceEffect.GRANTED),
            ],
            id="an override alone",
        ),
    ],
)
def test_sources_say_what_they_did(
    of: Segment, feature: Feature, expected: list[tuple[SourceKind, str, int, SourceEffect]]
) -> None:
    found = [
        (source.kind, source.key, source.quantity, source.effect)
        for source in INDEX.sources(of, feature)
    ]
    assert expected == found


def test_sources_tell_what_they_say_and_what_came_of_it() -> None:
    before, more = metered("calls", limit("monthly", 100)), metered("calls", limit("more", 10))
    after, override = metered("calls", limit("monthly", 130)), metered("calls")
    found = INDEX.sources(segment("full", {"late": 1, "more": 3}, override), CALLS)
    expected = [(before, before), (None, before), (more, after), (override, override)]
    assert expected == [(of.grant, of.result) for of in found]
