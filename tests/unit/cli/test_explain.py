"""`tallyd explain`: what is asked, and how the answer is shown."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli import explain
from sidecar.cli.common import ExitCode
from sidecar.shared.convert.times import timestamp
from tests.unit.cli.explain_samples import BASIS, DENIED, FULL, NOON_US, answer, run
from tests.unit.cli.fakes import Failure, FakeServer, tallyd


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch, in_utc: None) -> None:
    monkeypatch.setattr(explain, "wall_us", lambda: NOON_US)


def test_it_tells_what_decides_and_how_that_came_about(fake: FakeServer) -> None:
    shown = run(fake, FULL, "-n", "11", "-d", "user=ann", "-d", "model=large")

    expected = """\
acme may not use 11 tokens: LIMIT_EXCEEDED
with      model=large user=ann
status    active
plan      pro + boost x 2 + seats
in force  since 2026-01-21 12:00, until 2026-02-01 00:00
basis     LOCAL, revision 12, its own authority, exact

SOURCE            SAYS                                        EFFECT   THEN GRANTED
plan pro          monthly: 1000 per billing month             granted  what it says
                  per_user: 50 per day, each user
                  large: 5 per day, shadow, when model=large
                  burst: 10 per second, 20 at once
add-on seats      -                                           silent   as before
add-on boost x 2  monthly: 500 per billing month              added    \
monthly: 2000 per billing month
                                                                       others as before

LIMIT       ALLOWS                                     FOR          ENFORCEMENT         \
USED  LEFT  RESETS IN
monthly     2000 per billing month + 150 carried over  all          hard                \
 900  1250  12 h
per_user ◂  50 per day                                 user=ann     hard                \
  40    10  12 h
large       5 per day                                  model=large  shadow, would deny  \
  40     0  12 h
burst       10 per second, 20 at once                  all          hard                \
  15     5  1.5 s
for other dimensions: x

The limit per_user has 10 left, less than the 11 asked for; the wait is 12 h.
"""
    assert expected == shown


@pytest.mark.parametrize("columns", [80, 120])
def test_it_fits_a_terminal(
    fake: FakeServer, on_terminal: None, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))

    shown = run(fake, FULL, "-n", "1100", "-d", "user=ann")

    lines = shown.splitlines()
    assert max(map(len, lines)) <= columns
    assert "acme may not use 1,100 tokens: LIMIT_EXCEEDED" == lines[0]
    assert ["per_user ◂"] == [line[:10] for line in lines if "◂" in line]
    assert "\n\n\n" not in "\n".join(line.rstrip() for line in lines)
    assert {"2,000", "1,250", "enforcement", "user=ann", "billing"} <= set(shown.split())


def test_the_question_is_sent_whole(fake: FakeServer) -> None:
    run(fake, FULL, "--at", "2030-01-01", "-n", "0", "-d", "user=ann", "-d", "a=b=c")

    expected = pb.ExplainEntitlementRequest(
        company="acme",
        feature="tokens",
        at=timestamp(1_893_456_000_000_000),
        quantity=0,
        dimensions={"user": "ann", "a": "b=c"},
    )
    assert [expected] == fake.requests


def test_left_out_is_now_and_one(fake: FakeServer) -> None:
    run(fake, FULL)

    expected = pb.ExplainEntitlementRequest(company="acme", feature="tokens", quantity=1)
    assert [expected] == fake.requests


def test_json_is_the_answer(fake: FakeServer) -> None:
    shown = run(fake, FULL, "--json")

    found = json.loads(shown)
    assert 1 == shown.count("\n")
    assert ["PLAN", "ADD_ON", "ADD_ON"] == [source["kind"] for source in found["sources"]]
    assert ["GRANTED", "SILENT", "ADDED"] == [source["effect"] for source in found["sources"]]
    assert "2026-01-21T12:00:00Z" == found["segment"]["from"]
    assert "43200s" == found["decision"]["retry_after"]
    assert 150 == found["limits"][0]["carried"]


def test_an_instant_is_told_and_waits_are_meant_from_there(fake: FakeServer) -> None:
    shown = run(fake, FULL, "--at", "2026-01-31T23:00:00Z")

    assert "\nat        in 11 h (2026-01-31 23:00:00 UTC)\n" in shown
    assert "  1250  1 h\n" in shown
    assert "note" not in shown


def test_it_is_told_when_nothing_is_kept_of_the_instant(fake: FakeServer) -> None:
    shown = run(fake, FULL, "--at", "2025-01-31")

    assert "\nnote      what was in force and used that long ago is not kept\n" in shown


@pytest.mark.parametrize(
    ("segment", "told"),
    [
        ({"status": catalog_pb2.SUBSCRIPTION_STATUS_TRIALING}, ["trialing", "none"]),
        (
            {"status": catalog_pb2.SUBSCRIPTION_STATUS_PAST_DUE, "plan": "pro"},
            ["past_due", "pro"],
        ),
        (
            {"status": catalog_pb2.SUBSCRIPTION_STATUS_PAST_DUE, "past_grace": True},
            ["past_due, beyond its grace", "none"],
        ),
        (
            {"status": catalog_pb2.SUBSCRIPTION_STATUS_ENDED, "after_trial": True},
            ["ended, after a trial", "none"],
        ),
        (
            {
                "status": catalog_pb2.SUBSCRIPTION_STATUS_ACTIVE,
                "plan": "free",
                "plan_version": 2_147_483_647,
                "after_trial": True,
            },
            ["active", "free (since the trial ended)"],
        ),
        (
            {
                "status": catalog_pb2.SUBSCRIPTION_STATUS_ACTIVE,
                "plan": "pro",
                "plan_version": 3,
            },
            ["active", "pro, version 3"],
        ),
        ({}, ["none", "none"]),
    ],
)
def test_the_state_of_the_subscription_is_told(
    fake: FakeServer, segment: dict[str, Any], told: list[str]
) -> None:
    found = answer(DENIED)
    found.segment.CopyFrom(catalog_pb2.Segment(**segment))

    shown = run(fake, found)

    status, plan = told
    expected = f"status    {status}\nplan      {plan}\nin force  no change is planned\n"
    assert expected in shown


def test_an_add_on_without_limits_lifts_them_and_leaves_rates(fake: FakeServer) -> None:
    found = answer(DENIED)
    last = found.sources[-1]
    last.grant.ClearField("limits")
    last.result.ClearField("limits")

    shown = run(fake, found)

    expected = """\
