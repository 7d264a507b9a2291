"""`tallyd company` and `tallyd catalog`."""

from __future__ import annotations

from typing import Final

import grpc
import msgspec
import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import ExitCode
from sidecar.domain.catalog.model import Catalog, EntitlementGrant, Feature, FeatureKind, Plan
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.time.units import DAY_US
from sidecar.shared.convert.catalog import catalog_to_message
from sidecar.shared.convert.companies import company_to_message
from sidecar.shared.convert.snapshot_messages import snapshot_to_message
from sidecar.shared.convert.times import timestamp
from tests.support.build import NOW_US
from tests.unit.cli.fakes import Failure, FakeServer, tallyd

ANCHOR_US: Final = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
ACME: Final = Company("acme", "on", "UTC", Subscription("pro", ANCHOR_US))
BETA: Final = Company("beta", subscription=Subscription("max", ANCHOR_US))
NONE: Final = Company("none")
SOLD: Final = Catalog(
    (Feature("sso", FeatureKind.BOOLEAN),), (Plan("max"), Plan("pro")), default_plan="max"
)


def catalog_answer() -> control_pb2.GetCatalogResponse:
    catalog = catalog_pb2.CatalogSnapshot(version=3, catalog=catalog_to_message(SOLD))
    return control_pb2.GetCatalogResponse(catalog=catalog)


def pages(request: control_pb2.ListCompaniesRequest) -> control_pb2.ListCompaniesResponse:
    """Companies in two pages."""
    if request.page_token:
        return control_pb2.ListCompaniesResponse(companies=[company_to_message(NONE)])
    return control_pb2.ListCompaniesResponse(
        companies=[company_to_message(ACME), company_to_message(BETA)], next_page_token="more"
    )


def test_a_company_is_created_as_it_is_said(fake: FakeServer) -> None:
    fake.answers["CreateCompany"] = control_pb2.CreateCompanyResponse(revision=4, created=True)
    options = ["--plan", "pro", "--anchor", "2026-02-01", "--time-zone", "Europe/Berlin"]
    more = ["--add-on", "gb", "--add-on", "seat=3", "--name", "Acme", "--control", fake.address]
    result = tallyd("company", "create", "acme", *options, *more)
    assert (ExitCode.OK, "acme: created; revision 4\n") == (result.exit_code, result.stdout)
    (request,) = fake.requests
    held = (AddOnSubscription("gb"), AddOnSubscription("seat", 3))
    bought = Subscription("pro", 1_769_900_400_000_000, add_ons=held)  # midnight in Berlin
    assert company_to_message(Company("acme", "Acme", "Europe/Berlin", bought)) == request.company


@pytest.mark.parametrize(
    ("trial_ends_us", "told"),
    [
        (NOW_US + DAY_US, "trial until 2026-03-16 12:00:00 UTC; "),
        (None, "no trial; "),
    ],
)
def test_what_begins_with_a_company_is_told(
    fake: FakeServer, trial_ends_us: int | None, told: str
) -> None:
    bought = Subscription("pro", NOW_US + DAY_US, trial_ends_us=trial_ends_us)
    created = company_to_message(Company("acme", subscription=bought))
    fake.answers["CreateCompany"] = control_pb2.CreateCompanyResponse(
        revision=4, created=True, company=created
    )
    result = tallyd("company", "create", "acme", "--plan", "pro", "--control", fake.address)
    begins = "billing cycle from 2026-03-16 12:00:00 UTC"
    assert f"acme: created; revision 4\n{told}{begins}\n" == result.stdout


def test_one_that_is_there_already_is_told(fake: FakeServer) -> None:
    fake.answers["CreateCompany"] = control_pb2.CreateCompanyResponse(revision=4)
    result = tallyd("company", "create", "acme", "--control", fake.address)
    assert (ExitCode.OK, "acme: is there already; revision 4\n") == (
        result.exit_code,
        result.stdout,
    )
    assert not fake.requests[0].company.HasField("subscription")


