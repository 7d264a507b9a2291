"""`tallyd subscription` where nothing changed, and what is noted where something did."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import ExitCode
from tests.support.build import NOW_US
from tests.unit.cli.fakes import FakeServer, tallyd
from tests.unit.cli.test_subscription import ACME, LATER_US, at_noon, changed, got

__all__ = ["at_noon"]

SO: Final = "it is so already: active on plan basic, add-ons gb x 1, hd x 3; revision 12"
THEN: Final = "it will be so already, in 1 d 1 h (2026-03-16 13:00:00 UTC); revision 12"
ALREADY: Final = {
    "renew acme": (NOW_US, SO),
    "renew acme --until +1d": (NOW_US, SO),
    "change acme --plan basic": (NOW_US, SO),
    "add-on acme gb 1": (NOW_US, SO),
    "trial extend acme --until +1d": (NOW_US, SO),
    "past-due acme": (NOW_US, SO),
    "drop-planned acme": (NOW_US, "nothing is planned; revision 12"),
    "change acme --plan pro --at +25h": (LATER_US, THEN),
    "add-on acme gb 1 --at +25h": (LATER_US, THEN),
    "cancel acme --at +25h": (LATER_US, THEN),
    "pause acme --at +25h": (LATER_US, THEN),
    "resume acme --at +25h": (LATER_US, THEN),
    "reset-usage acme --at +25h": (LATER_US, THEN),
}


@pytest.mark.parametrize(("command", "told"), ALREADY.items(), ids=ALREADY)
def test_what_changed_nothing_is_not_told_as_done(
    fake: FakeServer, command: str, told: tuple[int, str]
) -> None:
    effective_us, words = told
    answer = changed(effective_us)
    answer.unchanged = True
    fake.answers["ChangeSubscription"] = answer
    result = tallyd("subscription", *command.split(), "--control", fake.address)
    assert ExitCode.OK == result.exit_code
    assert result.stdout.replace("\n", " ").startswith(f"acme: nothing changed, {words} ")
    assert "takes effect" not in result.stdout


def test_a_dry_run_of_what_changes_nothing_shows_one_timeline(fake: FakeServer) -> None:
    answer = changed()
    answer.unchanged = True
    fake.answers["PreviewSubscription"] = answer
    fake.answers["GetCompany"] = got(ACME)
    result = tallyd("subscription", "renew", "acme", "--dry-run", "--control", fake.address)
    assert "acme: nothing changed, it is so already" in result.stdout
    assert 1 == result.stdout.count("FROM ")


def test_what_the_plane_notes_is_shown(fake: FakeServer) -> None:
    answer: control_pb2.ChangeSubscriptionResponse = changed()
    answer.notes.append("the trial goes on")
    fake.answers["ChangeSubscription"] = answer
    result = tallyd("subscription", "change", "acme", "--plan", "pro", "--control", fake.address)
    assert "\nnote: the trial goes on\n" in result.stdout
