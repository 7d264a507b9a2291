"""What a check has of the lease of a counter, and how much more is worth asking for."""

from __future__ import annotations

from sidecar.domain.catalog.model import Limit
from sidecar.domain.leases.model import HAS_TOO_LITTLE, LeaseStatus
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.requests import Check
from sidecar.domain.limits.usage import LeaseHeadroom
from sidecar.engine.admission import Admission
from sidecar.engine.lease_book import LeaseBook
from sidecar.engine.plane_status import PlaneStatus
from sidecar.storage.codec import StoredCounter


def book_for(status: PlaneStatus, admission: Admission, check: Check) -> LeaseBook | None:
    """The book of leases where a request needs them; else `None`.

    What has happened may pass a limit, and a question for nothing spends nothing. Where the fail
    policy has the default plan decide about a company of which nothing is known, nothing can be
    leased: it may be there, with limits of its own.
    """
    has_happened = GrantMode.RECORD_ONLY in (admission.mode, check.mode)
    needs = check.quantity > 0 and not has_happened and not admission.basis.fallback
    return status.lease_book if needs and status.leases else None


def lease_headroom(
    book: LeaseBook,
    limit: Limit,
    counter: StoredCounter | None,
    key: bytes,
    at_us: int,
    now_us: int,
) -> LeaseHeadroom | None:
    """What may be counted still by the lease of a counter, for an event at an instant.

    `None` where the limit needs none. Late events are counted by the lease of their window.
    """
    if not limit.is_leased:
        return None
    left = 0
    if counter is not None and counter.lease is not None and limit.amount is not None:
        left = counter.lease.left(counter.own, limit.amount, at_us)
    news = book.told(key, now_us)
    if news is None or news.status not in HAS_TOO_LITTLE:
        return LeaseHeadroom(left)
    return LeaseHeadroom(left, news.quantity, news.status is LeaseStatus.WITHHELD)


def lease_wanted(wanted: int, least: int, lease: LeaseHeadroom) -> int:
    """How much is to be asked for; 0 where what there is has to do.

    `least`: what is of use at all. Where the plane has just said that it has less than is wanted,
    half of what it did not have: so what there is gets found in a few rounds.
    """
    exhausted_from = lease.exhausted_from
    if exhausted_from is not None and wanted >= exhausted_from:
        wanted = max(least, exhausted_from // 2)
        if wanted >= exhausted_from:
            return 0
    return wanted if wanted > lease.left else 0
