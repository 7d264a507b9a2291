"""What a plane says of shares is believed only where it can be; and a failure moves nothing."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.limits.rate_shares import RateDemand, RateName, RateShare
from sidecar.sync.exchanges import Exchanges
from sidecar.sync.plane_answers import PlaneAway
from sidecar.sync.rate_calls import RateCalls

NAME: Final = RateName("acme", "calls", "RATE/1000000/burst|user|", ("joe",))
DEMAND: Final = RateDemand(NAME, 5, None, 7, 2_000_000)
Answer = sync_pb2.ShareRatesResponse


class Wire:
    """Stands in for the connection. `sent`: the last request."""

    stub = SimpleNamespace(ShareRates=None)

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.sent = sync_pb2.ShareRatesRequest()

    async def call(
        self, _method: Any, request: sync_pb2.ShareRatesRequest, _kind: Any, _seconds: float
    ) -> Answer:
        self.sent = request
        return self._answer


def answer() -> Answer:
    rate = sync_pb2.RateAddress(company="acme", feature="calls", slot="RATE/1/burst||")
    return Answer(
        shares=[sync_pb2.RateShare(share_ppm=250_000, fill_ppm=3)],
        sidecars=4,
        table="table",
        wanted=[rate, sync_pb2.RateAddress()],
    )


def calls_of(wire: Wire) -> RateCalls:
    return RateCalls(cast("Exchanges", wire))


async def test_what_is_said_and_heard() -> None:
    wire = Wire(answer())
    told = await calls_of(wire).share("id", 9, [DEMAND], "table", complete=True, seconds=1.0)
    assert [RateShare(250_000, 3)] == told.shares
    assert (4, "table") == (told.sidecars, told.table)
    assert [RateName("acme", "calls", "RATE/1/burst||")] == told.wanted, "one that cannot be is not"
    (said,) = wire.sent.demands
    assert ("id", 9, "table", True) == (
        wire.sent.incarnation,
        wire.sent.number,
        wire.sent.table,
        wire.sent.complete,
    )
    assert (["joe"], 5, False, 7, 2_000_000) == (
        list(said.rate.values),
        said.demand,
        said.HasField("share_ppm"),
        said.fill_ppm,
        said.drain_us,
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda told: told.ClearField("shares"), id="too few shares"),
        pytest.param(lambda told: told.shares.add(), id="too many"),
        pytest.param(lambda told: setattr(told.shares[0], "share_ppm", -1), id="below nothing"),
        pytest.param(lambda told: setattr(told.shares[0], "share_ppm", 1_000_001), id="above all"),
        pytest.param(lambda told: setattr(told.shares[0], "fill_ppm", 1_000_001), id="too full"),
        pytest.param(lambda told: setattr(told, "sidecars", 0), id="nobody shares"),
        pytest.param(lambda told: setattr(told, "sidecars", 1 << 30), id="more than there can be"),
        pytest.param(lambda told: setattr(told, "table", ""), id="no table"),
        pytest.param(lambda told: setattr(told, "table", "a" * 1_000), id="no name for a table"),
    ],
)
async def test_an_answer_that_cannot_be_is_a_failed_exchange(
    change: Callable[[Answer], object],
) -> None:
    told = answer()
    change(told)
    with pytest.raises(PlaneAway):
        await calls_of(Wire(told)).share("id", 9, [DEMAND], "", complete=False, seconds=1.0)
