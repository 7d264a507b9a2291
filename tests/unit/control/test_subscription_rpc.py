"""ChangeSubscription over real gRPC: what it takes, how it refuses, and who hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import msgspec
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import AddOn, Plan
from sidecar.shared.convert.catalog import catalog_to_message
from tests.support.bounds import HANG_SECONDS_MAX
from tests.unit.control.plane import Calls, refusal, running
from tests.unit.control.support import BOB, CATALOG

SOLD: Final = msgspec.structs.replace(
    CATALOG, plans=(Plan("max"), *CATALOG.plans), add_ons=(AddOn("seat"),)
)
INVALID: Final = grpc.StatusCode.INVALID_ARGUMENT
FUTURE: Final = Timestamp(seconds=4_000_000_000)
PAST: Final = Timestamp(seconds=1_000_000_000)
PERIOD_END: Final = control_pb2.CHANGE_TIME_PERIOD_END
AT: Final = control_pb2.CHANGE_TIME_AT


@pytest.fixture
async def calls(store: PlaneStore) -> AsyncIterator[Calls]:
    async with running(store) as calls:
        await calls.control.Apply(control_pb2.ApplyRequest(catalog=catalog_to_message(SOLD)))
        await calls.apply("acme")
        yield calls


def change(company: str = "acme", **fields: Any) -> control_pb2.ChangeSubscriptionRequest:
    return control_pb2.ChangeSubscriptionRequest(company=company, **fields)


PLAN: Final = control_pb2.ChangePlan(plan="max")
PAUSE: Final = control_pb2.PauseSubscription()
TAKEN: Final[dict[str, dict[str, Any]]] = {
    "plan": {"plan": control_pb2.ChangePlan(plan="max", reset_usage=True, move_anchor=True)},
    "add_on": {"add_on": control_pb2.SetAddOn(add_on="seat", quantity=2)},
    "pause": {
        "pause": control_pb2.PauseSubscription(resumes_at=FUTURE, move_anchor=True),
        "when": control_pb2.CHANGE_TIME_NOW,
    },
    "cancel": {"cancel": control_pb2.CancelSubscription(), "when": PERIOD_END},
    "renew": {"renew": control_pb2.RenewSubscription(ends_at=FUTURE)},
    "past_due": {"past_due": control_pb2.MarkPastDue(grace_ends_at=FUTURE)},
    "reset_usage": {"reset_usage": control_pb2.ResetUsage(), "when": AT, "at": FUTURE},
}


@pytest.mark.parametrize("fields", TAKEN.values(), ids=TAKEN)
async def test_a_change_is_answered_with_what_is_then_stored(
    calls: Calls, fields: dict[str, Any]
) -> None:
    done = await calls.control.ChangeSubscription(change(**fields))
    got = await calls.control.GetCompany(control_pb2.GetCompanyRequest(company="acme"))
    assert (3, got.company, got.snapshot) == (done.revision, done.company, done.snapshot)
    planned = fields.get("when", control_pb2.CHANGE_TIME_NOW) != control_pb2.CHANGE_TIME_NOW
    assert planned is (done.effective_at.ToMilliseconds() > _now_ms())


def _now_ms() -> int:
    now = Timestamp()
    now.GetCurrentTime()
    return now.ToMilliseconds()


async def test_a_pause_a_payment_and_plans_are_taken_back(calls: Calls) -> None:
    ask = calls.control.ChangeSubscription
    await ask(change(pause=PAUSE))
    await ask(change(past_due=control_pb2.MarkPastDue()))
    await ask(change(plan=PLAN, when=PERIOD_END))
    await ask(change(resume=control_pb2.ResumeSubscription()))
    await ask(change(paid=control_pb2.MarkPaid()))
    done = await ask(change(drop_planned=control_pb2.DropPlannedChanges()))
    subscription = done.company.subscription
    assert not subscription.HasField("pause")
    assert not subscription.HasField("past_due")
    assert [] == list(subscription.changes)
    assert catalog_pb2.SUBSCRIPTION_STATUS_ACTIVE == done.snapshot.segments[-1].status


async def test_a_trial_is_ended_as_bought_and_a_renewal_leaves_it(calls: Calls) -> None:
    ask = calls.control.ChangeSubscription
    bought = catalog_pb2.Subscription(plan="pro", trial_ends_at=FUTURE)
    company = catalog_pb2.Company(id="new", subscription=bought)
    await calls.control.CreateCompany(control_pb2.CreateCompanyRequest(company=company))
    await ask(change("new", cancel=control_pb2.CancelSubscription(), when=PERIOD_END))
    renewed = await ask(change("new", renew=control_pb2.RenewSubscription()))
    assert FUTURE == renewed.company.subscription.trial_ends_at
    assert not renewed.company.subscription.HasField("cancel_at")
    ended = await ask(change("new", end_trial=control_pb2.EndTrial()))
    assert not ended.company.subscription.HasField("trial_ends_at")
    assert catalog_pb2.SUBSCRIPTION_STATUS_ACTIVE == ended.snapshot.segments[-1].status
    code, _, metadata = await refusal(ask(change("new", end_trial=control_pb2.EndTrial())))
    assert (grpc.StatusCode.FAILED_PRECONDITION, "end_trial") == (code, metadata["field"])


async def test_what_was_planned_before_is_asked_for_and_told(calls: Calls) -> None:
    ask = calls.control.ChangeSubscription
    planned = await ask(change(cancel=control_pb2.CancelSubscription(), when=PERIOD_END))
    assert planned.company.subscription.cancel_at_period_end
    code, reason, metadata = await refusal(ask(change(plan=PLAN)))
    assert (grpc.StatusCode.FAILED_PRECONDITION, "PLANNED_BEFORE") == (code, reason)
    assert {"field": "plan"} == metadata
    told = control_pb2.PlannedChange(
        what="cancellation", at=planned.effective_at, at_period_end=True
    )
    kept = await ask(change(plan=PLAN, planned=control_pb2.ON_PLANNED_KEEP))
    assert ([told], []) == (list(kept.kept), list(kept.dropped))
    back = control_pb2.ChangePlan(plan="pro")
    dropped = await ask(change(plan=back, planned=control_pb2.ON_PLANNED_DROP))
    assert ([], [told]) == (list(dropped.kept), list(dropped.dropped))
    assert not dropped.company.subscription.HasField("cancel_at")


async def test_a_canceled_subscription_is_renewed_with_another_plan(calls: Calls) -> None:
    ask = calls.control.ChangeSubscription
    await ask(change(cancel=control_pb2.CancelSubscription()))
    assert grpc.StatusCode.FAILED_PRECONDITION == (await refusal(ask(change(plan=PLAN))))[0]
    done = await ask(change(plan=control_pb2.ChangePlan(plan="max", renew=True)))
    assert catalog_pb2.SUBSCRIPTION_STATUS_ACTIVE == done.snapshot.segments[-1].status


async def test_a_preview_answers_as_the_change_would_and_changes_nothing(calls: Calls) -> None:
    before = await calls.control.GetCompany(control_pb2.GetCompanyRequest(company="acme"))
    previewed = await calls.control.PreviewSubscription(change(plan=PLAN))
    after = await calls.control.GetCompany(control_pb2.GetCompanyRequest(company="acme"))
    assert (before, 2) == (after, previewed.revision)
    done = await calls.control.ChangeSubscription(change(plan=PLAN))
    assert "max" == previewed.company.subscription.plan == done.company.subscription.plan


async def test_the_same_again_keeps_the_revision(calls: Calls) -> None:
    first = await calls.control.ChangeSubscription(change(plan=PLAN))
    again = await calls.control.ChangeSubscription(change(plan=PLAN))
    assert (3, 3) == (first.revision, again.revision)
    assert (False, True) == (first.unchanged, again.unchanged)
    assert first.snapshot == again.snapshot


TWICE: Final[dict[str, dict[str, Any]]] = {
    "plan": {"plan": PLAN},
    "a planned plan": {"plan": PLAN, "when": PERIOD_END},
    "add_on": {"add_on": control_pb2.SetAddOn(add_on="seat", quantity=2)},
    "a planned pause": {"pause": PAUSE, "when": AT, "at": FUTURE},
    "a planned cancellation": {"cancel": control_pb2.CancelSubscription(), "when": PERIOD_END},
    "renew": {"renew": control_pb2.RenewSubscription(ends_at=FUTURE)},
    "past_due": {"past_due": control_pb2.MarkPastDue(grace_ends_at=FUTURE)},
    "a planned reset": {"reset_usage": control_pb2.ResetUsage(), "when": AT, "at": FUTURE},
}


@pytest.mark.parametrize("fields", TWICE.values(), ids=TWICE)
@pytest.mark.parametrize("again_by", ["ChangeSubscription", "PreviewSubscription"])
async def test_what_is_so_already_is_answered_as_unchanged(
    calls: Calls, fields: dict[str, Any], again_by: str
) -> None:
    first = await calls.control.ChangeSubscription(change(**fields))
    again = await getattr(calls.control, again_by)(change(**fields))
    assert (False, True) == (first.unchanged, again.unchanged)
    assert (first.revision, first.company) == (again.revision, again.company)


@pytest.mark.parametrize(
    "fields",
    [
        {"renew": control_pb2.RenewSubscription()},
        {"drop_planned": control_pb2.DropPlannedChanges()},
        {"plan": control_pb2.ChangePlan(plan="pro", renew=True)},
    ],
)
async def test_what_there_is_nothing_to_do_for_is_answered_as_unchanged(
    calls: Calls, fields: dict[str, Any]
) -> None:
    done = await calls.control.ChangeSubscription(change(**fields))
    assert (True, 2) == (done.unchanged, done.revision)


REFUSED: dict[str, tuple[control_pb2.ChangeSubscriptionRequest, str]] = {
    "no company": (change("", plan=PLAN), "company"),
    "no change": (change(), "change"),
    "no such time": (change(plan=PLAN, when=99), "when"),
    "no instant": (change(plan=PLAN, when=AT), "at"),
    "an instant that is past": (change(plan=PLAN, when=AT, at=PAST), "at"),
    "no such answer": (change(plan=PLAN, planned=99), "planned"),
    "a trial without an end": (
        change(extend_trial=control_pb2.ExtendTrial()),
        "extend_trial.ends_at",
    ),
    "an instant and now": (change(plan=PLAN, at=FUTURE), "at"),
    "an instant and the period end": (change(plan=PLAN, when=PERIOD_END, at=FUTURE), "at"),
    "a payment at the period end": (change(paid=control_pb2.MarkPaid(), when=PERIOD_END), "when"),
    "the end of a trial at the period end": (
        change(end_trial=control_pb2.EndTrial(), when=PERIOD_END),
        "when",
    ),
    "no plan": (change(plan=control_pb2.ChangePlan()), "plan.plan"),
    "a plan that is not sold": (change(plan=control_pb2.ChangePlan(plan="x")), "plan.plan"),
    "no add-on": (change(add_on=control_pb2.SetAddOn(quantity=1)), "add_on.add_on"),
    "an add-on that is not sold": (
        change(add_on=control_pb2.SetAddOn(add_on="x", quantity=1)),
        "add_on.add_on",
    ),
    "less than none": (
        change(add_on=control_pb2.SetAddOn(add_on="seat", quantity=-1)),
        "add_on.quantity",
    ),
    "far too many": (
        change(add_on=control_pb2.SetAddOn(add_on="seat", quantity=1_000_001)),
        "add_on.quantity",
    ),
    "a pause that is over": (
        change(pause=control_pb2.PauseSubscription(resumes_at=PAST)),
        "pause.resumes_at",
    ),
    "a pause until a year that is none": (
        change(pause=control_pb2.PauseSubscription(resumes_at=Timestamp(seconds=10**12))),
        "pause.resumes_at",
    ),
    "a term that is over": (
        change(renew=control_pb2.RenewSubscription(ends_at=PAST)),
        "renew.ends_at",
    ),
    "a grace that is no time": (
        change(past_due=control_pb2.MarkPastDue(grace_ends_at=Timestamp(nanos=-1))),
        "past_due.grace_ends_at",
    ),
}


@pytest.mark.parametrize(("request_", "field"), REFUSED.values(), ids=REFUSED)
async def test_refused_with_its_field(
    calls: Calls, request_: control_pb2.ChangeSubscriptionRequest, field: str
) -> None:
    refused = await refusal(calls.control.ChangeSubscription(request_))
    assert (INVALID, {"field": field}) == (refused.code, refused.metadata)


async def test_what_does_not_fit_the_state_is_a_failed_precondition(calls: Calls) -> None:
    await calls.control.ChangeSubscription(change(pause=PAUSE))
    refused = await refusal(calls.control.ChangeSubscription(change(pause=PAUSE)))
    assert grpc.StatusCode.FAILED_PRECONDITION == refused.code
    assert ("FAILED_PRECONDITION", {"field": "pause"}) == (refused.reason, refused.metadata)


async def test_an_unknown_company_is_not_found(calls: Calls) -> None:
    refused = await refusal(calls.control.ChangeSubscription(change("nobody", plan=PLAN)))
    assert (grpc.StatusCode.NOT_FOUND, {"field": "company"}) == (refused.code, refused.metadata)


async def test_those_who_watch_hear_of_it(calls: Calls) -> None:
    watch = calls.watch(BOB)
    await watch.read()
    done = await calls.control.ChangeSubscription(change(plan=PLAN))
    async with asyncio.timeout(HANG_SECONDS_MAX):
        step = await watch.read()
        while not step.companies:
            step = await watch.read()
    assert [done.snapshot] == list(step.companies)
    watch.cancel()
