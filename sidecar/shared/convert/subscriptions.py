"""Subscriptions: what a company has bought, and what is planned with it."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.company.model import (
    MONTHLY,
    AddOnSubscription,
    PastDue,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.time.windows import Alignment
from sidecar.shared.convert._checks import below, member
from sidecar.shared.convert.limits import window_from_message, window_to_message
from sidecar.shared.convert.times import (
    optional_instant,
    optional_timestamp,
    required_instant,
    timestamp,
)


def subscription_to_message(subscription: Subscription) -> catalog_pb2.Subscription:
    """Turn a subscription into a message."""
    past_due, pause = subscription.past_due, subscription.pause
    period = subscription.billing_period
    return catalog_pb2.Subscription(
        plan=subscription.plan,
        anchor=optional_timestamp(subscription.anchor_us),
        trial_ends_at=optional_timestamp(subscription.trial_ends_us),
        trial_end_status=catalog_pb2.SubscriptionStatus.ValueType(subscription.trial_end_status),
        cancel_at=optional_timestamp(subscription.cancel_us),
        add_ons=add_ons_to_messages(subscription.add_ons),
        ends_at=optional_timestamp(subscription.ends_us),
        past_due=None if past_due is None else _past_due_to_message(past_due),
        pause=None if pause is None else _pause_to_message(pause),
        changes=map(change_to_message, subscription.changes),
        billing_period=None if period == MONTHLY else window_to_message(period),
        plan_version=subscription.plan_version,
        cancel_at_period_end=subscription.cancel_at_period_end,
        trial_end_plan=subscription.trial_end_plan,
    )


def subscription_from_message(message: catalog_pb2.Subscription, field: str) -> Subscription:
    """Read a subscription. Its bounds are checked with those of its company."""
    past_due = pause = None
    if message.HasField("past_due"):
        past_due = _past_due(message.past_due, below(field, "past_due"))
    if message.HasField("pause"):
        pause = _pause(message.pause, below(field, "pause"))
    period = MONTHLY
    if message.HasField("billing_period"):
        path = below(field, "billing_period")
        period = window_from_message(message.billing_period, path, Alignment.ANCHORED)
    return Subscription(
        plan=message.plan,
        anchor_us=optional_instant(message, "anchor", field),
        trial_ends_us=optional_instant(message, "trial_ends_at", field),
        trial_end_status=member(
            SubscriptionStatus,
            message.trial_end_status,
            below(field, "trial_end_status"),
            SubscriptionStatus.ENDED,
        ),
        cancel_us=optional_instant(message, "cancel_at", field),
        add_ons=add_ons_from_messages(message.add_ons),
        ends_us=optional_instant(message, "ends_at", field),
        past_due=past_due,
        pause=pause,
        changes=tuple(
            change_from_message(change, below(field, f"changes[{at}]"))
            for at, change in enumerate(message.changes)
        ),
        billing_period=period,
        plan_version=message.plan_version,
        cancel_at_period_end=message.cancel_at_period_end,
        trial_end_plan=message.trial_end_plan,
    )


def add_ons_to_messages(
    add_ons: Iterable[AddOnSubscription],
) -> list[catalog_pb2.SubscriptionAddOn]:
    """Turn the add-ons that are held into messages."""
    return list(map(add_on_to_message, add_ons))


def add_ons_from_messages(
    messages: Iterable[catalog_pb2.SubscriptionAddOn],
) -> tuple[AddOnSubscription, ...]:
    """Read the add-ons that are held; a quantity of 0 is 1."""
    return tuple(map(add_on_from_message, messages))


def add_on_to_message(held: AddOnSubscription) -> catalog_pb2.SubscriptionAddOn:
    """Turn an add-on that is held into a message."""
    return catalog_pb2.SubscriptionAddOn(add_on=held.add_on, quantity=held.quantity)


def add_on_from_message(message: catalog_pb2.SubscriptionAddOn) -> AddOnSubscription:
    """Read an add-on that is held; a quantity of 0 is 1."""
    return AddOnSubscription(message.add_on, message.quantity or 1)


def change_to_message(change: ScheduledChange) -> catalog_pb2.ScheduledChange:
    """Turn a planned change into a message."""
    add_ons = None
    if change.add_ons is not None:
        add_ons = catalog_pb2.SubscriptionAddOns(add_ons=add_ons_to_messages(change.add_ons))
    return catalog_pb2.ScheduledChange(
        at=timestamp(change.at_us),
        plan=change.plan,
        add_ons=add_ons,
        resets_usage=change.resets_usage,
        moves_anchor=change.moves_anchor,
        plan_version=change.plan_version,
        at_period_end=change.at_period_end,
    )


def change_from_message(message: catalog_pb2.ScheduledChange, field: str) -> ScheduledChange:
    """Read a planned change. Its bounds are checked with those of its company."""
    add_ons = None
    if message.HasField("add_ons"):
        add_ons = add_ons_from_messages(message.add_ons.add_ons)
    return ScheduledChange(
        at_us=required_instant(message, "at", field),
        plan=message.plan,
        add_ons=add_ons,
        resets_usage=message.resets_usage,
        moves_anchor=message.moves_anchor,
        plan_version=message.plan_version,
        at_period_end=message.at_period_end,
    )


def _past_due_to_message(past_due: PastDue) -> catalog_pb2.PastDue:
    return catalog_pb2.PastDue(
        since=timestamp(past_due.from_us),
        grace_ends_at=optional_timestamp(past_due.grace_ends_us),
        grace_end_plan=past_due.grace_end_plan,
    )


def _past_due(message: catalog_pb2.PastDue, field: str) -> PastDue:
    return PastDue(
        from_us=required_instant(message, "since", field),
        grace_ends_us=optional_instant(message, "grace_ends_at", field),
        grace_end_plan=message.grace_end_plan,
    )


def _pause_to_message(pause: Pause) -> catalog_pb2.Pause:
    return catalog_pb2.Pause(
        starts_at=timestamp(pause.from_us),
        resumes_at=optional_timestamp(pause.until_us),
        moves_anchor=pause.moves_anchor,
        starts_at_period_end=pause.starts_at_period_end,
        ends_at_period_end=pause.ends_at_period_end,
    )


def _pause(message: catalog_pb2.Pause, field: str) -> Pause:
    return Pause(
        from_us=required_instant(message, "starts_at", field),
        until_us=optional_instant(message, "resumes_at", field),
        moves_anchor=message.moves_anchor,
        starts_at_period_end=message.starts_at_period_end,
        ends_at_period_end=message.ends_at_period_end,
    )
