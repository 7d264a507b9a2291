"""Fail policies: what decides where knowledge or room is lacking, whichever way it is asked.

Every table goes through the five ways to ask: a check by itself, in a batch and on a stream, a
question that counts nothing, and a report of what has happened, which is never denied.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    FailAction,
    FailPolicy,
    FeatureKind,
)
from sidecar.domain.company.model import Subscription
from sidecar.domain.limits.reasons import BasisMode, FallbackCause, Reason
from sidecar.domain.time.units import MINUTE_US
from tests.support.build import NOW_US, catalog, company, limit, metered
from tests.support.inside import Inside
from tests.support.method_calls import COUNTING, WAYS, call
from tests.support.sidecar_api import ask

DENY, ALLOW, KEEP = FailAction.DENY, FailAction.ALLOW, FailAction.KEEP
DEFAULT_PLAN: Final = FailAction.DEFAULT_PLAN
NO_SNAPSHOT, STALE = FallbackCause.NO_SNAPSHOT, FallbackCause.STALE_SNAPSHOT
FULL, NONE = FallbackCause.OUTBOX_FULL, FallbackCause.NONE
ALL_WAYS: Final = tuple(WAYS)


class Told(NamedTuple):
    """What an answer says."""

    allowed: bool
    reason: Reason
    cause: FallbackCause
    would_deny: Reason | None = None


def told(decision: pb.Decision) -> Told:
    """What an answer says; its mode must go with the cause."""
    cause = FallbackCause(decision.basis.fallback)
    assert (BasisMode.FALLBACK if cause else BasisMode.LOCAL) == BasisMode(decision.basis.mode)
    would_deny = Reason(decision.would_deny_reason) if decision.would_deny_reason else None
    return Told(decision.allowed, Reason(decision.reason), cause, would_deny)


def content(policy: FailPolicy, default_plan: str = "") -> Catalog:
    plans = {
        "basic": [metered("calls", limit("monthly", 100)), EntitlementGrant("sso", enabled=True)],
        "free": [metered("calls", limit("few", 5))],
    }
    found = catalog(plans, {"sso": FeatureKind.BOOLEAN})
    features = tuple(
        msgspec.structs.replace(feature, fail_policy=policy) for feature in found.features
    )
    return msgspec.structs.replace(found, features=features, default_plan=default_plan)


def recorded(sidecar: Inside) -> list[tuple[str, int, bool]]:
    """What waits to be sent: company, quantity, and whether it is on counters."""
    return [
        (record.company, record.quantity, bool(record.counters)) for record in sidecar.records()
    ]


def fallbacks(sidecar: Inside) -> dict[tuple[str, str], int]:
    """What the metrics counted."""
    name = "tallyd_fallback_decisions_total"
    found = {
        (cause.name, result): int(sidecar.metric(name, cause=cause.name, result=result))
        for cause in FallbackCause
        for result in ("allowed", "denied")
    }
    return {key: count for key, count in found.items() if count}


async def assert_told(
    sidecar: Inside, way: str, asked: pb.CheckAndIncrementRequest, expected: Told, counted: bool
) -> None:
    """Ask, and compare answer, outbox and metrics. `counted`: on counters, if it is recorded."""
    before = recorded(sidecar)
    (outcome,) = await call(way, sidecar, asked)
    assert expected == told(outcome.response.decision)
    is_recorded = expected.allowed and way != "question"
    assert is_recorded == bool(outcome.response.record_id)
    record = [(asked.company, asked.quantity, counted)] if is_recorded else []
    assert before + record == recorded(sidecar)
    result = "allowed" if expected.allowed else "denied"
    is_fallback = expected.cause is not NONE and way != "question"
    assert ({(expected.cause.name, result): 1} if is_fallback else {}) == fallbacks(sidecar)


@pytest.mark.parametrize("way", ALL_WAYS)
@pytest.mark.parametrize(
    ("action", "expected", "counted"),
    [
        (DENY, Told(False, Reason.UNKNOWN_COMPANY, NO_SNAPSHOT), False),
        (ALLOW, Told(True, Reason.ALLOWED, NO_SNAPSHOT), False),
        (DEFAULT_PLAN, Told(True, Reason.ALLOWED, NO_SNAPSHOT), True),
    ],
    ids=lambda value: value.name if isinstance(value, FailAction) else "",
)
async def test_without_a_snapshot_and_with_the_plane_away(
    way: str, action: FailAction, expected: Told, counted: bool
) -> None:
    sidecar = Inside(content(FailPolicy(no_snapshot=action), "free"), company())
    sidecar.plane.away = True
    if way == "record":
        expected, counted = Told(True, Reason.UNKNOWN_COMPANY, NO_SNAPSHOT), False
    asked = ask(quantity=3, company="stranger")
    await assert_told(sidecar, way, asked, expected, counted)


@pytest.mark.parametrize("way", ALL_WAYS)
@pytest.mark.parametrize("silence_us", [MINUTE_US - 1, MINUTE_US], ids=["in time", "stale"])
@pytest.mark.parametrize(
    ("action", "quantity", "expected"),
    [
        (KEEP, 100, Told(True, Reason.ALLOWED, NONE)),
        (KEEP, 101, Told(False, Reason.LIMIT_EXCEEDED, NONE)),
        (DENY, 1, Told(False, Reason.SNAPSHOT_STALE, STALE)),
        (ALLOW, 100, Told(True, Reason.ALLOWED, STALE)),
        (ALLOW, 101, Told(True, Reason.ALLOWED, STALE, Reason.LIMIT_EXCEEDED)),
    ],
    ids=lambda value: value.name if isinstance(value, FailAction) else "",
)
async def test_with_a_snapshot_once_the_plane_was_silent_for_long(
    way: str, silence_us: int, action: FailAction, quantity: int, expected: Told
) -> None:
    sidecar = Inside(content(FailPolicy(stale=action, stale_after_us=MINUTE_US)), company())
    sidecar.now_us += silence_us
    if silence_us < MINUTE_US:
        fits = quantity <= 100
        reason = Reason.ALLOWED if fits else Reason.LIMIT_EXCEEDED
        expected = Told(fits, reason, NONE)
    if way == "record":
        expected = expected._replace(allowed=True)
    await assert_told(sidecar, way, ask(quantity=quantity), expected, counted=True)


@pytest.mark.parametrize("way", ALL_WAYS)
@pytest.mark.parametrize("feature", ["calls", "sso"])
async def test_what_a_policy_allows_is_told_with_what_denies_by_what_is_known(
    way: str, feature: str
) -> None:
    subscription = Subscription("basic", 1_767_225_600_000_000, cancel_us=NOW_US)
    canceled = msgspec.structs.replace(company(), subscription=subscription)
    sidecar = Inside(
        content(FailPolicy(stale=ALLOW, stale_after_us=MINUTE_US)),
        canceled,
    )
    sidecar.now_us += MINUTE_US
    (outcome,) = await call(way, sidecar, ask(feature))
    expected = Told(True, Reason.ALLOWED, STALE, Reason.SUBSCRIPTION_CANCELED)
    assert expected == told(outcome.response.decision)


@pytest.mark.parametrize("way", ALL_WAYS)
@pytest.mark.parametrize(
    ("action", "quantity", "expected"),
    [
        (DENY, 1, Told(False, Reason.OUTBOX_FULL, FULL)),
        (DENY, 101, Told(False, Reason.LIMIT_EXCEEDED, NONE)),
        (ALLOW, 1, Told(True, Reason.ALLOWED, FULL)),
        (ALLOW, 101, Told(False, Reason.LIMIT_EXCEEDED, NONE)),
    ],
    ids=lambda value: value.name if isinstance(value, FailAction) else "",
)
async def test_with_a_full_outbox(
    way: str, action: FailAction, quantity: int, expected: Told
) -> None:
    sidecar = Inside(content(FailPolicy(outbox_full=action)), company(), outbox_records_max=1)
    sidecar.decide(1)
    if way == "record":
        reason = Reason.ALLOWED if quantity <= 100 else Reason.LIMIT_EXCEEDED
        expected = Told(True, reason, FULL)
    await assert_told(sidecar, way, ask(quantity=quantity), expected, counted=True)


@pytest.mark.parametrize("way", COUNTING)
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(
            FailPolicy(no_snapshot=ALLOW, outbox_full=DENY),
            Told(False, Reason.OUTBOX_FULL, FULL),
            id="no room denies what a lack of knowledge would allow",
        ),
        pytest.param(
            FailPolicy(no_snapshot=ALLOW, outbox_full=ALLOW),
            Told(True, Reason.ALLOWED, FULL),
            id="both allow",
        ),
        pytest.param(
            FailPolicy(no_snapshot=DENY, outbox_full=ALLOW),
            Told(False, Reason.UNKNOWN_COMPANY, NO_SNAPSHOT),
            id="a lack of knowledge denies what no room would allow",
        ),
    ],
)
async def test_without_a_snapshot_and_with_a_full_outbox(
    way: str, policy: FailPolicy, expected: Told
) -> None:
    sidecar = Inside(content(policy), company(), outbox_records_max=1)
    sidecar.decide(1)
    sidecar.plane.away = True
    asked = ask(quantity=3, company="stranger")
    await assert_told(sidecar, way, asked, expected, counted=False)


@pytest.mark.parametrize("way", COUNTING)
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(
            FailPolicy(stale=ALLOW, stale_after_us=MINUTE_US, outbox_full=DENY),
            Told(False, Reason.OUTBOX_FULL, FULL),
            id="no room denies what staleness would allow",
        ),
        pytest.param(
            FailPolicy(stale=DENY, stale_after_us=MINUTE_US, outbox_full=ALLOW),
            Told(False, Reason.SNAPSHOT_STALE, STALE),
            id="staleness denies what no room would allow",
        ),
    ],
)
async def test_with_an_old_snapshot_and_a_full_outbox(
    way: str, policy: FailPolicy, expected: Told
) -> None:
    sidecar = Inside(content(policy), company(), outbox_records_max=1)
    sidecar.decide(1)
    sidecar.now_us += MINUTE_US
    await assert_told(sidecar, way, ask(quantity=3), expected, counted=True)


@pytest.mark.parametrize("way", [*COUNTING, "question"])
async def test_the_default_plan_that_a_policy_asks_for_is_not_too_old(way: str) -> None:
    """It stands in for what is not known; that nothing was heard meanwhile is no news."""
    policy = FailPolicy(no_snapshot=DEFAULT_PLAN, stale=DENY, stale_after_us=MINUTE_US)
    sidecar = Inside(content(policy, "free"), company())
    sidecar.plane.away = True
    sidecar.now_us += MINUTE_US
    asked = ask(quantity=3, company="stranger")
    expected = Told(True, Reason.ALLOWED, NO_SNAPSHOT)
    await assert_told(sidecar, way, asked, expected, counted=True)


@pytest.mark.parametrize("way", [*COUNTING, "question"])
@pytest.mark.parametrize("action", [DENY, ALLOW, DEFAULT_PLAN])
async def test_where_the_catalog_lacks_what_the_policy_needs_it_denies(
    way: str, action: FailAction
) -> None:
    """No such feature, and so no policy; or no default plan, where one is asked for."""
    sidecar = Inside(content(FailPolicy(no_snapshot=action)), company())
    sidecar.plane.away = True
    feature = "calls" if action is DEFAULT_PLAN else "unheard_of"
    asked = ask(feature, 3, company="stranger")
    expected = Told(False, Reason.UNKNOWN_COMPANY, NO_SNAPSHOT)
    await assert_told(sidecar, way, asked, expected, counted=False)


@pytest.mark.parametrize("way", [*COUNTING, "question"])
async def test_a_feature_that_is_not_metered_is_allowed_and_not_recorded(way: str) -> None:
    sidecar = Inside(content(FailPolicy(no_snapshot=ALLOW)), company())
    sidecar.plane.away = True
    (outcome,) = await call(way, sidecar, ask("sso", 1, company="stranger"))
    assert Told(True, Reason.ALLOWED, NO_SNAPSHOT) == told(outcome.response.decision)
    assert [] == recorded(sidecar)


async def test_a_company_that_the_plane_lacks_is_denied_whatever_the_fail_policy_says() -> None:
    sidecar = Inside(content(FailPolicy(no_snapshot=ALLOW)), company())
    (outcome,) = await call("check", sidecar, ask(company="stranger"))
    expected = Told(False, Reason.UNKNOWN_COMPANY, NO_SNAPSHOT)
    assert expected == told(outcome.response.decision)


async def test_a_retry_gets_the_answer_of_the_fail_policy_and_is_not_counted_again() -> None:
    sidecar = Inside(content(FailPolicy(no_snapshot=ALLOW)), company())
    sidecar.plane.away = True
    asked = ask(quantity=3, company="stranger", idempotency_key="k")
    (first,), (again,) = [await call("check", sidecar, asked) for _ in range(2)]
    assert (first.response.record_id, True) == (again.response.record_id, again.response.replayed)
    assert Told(True, Reason.ALLOWED, NO_SNAPSHOT) == told(again.response.decision)
    assert {("NO_SNAPSHOT", "allowed"): 1} == fallbacks(sidecar)
    assert [("stranger", 3, False)] == recorded(sidecar)


async def test_once_the_plane_is_heard_again_the_snapshot_decides() -> None:
    policy = FailPolicy(stale=DENY, stale_after_us=MINUTE_US)
    sidecar = Inside(content(policy), company())
    sidecar.now_us = NOW_US + 5 * MINUTE_US
    (before,) = await call("check", sidecar, ask())
    sidecar.plane_status.heard(sidecar.now_us)
    (after,) = await call("check", sidecar, ask())
    assert [STALE, NONE] == [told(outcome.response.decision).cause for outcome in (before, after)]


async def test_nothing_of_what_was_allowed_is_missing_from_the_outbox() -> None:
    """Knowledge, room and contact come and go; every allowed answer names a record in it."""
    policy = FailPolicy(ALLOW, ALLOW, MINUTE_US, ALLOW)
    sidecar = Inside(content(policy), company(), outbox_records_max=5)
    sidecar.plane.companies["later"] = company("later")
    ids = []
    for step in range(60):
        sidecar.plane.away = step % 7 < 4
        sidecar.now_us += 20_000_000
        name = ("acme", "stranger", "later")[step % 3]
        way = (*COUNTING, "record")[step % 4]
        (outcome,) = await call(way, sidecar, ask(quantity=step + 1, company=name))
        decision = outcome.response.decision
        assert decision.allowed == bool(outcome.response.record_id)
        if decision.allowed:
            ids.append((outcome.response.record_id, name, step + 1))
    records = sidecar.records()
    incarnation = sidecar.opened.store.incarnation.id
    assert ids == [
        (f"{incarnation}-{at}", record.company, record.quantity)
        for at, record in enumerate(records, 1)
    ]
    assert len(ids) > 35
