"""`tallyd apply`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import ExitCode
from sidecar.domain import bounds
from tests.unit.cli.fakes import FakeServer, tallyd
from tests.unit.shared.catalog_file.sample import SAMPLE

DECLARED = SAMPLE.replace(
    "unit: token", "unit: token, dimensions: {model: optional, user: optional}"
)
CHANGED = control_pb2.ApplyResponse(
    revision=12,
    changed=3,
    unchanged=4,
    changes=[
        control_pb2.Change(kind="feature", key="tokens", action=control_pb2.CHANGE_ACTION_CREATED),
        control_pb2.Change(
            kind="plan",
            key="pro",
            action=control_pb2.CHANGE_ACTION_UPDATED,
            fields=[
                control_pb2.FieldChange(path="name", before="Pro", after="Professional"),
                control_pb2.FieldChange(path="entitlements.sso", after="on"),
                control_pb2.FieldChange(path="entitlements.days", before="30"),
            ],
        ),
        control_pb2.Change(
            kind="company", key="ac\x1b[1mme", action=control_pb2.CHANGE_ACTION_REMOVED
        ),
    ],
)
TOLD = """\
+ feature tokens
~ plan pro
    ~ name: Pro -> Professional
    + entitlements.sso: on
    - entitlements.days: 30
- company ac\\x1b[1mme
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(DECLARED)
    return path


def test_the_file_is_sent_whole(fake: FakeServer, file: Path) -> None:
    fake.answers["Apply"] = control_pb2.ApplyResponse(revision=1, unchanged=5)

    result = tallyd("apply", str(file), "--prune", "--dry-run", "--control", fake.address)

    assert ExitCode.OK == result.exit_code
    (request,) = fake.requests
    assert ["days", "sso", "tokens"] == [feature.key for feature in request.catalog.features]
    (plan,) = request.catalog.plans
    (limit,) = plan.entitlements[2].limits
    assert ("monthly", 100) == (limit.id, limit.amount)
    assert catalog_pb2.ENFORCEMENT_HARD == limit.enforcement
    assert ["acme"] == [company.id for company in request.companies]
    assert (True, True) == (request.prune_companies, request.dry_run)


def test_changes_are_told_as_a_diff(fake: FakeServer, file: Path) -> None:
    fake.answers["Apply"] = CHANGED

    result = tallyd("apply", str(file), "--control", fake.address)

    summary = "1 created, 1 updated, 1 removed, 4 unchanged; revision 12\n"
    assert (ExitCode.OK, TOLD + summary) == (result.exit_code, result.stdout)
    assert not fake.requests[0].dry_run


def test_a_dry_run_says_that_nothing_was_changed(fake: FakeServer, file: Path) -> None:
    fake.answers["Apply"] = CHANGED

    result = tallyd("apply", str(file), "--dry-run", "--control", fake.address)

    summary = "would be: 1 created, 1 updated, 1 removed, 4 unchanged\n"
    assert f"{TOLD}dry run, nothing was changed; {summary}" == result.stdout


def test_the_same_again_changes_nothing(fake: FakeServer, file: Path) -> None:
    fake.answers["Apply"] = control_pb2.ApplyResponse(revision=12, unchanged=5)

    result = tallyd("apply", str(file), "--control", fake.address)

    assert "nothing to change (revision 12)\n" == result.stdout


def test_changes_beyond_those_listed_are_counted(fake: FakeServer, file: Path) -> None:
    change = control_pb2.Change(kind="company", key="c", action=control_pb2.CHANGE_ACTION_CREATED)
    fake.answers["Apply"] = control_pb2.ApplyResponse(revision=2, changed=5000, changes=[change])

    result = tallyd("apply", str(file), "--control", fake.address)

    expected = "+ company c\n  and 4999 more\n5000 changed, 0 unchanged; revision 2\n"
    assert expected == result.stdout


@pytest.mark.parametrize(
    ("change", "companies", "told"),
    [
        (catalog_pb2.EXISTING_COMPANIES_KEEP, 2, "companies that have it (2) keep what they have"),
        (
            catalog_pb2.EXISTING_COMPANIES_MOVE_NOW,
            1,
            "companies that have it (1) have the new version now",
        ),
        (
            catalog_pb2.EXISTING_COMPANIES_MOVE_AT_PERIOD_END,
            1200,
            "companies that have it (1200) have the new version once their billing period ends",
        ),
        (catalog_pb2.EXISTING_COMPANIES_KEEP, 0, "no company has it"),
    ],
)
def test_what_becomes_of_a_plans_companies_is_told(
    fake: FakeServer, file: Path, change: Any, companies: int, told: str
) -> None:
    plan = control_pb2.Change(kind="plan", key="pro", action=control_pb2.CHANGE_ACTION_UPDATED)
    plan.existing.CopyFrom(control_pb2.ExistingCompanies(change=change, companies=companies))
    fake.answers["Apply"] = control_pb2.ApplyResponse(revision=2, changed=1, changes=[plan])

    result = tallyd("apply", str(file), "--dry-run", "--control", fake.address)

    assert f"~ plan pro\n    {told}\n" in result.stdout


def test_how_many_companies_hold_an_add_on_that_changes_is_told(
    fake: FakeServer, file: Path
) -> None:
    more = control_pb2.Change(kind="add_on", key="more", action=control_pb2.CHANGE_ACTION_UPDATED)
    now = catalog_pb2.EXISTING_COMPANIES_MOVE_NOW
    more.existing.CopyFrom(control_pb2.ExistingCompanies(change=now, companies=3))
    fake.answers["Apply"] = control_pb2.ApplyResponse(revision=2, changed=1, changes=[more])
    result = tallyd("apply", str(file), "--dry-run", "--control", fake.address)
    assert "more\n    companies that hold it (3) have it so now\n" in result.stdout


def test_a_terminal_gets_colours(
    fake: FakeServer, file: Path, on_terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR")
    fake.answers["Apply"] = CHANGED

    result = tallyd("apply", str(file), "--control", fake.address, colour=True)

    assert result.stdout.startswith("\x1b[32m+ feature tokens\x1b[0m\n\x1b[33m~ plan pro\x1b[0m\n")


def test_json_says_what_changed(fake: FakeServer, file: Path) -> None:
    fake.answers["Apply"] = CHANGED

    result = tallyd("apply", str(file), "--dry-run", "--control", fake.address, "--json")

    answer = json.loads(result.stdout)
    assert (12, 3, 4, True) == (
        answer["revision"],
        answer["changed"],
        answer["unchanged"],
        answer["dry_run"],
    )
    assert ["CREATED", "UPDATED", "REMOVED"] == [change["action"] for change in answer["changes"]]
    assert {"path": "entitlements.sso", "before": None, "after": "on"} == answer["changes"][1][
        "fields"
    ][1]


def test_check_needs_no_control_plane(file: Path) -> None:
    result = tallyd("apply", str(file), "--check", "--control", "127.0.0.1:1")

    assert ExitCode.OK == result.exit_code
    assert f"{file} is good: features 3, plans 1, add-ons 0, companies 1\n" == result.stdout


def test_check_refuses_what_a_plane_would_for_its_size(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "CATALOG_PARTS_MAX", 1)

    result = tallyd("apply", str(file), "--check")

    assert ExitCode.USAGE == result.exit_code
    assert "entitlements, limits and rates in all: at most are 1" in result.stderr
    assert "" == result.stdout


def test_check_with_json(file: Path) -> None:
    result = tallyd("apply", str(file), "--check", "--json")

    expected = {"valid": True, "features": 3, "plans": 1, "add_ons": 0, "companies": 1}
    assert {**expected, "warnings": []} == json.loads(result.stdout)


ODD = DECLARED.replace(
    "          monthly:\n", "          all: {amount: 10, per: month}\n          monthly:\n", 1
)
LIMIT = "plans.pro.entitlements.tokens.limits.monthly"
REACHED_BEFORE = "is never reached: limit 'all' (10) denies before, since all limits apply"


def test_what_is_odd_is_told_with_its_place_and_changes_nothing_else(
    fake: FakeServer, file: Path
) -> None:
    file.write_text(ODD)
    fake.answers["Apply"] = control_pb2.ApplyResponse(
        revision=12,
        unchanged=5,
        warnings=[
            control_pb2.Warning(field="catalog.plans[0]", message=REACHED_BEFORE),
            control_pb2.Warning(field="companies[0].overrides[0].reason", message="is odd, too"),
            control_pb2.Warning(field="companies[7]", message="is nowhere in the file"),
        ],
    )

    result = tallyd("apply", str(file), "--control", fake.address)

    expected = f"""\
warning: {file}:11:11: {LIMIT}: {REACHED_BEFORE}
warning: {file}:25:7: companies.acme.overrides.sso.reason: is odd, too
warning: companies[7]: is nowhere in the file
"""
    assert (ExitCode.OK, expected) == (result.exit_code, result.stderr)
    assert "nothing to change (revision 12)\n" == result.stdout


TWO_PLANS = """\
features:
  tokens: {kind: metered}
  seats: {kind: metered}
plans:
  pro:
    entitlements:
      tokens: {limits: {monthly: {amount: 5, per: month}, daily: {amount: 1, per: day}}}
      seats: unlimited
  basic: {entitlements: {tokens: unlimited}}
"""


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("catalog.plans[0].entitlements[0]", "9:34: plans.basic.entitlements.tokens"),
        ("catalog.plans[1].entitlements[0]", "8:14: plans.pro.entitlements.seats"),
        (
            "catalog.plans[1].entitlements[1].limits[1]",
            "7:59: plans.pro.entitlements.tokens.limits.daily",
        ),
        ("catalog.features[0]", "3:3: features.seats"),
    ],
)
def test_what_the_plane_finds_odd_has_its_place_whatever_the_order_of_the_file(
    fake: FakeServer, file: Path, field: str, place: str
) -> None:
    file.write_text(TWO_PLANS)
    told = control_pb2.Warning(field=field, message="is odd")
    fake.answers["Apply"] = control_pb2.ApplyResponse(warnings=[told])

    result = tallyd("apply", str(file), "--control", fake.address)

    assert f"warning: {file}:{place}: is odd" in result.stderr.splitlines()


