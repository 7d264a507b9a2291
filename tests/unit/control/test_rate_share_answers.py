"""ShareRates, by what is asked: what is answered, and what is refused with its field named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import rate_share_answers
from sidecar.control.services.rate_shares import RateShares
from sidecar.domain.errors import InvalidInput
from tests.support.build import NOW_US

INCARNATION: Final = "00000000-0000-4000-8000-000000000001"


def request(number: int = 1) -> sync_pb2.ShareRatesRequest:
    rate = sync_pb2.RateAddress(company="acme", feature="calls", slot="RATE/1000/burst||")
    demand = sync_pb2.RateDemand(rate=rate, demand=5, drain_us=1_000)
    return sync_pb2.ShareRatesRequest(
        incarnation=INCARNATION, number=number, demands=[demand], table="table"
    )


async def answer(
    shares: RateShares, asked: sync_pb2.ShareRatesRequest
) -> sync_pb2.ShareRatesResponse:
    return await rate_share_answers.share(shares, asked, NOW_US, 1)


async def test_a_share_is_told_and_how_many_share() -> None:
    told = await answer(RateShares("table", 1), request())
    (share,) = told.shares
    assert (1_000_000, 0) == (share.share_ppm, share.fill_ppm)
    assert (1, "table", NOW_US) == (told.sidecars, told.table, told.plane_time.ToMicroseconds())


async def test_who_asks_for_nothing_hears_how_many_share() -> None:
    told = await answer(RateShares("table", 1), sync_pb2.ShareRatesRequest(incarnation=INCARNATION))
    assert ([], 1) == (list(told.shares), told.sidecars)


async def test_what_was_said_to_a_table_before_is_not_taken_and_the_new_one_is_told() -> None:
    shares = RateShares("table", 1)
    asked = request()
    asked.table = "before"
    told = await answer(shares, asked)
    assert [False] == [share.HasField("share_ppm") for share in told.shares]
    assert ("table", 0) == (told.table, shares.rates)


async def test_a_request_of_a_number_that_was_there_is_told_nothing() -> None:
    shares = RateShares("table", 1)
    await answer(shares, request(7))
    for number in (7, 6):
        told = await answer(shares, request(number))
        assert [False] == [share.HasField("share_ppm") for share in told.shares]


def _more_than_a_message(asked: sync_pb2.ShareRatesRequest) -> None:
    asked.demands.extend([asked.demands[0]] * 1_000)


_Change = Callable[[sync_pb2.ShareRatesRequest], object]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param(lambda asked: setattr(asked, "incarnation", "x"), "incarnation"),
        pytest.param(lambda asked: setattr(asked, "number", -1), "number"),
        pytest.param(lambda asked: setattr(asked, "table", "\n"), "table"),
        pytest.param(_more_than_a_message, "demands"),
        pytest.param(lambda asked: setattr(asked.demands[0], "demand", -1), "demands[0].demand"),
        pytest.param(lambda asked: setattr(asked.demands[0], "drain_us", 0), "demands[0].drain_us"),
        pytest.param(
            lambda asked: setattr(asked.demands[0], "share_ppm", 1_000_001), "demands[0].share_ppm"
        ),
        pytest.param(
            lambda asked: setattr(asked.demands[0], "fill_ppm", -1), "demands[0].fill_ppm"
        ),
        pytest.param(
            lambda asked: setattr(asked.demands[0].rate, "company", ""), "demands[0].rate.company"
        ),
        pytest.param(
            lambda asked: setattr(asked.demands[0].rate, "feature", ""), "demands[0].rate.feature"
        ),
        pytest.param(
            lambda asked: setattr(asked.demands[0].rate, "slot", ""), "demands[0].rate.slot"
        ),
        pytest.param(
            lambda asked: asked.demands[0].rate.values.append("\0"), "demands[0].rate.values[0]"
        ),
        pytest.param(
            lambda asked: asked.demands[0].rate.values.extend(["a"] * 17), "demands[0].rate.values"
        ),
    ],
)
async def test_what_no_sidecar_says_is_refused_and_moves_nothing(
    change: _Change, field: str
) -> None:
    shares = RateShares("table", 1)
    asked = request()
    change(asked)
    with pytest.raises(InvalidInput) as refused:
        await answer(shares, asked)
    assert field == refused.value.field
    assert 0 == shares.rates
