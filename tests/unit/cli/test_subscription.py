"""`tallyd subscription`."""

from __future__ import annotations

import json
from typing import Any, Final

import grpc
import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.cli import subscription_calls, times
from sidecar.cli.common import ExitCode
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.shared.convert.companies import company_to_message
from sidecar.shared.convert.snapshot_messages import snapshot_to_message
from sidecar.shared.convert.times import timestamp
from tests.support.build import NOW_US
from tests.unit.cli.fakes import Failure, FakeServer, tallyd

ANCHOR_US: Final = NOW_US - 44 * DAY_US
LATER_US: Final = NOW_US + DAY_US + HOUR_US
ACME: Final = Company(
    "acme",
    time_zone="Europe/Berlin",
    subscription=Subscription(
        "basic",
        ANCHOR_US,
        trial_ends_us=NOW_US - DAY_US,
        trial_end_status=SubscriptionStatus.ACTIVE,
        add_ons=(AddOnSubscription("gb"), AddOnSubscription("hd", 3)),
        pause=Pause(NOW_US + 2 * DAY_US, NOW_US + 3 * DAY_US, moves_anchor=True),
        changes=(ScheduledChange(LATER_US, "pro", resets_usage=True),),
    ),
    overrides=(Override(EntitlementGrant("sso", enabled=True), NOW_US + 4 * DAY_US),),
)
FREE: Final = Company("free")
TIMELINE: Final = """\

FROM                     UNTIL                    STATUS  PLAN   ADD-ONS         NOTE
2026-03-14 12:00:00 UTC  2026-03-16 13:00:00 UTC  active  basic  gb x 1, hd x 3  now
2026-03-16 13:00:00 UTC  2026-03-17 12:00:00 UTC  active  pro    gb x 1, hd x 3  usage reset
2026-03-17 12:00:00 UTC  2026-03-18 12:00:00 UTC  paused  pro    gb x 1, hd x 3
2026-03-18 12:00:00 UTC  2026-03-19 12:00:00 UTC  active  pro    gb x 1, hd x 3  new billing cycle
2026-03-19 12:00:00 UTC  -                        active  pro    gb x 1, hd x 3  overrides of sso
1 more before that: tallyd subscription show acme --history
"""


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch, in_utc: None) -> None:
    """It is NOW_US, and this machine's clock shows UTC."""
    for module in (subscription_calls, times):
        monkeypatch.setattr(module, "wall_us", lambda: NOW_US)


def changed(effective_us: int = NOW_US) -> control_pb2.ChangeSubscriptionResponse:
    return control_pb2.ChangeSubscriptionResponse(
        revision=12,
        company=company_to_message(ACME),
        snapshot=snapshot_to_message(compile_snapshot(ACME, 12)),
        effective_at=timestamp(effective_us),
    )


def got(company: Company) -> control_pb2.GetCompanyResponse:
    return control_pb2.GetCompanyResponse(
        company=company_to_message(company),
        snapshot=snapshot_to_message(compile_snapshot(company, 12)),
    )


NOW: Final = control_pb2.CHANGE_TIME_NOW
PERIOD_END: Final = control_pb2.CHANGE_TIME_PERIOD_END
AT: Final = control_pb2.CHANGE_TIME_AT
IN_A_DAY: Final = timestamp(NOW_US + DAY_US)

