"""Limits that each request is held to by itself, by outcome."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog.model import Enforcement, EntitlementGrant, Limit, Rollover, Scope
from sidecar.domain.catalog.rules import problems
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.slices import whole
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.support.build import (
    HARD,
    MONTH,
    SHADOW,
    SOFT,
    catalog,
    company,
    limit,
    metered,
    throttled,
)
from tests.support.inside import Inside

REQUEST: Final = WindowSpec(WindowUnit.REQUEST)
MONTHLY: Final = limit("monthly", 100, HARD, MONTH)


def at_once(
    amount: int = 10, enforcement: Enforcement = HARD, match: tuple[tuple[str, str], ...] = ()
) -> Limit:
    return Limit("at_once", REQUEST, amount, enforcement, Scope(match=match))


def selling(*limits: Limit) -> Inside:
    return Inside(catalog({"basic": [metered("calls", *limits)]}), company("acme"))


@pytest.mark.parametrize("usual", [True, False])
def test_a_request_above_it_is_denied_for_good_and_nothing_is_counted(usual: bool) -> None:
    content = catalog({"basic": [metered("calls", MONTHLY, at_once())]})
    sidecar = Inside(content, company("acme"), usual=usual)
    assert sidecar.decide(10).decision.allowed
    denied = sidecar.decide(11).decision
    assert (False, pb.REASON_LIMIT_EXCEEDED) == (denied.allowed, denied.reason)
    assert "at_once" == denied.binding_limit.limit
    assert (10, 0) == (denied.binding_limit.amount, denied.binding_limit.used)
    assert not denied.HasField("retry_after")
    assert not denied.binding_limit.HasField("resets_at")
    assert 10 == sidecar.decide(0).decision.binding_limit.used


def test_it_never_fills_however_many_requests_come() -> None:
    sidecar = selling(at_once())
    assert all(sidecar.decide(10).decision.allowed for _ in range(50))


def test_an_allowed_answer_names_a_limit_that_is_counted() -> None:
    answer = selling(at_once(5), limit("monthly", 1_000)).decide(5).decision
    assert "monthly" == answer.binding_limit.limit
    assert not selling(at_once()).decide(5).decision.HasField("binding_limit")


def test_as_much_as_is_left_is_as_much_as_one_request_may() -> None:
    answer = selling(MONTHLY, at_once()).decide(25, mode=GrantMode.UP_TO).decision
    assert (True, 10) == (answer.allowed, answer.granted)


def test_above_a_soft_one_it_is_overage() -> None:
    answer = selling(MONTHLY, at_once(10, SOFT)).decide(25).decision
    assert (True, 15) == (answer.allowed, answer.overage)
    assert [15] == [record.overage for record in selling_and_using(SOFT)]


def selling_and_using(enforcement: Enforcement) -> list:  # type: ignore[type-arg]
    sidecar = selling(at_once(10, enforcement))
    sidecar.decide(25)
    return sidecar.records()


def test_a_shadow_one_says_what_it_would_have_denied() -> None:
    answer = selling(MONTHLY, at_once(10, SHADOW)).decide(25).decision
    assert answer.allowed
    assert ["at_once"] == list(answer.shadow_denials)


def test_what_has_happened_is_recorded_with_its_reason() -> None:
    sidecar = selling(MONTHLY, at_once())
    answer = sidecar.decide(25, mode=GrantMode.RECORD_ONLY).decision
    assert (True, pb.REASON_LIMIT_EXCEEDED) == (answer.allowed, answer.reason)
    assert [25] == [record.quantity for record in sidecar.records()]


def test_it_is_about_the_usage_that_its_scope_names() -> None:
    sidecar = selling(MONTHLY, at_once(match=(("model", "large"),)))
    assert sidecar.decide(20, dimensions={"model": "small"}).decision.allowed
    assert not sidecar.decide(20, dimensions={"model": "large"}).decision.allowed


def test_no_counter_no_record_and_no_report_of_usage_knows_it() -> None:
    sidecar = selling(MONTHLY, at_once())
    sidecar.decide(10)
    (record,) = sidecar.records()
    assert 1 == len(record.counters)
    report = whole(sidecar.queries.usage("acme", "calls", sidecar.now_us, sidecar.now_us))
    assert [["monthly"]] == [[usage.id for usage in usages] for _, usages in report.features]


def test_usage_of_other_plans_does_not_count_on_it() -> None:
    content = catalog({"basic": [metered("calls")], "other": [metered("calls", at_once())]})
    index = CatalogIndex(content, 1)
    sidecar = Inside(content, company("acme"))
    feature = sidecar.enforcer.feature_of("acme", "calls", sidecar.now_us)
    assert feature is not None
    assert () == index.also_counted(feature.entitlement)


WRONG: Final = {
    "it cannot throttle": (
        throttled("at_once", 5, window=REQUEST),
        "THROTTLE needs a window, REQUEST is none; say HARD, SOFT or SHADOW",
    ),
    "nothing of it rolls over": (
        Limit("at_once", REQUEST, 5, rollover=Rollover()),
        "needs windows that end, REQUEST does not",
    ),
}


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG)
def test_what_makes_no_sense_for_one_request_is_refused(wrong: Limit, message: str) -> None:
    grant = EntitlementGrant("calls", limits=(wrong,))
    assert [message] == [told for _, told in problems(catalog({"basic": [grant]}))]
