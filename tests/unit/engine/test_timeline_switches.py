"""What is known to change does so on the microsecond, with nobody to tell it.

The plane was heard when the timeline was applied, and never again.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import pytest

from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    FeatureKind,
)
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    PastDue,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.support.build import ANCHORED_MONTH, NOW_US, SHADOW, catalog, limit, metered
from tests.support.inside import Inside

T_US: Final = NOW_US + 5 * DAY_US + 123_456
"""When it changes: not on a second."""
ANCHOR_US: Final = 1_767_225_600_000_000
BOOST: Final = AddOn("boost", entitlements=(AddOnEntitlement(metered("calls", limit("m", 7))),))
_PLANS: Final = catalog(
    {
        "basic": [metered("calls", limit("monthly", 10)), EntitlementGrant("sso", enabled=False)],
        "pro": [metered("calls", limit("monthly", 100)), EntitlementGrant("sso", enabled=True)],
        "cycles": [metered("calls", limit("cycle", 50, window=ANCHORED_MONTH))],
        "watched": [metered("calls", limit("trial", 1, SHADOW), limit("monthly", 10))],
    },
    {"sso": FeatureKind.BOOLEAN},
)
CONTENT: Final = Catalog(_PLANS.features, _PLANS.plans, (BOOST,))


class Shown(NamedTuple):
    """The answer to a check of one: why, of how much, and what was used with it."""

    reason: Reason
    amount: int = 0
    used: int = 0


ALLOWED: Final = Reason.ALLOWED


def bought(plan: str = "pro", *changes: ScheduledChange, **fields: Any) -> Company:
    return Company("acme", subscription=Subscription(plan, ANCHOR_US, changes=changes, **fields))


def shown(sidecar: Inside, at_us: int | None = None) -> Shown:
    decision = sidecar.decide(1, at_us=at_us).decision
    limits = decision.binding_limit
    return Shown(Reason(decision.reason), limits.amount, limits.used)


SWITCHES: Final = [
    pytest.param(
        bought(trial_ends_us=T_US), Shown(ALLOWED, 100, 1), Shown(Reason.TRIAL_ENDED), id="trial"
    ),
    pytest.param(
        bought("basic", ScheduledChange(T_US, "pro"), trial_ends_us=T_US + DAY_US),
        Shown(ALLOWED, 10, 1),
        Shown(ALLOWED, 100, 2),
        id="upgrade within a trial",
    ),
    pytest.param(
        bought(trial_ends_us=T_US, trial_end_status=SubscriptionStatus.ACTIVE),
        Shown(ALLOWED, 100, 1),
        Shown(ALLOWED, 100, 2),
        id="trial that goes on",
    ),
    pytest.param(
        bought(pause=Pause(T_US)),
        Shown(ALLOWED, 100, 1),
        Shown(Reason.SUBSCRIPTION_PAUSED),
        id="pause",
    ),
    pytest.param(
        bought(pause=Pause(NOW_US, T_US)),
        Shown(Reason.SUBSCRIPTION_PAUSED),
        Shown(ALLOWED, 100, 1),
        id="end of a pause",
    ),
    pytest.param(
        bought(past_due=PastDue(NOW_US, T_US)),
        Shown(ALLOWED, 100, 1),
        Shown(Reason.SUBSCRIPTION_PAST_DUE),
        id="end of the grace of a late payment",
    ),
    pytest.param(
        bought(cancel_us=T_US),
        Shown(ALLOWED, 100, 1),
        Shown(Reason.SUBSCRIPTION_CANCELED),
        id="cancellation",
    ),
    pytest.param(
        bought(ends_us=T_US),
        Shown(ALLOWED, 100, 1),
        Shown(Reason.SUBSCRIPTION_CANCELED),
        id="end of the term",
    ),
    pytest.param(
        bought("pro", ScheduledChange(T_US, "basic")),
        Shown(ALLOWED, 100, 1),
        Shown(ALLOWED, 10, 2),
        id="downgrade: usage stays",
    ),
    pytest.param(
        bought("pro", ScheduledChange(T_US, "basic", resets_usage=True)),
        Shown(ALLOWED, 100, 1),
        Shown(ALLOWED, 10, 1),
        id="downgrade with a reset",
    ),
    pytest.param(
        bought("cycles", ScheduledChange(T_US, moves_anchor=True)),
        Shown(ALLOWED, 50, 1),
        Shown(ALLOWED, 50, 1),
        id="a moved anchor: the cycle starts anew",
    ),
    pytest.param(
        bought("pro", ScheduledChange(T_US, moves_anchor=True)),
        Shown(ALLOWED, 100, 1),
        Shown(ALLOWED, 100, 2),
        id="a moved anchor: calendar months go on",
    ),
    pytest.param(
        bought("pro", ScheduledChange(T_US, add_ons=(AddOnSubscription("boost", 2),))),
        Shown(ALLOWED, 100, 1),
        Shown(ALLOWED, 114, 2),
        id="an add-on from then on",
    ),
    pytest.param(
        bought("pro", ScheduledChange(T_US, add_ons=()), add_ons=(AddOnSubscription("boost", 2),)),
        Shown(ALLOWED, 114, 1),
        Shown(ALLOWED, 100, 2),
        id="an add-on until then",
    ),
    pytest.param(
        Company(
            "acme",
            subscription=Subscription("pro", ANCHOR_US),
            overrides=(Override(metered("calls", limit("own", 3)), T_US),),
        ),
        Shown(ALLOWED, 3, 1),
        Shown(ALLOWED, 100, 2),
        id="expiry of an override",
    ),
    pytest.param(
        Company("acme", overrides=(Override(metered("calls", limit("own", 3)), T_US),)),
        Shown(ALLOWED, 3, 1),
        Shown(Reason.NOT_ENTITLED),
        id="expiry of an override that was all there was",
    ),
]


@pytest.mark.parametrize(("acme", "before", "after"), SWITCHES)
def test_it_switches_on_the_microsecond(acme: Company, before: Shown, after: Shown) -> None:
    sidecar = Inside(CONTENT, acme)
    sidecar.now_us = T_US - 1
    assert before == shown(sidecar)
    sidecar.now_us = T_US
    assert after == shown(sidecar)


@pytest.mark.parametrize(("acme", "before", "after"), SWITCHES)
def test_a_restart_in_between_changes_nothing(acme: Company, before: Shown, after: Shown) -> None:
    sidecar = Inside(CONTENT, acme)
    sidecar.now_us = T_US - 1
    assert before == shown(sidecar)
    sidecar.reopen()
    sidecar.now_us = T_US
    sidecar.plane_status.heard_us = None
    assert after == shown(sidecar)


@pytest.mark.parametrize(("acme", "before", "after"), SWITCHES)
def test_usage_of_before_that_comes_late_is_decided_as_it_would_have_been(
    acme: Company, before: Shown, after: Shown
) -> None:
    sidecar = Inside(CONTENT, acme)
    sidecar.now_us = T_US + HOUR_US
    assert before == shown(sidecar, T_US - 1)
    assert after == shown(sidecar, T_US)


@pytest.mark.parametrize(
    ("acme", "reasons"),
    [
        (bought("pro", ScheduledChange(T_US, "basic")), (Reason.ALLOWED, Reason.NOT_ENTITLED)),
        (bought("basic", ScheduledChange(T_US, "pro")), (Reason.NOT_ENTITLED, Reason.ALLOWED)),
        (bought(pause=Pause(T_US)), (Reason.ALLOWED, Reason.ALLOWED)),
        (bought(cancel_us=T_US), (Reason.ALLOWED, Reason.SUBSCRIPTION_CANCELED)),
    ],
    ids=["downgrade", "upgrade", "a pause leaves what is not metered", "cancellation"],
)
def test_features_that_are_not_metered_switch_too(
    acme: Company, reasons: tuple[Reason, Reason]
) -> None:
    sidecar = Inside(CONTENT, acme)
    found = []
    for now_us in (T_US - 1, T_US):
        sidecar.now_us = now_us
        found.append(Reason(sidecar.decide(1, "sso").decision.reason))
    assert list(reasons) == found


def test_what_happened_is_counted_also_while_checks_are_denied() -> None:
    sidecar = Inside(CONTENT, bought(pause=Pause(NOW_US, T_US)))
    told = sidecar.decide(40, mode=GrantMode.RECORD_ONLY)
    assert Reason.SUBSCRIPTION_PAUSED == Reason(told.decision.reason)
    assert told.record_id
    sidecar.now_us = T_US
    assert Shown(ALLOWED, 100, 41) == shown(sidecar)


def test_usage_above_a_lowered_limit_shows_nothing_left_and_the_overage() -> None:
    sidecar = Inside(CONTENT, bought("pro", ScheduledChange(T_US, "basic")))
    sidecar.decide(40)
    sidecar.now_us = T_US
    status = sidecar.decide(1).decision.binding_limit
    assert (10, 40, 0, 30) == (status.amount, status.used, status.remaining, status.overage)


def test_shadow_limits_come_and_go_with_their_plan() -> None:
    sidecar = Inside(CONTENT, bought("basic", ScheduledChange(T_US, "watched")))
    found = []
    for now_us in (T_US - 1, T_US):
        sidecar.now_us = now_us
        found.append(list(sidecar.decide(2).decision.shadow_denials))
    assert [[], ["trial"]] == found
