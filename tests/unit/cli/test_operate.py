"""`tallyd status`, `flush` and `drain`."""

from __future__ import annotations

import json

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2

from sidecar.api.admin.v1 import admin_pb2
from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.cli import status
from sidecar.cli.common import ExitCode
from sidecar.shared.convert.times import timestamp
from tests.unit.cli.fakes import Failure, FakeServer, tallyd

NOW_US = 1_769_860_800_000_000
STATUS = admin_pb2.GetStatusResponse(
    version="0.1.0",
    incarnation="3f0c",
    ready=True,
    plane_connected=True,
    plane_heard_at=timestamp(NOW_US - 250_000),
    clock_offset_us=-1500,
    last_sequence=1_000_012,
    acknowledged_sequence=1_000_000,
    outbox_records=12,
    outbox_bytes=1536,
    revision=42,
    leases_in_use=True,
    leases_held=3,
    store_used_bytes=5 * 1024 * 1024,
    store_max_bytes=4 * 1024 * 1024 * 1024,
    durability=admin_pb2.DURABILITY_PROCESS,
    tallies=[admin_pb2.FeatureTally(feature="tokens", records=7, quantity=2**63 - 1)],
    started_at=timestamp(NOW_US - 93_784_000_000),
)


@pytest.fixture(autouse=True)
def at_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "wall_us", lambda: NOW_US)


def test_a_sidecar_in_full(fake: FakeServer) -> None:
    fake.answers["GetStatus"] = STATUS

    result = tallyd("status", "--sidecar", fake.address)

    assert ExitCode.OK == result.exit_code
    expected = """\
version        0.1.0
incarnation    3f0c
ready          yes
running for    1 d 2 h
control plane  connected, heard 250 ms ago
clock offset   -1500 us
revision       42
leases         3 held
outbox         12 records, 1.5 KiB
sequence       1000012, acknowledged to 1000000
store          5.0 MiB of 4.0 GiB
durability     process

FEATURE  RECORDS             QUANTITY
tokens         7  9223372036854775807
"""
    assert expected == result.stdout


def test_what_is_left_of_leases_stands_beside_what_was_counted(fake: FakeServer) -> None:
    kinds = admin_pb2.GetStatusResponse(
        leases=[
            admin_pb2.FeatureLease(feature="credits", left=82_000),
            admin_pb2.FeatureLease(feature="tokens", left=5),
        ],
        seats_untold=2,
        level_items_expired=3,
    )
    kinds.MergeFrom(STATUS)
    kinds.tallies[0].quantity = 12
    kinds.tallies.add(feature="jobs", records=4, quantity=1)
    fake.answers["GetStatus"] = kinds

    shown = tallyd("status", "--sidecar", fake.address).stdout

    assert "seats          2 changes that the control plane is to be told\n" in shown
    assert "levels         3 items came back by themselves\n" in shown
    expected = """\
FEATURE  RECORDS  QUANTITY  LEFT OF LEASES
credits        -         -           82000
jobs           4         1               -
tokens         7        12               5
"""
    assert expected == shown.split("\n\n")[1]


def test_the_table_on_a_terminal_is_one_empty_line_below(
    fake: FakeServer, on_terminal: None
) -> None:
    fake.answers["GetStatus"] = STATUS

    lines = tallyd("status", "--sidecar", fake.address).stdout.splitlines()

    titles = [line.split() for line in lines].index(["feature", "records", "quantity"])
    assert ("durability     process", "") == (lines[titles - 2], lines[titles - 1])


def test_a_sidecar_that_is_not_ready_is_exit_1(fake: FakeServer) -> None:
    fake.answers["GetStatus"] = admin_pb2.GetStatusResponse(version="0.1.0", draining=True)

    result = tallyd("status", "--sidecar", fake.address)

    assert ExitCode.NEGATIVE == result.exit_code
    assert "ready          no\ndraining       yes\n" in result.stdout
    assert "control plane  not connected, never heard\n" in result.stdout


def test_a_standalone_sidecar_has_no_plane(fake: FakeServer) -> None:
    fake.answers["GetStatus"] = admin_pb2.GetStatusResponse(ready=True, standalone=True)

    result = tallyd("status", "--sidecar", fake.address)

    assert "control plane  none (standalone)\n" in result.stdout
    assert "clock offset" not in result.stdout


