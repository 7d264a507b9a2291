"""A small catalog to sell, and what plane and sidecar say was used of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.admin.v1 import admin_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2
from sidecar.shared.catalog_file.load import parse_catalog
from sidecar.shared.convert.catalog import catalog_to_message
from sidecar.shared.convert.companies import company_to_message
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.processes import until

COMPANIES: Final = ("acme", "globex", "hooli")
CALLS: Final = "calls"
TOKENS: Final = "tokens"
EXPORTS: Final = "exports"
EXPORTS_MAX: Final = 40
"""The HARD limit of each company."""
_PAGE: Final = 1_000
_STATUS_SECONDS: Final = 0.05
_FLUSH_SECONDS: Final = 60
"""The longest that a sidecar takes a flush for; it is asked again."""

CounterName = tuple[str, str, str, tuple[tuple[str, str], ...]]
"""Company, feature, limit and the values of its dimensions."""


def catalog_text(
    companies: Iterable[str] = COMPANIES,
    exports_max: int = EXPORTS_MAX,
    *,
    exports_per: str = "lifetime",
    across: str = "exact",
) -> str:
    """A catalog: counted company-wide, by user, by month, and under a HARD limit.

    `exports_per`: the window of that. `across`: how it holds over several sidecars.
    """
    sold = "".join(
        f'  {company}: {{plan: standard, anchor: "2026-01-31T00:00:00Z"}}\n'
        for company in companies
    )
    return f"""
features:
  calls: {{kind: metered}}
  tokens: {{kind: metered}}
  exports: {{kind: metered}}
plans:
  standard:
    entitlements:
      calls:
        limits:
          all: {{amount: 100, per: lifetime, enforcement: soft}}
          by_user: {{amount: 10, per: lifetime, each: [user], enforcement: shadow}}
      tokens:
        limits:
          all: {{amount: 1_000_000, per: lifetime, enforcement: soft}}
          monthly: {{amount: 1_000, per: month, enforcement: soft}}
      exports:
        limits:
          all: {{amount: {exports_max}, per: {exports_per}, enforcement: hard, across: {across}}}
companies:
{sold or "  {}"}
"""


async def apply(plane: ControlPlane, text: str, remove: Sequence[str] = ()) -> int:
    """Apply a catalog file's text to a plane; the revision."""
    file = parse_catalog(text.encode(), "catalog")
    request = control_pb2.ApplyRequest(
        catalog=catalog_to_message(file.catalog),
        companies=map(company_to_message, file.companies),
        remove_companies=remove,
    )
    answer = await plane.control.Apply(request, timeout=HANG_SECONDS_MAX)
    revision: int = answer.revision
    return revision


async def hold(sidecar: Sidecar, companies: Iterable[str] = COMPANIES) -> None:
    """Wait until a sidecar has companies in its store; from then on it needs no plane for them."""
    for company in companies:
        request = enforcement_pb2.CheckRequest(company=company, feature=CALLS)

        async def held(request: enforcement_pb2.CheckRequest = request) -> bool:
            answer = await sidecar.api.Check(request, timeout=HANG_SECONDS_MAX)
            allowed: bool = answer.decision.allowed
            return allowed

        await until(held, f"{company} is unknown")


async def status(sidecar: Sidecar) -> admin_pb2.GetStatusResponse:
    """What a sidecar says of itself."""
    return await sidecar.admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=HANG_SECONDS_MAX)


async def check(
    sidecar: Sidecar, company: str, feature: str, quantity: int = 1, **fields: Any
) -> enforcement_pb2.CheckAndIncrementResponse:
    """One check of a sidecar."""
    request = enforcement_pb2.CheckAndIncrementRequest(
        company=company, feature=feature, quantity=quantity, **fields
    )
    return await sidecar.api.CheckAndIncrement(request, timeout=HANG_SECONDS_MAX)


