"""What the sync service answers about shares of rates. On the event loop, a little at a time."""

from __future__ import annotations

import asyncio
from typing import Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc.request_validation import require_count, require_incarnation
from sidecar.control.services.rate_shares import Caller, RateShares
from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX, INT64_MAX
from sidecar.domain.limits.rate_shares import RateShare
from sidecar.domain.slices import pages
from sidecar.domain.text import KNOWN_NAMES
from sidecar.shared.convert.rate_shares import (
    rate_demand_from_message,
    rate_name_to_message,
    rate_share_to_message,
)
from sidecar.shared.convert.times import timestamp

DEMANDS_MAX: Final = 1_000
_AT_ONCE: Final = 50


async def share(
    shares: RateShares, request: sync_pb2.ShareRatesRequest, now_us: int, elapsed_us: int
) -> sync_pb2.ShareRatesResponse:
    """Answer to ShareRates. `elapsed_us`: by which the silence of sidecars is measured."""
    incarnation = require_incarnation(request.incarnation)
    require_count("demands", len(request.demands), 0, DEMANDS_MAX)
    number = require_count("number", request.number, 0, INT64_MAX)
    KNOWN_NAMES.require("table", request.table, IDENTIFIER_BYTES_MAX)
    demands = []
    for at, message in enumerate(request.demands):
        demands.append(rate_demand_from_message(message, f"demands[{at}]"))
        if at % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
    caller = Caller(incarnation, number, request.table, request.complete)
    response = sync_pb2.ShareRatesResponse(table=shares.table)
    if not shares.greet(caller, elapsed_us):
        told = [RateShare()] * len(demands)
    else:
        told = []
        for page in pages(demands, _AT_ONCE):
            told += shares.share(caller, page)
            await asyncio.sleep(0)
        shares.complete(caller)
    response.shares.extend(map(rate_share_to_message, told))
    response.wanted.extend(map(rate_name_to_message, shares.take_wanted(incarnation)))
    response.sidecars = shares.sidecars
    response.plane_time.CopyFrom(timestamp(now_us))
    return response
