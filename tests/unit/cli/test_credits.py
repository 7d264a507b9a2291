"""`tallyd credits`."""

from __future__ import annotations

import json
from typing import Any, Final

import grpc
import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import credits_pb2
from sidecar.cli import credits as credits_command
from sidecar.cli.common import ExitCode
from sidecar.domain.time.units import DAY_US
from sidecar.shared.convert.times import timestamp
from sidecar.shared.wall_clock import wall_us
from tests.unit.cli.fakes import Failure, FakeServer, tallyd

RECORD: Final = "3f0c2f6e-8d0b-4a52-9f0e-5b9b1c1f3a77-42"
NOW_US: Final = wall_us()


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the time that answers are made for."""
    monkeypatch.setattr(credits_command, "wall_us", lambda: NOW_US)


def _held(**account: int) -> credits_pb2.HeldCreditGrant:
    return credits_pb2.HeldCreditGrant(
        grant=catalog_pb2.CreditGrant(
            id="welcome",
            feature="credits",
            amount=5_000,
            kind=catalog_pb2.CREDIT_KIND_PAID,
            effective=timestamp(NOW_US),
            expires=timestamp(NOW_US + 2 * DAY_US),
        ),
        account=credits_pb2.CreditAccount(amount=5_000, **account),
        granted_at=timestamp(NOW_US),
    )


def _run(fake: FakeServer, *words: str) -> Any:
    return tallyd("credits", *words, "--control", fake.address)


def _said(fake: FakeServer, *words: str) -> list[str]:
    result = _run(fake, *words)
    assert ExitCode.OK == result.exit_code, result.stderr
    return [line.rstrip() for line in result.stdout.splitlines()]


def test_a_grant_is_asked_for_as_it_is_written(fake: FakeServer) -> None:
    fake.answers["GrantCredits"] = credits_pb2.GrantCreditsResponse(
        revision=7, grant=_held(left=5_000), changed=True, repaid=3
    )

    told = _said(
        fake, "grant", "acme", "credits", "5_000", "--paid", "--priority", "2", "--id", "welcome",
        "--until", "2999-01-01T00:00:00Z", "--reason", "sales",
    )  # fmt: skip

    (request,) = fake.requests
    assert (request.company, request.reason, request.dry_run) == ("acme", "sales", False)
    given = request.grant
    assert (given.id, given.feature, given.amount, given.priority) == (
        "welcome",
        "credits",
        5_000,
        2,
    )
    assert given.kind == catalog_pb2.CREDIT_KIND_PAID
    assert not given.HasField("effective")
    assert given.HasField("expires")
    assert told[0].startswith("acme: 5000 micro-credits of credits, until in 2 d")
    assert told[0].endswith("; granted as welcome; revision 7")
    assert told[1] == "3 of it, or of what else is left, repaid a debt"


@pytest.mark.parametrize("amount", ["0", "-5", "5.5", "1e6", "9223372036854775808", "5_00"])
def test_what_is_no_amount_is_a_mistake(fake: FakeServer, amount: str) -> None:
    result = _run(fake, "grant", "acme", "credits", amount)

    assert ExitCode.USAGE == result.exit_code
    assert amount in result.stderr
    assert fake.requests == []


def test_what_the_plane_refuses_is_told(fake: FakeServer) -> None:
    fake.answers["GrantCredits"] = Failure(
        grpc.StatusCode.INVALID_ARGUMENT, "feature: is metered", "INVALID_ARGUMENT", "feature"
    )

    result = _run(fake, "grant", "acme", "tokens", "5")

    assert (ExitCode.USAGE, "feature: is metered") == (
        result.exit_code,
        result.stderr.splitlines()[0].removeprefix("error: ").split(" (")[0],
    )


def test_a_void_tells_what_is_still_out(fake: FakeServer) -> None:
    fake.answers["VoidCreditGrant"] = credits_pb2.VoidCreditGrantResponse(
        revision=8, grant=_held(burned=1_000, leased=500, voided=3_500), changed=True
    )

    told = " ".join(_said(fake, "void", "acme", "welcome", "--reason", "fraud"))

    assert "acme: welcome: voided, took 3500; 1000 were burned" in told
    assert "500 more are at sidecars" in told


def test_balances_are_shown_with_their_sources(fake: FakeServer) -> None:
    window = catalog_pb2.WindowInstance(start=timestamp(NOW_US))
    account = credits_pb2.CreditAccount(amount=100, burned=40, leased=10, left=50)
    fake.answers["GetCreditBalance"] = credits_pb2.GetCreditBalanceResponse(
        balances=[
            credits_pb2.CreditBalance(
                feature="credits",
                balance=60,
                leased=10,
                debt=0,
                overdraft=7,
                sources=[
                    credits_pb2.CreditSource(
                        limit="monthly", window=window, account=account, in_force=True
                    )
                ],
            )
        ]
    )

    told = _said(fake, "show", "acme")

    assert told[:4] == ["feature  credits", "balance  60", "leased   10", "debt     0 of 7"]
    assert told[5].split() == ["monthly", "(recurs)", "0", "never", "100", "40", "10", "50"]


def test_a_history_goes_over_pages_and_ends_where_it_is_told_to(fake: FakeServer) -> None:
    burned = credits_pb2.CreditEvent(
        at=timestamp(NOW_US),
        kind=credits_pb2.CREDIT_EVENT_KIND_BURNED,
        feature="credits",
        amount=5,
        parts=[credits_pb2.CreditEventPart(grant="welcome", amount=5)],
        record=RECORD,
    )
    fake.answers["ListCreditHistory"] = credits_pb2.ListCreditHistoryResponse(
        events=[burned, burned], next_page_token="on"
    )

    result = _run(fake, "history", "acme", "--max", "3", "--json")

    told = json.loads(result.stdout)
    assert (len(told["events"]), told["more"]) == (3, True)
    assert told["events"][0]["record"] == RECORD
    assert [request.page_token for request in fake.requests] == ["", "on"]
    lines = _said(fake, "history", "acme", "--max", "4")
    assert lines[1].split()[-5:] == ["burned", "5", "welcome", RECORD, "-"]
    assert lines[-1] == "there are more: --max shows more of them, --from later ones"


def test_a_refund_tells_what_returned_and_what_was_lost(fake: FakeServer) -> None:
    fake.answers["RefundCredits"] = credits_pb2.RefundCreditsResponse(
        feature="credits",
        returned=3,
        lost=2,
        parts=[
            credits_pb2.CreditEventPart(grant="welcome", amount=3),
            credits_pb2.CreditEventPart(limit="monthly", amount=2, lost=True),
        ],
        changed=True,
    )

    told = _said(fake, "refund", "acme", RECORD, "--amount", "5", "--id", "r-1")

    (request,) = fake.requests
    assert (request.record, request.amount, request.request_id) == (RECORD, 5, "r-1")
    assert told == [
        "acme: 3 micro-credits of credits returned, 2 were lost",
        "  3 to welcome",
        "  2 to monthly: lost, nothing can return there any more",
    ]


def test_every_command_has_a_json_form(fake: FakeServer) -> None:
    fake.answers["GrantCredits"] = credits_pb2.GrantCreditsResponse(grant=_held(left=5_000))
    fake.answers["ListCreditGrants"] = credits_pb2.ListCreditGrantsResponse(grants=[_held(left=1)])

    granted = json.loads(_run(fake, "grant", "acme", "credits", "5", "--json").stdout)
    listed = json.loads(_run(fake, "show", "acme", "--grants", "--json").stdout)

    assert (granted["grant"]["account"]["left"], granted["dry_run"]) == (5_000, False)
    assert listed["grants"][0]["grant"]["id"] == "welcome"