add-on boost x 2  unlimited                                   added    unlimited
                                                                       others as before
"""
    assert expected in shown


def test_the_default_plan_is_told_as_such(fake: FakeServer) -> None:
    found = answer(DENIED)
    del found.sources[1:]
    found.sources[0].kind = pb.SOURCE_KIND_DEFAULT_PLAN
    found.segment.CopyFrom(catalog_pb2.Segment(plan="free"))

    shown = run(fake, found)

    assert "plan      free (the default: the company is unknown)\n" in shown
    assert "\ndefault plan pro  monthly" in shown


def test_the_fail_policy_is_told_where_there_is_one(fake: FakeServer) -> None:
    found = answer(DENIED)
    found.entitlement.feature.fail_policy.no_snapshot = catalog_pb2.FAIL_ACTION_ALLOW
    found.entitlement.feature.fail_policy.outbox_full = catalog_pb2.FAIL_ACTION_DENY

    shown = run(fake, found)

    assert "fail policy  allow without a snapshot, deny with a full outbox\n" in shown


def test_what_is_unknown_is_an_error(fake: FakeServer) -> None:
    fake.answers["ExplainEntitlement"] = Failure(
        grpc.StatusCode.NOT_FOUND, "no company 'acme' is known", "UNKNOWN_COMPANY", "company"
    )

    result = tallyd("explain", "acme", "tokens", "--sidecar", fake.address)

    assert (ExitCode.USAGE, "") == (result.exit_code, result.stdout)
    assert "error: company: no company 'acme' is known (UNKNOWN_COMPANY)\n" == result.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--quantity", "-1"], "-1 is not in the range"),
        (["--dimension", "model"], "'model' is not KEY=VALUE"),
        (["--at", "once"], "is not a date-time"),
    ],
)
def test_bad_input_is_told_before_anything_is_sent(
    fake: FakeServer, args: list[str], message: str
) -> None:
    result = tallyd("explain", "acme", "tokens", "--sidecar", fake.address, *args)

    assert ExitCode.USAGE == result.exit_code
    assert message in result.stderr
    assert [] == fake.requests


def test_a_source_that_names_what_there_is_not_is_told_to_have_no_effect(
    fake: FakeServer,
) -> None:
    change = catalog_pb2.LimitChange(limit="per_month", amount=100, adds=True)
    found = answer(pb.Decision(allowed=True, reason=pb.REASON_ALLOWED, basis=BASIS))
    found.sources.append(
        pb.EntitlementSource(
            kind=pb.SOURCE_KIND_OVERRIDE,
            key="01",
            quantity=1,
            effect=pb.SOURCE_EFFECT_SILENT,
            grant=catalog_pb2.EntitlementGrant(feature="tokens", limit_changes=[change], id="01"),
            result=found.sources[-1].result,
        )
    )
    lines = [line.split("  ") for line in run(fake, found).splitlines()]
    at = next(at for at, words in enumerate(lines) if words[0] == "override 01")
    said = [word.strip() for word in lines[at] if word]
    assert ["override 01", "per_month: +100", "no effect", "as before"] == said
    assert ["there is no limit 'per_month'"] == [word.strip() for word in lines[at + 1] if word]
