"""Why a company has the plan that it has, as `tallyd subscription` tells it."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.cli import subscription_calls as commands
from sidecar.cli import times
from sidecar.cli.common import ExitCode
from sidecar.domain.company.model import Company, PastDue, ScheduledChange, Subscription
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.time.units import DAY_US
from sidecar.shared.convert.companies import company_to_message
from sidecar.shared.convert.snapshot_messages import snapshot_to_message
from tests.support.build import NOW_US
from tests.unit.cli.fakes import FakeServer, tallyd

LATER_US: Final = NOW_US + DAY_US


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch, in_utc: None) -> None:
    """It is NOW_US, and this machine's clock shows UTC."""
    for module in (commands, times):
        monkeypatch.setattr(module, "wall_us", lambda: NOW_US)


def got(company: Company) -> control_pb2.GetCompanyResponse:
    return control_pb2.GetCompanyResponse(
        company=company_to_message(company),
        snapshot=snapshot_to_message(compile_snapshot(company, 12)),
    )


def test_a_plan_after_the_grace_needs_a_grace(fake: FakeServer) -> None:
    result = tallyd("subscription", "past-due", "acme", "--then", "free", "--control", fake.address)
    assert ExitCode.USAGE == result.exit_code
    assert "--then needs --grace-until" in result.stderr
    assert not fake.requests


@pytest.mark.parametrize(
    ("subscription", "row"),
    [
        pytest.param(
            Subscription("pro", NOW_US, trial_ends_us=LATER_US, trial_end_plan="free"),
            "active free - free since the trial ended",
            id="trial",
        ),
        pytest.param(
            Subscription("pro", NOW_US, past_due=PastDue(NOW_US, LATER_US, "free")),
            "active free - free since the grace of a late payment ended",
            id="grace",
        ),
        pytest.param(
            Subscription("pro", NOW_US, changes=(ScheduledChange(LATER_US, plan_version=2),)),
            "active pro - version 2 of the plan",
            id="version",
        ),
    ],
)
def test_the_timeline_says_why_a_plan_is_what_it_is(
    fake: FakeServer, subscription: Subscription, row: str
) -> None:
    fake.answers["GetCompany"] = got(Company("acme", subscription=subscription))
    result = tallyd("subscription", "show", "acme", "--control", fake.address)
    assert row in " ".join(result.stdout.split())
