"""Commands that change something, at a control plane of an earlier version."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import ExitCode
from tests.unit.cli.fakes import Failure, FakeServer, tallyd


@pytest.fixture
def earlier(fake: FakeServer) -> FakeServer:
    """A plane that knows all calls but the newest, those of leases, and would answer to them."""

    def health(request: health_pb2.HealthCheckRequest) -> Message | Failure:
        if request.service.endswith(".ControlService"):
            return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
        return Failure(grpc.StatusCode.NOT_FOUND, request.service)

    company = catalog_pb2.Company(id="acme")
    fake.answers = {
        "Check": health,
        "Apply": control_pb2.ApplyResponse(revision=2),
        "ListCompanies": control_pb2.ListCompaniesResponse(),
        "ListNames": control_pb2.ListNamesResponse(),
        "GetCompany": control_pb2.GetCompanyResponse(company=company),
        "ChangeSubscription": control_pb2.ChangeSubscriptionResponse(company=company),
    }
    return fake


@pytest.mark.parametrize(
    "line",
    [
        "subscription change acme --plan pro --dry-run",
        "subscription cancel acme --dry-run",
        "subscription change acme --plan pro --planned keep",
        "subscription change acme --plan pro --planned drop",
        "subscription change acme --plan pro --renew",
        "subscription drop-planned acme plan",
        "subscription past-due acme",
        "apply FILE",
        "apply FILE --dry-run",
        "apply FILE --fail-on-conflict",
        "apply FILE --take-over acme.plan",
        "company create acme",
        "company create acme --dry-run",
        "company remove acme --yes",
        "grant acme calls +1 --limit monthly --reason test",
        "grant acme calls +1 --limit monthly --reason test --dry-run",
    ],
)
def test_a_change_is_refused_in_words_and_never_sent(
    earlier: FakeServer, tmp_path: Path, line: str
) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(
        "features: {calls: {kind: metered}}\nplans: {pro: {entitlements: {calls: unlimited}}}\n"
    )
    args = line.replace("FILE", str(file)).split()

    result = tallyd(*args, "--control", earlier.address)

    told = f"error: the control plane at {earlier.address} is of an earlier version, which does not"
    assert told in result.stderr
    assert "Update the control plane first" in result.stderr
    assert (ExitCode.FAILED, "") == (result.exit_code, result.stdout)
    assert not {"Apply", "ChangeSubscription"} & set(earlier.called)


def test_what_changes_nothing_is_asked_of_it(earlier: FakeServer) -> None:
    result = tallyd("company", "list", "--control", earlier.address)
    assert ExitCode.OK == result.exit_code, result.output


def test_who_cannot_be_told_apart_is_told_the_status(fake: FakeServer) -> None:
    fake.answers = {"Check": Failure(grpc.StatusCode.UNIMPLEMENTED, "Check")}
    result = tallyd("subscription", "cancel", "acme", "--control", fake.address)
    assert "UNIMPLEMENTED" in result.stderr