ASKED: dict[str, dict[str, Any]] = {
    "change acme --plan pro": {"plan": control_pb2.ChangePlan(plan="pro"), "when": NOW},
    "change acme --plan pro --reset-usage --move-anchor --at period-end": {
        "plan": control_pb2.ChangePlan(plan="pro", reset_usage=True, move_anchor=True),
        "when": PERIOD_END,
    },
    "change acme --plan pro --at +1d": {
        "plan": control_pb2.ChangePlan(plan="pro"),
        "when": AT,
        "at": IN_A_DAY,
    },
    "add-on acme seat 3": {
        "add_on": control_pb2.SetAddOn(add_on="seat", quantity=3),
        "when": NOW,
    },
    "add-on acme seat 0 --at period-end": {
        "add_on": control_pb2.SetAddOn(add_on="seat"),
        "when": PERIOD_END,
    },
    "change acme --plan pro --renew --planned drop": {
        "plan": control_pb2.ChangePlan(plan="pro", renew=True),
        "when": NOW,
        "planned": control_pb2.ON_PLANNED_DROP,
    },
    "add-on acme seat 3 --planned keep": {
        "add_on": control_pb2.SetAddOn(add_on="seat", quantity=3),
        "when": NOW,
        "planned": control_pb2.ON_PLANNED_KEEP,
    },
    "trial extend acme --until +1d": {
        "extend_trial": control_pb2.ExtendTrial(ends_at=IN_A_DAY),
        "when": NOW,
    },
    "trial end acme": {"end_trial": control_pb2.EndTrial(), "when": NOW},
    "pause acme": {"pause": control_pb2.PauseSubscription(), "when": NOW},
    "pause acme --until +1d --move-anchor --at now": {
        "pause": control_pb2.PauseSubscription(resumes_at=IN_A_DAY, move_anchor=True),
        "when": NOW,
    },
    "resume acme --at +1d": {
        "resume": control_pb2.ResumeSubscription(),
        "when": AT,
        "at": IN_A_DAY,
    },
    "resume acme --move-anchor": {
        "resume": control_pb2.ResumeSubscription(move_anchor=True),
        "when": NOW,
    },
    "cancel acme --at period-end": {
        "cancel": control_pb2.CancelSubscription(),
        "when": PERIOD_END,
    },
    "renew acme": {"renew": control_pb2.RenewSubscription(), "when": NOW},
    "renew acme --until +1d --move-anchor": {
        "renew": control_pb2.RenewSubscription(ends_at=IN_A_DAY, move_anchor=True),
        "when": NOW,
    },
    "past-due acme": {"past_due": control_pb2.MarkPastDue(), "when": NOW},
    "past-due acme --grace-until 2026-03-16T12:00:00Z": {
        "past_due": control_pb2.MarkPastDue(grace_ends_at=IN_A_DAY),
        "when": NOW,
    },
    "past-due acme --grace-until +1d --then free": {
        "past_due": control_pb2.MarkPastDue(grace_ends_at=IN_A_DAY, grace_end_plan="free"),
        "when": NOW,
    },
    "paid acme": {"paid": control_pb2.MarkPaid(), "when": NOW},
    "reset-usage acme": {"reset_usage": control_pb2.ResetUsage(), "when": NOW},
    "drop-planned acme": {"drop_planned": control_pb2.DropPlannedChanges(), "when": NOW},
}


@pytest.mark.parametrize(("line", "fields"), ASKED.items(), ids=ASKED)
def test_asked_of_the_plane(fake: FakeServer, line: str, fields: dict[str, Any]) -> None:
    fake.answers["ChangeSubscription"] = changed()

    result = tallyd("subscription", *line.split(), "--control", fake.address)

    assert ExitCode.OK == result.exit_code, result.output
    asked = control_pb2.ChangeSubscriptionRequest(company="acme", accepts_spans=True, **fields)
    assert [asked] == fake.requests


TOLD = {
    "change acme --plan pro": "plan pro",
    "add-on acme seat 3": "add-on seat x 3",
    "add-on acme seat 0": "no add-on seat",
    "pause acme": "paused",
    "pause acme --until +1d": "paused until 2026-03-16 12:00:00 UTC",
    "resume acme": "resumed",
    "cancel acme": "canceled",
    "renew acme": "renewed",
    "renew acme --until +1d": "renewed until 2026-03-16 12:00:00 UTC",
    "trial extend acme --until +1d": "trial until 2026-03-16 12:00:00 UTC",
    "trial end acme": "trial ended now, as bought",
    "past-due acme": "past due",
    "past-due acme --grace-until +1d": "past due, grace until 2026-03-16 12:00:00 UTC",
    "paid acme": "paid",
    "reset-usage acme": "usage reset",
    "drop-planned acme": "planned changes dropped",
}


