"""Explanations: sources in order, what a check would be answered, and at which instant."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from sidecar.domain.catalog.model import EntitlementGrant, Limit
from sidecar.domain.company.model import (
    AddOnSubscription,
    Override,
    Pause,
    Segment,
    SubscriptionStatus,
)
from sidecar.domain.entitlement.sources import SourceEffect, SourceKind
from sidecar.domain.errors import NotFound
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import BasisMode, FallbackCause, Reason
from sidecar.domain.limits.usage import QuotaUsage, remaining
from sidecar.domain.time.units import DAY_US, MINUTE_US, SECOND_US
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US
from sidecar.engine.explain import Explanation
from tests.support.build import DAY, NOW_US, metered
from tests.unit.engine.explain_bench import ANCHOR_US, APRIL_US, Bench


def amounts(grant: EntitlementGrant | None) -> list[int | None]:
    return [] if grant is None else [limit.amount for limit in grant.limits]


def used(found: Explanation) -> dict[str, int]:
    return {usage.limit.id: usage.used for usage in found.usages if isinstance(usage, QuotaUsage)}


def levels(found: Explanation) -> list[int]:
    return [
        usage.level if isinstance(usage, RateUsage) else usage.throttle_level
        for usage in found.usages
    ]


def test_sources_come_in_the_order_of_merging_with_what_each_did() -> None:
    special = Override(metered("calls", Limit("own", DAY, 7)), NOW_US + DAY_US)
    held = (AddOnSubscription("more", 3), AddOnSubscription("seats"), AddOnSubscription("swap"))
    found = Bench(*held, overrides=(special,)).explain()
    assert [
        (SourceKind.PLAN, "basic", 1, SourceEffect.GRANTED, [100], [100]),
        (SourceKind.ADD_ON, "seats", 1, SourceEffect.SILENT, [], [100]),
        (SourceKind.ADD_ON, "swap", 1, SourceEffect.REPLACED, [60], [60]),
        (SourceKind.ADD_ON, "more", 3, SourceEffect.ADDED, [10], [90]),
        (SourceKind.OVERRIDE, "", 1, SourceEffect.REPLACED, [7], [7]),
    ] == [
        (each.kind, each.key, each.quantity, each.effect, amounts(each.grant), amounts(each.result))
        for each in found.sources
    ]
    assert ["own"] == [limit.id for limit in found.entitlement.limits]
    assert ["own"] == [usage.limit.id for usage in found.usages]


def test_an_override_is_gone_once_it_has_expired() -> None:
    expires_us = NOW_US + DAY_US
    bench = Bench(overrides=(Override(metered("calls", Limit("own", DAY, 7)), expires_us),))
    kinds = {
        at_us: [source.kind for source in bench.explain(at_us=at_us).sources]
        for at_us in (NOW_US, expires_us - 1, expires_us)
    }
    assert {
        NOW_US: [SourceKind.PLAN, SourceKind.OVERRIDE],
        expires_us - 1: [SourceKind.PLAN, SourceKind.OVERRIDE],
        expires_us: [SourceKind.PLAN],
    } == kinds


def test_the_segment_holds_the_instant_and_its_overrides_are_left_out() -> None:
    ends_us = NOW_US + 10 * DAY_US
    bench = Bench(
        AddOnSubscription("more", 2),
        cancel_us=ends_us,
        overrides=(Override(metered("calls", Limit("own", DAY, 7))),),
    )
    before, after = bench.explain().segment, bench.explain(at_us=ends_us).segment
    assert Segment(
        until_us=ends_us,
        status=SubscriptionStatus.ACTIVE,
        plan="basic",
        add_ons=(AddOnSubscription("more", 2),),
        anchor_us=ANCHOR_US,
    ) == msgspec.structs.replace(before, from_us=0)
    assert (ends_us, SubscriptionStatus.CANCELED, ()) == (
        after.from_us,
        after.status,
        after.overrides,
    )


def test_the_default_plan_stands_in_for_a_company_that_is_unknown() -> None:
    found = Bench(default_plan="basic").explain(company="stranger")
    assert [(SourceKind.DEFAULT_PLAN, "basic")] == [(each.kind, each.key) for each in found.sources]
    assert found.decision.allowed
    assert SubscriptionStatus.ACTIVE is found.segment.status


def test_the_fail_policy_can_let_the_default_plan_stand_in() -> None:
    bench = Bench(default_plan="basic", authority=False)
    found = bench.explain("cautious", company="stranger")
    assert [SourceKind.DEFAULT_PLAN] == [source.kind for source in found.sources]
    assert (BasisMode.FALLBACK, FallbackCause.NO_SNAPSHOT) == (
        found.basis.mode,
        found.basis.fallback,
    )
    with pytest.raises(NotFound):
        bench.explain("calls", company="stranger")


@pytest.mark.parametrize(
    ("company", "feature", "expected"),
    [
        ("stranger", "calls", ("company", "UNKNOWN_COMPANY")),
        ("stranger", "nothing", ("company", "UNKNOWN_COMPANY")),
        ("acme", "nothing", ("feature", "UNKNOWN_FEATURE")),
    ],
)
def test_what_is_unknown_is_named(company: str, feature: str, expected: tuple[str, str]) -> None:
    with pytest.raises(NotFound) as caught:
        Bench().explain(feature, company=company)
    assert expected == (caught.value.field, caught.value.reason)


@pytest.mark.parametrize("quantity", [0, 1, 3, 4, 10, 50, 51])
@pytest.mark.parametrize(
    "dimensions", [{}, {"user": "ann"}, {"model": "large"}, {"user": "bob", "model": "large"}]
)
def test_the_decision_is_that_of_a_check(quantity: int, dimensions: Mapping[str, str]) -> None:
    bench = Bench()
    bench.count("messages", 2, dimensions={"user": "ann"})
    found = bench.explain("messages", quantity, dimensions=dimensions)
    expected = bench.question(quantity, "messages", dimensions=dimensions)
    assert expected.decision == found.decision
    assert expected.usages == found.usages
    assert expected.basis == found.basis


@pytest.mark.parametrize(
    ("dimensions", "applying", "others"),
    [
        ({}, ["everyone"], ["per_user", "large"]),
        ({"user": "ann"}, ["per_user", "everyone"], ["large"]),
        ({"model": "large"}, ["everyone", "large"], ["per_user"]),
        ({"model": "small", "user": "ann"}, ["per_user", "everyone"], ["large"]),
        ({"model": "large", "user": "ann"}, ["per_user", "everyone", "large"], []),
    ],
)
def test_dimensions_say_which_limits_apply(
    dimensions: Mapping[str, str], applying: list[str], others: list[str]
) -> None:
    found = Bench().explain("messages", dimensions=dimensions)
    assert applying == [usage.limit.id for usage in found.usages]
    assert tuple(others) == found.others


def test_a_denial_names_the_limit_that_would_bind_and_how_long_to_wait_from_the_instant() -> None:
    bench = Bench()
    bench.count("calls", 90)
    now, later = bench.explain(quantity=11), bench.explain(quantity=11, at_us=NOW_US + DAY_US)
    for found, at_us in [(now, NOW_US), (later, NOW_US + DAY_US)]:
        assert Reason.LIMIT_EXCEEDED is found.decision.reason
        assert found.decision.binding is not None
        assert "monthly" == found.decision.binding.limit.id
        assert APRIL_US - at_us == found.decision.retry_after_us


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"pause": Pause(ANCHOR_US)}, Reason.SUBSCRIPTION_PAUSED),
        ({"cancel_us": NOW_US}, Reason.SUBSCRIPTION_CANCELED),
        ({"trial_ends_us": NOW_US}, Reason.TRIAL_ENDED),
    ],
)
def test_limits_are_listed_also_where_the_status_denies(
    fields: dict[str, object], reason: Reason
) -> None:
    found = Bench(**fields).explain()  # type: ignore[arg-type]
    assert (False, reason, None) == (
        found.decision.allowed,
        found.decision.reason,
        found.decision.binding,
    )
    assert {"monthly": 0} == used(found)


def test_a_feature_that_is_off_is_not_entitled_until_a_source_turns_it_on() -> None:
    off, on = Bench().explain("sso"), Bench(AddOnSubscription("swap")).explain("sso")
    assert [Reason.NOT_ENTITLED, Reason.ALLOWED] == [off.decision.reason, on.decision.reason]
    assert SourceEffect.REPLACED is on.sources[-1].effect


def test_a_value_is_explained_without_limits() -> None:
    found = Bench().explain("days")
    assert "30" == found.entitlement.config_value
    assert (True, 0, None) == (
        found.decision.allowed,
        found.decision.granted,
        found.decision.binding,
    )
    assert () == found.usages


def test_usage_is_that_of_the_windows_of_the_instant() -> None:
    bench = Bench()
    february_us = NOW_US - 20 * DAY_US
    bench.count("calls", 40)
    bench.count("calls", 7, at_us=february_us)
    expected = {NOW_US: 40, february_us: 7, APRIL_US - 1: 40, APRIL_US: 0}
    assert expected == {at_us: used(bench.explain(at_us=at_us))["monthly"] for at_us in expected}


def test_what_will_be_left_is_carried_into_the_next_window() -> None:
    bench = Bench()
    bench.count("tokens", 40)
    found = bench.explain("tokens", 160, at_us=APRIL_US)
    (usage,) = found.usages
    assert isinstance(usage, QuotaUsage)
    assert (0, 60, 160) == (usage.used, usage.carried, remaining(usage))
    assert found.decision.allowed
    assert not bench.explain("tokens", 161, at_us=APRIL_US).decision.allowed


def test_rates_are_as_full_as_they_are_now_and_at_rest_at_other_instants() -> None:
    bench = Bench()
    bench.count("jobs", 20)
    now = bench.explain("jobs")
    assert [0, 20 * SECOND_US] == levels(now)
    assert Reason.RATE_LIMITED is now.decision.reason
    assert SECOND_US // 10 == now.decision.retry_after_us
    for at_us in (NOW_US - 1, NOW_US + 1, APRIL_US):
        other = bench.explain("jobs", 20, at_us=at_us)
        assert [0, 0] == levels(other)
        assert other.decision.allowed


def test_a_throttle_is_as_full_as_it_is_now_and_at_rest_at_other_instants() -> None:
    bench = Bench()
    bench.count("exports", 12)
    assert [2 * SECOND_US] == levels(bench.explain("exports"))
    assert Reason.RATE_LIMITED is bench.explain("exports").decision.reason
    other = bench.explain("exports", 2, at_us=NOW_US + 1)
    assert [0] == levels(other)
    assert ("slowed",) == other.decision.throttled


@pytest.mark.parametrize("at_us", [FIRST_INSTANT_US, -1, 0, END_INSTANT_US - 1])
@pytest.mark.parametrize("feature", ["calls", "messages", "tokens", "exports", "jobs", "days"])
def test_any_year_can_be_explained(feature: str, at_us: int) -> None:
    found = Bench().explain(feature, at_us=at_us, dimensions={"user": "ann"})
    assert found.decision.allowed
    assert {0} == {0, *used(found).values()}


def test_a_silent_plane_is_in_the_basis_and_decides_where_the_feature_wants_it() -> None:
    bench = Bench(authority=False)
    bench.now_us += MINUTE_US + 1
    stale = bench.explain("cautious")
    assert (Reason.SNAPSHOT_STALE, BasisMode.FALLBACK, FallbackCause.STALE_SNAPSHOT) == (
        stale.decision.reason,
        stale.basis.mode,
        stale.basis.fallback,
    )
    assert {"daily": 0} == used(stale)
    kept = bench.explain("calls")
    assert (True, BasisMode.LOCAL) == (kept.decision.allowed, kept.basis.mode)


def test_an_explanation_counts_nothing_and_leaves_calls_as_they_were() -> None:
    bench = Bench()
    bench.count("calls", 40)
    for at_us in (NOW_US, APRIL_US, FIRST_INSTANT_US):
        for feature in ("calls", "jobs", "exports", "tokens"):
            bench.explain(feature, 5, at_us=at_us)
    bench.count("calls", 60)
    assert {"monthly": 100} == used(bench.explain())
    assert [0, 0] == levels(bench.explain("jobs"))
    assert 2 == bench.opened.store.head.sequence