def test_json_has_what_is_odd_with_its_place(fake: FakeServer, file: Path) -> None:
    file.write_text(ODD)
    fake.answers["Apply"] = control_pb2.ApplyResponse(
        warnings=[
            control_pb2.Warning(field="companies[0]", message="is odd, too"),
            control_pb2.Warning(field="companies[7]", message="is nowhere in the file"),
        ]
    )
    of_file = {"line": 11, "column": 11, "field": LIMIT, "message": REACHED_BEFORE}
    of_plane = [
        {"line": 20, "column": 3, "field": "companies.acme", "message": "is odd, too"},
        {"field": "companies[7]", "message": "is nowhere in the file"},
    ]

    applied = tallyd("apply", str(file), "--control", fake.address, "--json")
    checked = tallyd("apply", str(file), "--check", "--json")

    assert [of_file, *of_plane] == json.loads(applied.stdout)["warnings"]
    assert [of_file] == json.loads(checked.stdout)["warnings"]
    assert "" == applied.stderr == checked.stderr


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    result = tallyd("apply", "-", "--check", stdin=DECLARED.replace("100", "-5", 1))

    assert ExitCode.USAGE == result.exit_code
    assert result.stderr.startswith("standard input:11:21: plans.pro.")


def test_all_problems_of_a_file_are_told_and_nothing_is_sent(fake: FakeServer, file: Path) -> None:
    file.write_text(DECLARED.replace("amount: 100", "amount: -5").replace("plan: pro", "plan: x"))

    result = tallyd("apply", str(file), "--control", fake.address)

    limit = "plans.pro.entitlements.tokens.limits.monthly"
    expected = f"""\
{file}:11:21: {limit}.amount: -5 is less than 0
{file}:21:11: companies.acme.plan: the catalog has no plan 'x'
error: {file} cannot be used: 2 problems (INVALID_CATALOG)
"""
    assert (ExitCode.USAGE, expected) == (result.exit_code, result.stderr)
    assert [] == fake.requests


def test_problems_with_json(file: Path) -> None:
    file.write_text("features: {}\nplans: []\n")

    result = tallyd("apply", str(file), "--check", "--json")

    error = json.loads(result.stderr)["error"]
    problem = {
        "line": 2,
        "column": 1,
        "field": "plans",
        "message": "must be a mapping, is a list",
    }
    assert ("INVALID_CATALOG", 2, [problem], 0) == (
        error["reason"],
        error["exit_code"],
        error["problems"],
        error["omitted"],
    )


def test_a_warning_of_nothing_in_the_files_is_told_by_its_words_alone(
    fake: FakeServer, file: Path
) -> None:
    told = control_pb2.Warning(message="2 sidecars are of before")
    fake.answers["Apply"] = control_pb2.ApplyResponse(warnings=[told])
    result = tallyd("apply", str(file), "--control", fake.address)
    assert "warning: 2 sidecars are of before" in result.stderr.splitlines()