def test_status_with_json_is_the_message(fake: FakeServer) -> None:
    fake.answers["GetStatus"] = STATUS

    answer = json.loads(tallyd("status", "--sidecar", fake.address, "--json").stdout)

    assert "2026-01-31T11:59:59.750Z" == answer["plane_heard_at"]
    assert [{"feature": "tokens", "records": 7, "quantity": 2**63 - 1}] == answer["tallies"]
    assert ("PROCESS", -1500, False) == (
        answer["durability"],
        answer["clock_offset_us"],
        answer["standalone"],
    )


SERVING = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
NOT_SERVING = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)
CATALOG = control_pb2.GetCatalogResponse(
    catalog=catalog_pb2.CatalogSnapshot(
        version=9, catalog=catalog_pb2.Catalog(plans=[catalog_pb2.Plan(key="pro")])
    )
)


@pytest.mark.parametrize(
    ("health", "exit_code", "ready"),
    [(SERVING, ExitCode.OK, True), (NOT_SERVING, ExitCode.NEGATIVE, False)],
)
def test_a_control_plane_is_asked_for_its_health(
    fake: FakeServer, health: health_pb2.HealthCheckResponse, exit_code: ExitCode, ready: bool
) -> None:
    fake.answers.update(Check=health, GetCatalog=CATALOG)

    result = tallyd("status", "--control", fake.address, "--json")

    assert exit_code == result.exit_code
    answer = json.loads(result.stdout)
    assert answer.pop("round_trip_us") > 0
    expected = {
        "address": fake.address,
        "ready": ready,
        "catalog_revision": 9,
        "features": 0,
        "plans": 1,
        "losses": 0,
        "lost_records": 0,
    }
    assert expected == answer


def test_a_bare_control_option_means_the_one_of_the_environment(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.answers.update(Check=SERVING, GetCatalog=control_pb2.GetCatalogResponse())

    result = tallyd("status", "--control", environment={"TALLYD_CONTROL": fake.address})

    assert ExitCode.OK == result.exit_code
    assert f"address           {fake.address}\nready             yes\n" in result.stdout
    assert "catalog revision  -\n" in result.stdout


def test_a_control_plane_that_is_away_is_unreachable() -> None:
    result = tallyd("status", "--control", "127.0.0.1:1")

    assert ExitCode.UNREACHABLE == result.exit_code
    assert "cannot reach the control plane at 127.0.0.1:1: " in result.stderr


def test_a_complete_flush_is_exit_0(fake: FakeServer) -> None:
    fake.answers["Flush"] = admin_pb2.FlushResponse(complete=True)

    result = tallyd("flush", "--timeout", "2500ms", "--sidecar", fake.address)

    assert ExitCode.OK == result.exit_code
    assert "complete: the control plane has everything\n" == result.stdout
    timeout = Duration(seconds=2, nanos=500_000_000)
    assert [admin_pb2.FlushRequest(timeout=timeout)] == fake.requests


@pytest.mark.parametrize(
    ("name", "method", "answer"),
    [
        ("flush", "Flush", admin_pb2.FlushResponse(outbox_records=1200)),
        ("drain", "Drain", admin_pb2.DrainResponse(outbox_records=1200)),
    ],
)
def test_what_is_not_complete_is_exit_1(
    fake: FakeServer,
    name: str,
    method: str,
    answer: admin_pb2.FlushResponse | admin_pb2.DrainResponse,
) -> None:
    fake.answers[method] = answer

    result = tallyd(name, "--sidecar", fake.address)
    as_json = tallyd(name, "--sidecar", fake.address, "--json")

    assert ExitCode.NEGATIVE == result.exit_code == as_json.exit_code
    assert "not complete: 1200 records still wait to be sent\n" == result.stdout
    assert {"complete": False, "outbox_records": 1200} == json.loads(as_json.stdout)


def test_a_refused_drain_is_an_error(fake: FakeServer) -> None:
    fake.answers["Drain"] = Failure(
        grpc.StatusCode.INVALID_ARGUMENT, "must be at most 60 s", "INVALID_ARGUMENT", "timeout"
    )

    result = tallyd("drain", "--timeout", "2m", "--sidecar", fake.address)

    assert ExitCode.USAGE == result.exit_code
    assert "error: timeout: must be at most 60 s (INVALID_ARGUMENT)\n" == result.stderr


def test_companies_whose_news_cannot_be_read_are_told(fake: FakeServer) -> None:
    fake.answers["GetStatus"] = admin_pb2.GetStatusResponse(ready=True, unreadable_companies=3)

    result = tallyd("status", "--sidecar", fake.address)

    assert "behind         3 companies, whose news cannot be read\n" in result.stdout
