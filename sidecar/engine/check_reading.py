"""What a check reads: usage of limits and rates, and the leases that exact limits need."""

from __future__ import annotations

from msgspec.structs import replace

from sidecar.directory.resolved import ResolvedFeature
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.requests import Check
from sidecar.engine.admission import Admission
from sidecar.engine.lease_book import LeaseBook
from sidecar.engine.lease_headroom import book_for, lease_headroom
from sidecar.engine.limit_usage import LimitUsage, read_limit_usage
from sidecar.engine.plane_status import PlaneStatus
from sidecar.storage.transaction import Transaction


def read_for_check(
    transaction: Transaction,
    admission: Admission,
    feature: ResolvedFeature,
    check: Check,
    now_us: int,
    status: PlaneStatus,
) -> LimitUsage:
    """Read everything that applies to a check of a company that was found."""
    assert admission.company is not None
    reading = read_limit_usage(
        transaction,
        admission.company,
        feature,
        check.dimensions,
        check.event_time_us,
        now_us,
        authority=status.authority,
        sharing=status.rate_sharing,
        has_happened=admission.mode is GrantMode.RECORD_ONLY,
    )
    book = book_for(status, admission, check)
    if book is not None:
        _add_leases(reading, book, check.event_time_us, now_us)
    return reading


def _add_leases(reading: LimitUsage, book: LeaseBook, event_us: int, now_us: int) -> None:
    for at, (usage, address) in enumerate(zip(reading.usages, reading.addresses, strict=True)):
        counter = reading.counted[address.key][1]
        lease = lease_headroom(book, usage.limit, counter, address.key, event_us, now_us)
        if lease is not None:
            usage = reading.usages[at] = replace(usage, lease=lease)  # noqa: PLW2901
            reading.leased.append((usage, address))
