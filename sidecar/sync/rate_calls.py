"""Shares of rates at the control plane: messages out and in, and what of an answer is believed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.rate_shares import RateDemand, RateName, RateShare
from sidecar.domain.slices import Slices
from sidecar.domain.text import KNOWN_NAMES
from sidecar.engine.slicing import in_slices
from sidecar.shared.convert.rate_shares import (
    rate_demand_to_message,
    rate_name_from_message,
    rate_share_from_message,
)
from sidecar.sync.exchanges import Exchanges
from sidecar.sync.plane_answers import PlaneAway

SIDECARS_MAX: Final = 1_000_000
_WANTED_MAX: Final = 1_000


class SharesTold(msgspec.Struct, frozen=True):
    """An answer: shares in the order of the demands, and what else it says; see `sync.proto`."""

    shares: Sequence[RateShare]
    sidecars: int
    table: str
    wanted: Sequence[RateName]


class RateCalls:
    """Tells the plane of rates, and hears shares."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges

    async def share(
        self,
        incarnation: str,
        number: int,
        demands: Sequence[RateDemand],
        table: str,
        *,
        complete: bool,
        seconds: float,
    ) -> SharesTold:
        """Ask for shares. Raises `PlaneAway`, also for an answer that is none to what was asked."""
        message = sync_pb2.ShareRatesRequest(
            incarnation=incarnation, number=number, table=table, complete=complete
        )
        await in_slices(_add_demands(message, demands))
        answer = await self._exchanges.call(
            self._exchanges.stub.ShareRates, message, sync_pb2.ShareRatesResponse, seconds
        )
        return await in_slices(_told(len(demands), answer))


def _add_demands(
    message: sync_pb2.ShareRatesRequest, demands: Sequence[RateDemand]
) -> Slices[None]:
    for demand in demands:
        message.demands.append(rate_demand_to_message(demand))
        yield


def _told(asked: int, answer: sync_pb2.ShareRatesResponse) -> Slices[SharesTold]:
    if len(answer.shares) != asked:
        raise PlaneAway(f"{len(answer.shares)} shares for {asked} rates")
    if not 1 <= answer.sidecars <= SIDECARS_MAX or not answer.table:
        raise PlaneAway(f"rates that are shared by {answer.sidecars} sidecars")
    shares: list[RateShare] = []
    wanted: list[RateName] = []
    try:
        KNOWN_NAMES.require("table", answer.table, IDENTIFIER_BYTES_MAX)
        for at, share in enumerate(answer.shares):
            shares.append(rate_share_from_message(share, f"shares[{at}]"))
            yield
    except InvalidInput as error:
        raise PlaneAway(f"a share that cannot be: {error}") from error
    for at, name in enumerate(answer.wanted[:_WANTED_MAX]):
        with suppress(InvalidInput):
            wanted.append(rate_name_from_message(name, f"wanted[{at}]"))
        yield
    return SharesTold(shares, answer.sidecars, answer.table, wanted)
