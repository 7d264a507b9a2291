"""What `tallyd apply` tells of conflicts, and what it takes over."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import grpc
import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import ExitCode
from sidecar.domain.catalog.model import Catalog, Plan
from sidecar.shared.convert.catalog import catalog_to_message
from sidecar.shared.convert.times import timestamp
from tests.unit.cli.fakes import Failure, FakeServer, tallyd

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


DOTTED: Final = CATALOG + "  acme.plan: {plan: pro, anchor: 2026-01-01T00:00:00Z}\n"
EXACT: Final = {
    "a field": ("acme:plan", ("acme", "plan")),
    "an add-on": ("acme.plan:add_ons.gb", ("acme.plan", "add_ons.gb")),
    "a company": ("acme.plan:", ("acme.plan", "")),
    "one that a dot says, too": ("acme.plan.plan", ("acme.plan", "plan")),
    "a company that is not given": ("initech.plan:", ("initech.plan", "")),
}


@pytest.mark.parametrize(("text", "expected"), EXACT.values(), ids=EXACT)
def test_what_to_take_over_is_told_apart_by_a_colon(
    fake: FakeServer, file: Path, text: str, expected: tuple[str, str]
) -> None:
    file.write_text(DOTTED)
    fake.answers["Apply"] = control_pb2.ApplyResponse(revision=7)
    result = tallyd("apply", str(file), "--take-over", text, "--control", fake.address)
    assert ExitCode.OK == result.exit_code, result.output
    (named,) = fake.requests[0].take_over
    assert expected == (named.company, named.field)


def test_what_may_mean_a_field_or_a_company_is_refused_with_how_to_say_it(
    fake: FakeServer, file: Path
) -> None:
    file.write_text(DOTTED)
    result = tallyd("apply", str(file), "--take-over", "acme.plan", "--control", fake.address)
    assert (ExitCode.USAGE, []) == (result.exit_code, fake.requests)
    assert "say --take-over acme.plan: or --take-over acme:plan" in result.stderr


HINTS: Final = {
    "a field of one company": (CATALOG, "acme", "plan", "acme.plan"),
    "a field that another company is called by": (DOTTED, "acme", "plan", "acme:plan"),
    "a field of that company": (DOTTED, "acme.plan", "plan", "acme.plan.plan"),
    "that company, which is not given": (CATALOG, "acme.plan", "", "acme.plan:"),
}


@pytest.mark.parametrize(("text", "company", "field", "hint"), HINTS.values(), ids=HINTS)
def test_the_hint_names_what_is_in_conflict_and_nothing_else(
    fake: FakeServer, file: Path, text: str, company: str, field: str, hint: str
) -> None:
    file.write_text(text)
    conflict = control_pb2.Conflict(company=company, field=field, since=SINCE, call="GrantOverride")
    fake.answers["Apply"] = control_pb2.ApplyResponse(conflicts=[conflict], conflicted=1)
    told = tallyd("apply", str(file), "--control", fake.address).stdout
    assert f"--take-over {hint} this one" in " ".join(told.split())
    assert "changed by GrantOverride" in told
    tallyd("apply", str(file), "--take-over", hint, "--control", fake.address)
    (named,) = fake.requests[-1].take_over
    assert (company, field) == (named.company, named.field)


def test_a_bare_option_before_the_file_does_not_swallow_it(fake: FakeServer, file: Path) -> None:
    fake.answers["Apply"] = control_pb2.ApplyResponse(revision=7)
    result = tallyd("apply", "--take-over", str(file), "--control", fake.address)
    assert ExitCode.OK == result.exit_code, result.output
    (request,) = fake.requests
    assert [("", "")] == [(named.company, named.field) for named in request.take_over]
    assert ["acme", "acme.eu"] == [company.id for company in request.companies]


def test_companies_alone_leave_the_catalog_and_are_held_to_it(
    fake: FakeServer, tmp_path: Path
) -> None:
    sold = catalog_to_message(Catalog(plans=(Plan("pro"),)))
    fake.answers["GetCatalog"] = control_pb2.GetCatalogResponse(
        catalog=catalog_pb2.CatalogSnapshot(version=1, catalog=sold)
    )
    fake.answers["Apply"] = control_pb2.ApplyResponse(revision=7)
    text = "companies: {acme: {plan: PLAN, anchor: 2026-01-01T00:00:00Z}}"
    (tmp_path / "right.yaml").write_text(text.replace("PLAN", "pro"))
    (tmp_path / "wrong.yaml").write_text(text.replace("PLAN", "prow"))
    right = tallyd("apply", str(tmp_path / "right.yaml"), "--control", fake.address)
    assert ExitCode.OK == right.exit_code, right.output
    request = fake.requests[-1]
    assert (False, ["acme"]) == (request.HasField("catalog"), [one.id for one in request.companies])
    wrong = tallyd("apply", str(tmp_path / "wrong.yaml"), "--control", fake.address)
    assert ExitCode.USAGE == wrong.exit_code
    assert "wrong.yaml:1:26: companies.acme.plan: the catalog has no plan 'prow'" in wrong.stderr
    checked = tallyd("apply", str(tmp_path / "right.yaml"), "--check", "--control", fake.address)
    assert "right.yaml is good: companies 1\n" in checked.stdout


def test_companies_alone_need_a_catalog_of_the_plane(fake: FakeServer, tmp_path: Path) -> None:
    fake.answers["GetCatalog"] = control_pb2.GetCatalogResponse()
    (tmp_path / "c.yaml").write_text("companies: {acme: {}}")
    result = tallyd("apply", str(tmp_path / "c.yaml"), "--control", fake.address)
    assert ExitCode.USAGE == result.exit_code
    assert "apply features and plans first" in result.stderr


PLACES: Final = {
    "a plan that is gone": ("companies[1].subscription.plan", "3:17"),
    "a company": ("companies[0]", "2:3"),
    "a feature": ("catalog.features[0]", ""),
    "a field of nothing": ("prune_companies", ""),
    "one that is not given": ("companies[7].id", ""),
}


@pytest.mark.parametrize(("field", "at"), PLACES.values(), ids=PLACES)
def test_what_the_plane_refuses_is_told_with_its_place(
    fake: FakeServer, tmp_path: Path, field: str, at: str
) -> None:
    sold = catalog_to_message(Catalog(plans=(Plan("pro"),)))
    fake.answers["GetCatalog"] = control_pb2.GetCatalogResponse(
        catalog=catalog_pb2.CatalogSnapshot(version=1, catalog=sold)
    )
    status = grpc.StatusCode.INVALID_ARGUMENT
    fake.answers["Apply"] = Failure(status, "it is gone", "INVALID_ARGUMENT", field)
    file = tmp_path / "c.yaml"
    lines = [f"  {name}: {{plan: pro, anchor: 2026-01-01T00:00:00Z}}" for name in ("zebra", "beta")]
    file.write_text("companies:\n" + "\n".join([lines[1], lines[0], ""]))
    result = tallyd("apply", str(file), "--control", fake.address)
    assert ExitCode.USAGE == result.exit_code
    assert (f"c.yaml:{at}: companies." in result.stderr) == bool(at), result.stderr
    assert "it is gone" in result.stderr
