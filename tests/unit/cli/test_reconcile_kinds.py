"""What `reconcile` compares of a company, where something comes in meanwhile or never ends."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2, credits_pb2
from sidecar.cli import reconcile_kinds
from sidecar.cli.common import CliError
from sidecar.cli.reconcile_kinds import Kept, KeptAt, compare_company
from sidecar.cli.servers import connect
from tests.support.bounds import HANG_SECONDS_MAX
from tests.unit.cli.fakes import FakeServer

WELCOME = KeptAt("acme", "credits", "credits", "grant welcome")


def grants(burned: int) -> credits_pb2.ListCreditGrantsResponse:
    held = credits_pb2.HeldCreditGrant()
    held.grant.id, held.grant.feature, held.account.burned = "welcome", "credits", burned
    return credits_pb2.ListCreditGrantsResponse(grants=[held])


@pytest.fixture
def plane(fake: FakeServer) -> FakeServer:
    """A plane by which 7 of a grant are burned."""
    catalog = control_pb2.GetCatalogResponse()
    features = catalog.catalog.catalog.features
    features.add(key="credits", kind=catalog_pb2.FEATURE_KIND_CREDITS)
    features.add(key="members", kind=catalog_pb2.FEATURE_KIND_SEATS)
    burned = credits_pb2.CreditEvent(
        kind=credits_pb2.CREDIT_EVENT_KIND_BURNED,
        feature="credits",
        parts=[credits_pb2.CreditEventPart(grant="welcome", amount=7)],
    )
    fake.answers.update(
        GetCatalog=catalog,
        GetCreditBalance=credits_pb2.GetCreditBalanceResponse(),
        ListCreditGrants=grants(7),
        ListCreditHistory=credits_pb2.ListCreditHistoryResponse(events=[burned]),
        QueryUsage=control_pb2.QueryUsageResponse(),
        ListSeats=control_pb2.ListSeatsResponse(),
    )
    return fake


def compared(plane: FakeServer) -> tuple[list[Kept], bool]:
    with connect("control", plane.address) as channel:
        return compare_company(channel, "acme", HANG_SECONDS_MAX)


def test_what_stays_the_same_while_it_is_read_is_settled(plane: FakeServer) -> None:
    assert ([Kept(WELCOME, 7, 7)], True) == compared(plane)


def test_a_difference_is_told_by_how_much_too_little_is_kept(plane: FakeServer) -> None:
    plane.answers["ListCreditGrants"] = grants(5)
    rows, is_settled = compared(plane)
    assert is_settled
    assert [2] == [row.difference for row in rows]


def test_what_moves_while_it_is_read_is_not_settled(plane: FakeServer) -> None:
    burned = count(7)
    plane.answers["ListCreditGrants"] = lambda _: grants(next(burned))
    assert ([Kept(WELCOME, 7, 7)], False) == compared(plane)


def test_what_burned_of_a_grant_that_is_not_there_is_a_difference(plane: FakeServer) -> None:
    plane.answers["ListCreditGrants"] = credits_pb2.ListCreditGrantsResponse()
    assert ([Kept(WELCOME, 7, 0)], True) == compared(plane)


def test_pages_without_end_are_given_up(plane: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_kinds, "PAGES_MAX", 3)

    def page(request: Any) -> control_pb2.ListSeatsResponse:
        return control_pb2.ListSeatsResponse(next_page_token="again")

    plane.answers["ListSeats"] = page
    with pytest.raises(CliError, match="there is more of 'acme' than 3 pages"):
        compared(plane)