@asynccontextmanager
async def acknowledged(sidecar: Sidecar) -> AsyncIterator[Callable[[], int]]:
    """Follow up to which sequence a plane has a sidecar's records, while the block lasts."""
    latest = 0

    async def follow() -> None:
        nonlocal latest
        while True:
            latest = (await status(sidecar)).acknowledged_sequence
            await asyncio.sleep(_STATUS_SECONDS)

    following = asyncio.create_task(follow())
    try:
        yield lambda: latest
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def flush(sidecar: Sidecar) -> None:
    """Wait until the plane has all that waits in a sidecar."""
    request = admin_pb2.FlushRequest()
    request.timeout.FromSeconds(_FLUSH_SECONDS)

    async def complete() -> bool:
        return bool((await sidecar.admin.Flush(request, timeout=HANG_SECONDS_MAX)).complete)

    await until(complete, "not everything could be sent")


async def ledger_lines(
    plane: ControlPlane, companies: Iterable[str] = COMPANIES
) -> list[control_pb2.LedgerRecord]:
    """Every line of companies."""
    lines: list[control_pb2.LedgerRecord] = []
    for company in companies:
        request = control_pb2.ListRecordsRequest(company=company, page_size=_PAGE)
        while True:
            page = await plane.control.ListRecords(request, timeout=HANG_SECONDS_MAX)
            lines += page.records
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    return lines


async def ledger_sums(plane: ControlPlane) -> dict[str, int]:
    """Quantities by feature, as the plane sums them."""
    answer = await plane.control.QueryUsage(
        control_pb2.QueryUsageRequest(), timeout=HANG_SECONDS_MAX
    )
    return {total.feature: total.quantity for total in answer.sums}


async def used_by_plane(
    plane: ControlPlane, at_us: int, companies: Iterable[str] = COMPANIES
) -> dict[CounterName, int]:
    """What the plane's counters say; those at 0 are left out."""
    used = {}
    for company in companies:
        request = control_pb2.GetCompanyUsageRequest(company=company, at=_timestamp(at_us))
        answer = await plane.control.GetCompanyUsage(request, timeout=HANG_SECONDS_MAX)
        for row in answer.limits:
            used[_name(company, row.feature, row.limit.id, row.dimensions)] = row.used
    return {name: amount for name, amount in used.items() if amount}


async def used_by_sidecar(
    sidecar: Sidecar, at_us: int, companies: Iterable[str] = COMPANIES
) -> dict[CounterName, int]:
    """What a sidecar's counters say; those at 0 are left out."""
    used = {}
    for company in companies:
        request = enforcement_pb2.GetUsageRequest(company=company, at=_timestamp(at_us))
        answer = await sidecar.api.GetUsage(request, timeout=HANG_SECONDS_MAX)
        for feature in answer.features:
            for row in feature.limits:
                used[_name(company, feature.feature, row.limit, row.dimensions)] = row.used
    return {name: amount for name, amount in used.items() if amount}


def used_by_lines(lines: Iterable[control_pb2.LedgerRecord]) -> dict[CounterName, int]:
    """What the counters without a window must say, given the lines."""
    used: Counter[CounterName] = Counter()
    for line in lines:
        if line.duplicate_of:
            continue
        used[_name(line.company, line.feature, "all", {})] += line.quantity
        if line.feature == CALLS and "user" in line.dimensions:
            user = {"user": line.dimensions["user"]}
            used[_name(line.company, line.feature, "by_user", user)] += line.quantity
    return dict(used)


def without_months(used: Mapping[CounterName, int]) -> dict[CounterName, int]:
    """Those of the counters that have no window."""
    return {name: amount for name, amount in used.items() if name[2] != "monthly"}


def now_us() -> int:
    """This machine's clock, in microseconds since the Unix epoch."""
    return time.time_ns() // 1_000


def _name(company: str, feature: str, limit: str, dimensions: Mapping[str, Any]) -> CounterName:
    return company, feature, limit, tuple(sorted(dimensions.items()))


def _timestamp(at_us: int) -> Timestamp:
    moment = Timestamp()
    moment.FromMicroseconds(at_us)
    return moment