REFUSED: Final = {
    "an add-on without a plan": ["acme", "--add-on", "gb"],
    "no quantity": ["acme", "--plan", "pro", "--add-on", "gb="],
    "a quantity of 0": ["acme", "--plan", "pro", "--add-on", "gb=0"],
    "no time zone": ["acme", "--time-zone", "Berlin"],
}


@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_created_is_wrong_usage(fake: FakeServer, options: list[str]) -> None:
    result = tallyd("company", "create", *options, "--control", fake.address)
    assert (ExitCode.USAGE, []) == (result.exit_code, fake.requests)


def test_companies_are_listed_over_all_pages(fake: FakeServer) -> None:
    fake.answers["ListCompanies"] = pages
    listed = tallyd("company", "list", "--control", fake.address).stdout
    assert [line.split()[:3] for line in listed.splitlines()] == [
        ["COMPANY", "PLAN", "STATUS"],
        ["acme", "pro", "active"],
        ["beta", "max", "active"],
        ["none", "-", "none"],
    ]
    of_plan = tallyd("company", "list", "--plan", "max", "--control", fake.address).stdout
    assert ["beta"] == [line.split()[0] for line in of_plan.splitlines()[1:]]
    bounded = tallyd("company", "list", "--max", "2", "--control", fake.address).stdout
    assert bounded.endswith("and more: --max\n")
    nobody = tallyd("company", "list", "--plan", "free", "--control", fake.address).stdout
    assert "there are no such companies\n" == nobody


def test_what_calls_have_changed_is_shown(fake: FakeServer) -> None:
    owner = control_pb2.FieldOwner(
        field="plan", owner=control_pb2.OWNER_API, since=timestamp(ANCHOR_US), call="ChangePlan"
    )
    derived = control_pb2.FieldOwner(
        field="trial", owner=control_pb2.OWNER_PLANE, since=timestamp(ANCHOR_US)
    )
    fake.answers["GetCompany"] = control_pb2.GetCompanyResponse(
        company=company_to_message(ACME),
        snapshot=snapshot_to_message(compile_snapshot(ACME, 1)),
        owners=[owner, derived],
    )
    shown = tallyd("company", "show", "acme", "--control", fake.address)
    assert "changed by calls, and so not by files:\n  plan: ChangePlan, " in shown.stdout
    told = "\nset by the plane, until a file says otherwise:\n  trial: by its plan, "
    assert told in shown.stdout


def test_a_company_is_removed_once_it_is_confirmed(fake: FakeServer) -> None:
    fake.answers["GetCompany"] = control_pb2.GetCompanyResponse(company=company_to_message(ACME))
    fake.answers["Apply"] = control_pb2.ApplyResponse(revision=9)
    unsaid = tallyd("company", "remove", "acme", "--control", fake.address)
    assert (ExitCode.USAGE, "say --yes" in unsaid.stderr) == (unsaid.exit_code, True)
    dry = tallyd("company", "remove", "acme", "--dry-run", "--control", fake.address)
    assert "would be removed; dry run" in dry.stdout
    said = tallyd("company", "remove", "acme", "--yes", "--control", fake.address)
    assert "acme: removed; revision 9\n" == said.stdout
    assert [("acme", True), ("acme", False)] == [
        (request.remove_companies[0], request.dry_run)
        for request in fake.requests
        if isinstance(request, control_pb2.ApplyRequest)
    ]


def test_nobody_is_removed_who_is_not_there(fake: FakeServer) -> None:
    fake.answers["GetCompany"] = Failure(grpc.StatusCode.NOT_FOUND, "none", "NOT_FOUND", "company")
    result = tallyd("company", "remove", "acme", "--yes", "--control", fake.address)
    assert (ExitCode.USAGE, 1) == (result.exit_code, len(fake.requests))


def test_the_catalog_is_exported_with_companies_if_asked_for(fake: FakeServer) -> None:
    fake.answers["GetCatalog"] = catalog_answer()
    fake.answers["ListCompanies"] = pages
    alone = tallyd("catalog", "export", "--control", fake.address)
    expected = "features:\n  sso:\n    kind: boolean\nplans:\n  max: {}\n  pro: {}\n"
    assert (expected + "default_plan: max\n", "") == (alone.stdout, alone.stderr)
    whole = tallyd("catalog", "export", "--companies", "--control", fake.address).stdout
    assert whole.startswith(alone.stdout + 'companies:\n  acme:\n    name: "on"\n    plan: pro\n')
    assert whole.endswith("  none: {}\n")


