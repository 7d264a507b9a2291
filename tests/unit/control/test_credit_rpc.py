"""The service of credits, over a network."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import credits_pb2, credits_pb2_grpc
from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.storage.port import PlaneStore
from sidecar.shared.convert.times import timestamp
from sidecar.shared.wall_clock import wall_us
from tests.unit.control.credit_plane import CATALOG
from tests.unit.control.plane import Calls, refusal, running
from tests.unit.control.support import ALICE, company


def _service(store: PlaneStore, calls: Calls) -> Any:
    apply.apply(store, Desired(CATALOG, (company("acme", "bare"),)), wall_us())
    return credits_pb2_grpc.CreditServiceStub(calls.channel)


def _request(id_: str = "welcome", amount: int = 500, **more: Any) -> Any:
    given = catalog_pb2.CreditGrant(id=id_, feature="credits", amount=amount, **more)
    return credits_pb2.GrantCreditsRequest(company="acme", grant=given, reason="sales")


async def test_a_grant_is_told_and_reaches_who_watches(store: PlaneStore) -> None:
    async with running(store) as calls:
        service = _service(store, calls)
        watch = calls.watch(ALICE)
        await watch.read()

        granted = await service.GrantCredits(_request())

        assert granted.changed
        assert granted.grant.grant.kind == catalog_pb2.CREDIT_KIND_PROMOTIONAL
        assert granted.grant.grant.HasField("effective")
        assert not granted.grant.grant.HasField("expires")
        assert granted.grant.account == credits_pb2.CreditAccount(amount=500, left=500)
        told: list[str] = []
        while not told:
            message = await watch.read()
            told = [each.id for one in message.companies for each in one.credit_grants]
        assert told == ["welcome"]
        watch.cancel()


async def test_a_balance_and_its_grants_are_listed_page_by_page(store: PlaneStore) -> None:
    async with running(store) as calls:
        service = _service(store, calls)
        for at in range(3):
            await service.GrantCredits(_request(f"g{at}"))
        paid = _request("paid", 7, kind=catalog_pb2.CREDIT_KIND_PAID, priority=3)
        await service.GrantCredits(paid)
        voided = await service.VoidCreditGrant(
            credits_pb2.VoidCreditGrantRequest(company="acme", id="g1", reason="fraud")
        )
        assert (voided.changed, voided.complete, voided.grant.account.voided) == (True, True, 500)

        ids, token = [], ""
        while True:
            page = await service.ListCreditGrants(
                credits_pb2.ListCreditGrantsRequest(
                    company="acme", with_over=True, page_size=3, page_token=token
                )
            )
            ids += [held.grant.id for held in page.grants]
            if not (token := page.next_page_token):
                break
        assert ids == ["g0", "g1", "g2", "paid"]

        answer = await service.GetCreditBalance(credits_pb2.GetCreditBalanceRequest(company="acme"))
        (balance,) = answer.balances
        assert (balance.feature, balance.balance, balance.left) == ("credits", 1_007, 1_007)
        names = [source.grant or source.limit for source in balance.sources]
        assert names == ["nothing", "g0", "g2", "paid"] or names == ["g0", "g2", "nothing", "paid"]


async def test_bad_input_is_refused_by_its_field(store: PlaneStore) -> None:
    async with running(store) as calls:
        service = _service(store, calls)
        await service.GrantCredits(_request())
        past = timestamp(wall_us() - 1_000_000)

        for request, code, field in (
            (_request("x", -1), grpc.StatusCode.INVALID_ARGUMENT, "grant.amount"),
            (_request("x", expires=past), grpc.StatusCode.INVALID_ARGUMENT, "grant.expires"),
            (_request("x", kind=9), grpc.StatusCode.INVALID_ARGUMENT, "grant.kind"),
            (_request("x", priority=-1), grpc.StatusCode.INVALID_ARGUMENT, "grant.priority"),
            (_request(amount=1), grpc.StatusCode.ALREADY_EXISTS, "grant.id"),
            (
                credits_pb2.GrantCreditsRequest(company="acme"),
                grpc.StatusCode.INVALID_ARGUMENT,
                "grant",
            ),
        ):
            refused = await refusal(service.GrantCredits(request))
            assert (refused.code, refused.metadata["field"]) == (code, field)
        refused = await refusal(
            service.ListCreditGrants(
                credits_pb2.ListCreditGrantsRequest(company="acme", page_token="x")
            )
        )
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_history_goes_on_where_its_token_says(store: PlaneStore) -> None:
    async with running(store) as calls:
        service = _service(store, calls)
        for at in range(3):
            await service.GrantCredits(_request(f"g{at}"))

        grants, token = [], ""
        while True:
            page = await service.ListCreditHistory(
                credits_pb2.ListCreditHistoryRequest(
                    company="acme", feature="credits", page_size=2, page_token=token
                )
            )
            grants += [(event.grant, event.kind, event.amount) for event in page.events]
            if not (token := page.next_page_token):
                break

        granted = credits_pb2.CREDIT_EVENT_KIND_GRANTED
        assert grants == [(f"g{at}", granted, 500) for at in range(3)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"record": ""}, "record"),
        ({"record": "acme-1"}, "record"),
        ({"record": f"{ALICE}-0"}, "record"),
        ({"record": f"{ALICE}-x"}, "record"),
        ({"amount": -1}, "amount"),
        ({"request_id": "a\nb"}, "request_id"),
        ({"reason": "x" * 257}, "reason"),
        ({"company": ""}, "company"),
    ],
)
async def test_a_refund_that_cannot_be_is_refused(
    store: PlaneStore, wrong: dict[str, Any], field: str
) -> None:
    async with running(store) as calls:
        service = _service(store, calls)
        request = {"company": "acme", "record": f"{ALICE}-1", **wrong}

        refused = await refusal(service.RefundCredits(credits_pb2.RefundCreditsRequest(**request)))

        assert (refused.code, refused.metadata["field"]) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            field,
        )


async def test_who_asks_for_a_refund_of_no_record_is_told_what_its_id_looks_like(
    store: PlaneStore,
) -> None:
    async with running(store) as calls:
        service = _service(store, calls)
        request = credits_pb2.RefundCreditsRequest(company="acme", record="acme-1")
        with pytest.raises(grpc.aio.AioRpcError, match=r"UUID of 36 .* and a number"):
            await service.RefundCredits(request)


@pytest.mark.parametrize("token", ["x", "bm9uc2Vuc2U"])
async def test_a_token_that_is_none_is_refused(store: PlaneStore, token: str) -> None:
    async with running(store) as calls:
        service = _service(store, calls)
        request = credits_pb2.ListCreditHistoryRequest(company="acme", page_token=token)

        refused = await refusal(service.ListCreditHistory(request))

        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