@pytest.mark.parametrize(("line", "told"), TOLD.items(), ids=TOLD)
def test_people_are_told_what_changed_and_then_the_timeline(
    fake: FakeServer, line: str, told: str
) -> None:
    fake.answers["ChangeSubscription"] = changed()

    result = tallyd("subscription", *line.split(), "--control", fake.address)

    assert f"acme: {told}; takes effect now; revision 12\n{TIMELINE}" == result.stdout


def test_people_are_told_when_a_planned_change_takes_effect(fake: FakeServer) -> None:
    fake.answers["ChangeSubscription"] = changed(LATER_US)

    result = tallyd(
        "subscription", "cancel", "acme", "--at", "period-end", "--control", fake.address
    )

    first = "acme: canceled; takes effect in 1 d 1 h (2026-03-16 13:00:00 UTC); revision 12\n"
    assert first + TIMELINE == result.stdout


def test_people_are_told_what_was_planned_before_and_what_denies_all_the_same(
    fake: FakeServer,
) -> None:
    answer = changed(NOW_US + 2 * DAY_US)  # paused then
    downgrade = control_pb2.PlannedChange(what="plan free", at=timestamp(LATER_US))
    end = control_pb2.PlannedChange(what="cancellation", at=timestamp(LATER_US), at_period_end=True)
    answer.kept.append(downgrade)
    answer.dropped.append(end)
    fake.answers["ChangeSubscription"] = answer

    result = tallyd("subscription", "change", "acme", "--plan", "pro", "--control", fake.address)

    assert [
        "kept: plan free, in 1 d 1 h (2026-03-16 13:00:00 UTC)",
        "dropped: cancellation, at the period end, in 1 d 1 h (2026-03-16 13:00:00 UTC)",
        "It is paused then, and metered features are denied until it is resumed.",
        "",
    ] == result.stdout.splitlines()[1:5]


def test_who_pauses_is_not_told_that_it_denies(fake: FakeServer) -> None:
    fake.answers["ChangeSubscription"] = changed(NOW_US + 2 * DAY_US)

    result = tallyd("subscription", "pause", "acme", "--at", "+2d", "--control", fake.address)

    assert "" == result.stdout.splitlines()[1]


def test_scripts_get_the_answer(fake: FakeServer) -> None:
    fake.answers["ChangeSubscription"] = changed(LATER_US)

    result = tallyd("subscription", "cancel", "acme", "--json", "--control", fake.address)

    answer = json.loads(result.stdout)
    assert (12, "acme", "2026-03-16T13:00:00Z") == (
        answer["revision"],
        answer["company"]["id"],
        answer["effective_at"],
    )
    assert "pro" == answer["snapshot"]["segments"][-1]["plan"]


def test_a_version_that_comes_by_itself_is_shown(fake: FakeServer) -> None:
    move = ScheduledChange(LATER_US, plan_version=3, at_period_end=True)
    subscription = Subscription("basic", ANCHOR_US, changes=(move,))
    fake.answers["GetCompany"] = got(Company("acme", subscription=subscription))

    result = tallyd("subscription", "show", "acme", "--control", fake.address)

    (line,) = [line for line in result.stdout.splitlines() if line.startswith("moves ")]
    assert line.split(maxsplit=1)[1] == (
        "version 3 of the plan, at the period end, in 1 d 1 h (2026-03-16 13:00:00 UTC), "
        "as the catalog says"
    )


