"""What the control service answers to a change of a subscription. Runs in a worker thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sidecar.api.control.v1 import control_pb2
from sidecar.control.rpc.request_validation import require_count
from sidecar.control.services import subscriptions
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.bounds import ADD_ON_QUANTITY_MAX, CHANGES_MAX
from sidecar.domain.company.planned import PlannedChange
from sidecar.domain.company.subscription_changes import (
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
from sidecar.domain.errors import InvalidInput
from sidecar.domain.text import KNOWN_NAMES
from sidecar.shared.convert.companies import company_to_message
from sidecar.shared.convert.snapshot_messages import SEGMENTED_ANSWER_BYTES_MAX, snapshot_for_reader
from sidecar.shared.convert.times import optional_instant, required_instant, timestamp


def change_subscription(
    store: PlaneStore, request: control_pb2.ChangeSubscriptionRequest, now_us: int
) -> control_pb2.ChangeSubscriptionResponse:
    """Answer to ChangeSubscription."""
    return _answer(subscriptions.change_subscription, store, request, now_us)


def preview_subscription(
    store: PlaneStore, request: control_pb2.ChangeSubscriptionRequest, now_us: int
) -> control_pb2.ChangeSubscriptionResponse:
    """Answer to PreviewSubscription."""
    return _answer(subscriptions.try_change, store, request, now_us)


def _answer(
    work: Callable[..., subscriptions.ChangedSubscription],
    store: PlaneStore,
    request: control_pb2.ChangeSubscriptionRequest,
    now_us: int,
) -> control_pb2.ChangeSubscriptionResponse:
    company = KNOWN_NAMES.require_identifier("company", request.company)
    when = _when(request)
    change = _change(request)
    on_planned = _on_planned(request)
    done = work(store, company, change, when, now_us, on_planned)
    return control_pb2.ChangeSubscriptionResponse(
        revision=done.revision,
        company=company_to_message(done.company),
        snapshot=snapshot_for_reader(
            done.snapshot,
            accepts_spans=request.accepts_spans,
            segmented_bytes_max=SEGMENTED_ANSWER_BYTES_MAX,
        ),
        effective_at=timestamp(done.effective_us),
        kept=map(_planned_change, done.kept),
        dropped=map(_planned_change, done.dropped),
        unchanged=done.unchanged,
        notes=done.notes,
    )


def _planned_change(planned: PlannedChange) -> control_pb2.PlannedChange:
    return control_pb2.PlannedChange(
        what=planned.what, at=timestamp(planned.at_us), at_period_end=planned.at_period_end
    )


def _on_planned(request: control_pb2.ChangeSubscriptionRequest) -> OnPlanned:
    try:
        return OnPlanned(request.planned)
    except ValueError:
        raise InvalidInput("planned", f"has no value with number {request.planned}") from None


def _when(request: control_pb2.ChangeSubscriptionRequest) -> When:
    try:
        time = ChangeTime(request.when or ChangeTime.NOW)
    except ValueError:
        raise InvalidInput("when", f"has no value with number {request.when}") from None
    if time is ChangeTime.AT:
        return When(time, required_instant(request, "at", ""))
    if request.HasField("at"):
        raise InvalidInput("at", f"is for AT alone, when is {time.name}")
    return When(time)


def _change(request: control_pb2.ChangeSubscriptionRequest) -> SubscriptionChange:
    field = request.WhichOneof("change")
    if field is None:
        raise InvalidInput("change", "must be set")
    return _READERS[field](getattr(request, field))


def _plan(message: control_pb2.ChangePlan) -> ChangePlan:
    KNOWN_NAMES.require_identifier("plan.plan", message.plan)
    return ChangePlan(message.plan, message.reset_usage, message.move_anchor, message.renew)


def _add_on(message: control_pb2.SetAddOn) -> SetAddOn:
    KNOWN_NAMES.require_identifier("add_on.add_on", message.add_on)
    require_count("add_on.quantity", message.quantity, 0, ADD_ON_QUANTITY_MAX)
    return SetAddOn(message.add_on, message.quantity)


def _pause(message: control_pb2.PauseSubscription) -> PauseSubscription:
    until_us = optional_instant(message, "resumes_at", "pause")
    return PauseSubscription(until_us, message.move_anchor)


def _renew(message: control_pb2.RenewSubscription) -> RenewSubscription:
    return RenewSubscription(optional_instant(message, "ends_at", "renew"), message.move_anchor)


def _extend_trial(message: control_pb2.ExtendTrial) -> ExtendTrial:
    return ExtendTrial(required_instant(message, "ends_at", "extend_trial"))


def _past_due(message: control_pb2.MarkPastDue) -> MarkPastDue:
    grace_ends_us = optional_instant(message, "grace_ends_at", "past_due")
    if message.grace_end_plan:
        KNOWN_NAMES.require_identifier("past_due.grace_end_plan", message.grace_end_plan)
        if grace_ends_us is None:
            raise InvalidInput("past_due.grace_end_plan", "needs grace_ends_at")
    return MarkPastDue(grace_ends_us, message.grace_end_plan)


def _drop_planned(message: control_pb2.DropPlannedChanges) -> DropPlannedChanges:
    require_count("drop_planned.what", len(message.what), 0, CHANGES_MAX)
    return DropPlannedChanges(tuple(message.what), optional_instant(message, "at", "drop_planned"))


_READERS: Final[Mapping[str, Callable[[Any], SubscriptionChange]]] = {
    ChangePlan.field: _plan,
    SetAddOn.field: _add_on,
    PauseSubscription.field: _pause,
    ResumeSubscription.field: lambda message: ResumeSubscription(message.move_anchor),
    CancelSubscription.field: lambda _: CancelSubscription(),
    RenewSubscription.field: _renew,
    ExtendTrial.field: _extend_trial,
    EndTrial.field: lambda _: EndTrial(),
    MarkPastDue.field: _past_due,
    MarkPaid.field: lambda _: MarkPaid(),
    ResetUsage.field: lambda _: ResetUsage(),
    DropPlannedChanges.field: _drop_planned,
}