def test_many_things_that_a_file_does_not_say_are_counted(fake: FakeServer) -> None:
    granted = tuple(
        Override(EntitlementGrant("sso", enabled=True, id=f"g{number:02}")) for number in range(12)
    )
    company = Company("acme", subscription=Subscription("pro", ANCHOR_US), overrides=granted)
    fake.answers["GetCatalog"] = catalog_answer()
    fake.answers["GetCompany"] = control_pb2.GetCompanyResponse(company=company_to_message(company))
    exported = tallyd("company", "export", "acme", "--control", fake.address)
    assert "overrides.sso.g09.enabled and 2 more" in exported.stderr


def test_what_a_file_does_not_say_is_told_beside_it(fake: FakeServer) -> None:
    planned = (ScheduledChange(ANCHOR_US + 1, "max", at_period_end=True),)
    granted = Override(EntitlementGrant("sso", enabled=True, id="g1"))
    bought = Subscription("pro", ANCHOR_US, changes=planned)
    company = Company("acme", subscription=bought, overrides=(granted,))
    fake.answers["GetCatalog"] = catalog_answer()
    fake.answers["GetCompany"] = control_pb2.GetCompanyResponse(company=company_to_message(company))
    exported = tallyd("company", "export", "acme", "--control", fake.address)
    assert "warning: company acme: a file does not say " in exported.stderr
    assert "at_period_end" in exported.stderr
    assert "overrides.sso.g1" in exported.stderr
    assert "companies:\n  acme:\n" in exported.stdout


@pytest.mark.parametrize(
    ("options", "renamed", "told"),
    [
        ((), True, "acme: renamed to acme-inc; revision 4\n"),
        ((), False, "acme: is called acme-inc already; revision 4\n"),
        (
            ("--dry-run",),
            True,
            "acme: could be renamed to acme-inc; dry run, nothing was changed; revision 4\n",
        ),
    ],
)
def test_a_company_is_renamed(
    fake: FakeServer, options: tuple[str, ...], renamed: bool, told: str
) -> None:
    answer = control_pb2.RenameCompanyResponse(revision=4, renamed=renamed)
    fake.answers["RenameCompany"] = answer
    arguments = ("company", "rename", "acme", "acme-inc", *options, "--control", fake.address)
    result = tallyd(*arguments)
    assert (ExitCode.OK, told) == (result.exit_code, result.stdout)
    (request,) = fake.requests
    expected = control_pb2.RenameCompanyRequest(
        company="acme", new_id="acme-inc", dry_run=bool(options)
    )
    assert expected == request


def test_a_company_is_shown_with_the_ids_that_it_had(fake: FakeServer) -> None:
    snapshot = msgspec.structs.replace(compile_snapshot(ACME, 3), names=("b", "acme-inc"))
    fake.answers["GetCompany"] = control_pb2.GetCompanyResponse(
        company=company_to_message(msgspec.structs.replace(ACME, id="acme-inc")),
        snapshot=snapshot_to_message(snapshot),
    )
    shown = tallyd("company", "show", "acme", "--control", fake.address).stdout
    assert [["company", "acme-inc"], ["also", "called", "acme,", "b"]] == [
        line.split() for line in shown.splitlines()[:2]
    ]


def test_the_sellers_moves_to_a_new_version_are_no_part_of_an_export(fake: FakeServer) -> None:
    move = ScheduledChange(ANCHOR_US + 1, plan_version=2, at_period_end=True)
    bought = Subscription("pro", ANCHOR_US, changes=(move,))
    company = company_to_message(Company("acme", subscription=bought))
    fake.answers["GetCatalog"] = catalog_answer()
    fake.answers["GetCompany"] = control_pb2.GetCompanyResponse(company=company)
    exported = tallyd("company", "export", "acme", "--control", fake.address)
    assert (False, "") == ("changes" in exported.stdout, exported.stderr)
