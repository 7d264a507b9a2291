"""Whatever is changed, now or for later: the timeline tells what was, is and will be in force."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    CompanySnapshot,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    ChangeTime,
    DropPlannedChanges,
    EndTrial,
    ExtendTrial,
    MarkPaid,
    MarkPastDue,
    OnPlanned,
    PauseSubscription,
    RenewSubscription,
    ResetUsage,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.subscription_lifecycle import apply_change, settled
from sidecar.domain.company.timeline import compile_snapshot, continue_snapshot, segment_at
from sidecar.domain.errors import FieldError
from tests.property.lifecycle_model import (
    ADD_ONS,
    DAILY,
    DAY_HOURS,
    HOURS,
    Model,
    hour_of,
    instant,
)

Status = SubscriptionStatus

AT_PERIOD_END: Final = -1

Step: TypeAlias = tuple[int, "Build", int]
"""Hours that pass, a change, and when: 0 is now, AT_PERIOD_END, or so many hours later."""
Build: TypeAlias = Callable[[int], SubscriptionChange]
"""Makes a change, given the hour at which it is asked for."""


def later(hours: int | None, build: Callable[[int | None], SubscriptionChange]) -> Build:
    return lambda now: build(None if hours is None else instant(now + hours))


HOURS_ON: Final = st.one_of(st.none(), st.integers(1, 30))
PLANNABLE: Final = st.one_of(
    st.builds(
        ChangePlan,
        st.sampled_from(["basic", "pro", "max"]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    st.sampled_from([CancelSubscription(), ResetUsage()]),
).map(lambda change: lambda now: change)
ADDED: Final = st.builds(SetAddOn, st.sampled_from(ADD_ONS), st.integers(0, 2)).map(
    lambda change: lambda now: change
)
RESUMED: Final = st.booleans().map(lambda moves: lambda now: ResumeSubscription(moves))
PAUSES: Final = st.tuples(HOURS_ON, st.booleans()).map(
    lambda found: later(found[0], lambda until_us: PauseSubscription(until_us, found[1]))
)
RENEWALS: Final = st.tuples(HOURS_ON, st.booleans()).map(
    lambda found: later(found[0], lambda ends_us: RenewSubscription(ends_us, found[1]))
)
LATE: Final = st.one_of(st.none(), st.integers(-3, 12)).map(lambda hours: later(hours, MarkPastDue))
AT_ONCE: Final = st.one_of(
    RENEWALS,
    LATE,
    st.sampled_from([MarkPaid(), DropPlannedChanges(), EndTrial()]).map(lambda c: lambda now: c),
)
STEPS: Final = st.lists(
    st.one_of(
        st.tuples(
            st.integers(0, 5),
            st.one_of(PLANNABLE, ADDED, PAUSES, RESUMED),
            st.one_of(st.just(0), st.just(AT_PERIOD_END), st.integers(1, 20)),
        ),
        st.tuples(st.integers(0, 5), AT_ONCE, st.just(0)),
    ),
    max_size=14,
)


@st.composite
def bought(draw: st.DrawFn) -> Subscription:
    """A subscription that began at hour 0; perhaps on trial, perhaps with an end."""
    trial, ends = draw(st.one_of(st.none(), st.integers(1, 20))), draw(HOURS_ON)
    return Subscription(
        "basic",
        instant(0),
        trial_ends_us=None if trial is None else instant(trial),
        trial_end_status=draw(st.sampled_from([Status.ACTIVE, Status.ENDED])),
        ends_us=None if ends is None else instant(ends),
        billing_period=DAILY,
    )


def model_of(subscription: Subscription) -> Model:
    model = Model()
    if subscription.trial_ends_us is not None:
        ends = hour_of(subscription.trial_ends_us)
        model.set(model.trialing, 0, ends, True)
        model.set(model.tried, ends, None, subscription.trial_end_status is Status.ENDED)
    if subscription.ends_us is not None:
        model.set(model.ended, hour_of(subscription.ends_us), None, True)
    return model


@settings(max_examples=400, deadline=None)
@given(subscription=bought(), steps=STEPS)
def test_the_timeline_tells_what_was_is_and_will_be(
    subscription: Subscription, steps: list[Step]
) -> None:
    model = model_of(subscription)
    company = Company("acme", subscription=subscription)
    held = compile_snapshot(company, 1)
    for passed, build, wanted in steps:
        model.now += passed
        now_us = instant(model.now)
        held_subscription = company.subscription
        assert held_subscription is not None
        told = msgspec.structs.replace(
            company, subscription=settled(held_subscription, now_us, "UTC")
        )
        assert held == continue_snapshot(held, told, 1, now_us)

        change = build(model.now)
        at_end = wanted == AT_PERIOD_END
        model.settle()
        at = model.period_end() if at_end else model.now + wanted
        when = NOW if wanted == 0 else When(ChangeTime.AT, instant(at))
        when = PERIOD_END if at_end else when
        possible = model.take(change, at, at_end)
        try:
            done = apply_change(held_subscription, change, when, now_us, "UTC", OnPlanned.KEEP)
        except FieldError:
            assert not possible
            continue
        assert possible
        if not at_end:
            assert instant(at) == done.effective_us
        _no_period_is_cut(model, done.subscription, now_us)
        company = msgspec.structs.replace(company, subscription=done.subscription)
        held = continue_snapshot(held, company, 1, now_us, resets_usage=done.resets_usage)
        _compare(model, held)
        _ask_again(done.subscription, change, when, now_us)


def _compare(model: Model, held: CompanySnapshot) -> None:
    segments = [segment_at(held, instant(hour)) for hour in range(HOURS)]
    for hour, segment in enumerate(segments):
        add_ons = tuple(
            AddOnSubscription(key, model.quantity(key, hour))
            for key in ADD_ONS
            if model.quantity(key, hour)
        )
        expected = (model.status(hour), model.plan(hour), add_ons, instant(model.anchor(hour)))
        status = (segment.status, segment.after_trial, segment.past_grace)
        assert expected == (status, segment.plan, segment.add_ons, segment.anchor_us), hour
    for hour in range(1, HOURS):
        before, segment = segments[hour - 1 : hour + 1]
        reset = any(mark.at == hour for mark in model.resets)
        assert reset is (before.generation < segment.generation), hour
        anew = reset or model.anchor(hour - 1) != model.anchor(hour)
        assert anew is (before.anchored_generation < segment.anchored_generation), hour


def _ask_again(
    subscription: Subscription, change: SubscriptionChange, when: When, now_us: int
) -> None:
    try:
        again = apply_change(subscription, change, when, now_us, "UTC", OnPlanned.DROP)
    except FieldError:
        return
    anew = getattr(change, "resets_usage", False) or getattr(change, "moves_anchor", False)
    if not (when == NOW and (anew or isinstance(change, ResetUsage))):
        assert (subscription, ()) == (again.subscription, again.dropped)


def _no_period_is_cut(model: Model, subscription: Subscription, now_us: int) -> None:
    """What is meant for a period's end is at one, by the anchor that is in force before it.

    The end of a trial is one.
    """
    pause = subscription.pause
    meant = [change.at_us for change in subscription.changes if change.at_period_end]
    meant += [subscription.cancel_us or 0] * subscription.cancel_at_period_end
    if pause is not None:
        meant += [pause.from_us] * pause.starts_at_period_end
        meant += [pause.until_us or 0] * pause.ends_at_period_end
    for at_us in meant:
        since = hour_of(at_us) - model.anchor(hour_of(at_us) - 1, with_intents=False)
        assert at_us > now_us
        assert since % DAY_HOURS == 0 or at_us == subscription.trial_ends_us


@settings(deadline=None)
@given(subscription=bought(), steps=STEPS, passed=st.integers(0, 30))
def test_an_upgrade_that_drops_what_was_planned_is_not_taken_back(
    subscription: Subscription, steps: list[Step], passed: int
) -> None:
    now = 0
    for hours, build, wanted in steps:
        now += hours
        when = NOW if wanted == 0 else When(ChangeTime.AT, instant(now + max(wanted, 1)))
        when = PERIOD_END if wanted == AT_PERIOD_END else when
        with contextlib.suppress(FieldError):
            subscription = apply_change(
                subscription, build(now), when, instant(now), "UTC", OnPlanned.KEEP
            ).subscription
    now_us = instant(now + passed)
    wanted_plan = ChangePlan("top", renews=True)
    done = apply_change(subscription, wanted_plan, NOW, now_us, "UTC", OnPlanned.DROP)
    timeline = compile_snapshot(Company("acme", subscription=done.subscription), 1)
    for phase in timeline.phases:
        if phase.until_us > now_us:
            assert "top" == phase.plan
            assert Status.CANCELED is not phase.status


@settings(deadline=None)
@given(
    subscription=bought(),
    steps=STEPS,
    passed=st.integers(0, 3),
    trial=st.one_of(st.builds(EndTrial), st.integers(1, 30).map(lambda h: ExtendTrial(instant(h)))),
)
def test_what_is_meant_for_the_period_end_is_at_the_end_of_a_trial_that_runs(
    subscription: Subscription, steps: list[Step], passed: int, trial: SubscriptionChange
) -> None:
    now = 0
    every: list[tuple[int, SubscriptionChange, When]] = []
    for hours, build, wanted in steps:
        now += hours
        every.append((now, build(now), PERIOD_END if wanted else NOW))
    every.append((now + passed, trial, NOW))
    for hour, change, when in every:
        with contextlib.suppress(FieldError):
            subscription = apply_change(
                subscription, change, when, instant(hour), "UTC", OnPlanned.KEEP
            ).subscription
            ends_us = subscription.trial_ends_us
            if ends_us is None or ends_us <= instant(hour):
                continue
            meant = [each.at_us for each in subscription.changes if each.at_period_end]
            meant += [subscription.cancel_us or 0] * subscription.cancel_at_period_end
            assert {ends_us}.issuperset(meant)


@settings(deadline=None)
@given(subscription=bought(), steps=STEPS)
def test_no_change_denies_a_live_subscription_but_those_that_say_so(
    subscription: Subscription, steps: list[Step]
) -> None:
    now = 0
    for hours, build, wanted in steps:
        now += hours
        now_us = instant(now)
        before = _status(subscription, now_us)
        change = build(now)
        when = NOW if wanted == 0 else When(ChangeTime.AT, instant(now + max(wanted, 1)))
        when = PERIOD_END if wanted == AT_PERIOD_END else when
        with contextlib.suppress(FieldError):
            subscription = apply_change(
                subscription, change, when, now_us, "UTC", OnPlanned.KEEP
            ).subscription
        after = _status(subscription, now_us)
        if before in (Status.TRIALING, Status.ACTIVE) and not isinstance(
            change, CancelSubscription | PauseSubscription | MarkPastDue
        ):
            assert after in ((before, Status.ACTIVE) if isinstance(change, EndTrial) else (before,))


def _status(subscription: Subscription, at_us: int) -> Status:
    return segment_at(compile_snapshot(Company("acme", subscription=subscription), 1), at_us).status
