"""`tallyd leases`."""

from __future__ import annotations

import json
from typing import Final

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.cli import leases
from sidecar.cli.common import ExitCode
from sidecar.domain.time.units import DAY_US, MINUTE_US
from sidecar.shared.convert.times import timestamp
from sidecar.shared.wall_clock import wall_us
from tests.unit.cli.fakes import Failure, FakeServer, tallyd

STORE: Final = "00000000-0000-4000-8000-00000000000a"
NOW_US: Final = wall_us()


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the time that answers are made for."""
    monkeypatch.setattr(leases, "wall_us", lambda: NOW_US)


def ago(span_us: int) -> Timestamp:
    return timestamp(NOW_US - span_us)


def counter(
    company: str = "acme", *, overcommitted: int = 0, burned: int = 0, silent: bool = False
) -> control_pb2.LeasedCounter:
    return control_pb2.LeasedCounter(
        company=company,
        feature="tokens",
        slot="MONTH/1/CALENDAR|user|",
        values=["eve"],
        window=catalog_pb2.WindowInstance(start=ago(DAY_US), end=ago(-DAY_US)),
        limit="monthly",
        ceiling=1_000,
        used=300,
        outstanding=250,
        burned=burned,
        available=450,
        overcommitted=overcommitted,
        holders=[
            control_pb2.LeaseHolder(
                incarnation=STORE,
                node="pod-7",
                granted=400,
                own=150,
                remaining=250,
                held_since=ago(DAY_US),
                asked_at=ago(5 * MINUTE_US),
                heard_at=ago(2 * MINUTE_US),
                silent=silent,
            )
        ],
    )


def run(fake: FakeServer, *words: str) -> str:
    result = tallyd("leases", *words, "--control", fake.address)
    assert ExitCode.OK == result.exit_code, result.stderr
    return result.stdout


def test_who_holds_what_is_listed_without_a_word(fake: FakeServer) -> None:
    fake.answers["ListLeases"] = control_pb2.ListLeasesResponse(counters=[counter()])
    shown = run(fake).splitlines()
    assert "monthly  eve" in shown[1]
    assert shown[1].split()[-4:] == ["1000", "300", "250", "450"]
    [holder] = [line for line in shown if STORE in line]
    assert "pod-7" in holder
    assert "400   150   250" in holder
    assert "1 d  5 min ago" in holder
    assert shown == run(fake, "list").splitlines()


def test_what_is_burned_and_what_is_overcommitted_is_said(fake: FakeServer) -> None:
    fake.answers["ListLeases"] = control_pb2.ListLeasesResponse(
        counters=[counter(burned=250, silent=True), counter("globex", overcommitted=30)]
    )
    shown = run(fake)
    assert "250 silent" in shown
    assert "silent 2 min" in shown
    assert "30 too much" in shown


def test_what_is_held_as_it_counted_before_is_a_part_of_what_is_leased(fake: FakeServer) -> None:
    changed = counter()
    changed.outstanding_before, changed.available = 36, 414
    fake.answers["ListLeases"] = control_pb2.ListLeasesResponse(counters=[changed])
    row = run(fake).splitlines()[1]
    assert "1000   300     286   414  36 as it counted before" in row


def test_a_counter_whose_limit_is_gone_has_no_ceiling(fake: FakeServer) -> None:
    gone = counter()
    for field in ("limit", "ceiling", "available", "window"):
        gone.ClearField(field)
    fake.answers["ListLeases"] = control_pb2.ListLeasesResponse(counters=[gone])
    row = run(fake).splitlines()[1]
    assert ["(gone)", "eve", "never", "-", "300", "250", "-"] == row.split()[2:]


def test_leases_are_asked_for_by_filter_and_page_by_page(fake: FakeServer) -> None:
    def page(request: control_pb2.ListLeasesRequest) -> control_pb2.ListLeasesResponse:
        following = "" if request.page_token else "more"
        return control_pb2.ListLeasesResponse(counters=[counter()], next_page_token=following)

    fake.answers["ListLeases"] = page
    words = ("--company", "acme", "--feature", "tokens", "--node", "n", "--incarnation", STORE)
    told = json.loads(run(fake, *words, "--ended", "--json"))
    assert (2, False) == (len(told["counters"]), told["more"])
    assert ("250", "pod-7") == (
        str(told["counters"][0]["outstanding"]),
        told["counters"][0]["holders"][0]["node"],
    )
    wanted = control_pb2.LeaseFilter(company="acme", feature="tokens", incarnation=STORE, node="n")
    assert [(wanted, True, ""), (wanted, True, "more")] == [
        (request.filter, request.with_ended, request.page_token) for request in fake.requests
    ]
    assert json.loads(run(fake, "--max", "1", "--json"))["more"]
    assert "and more" in run(fake, "--max", "1")


def test_where_nothing_is_leased_that_is_said(fake: FakeServer) -> None:
    fake.answers["ListLeases"] = control_pb2.ListLeasesResponse()
    assert "nothing is leased there\n" == run(fake)


def test_holders_are_asked_to_give_back(fake: FakeServer) -> None:
    fake.answers["RecallLeases"] = lambda request: control_pb2.RecallLeasesResponse(
        recalled=2, unreached=1, next_page_token="" if request.page_token else "more"
    )
    shown = run(fake, "recall", "--company", "acme")
    assert shown.startswith("4 leases recalled\n2 more are of sidecars that are not connected")
    told = json.loads(run(fake, "recall", "--node", "pod-7", "--json"))
    assert {"recalled": 4, "unreached": 2} == told


def test_leases_are_settled_once_somebody_says_yes(fake: FakeServer) -> None:
    fake.answers["SettleLeases"] = control_pb2.SettleLeasesResponse(settled=2, quantity=250)
    words = ("settle", "--company", "acme", "--incarnation", STORE)
    shown = run(fake, *words, "--release")
    assert "2 leases with 250 left would be ended" in shown
    assert "on top of the limit. --yes does it" in shown
    assert "2 leases with 250 left: ended\n" == run(fake, *words, "--count", "--yes")
    assert [
        (control_pb2.LEASE_SETTLEMENT_RELEASED, True),
        (control_pb2.LEASE_SETTLEMENT_COUNTED, False),
    ] == [(request.settlement, request.dry_run) for request in fake.requests]
    told = json.loads(run(fake, *words, "--count", "--json"))
    assert {"settled": 2, "quantity": 250, "dry_run": True} == told
    fake.answers["SettleLeases"] = control_pb2.SettleLeasesResponse()
    assert "it holds nothing there\n" == run(fake, *words, "--release", "--yes")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("recall",), "say whose"),
        (("settle", "--company", "acme", "--incarnation", STORE), "--release or --count"),
        (("settle", "--company", "acme", "--release"), "--incarnation"),
        (("recal",), "No such command"),
    ],
)
def test_what_is_not_said_is_asked_for(fake: FakeServer, words: tuple[str, ...], told: str) -> None:
    result = tallyd("leases", *words)
    assert ExitCode.USAGE == result.exit_code
    assert told in result.stderr


def test_who_is_there_is_not_settled(fake: FakeServer) -> None:
    fake.answers["SettleLeases"] = Failure(
        grpc.StatusCode.FAILED_PRECONDITION, "is there", "HOLDER_PRESENT", "filter.incarnation"
    )
    words = ("settle", "--company", "acme", "--incarnation", STORE, "--release")
    result = tallyd("leases", *words, "--control", fake.address)
    assert ExitCode.USAGE == result.exit_code
    assert "HOLDER_PRESENT" in result.stderr


RECOVERING: Final = control_pb2.GetLeaseRecoveryResponse(
    restored_at=ago(MINUTE_US),
    recovering=True,
    holders_known=True,
    missing=[
        control_pb2.MissingHolder(
            incarnation=STORE, node="pod-7", heard_at=ago(DAY_US), until=ago(-DAY_US)
        )
    ],
    missing_holders=1,
    reported_holders=3,
)


def test_who_is_missing_since_state_was_lost_is_shown(fake: FakeServer) -> None:
    fake.answers["GetLeaseRecovery"] = RECOVERING
    shown = run(fake, "recover")
    assert "have told what they hold: 3; that have not: 1" in shown
    assert STORE in shown
    assert "--yes ends it now" in shown
    assert ["GetLeaseRecovery"] == fake.called


def test_recovery_is_ended_as_it_was_shown(fake: FakeServer) -> None:
    fake.answers["GetLeaseRecovery"] = RECOVERING
    fake.answers["EndLeaseRecovery"] = control_pb2.EndLeaseRecoveryResponse(ended=True)
    assert "it is waited for them no longer" in run(fake, "recover", "--yes")
    assert RECOVERING.restored_at == fake.requests[-1].restored_at
    told = json.loads(run(fake, "recover", "--yes", "--json"))
    assert (True, True, "pod-7") == (
        told["ended"],
        told["recovering"],
        told["missing"][0]["node"],
    )


def test_where_nobody_knows_who_holds_leases_the_reason_is_told(fake: FakeServer) -> None:
    fake.answers["GetLeaseRecovery"] = control_pb2.GetLeaseRecoveryResponse(
        restored_at=ago(MINUTE_US), recovering=True
    )
    shown = run(fake, "recover")
    assert "nobody knows who may hold leases" in shown
    assert ".leases" in shown


def test_a_plane_that_lost_nothing_and_one_that_has_recovered_say_so(fake: FakeServer) -> None:
    fake.answers["GetLeaseRecovery"] = control_pb2.GetLeaseRecoveryResponse(holders_known=True)
    assert "the plane has lost no state\n" == run(fake, "recover", "--yes")
    fake.answers["GetLeaseRecovery"] = control_pb2.GetLeaseRecoveryResponse(
        restored_at=ago(MINUTE_US), holders_known=True, reported_holders=3
    )
    assert "that have told what they hold: 3" in run(fake, "recover", "--yes")
    assert "EndLeaseRecovery" not in fake.called


def test_a_witness_that_was_written_anew_is_shown(fake: FakeServer) -> None:
    fake.answers["GetLeaseRecovery"] = control_pb2.GetLeaseRecoveryResponse(
        holders_known=True, witness_rewrites=2
    )
    shown = run(fake, "recover")
    assert "written anew: 2 times since it was started" in shown
    assert "the plane has lost no state" in shown
