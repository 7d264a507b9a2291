"""What `tallyd apply` tells of conflicts, and what it takes over."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import ExitCode
from sidecar.shared.convert.times import timestamp
from tests.unit.cli.fakes import FakeServer, tallyd

CATALOG: Final = """
features: {sso: {kind: boolean}}
plans: {pro: {}}
companies:
  acme: {plan: pro, anchor: 2026-01-01T00:00:00Z}
  acme.eu: {plan: pro, anchor: 2026-01-01T00:00:00Z}
"""
SINCE: Final = timestamp(1_785_000_000_000_000)
PLAN: Final = control_pb2.Conflict(
    company="acme",
    field="plan",
    given="pro",
    in_force="max",
    owner=control_pb2.OWNER_API,
    since=SINCE,
    call="ChangeSubscription",
)
ADD_ON: Final = control_pb2.Conflict(
    company="acme", field="add_ons.gb", given="2", since=SINCE, call="ChangeSubscription"
)
CREATED: Final = control_pb2.Conflict(company="initech", since=SINCE, call="CreateCompany")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG)
    return path


def test_conflicts_are_told_with_whose_they_are_and_how_to_take_them(
    fake: FakeServer, file: Path
) -> None:
    fake.answers["Apply"] = control_pb2.ApplyResponse(
        revision=7, unchanged=2, conflicts=[PLAN, ADD_ON, CREATED], conflicted=4
    )
    result = tallyd("apply", str(file), "--control", fake.address)
    assert ExitCode.OK == result.exit_code
    assert result.stdout == (
        "! company acme.plan\n"
        "    the file says pro, in force is max\n"
        "    changed by ChangeSubscription at 2026-07-25T17:20:00Z\n"
        "! company acme.add_ons.gb\n"
        "    the file says 2, there is none\n"
        "    changed by ChangeSubscription at 2026-07-25T17:20:00Z\n"
        "! company initech is not removed\n"
        "    created by CreateCompany at 2026-07-25T17:20:00Z\n"
        "  and 1 more\n"
        "4 in conflict: left as it is. --take-over takes all of it, "
        "--take-over acme.plan this one\n"
        "nothing to change (revision 7)\n"
    )


def test_a_refusal_says_that_nothing_was_changed_and_exits_with_1(
    fake: FakeServer, file: Path
) -> None:
    fake.answers["Apply"] = control_pb2.ApplyResponse(
        revision=7, changed=1, conflicts=[PLAN], conflicted=1, refused=True
    )
    result = tallyd("apply", str(file), "--fail-on-conflict", "--control", fake.address)
    assert ExitCode.NEGATIVE == result.exit_code
    assert "nothing was changed, because of conflicts (revision 7)" in result.stdout
    assert fake.requests[0].refuse_conflicts


NAMED: Final = {
    "everything": ([], [("", "")]),
    "a company": (["acme"], [("acme", "")]),
    "a field": (["acme.plan"], [("acme", "plan")]),
    "a field of a company with a dot": (["acme.eu.add_ons.gb"], [("acme.eu", "add_ons.gb")]),
    "a company with a dot": (["acme.eu"], [("acme.eu", "")]),
    "a misspelt field, for the plane to refuse": (["acme.plam"], [("acme", "plam")]),
    "a company that is pruned": (["initech.com"], [("initech.com", "")]),
    "a field of a company that is not given": (["initech.plan"], [("initech", "plan")]),
}


@pytest.mark.parametrize(("texts", "expected"), NAMED.values(), ids=NAMED)
def test_what_to_take_over_is_sent_by_company_and_field(
    fake: FakeServer, file: Path, texts: list[str], expected: list[tuple[str, str]]
) -> None:
    fake.answers["Apply"] = control_pb2.ApplyResponse(revision=7)
    options = [part for text in texts for part in ("--take-over", text)] or ["--take-over"]
    result = tallyd("apply", str(file), *options, "--control", fake.address)
    assert ExitCode.OK == result.exit_code, result.output
    (request,) = fake.requests
    assert expected == [(named.company, named.field) for named in request.take_over]
