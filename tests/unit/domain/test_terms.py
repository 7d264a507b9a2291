"""What a subscription takes over from its plan: trial, grace and version, where it says none."""

from __future__ import annotations

from typing import Any, Final

import pytest

from sidecar.domain.catalog.model import Plan
from sidecar.domain.catalog.plan_terms import Grace, Trial
from sidecar.domain.company.model import (
    PastDue,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.terms import begun, with_bought_versions, with_grace
from sidecar.domain.time.units import DAY_US
from tests.support.build import NOW_US

ACTIVE, ENDED = SubscriptionStatus.ACTIVE, SubscriptionStatus.ENDED
LENGTH_US: Final = 14 * DAY_US


def plans(**fields: Any) -> dict[str, Plan]:
    return {"pro": Plan("pro", version=4, **fields), "free": Plan("free", version=2)}


@pytest.mark.parametrize(
    ("trial", "expected"),
    [
        pytest.param(Trial(LENGTH_US), (ENDED, ""), id="it_ends"),
        pytest.param(Trial(LENGTH_US, becomes_active=True), (ACTIVE, ""), id="it_is_paid_then"),
        pytest.param(Trial(LENGTH_US, end_plan="free"), (ACTIVE, "free"), id="another_plan"),
    ],
)
def test_a_subscription_that_begins_has_the_plans_trial(
    trial: Trial, expected: tuple[SubscriptionStatus, str]
) -> None:
    subscription = begun(Subscription("pro"), plans(trial=trial), NOW_US)
    ends_us = NOW_US + LENGTH_US
    assert (subscription.anchor_us, subscription.trial_ends_us) == (ends_us, ends_us)
    assert (subscription.trial_end_status, subscription.trial_end_plan) == expected


@pytest.mark.parametrize(
    ("subscription", "trial_ends_us"),
    [
        pytest.param(Subscription("pro", NOW_US + 1), NOW_US + LENGTH_US, id="later_cycle"),
        pytest.param(Subscription("pro", NOW_US - 1), None, id="cycle_has_begun"),
        pytest.param(Subscription("pro", trial_ends_us=NOW_US + 5), NOW_US + 5, id="own_trial"),
        pytest.param(Subscription("free"), None, id="plan_without_a_trial"),
        pytest.param(Subscription("other"), None, id="plan_unknown"),
    ],
)
def test_a_trial_of_the_plan_is_for_who_begins_and_says_none(
    subscription: Subscription, trial_ends_us: int | None
) -> None:
    after = begun(subscription, plans(trial=Trial(LENGTH_US)), NOW_US)
    assert after.trial_ends_us == trial_ends_us
    assert after.anchor_us == (subscription.anchor_us or NOW_US)


@pytest.mark.parametrize(
    ("past_due", "expected"),
    [
        pytest.param(
            PastDue(NOW_US), PastDue(NOW_US, NOW_US + LENGTH_US, "free"), id="of_the_plan"
        ),
        pytest.param(PastDue(NOW_US, NOW_US + 1), PastDue(NOW_US, NOW_US + 1), id="its_own"),
        pytest.param(None, None, id="nothing_late"),
    ],
)
def test_a_late_payment_has_the_plans_grace_where_it_has_none(
    past_due: PastDue | None, expected: PastDue | None
) -> None:
    of_pro = plans(grace=Grace(LENGTH_US, "free"))
    subscription = Subscription("pro", 0, past_due=past_due)
    assert with_grace(subscription, of_pro).past_due == expected
    on_free = Subscription("free", 0, past_due=past_due)
    assert with_grace(on_free, of_pro).past_due == past_due


@pytest.mark.parametrize(
    ("late", "said", "expected"),
    [
        pytest.param(
            PastDue(NOW_US), PastDue(NOW_US), PastDue(NOW_US), id="without_a_grace_stays_so"
        ),
        pytest.param(
            PastDue(NOW_US, NOW_US + 1, "max"),
            PastDue(NOW_US),
            PastDue(NOW_US, NOW_US + 1, "max"),
            id="with_a_grace_keeps_it",
        ),
        pytest.param(
            PastDue(NOW_US),
            PastDue(NOW_US, NOW_US + 1),
            PastDue(NOW_US, NOW_US + 1),
            id="what_is_said_holds",
        ),
        pytest.param(
            PastDue(NOW_US),
            PastDue(NOW_US + 1),
            PastDue(NOW_US + 1, NOW_US + 1 + LENGTH_US, "free"),
            id="another_late_payment_has_the_plans",
        ),
    ],
)
def test_a_payment_that_is_late_already(late: PastDue, said: PastDue, expected: PastDue) -> None:
    of_pro = plans(grace=Grace(LENGTH_US, "free"))
    held = Subscription("free", 0, past_due=late)
    assert with_grace(Subscription("pro", 0, past_due=said), of_pro, held).past_due == expected


def test_a_plan_is_bought_in_the_version_that_is_sold() -> None:
    bought = with_bought_versions(Subscription("pro", 0), None, plans())
    assert bought.plan_version == 4
    assert with_bought_versions(Subscription("pro", 0), Subscription("free", 0), plans()) == bought


def test_who_has_a_plan_keeps_its_version() -> None:
    held = Subscription("pro", 0, changes=(ScheduledChange(NOW_US, "free"),))
    assert with_bought_versions(held, held, plans()) == held


def test_a_plan_that_is_planned_has_the_version_sold_when_it_was_planned() -> None:
    planned = Subscription("pro", 0, plan_version=4, changes=(ScheduledChange(NOW_US, "free"),))
    after = with_bought_versions(planned, Subscription("pro", 0, plan_version=4), plans())
    assert after.changes == (ScheduledChange(NOW_US, "free", plan_version=2),)
    told = Subscription("pro", 0, plan_version=3)
    assert with_bought_versions(told, None, plans()) == told