def test_a_subscription_is_shown_as_it_is_now(fake: FakeServer) -> None:
    fake.answers["GetCompany"] = got(ACME)

    result = tallyd("subscription", "show", "acme", "--control", fake.address)

    expected = """\
company         acme
status          active
plan            basic
add-ons         gb x 1, hd x 3
time zone       Europe/Berlin
anchor          2026-01-30 12:00:00 UTC
billing period  since 2026-02-28 12:00:00 UTC, ends in 14 d 23 h (2026-03-30 11:00:00 UTC)
planned         plan pro with a reset of usage, in 1 d 1 h (2026-03-16 13:00:00 UTC)
planned         pause until 2026-03-18T12:00:00Z, in 2 d (2026-03-17 12:00:00 UTC)
"""
    assert expected + TIMELINE == result.stdout
    asked = control_pb2.GetCompanyRequest(company="acme", accepts_spans=True)
    assert [asked] == fake.requests


def test_a_company_that_bought_nothing_is_shown(fake: FakeServer) -> None:
    fake.answers["GetCompany"] = got(FREE)

    result = tallyd("subscription", "show", "free", "--control", fake.address)

    expected = """\
company    free
status     none
plan       -
add-ons    -
time zone  UTC

FROM  UNTIL  STATUS  PLAN  ADD-ONS  NOTE
-     -      none    -     -        now
"""
    assert expected == result.stdout


@pytest.mark.parametrize(
    ("company", "expected"),
    [
        (
            ACME,
            {
                "status": "ACTIVE",
                "plan": "basic",
                "add_ons": {"gb": 1, "hd": 3},
                "anchor": "2026-01-30T12:00:00Z",
                "billing_period": {
                    "start": "2026-02-28T12:00:00Z",
                    "end": "2026-03-30T11:00:00Z",
                },
            },
        ),
        (
            FREE,
            {"status": None, "plan": "", "add_ons": {}, "anchor": None, "billing_period": None},
        ),
    ],
    ids=["acme", "free"],
)
def test_scripts_get_what_holds_now(
    fake: FakeServer, company: Company, expected: dict[str, object]
) -> None:
    fake.answers["GetCompany"] = got(company)

    result = tallyd("subscription", "show", company.id, "--json", "--control", fake.address)

    answer = json.loads(result.stdout)
    assert (expected, company.id) == (answer["now"], answer["company"]["id"])


@pytest.mark.parametrize(
    "line",
    [
        "change acme",
        "change acme --plan pro --at soon",
        "add-on acme seat",
        "add-on acme seat -1",
        "add-on acme seat 1000001",
        "renew acme --at period-end",
        "pause acme --until never",
    ],
)
def test_wrong_usage(line: str) -> None:
    assert ExitCode.USAGE == tallyd("subscription", *line.split()).exit_code


def test_a_refusal_names_field_and_reason(fake: FakeServer) -> None:
    fake.answers["ChangeSubscription"] = Failure(
        grpc.StatusCode.FAILED_PRECONDITION,
        "pause: the subscription is paused already",
        "FAILED_PRECONDITION",
        "pause",
    )

    result = tallyd("subscription", "pause", "acme", "--control", fake.address)

    expected = "error: pause: the subscription is paused already (FAILED_PRECONDITION)\n"
    assert (ExitCode.USAGE, expected) == (result.exit_code, result.stderr)


def test_a_time_that_is_none_is_told_what_one_is() -> None:
    result = tallyd("subscription", "cancel", "acme", "--at", "once")

    assert ExitCode.USAGE == result.exit_code
    told = "'once' is not now, period-end, or an instant such as 2027-01-31, +12h or fri"
    assert f"Error: Invalid value for '--at': {told}\n" in result.stderr


def test_the_timeline_on_a_terminal_is_one_empty_line_below(
    fake: FakeServer, on_terminal: None
) -> None:
    fake.answers["ChangeSubscription"] = changed()

    result = tallyd("subscription", "paid", "acme", "--control", fake.address)

    lines = [line.split() for line in result.stdout.splitlines()[1:3]]
    assert [[], ["from", "until", "status", "plan", "add-ons", "note"]] == lines
