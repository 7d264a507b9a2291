"""What the control service answers about leases; see `control_answers`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.control.rpc.request_validation import require_incarnation, size_or
from sidecar.control.services import lease_recovery
from sidecar.control.services.lease_holders import (
    CounterLeases,
    Holder,
    LeasesWanted,
    behind,
    leases_meant,
    list_leases,
)
from sidecar.control.services.lease_settling import Settlement
from sidecar.control.services.lease_settling import settle as settle_leases
from sidecar.control.storage.lease_values import LeasePlace
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.text import KNOWN_NAMES
from sidecar.domain.time.windows import Window
from sidecar.shared.convert.times import instant, timestamp, timestamp_or_none
from sidecar.shared.page_tokens import bad_token, decode_place, encode_place

PAGE_MAX: Final = 1_000
PAGE_DEFAULT: Final = 100
LISTED_BYTES: Final = 3 << 20
"""Counters of one page, however few: most callers take messages of 4 MiB."""

_SETTLEMENTS: Final = {
    control_pb2.LEASE_SETTLEMENT_RELEASED: Settlement.RELEASED,
    control_pb2.LEASE_SETTLEMENT_COUNTED: Settlement.COUNTED,
}


def list_(
    store: PlaneStore,
    request: control_pb2.ListLeasesRequest,
    watching: Collection[str],
    now_us: int,
) -> control_pb2.ListLeasesResponse:
    """Answer to ListLeases. `watching`: incarnations that watch here."""
    wanted = _wanted(request.filter, with_ended=request.with_ended)
    size = size_or("page_size", request.page_size, PAGE_DEFAULT, PAGE_MAX)
    after = _place_of(request.page_token)
    counters, following = list_leases(store, wanted, after, size, watching, now_us)
    answer = control_pb2.ListLeasesResponse()
    room = LISTED_BYTES
    for at, counter in enumerate(counters):
        told = _counter(counter, wanted)
        room -= told.ByteSize()
        if room < 0 and at:
            following = behind(counters[at - 1].key)
            break
        answer.counters.append(told)
    answer.next_page_token = _token(following)
    return answer


def recalls(
    store: PlaneStore,
    request: control_pb2.RecallLeasesRequest,
    watching: Collection[str],
    now_us: int,
) -> tuple[control_pb2.RecallLeasesResponse, list[tuple[str, CounterKey]]]:
    """Answer to RecallLeases, but for how many were reached, and whom to ask for what."""
    wanted = _wanted(request.filter, with_ended=True)
    if not (wanted.company or wanted.incarnation or wanted.node):
        raise InvalidInput("filter", "must name a company, an incarnation or a node")
    after = _place_of(request.page_token)
    counters, following = list_leases(store, wanted, after, PAGE_MAX, watching, now_us)
    meant = [
        (holder.granted.lease.incarnation, counter.key)
        for counter, holder in leases_meant(counters, wanted)
    ]
    return control_pb2.RecallLeasesResponse(next_page_token=_token(following)), meant


def settle(
    store: PlaneStore,
    request: control_pb2.SettleLeasesRequest,
    watching: Collection[str],
    now_us: int,
) -> control_pb2.SettleLeasesResponse:
    """Answer to SettleLeases."""
    wanted = _wanted(request.filter, with_ended=True)
    for field in ("company", "incarnation"):
        if not getattr(wanted, field):
            raise InvalidInput(f"filter.{field}", "is missing")
    settlement = _SETTLEMENTS.get(request.settlement)
    if settlement is None:
        raise InvalidInput("settlement", "must be RELEASED or COUNTED")
    settled = settle_leases(
        store,
        wanted,
        settlement,
        _place_of(request.page_token),
        watching,
        now_us,
        dry_run=request.dry_run,
    )
    return control_pb2.SettleLeasesResponse(
        settled=settled.leases, quantity=settled.quantity, next_page_token=_token(settled.after)
    )


def get_recovery(
    store: PlaneStore, now_us: int, witness_rewrites: int
) -> control_pb2.GetLeaseRecoveryResponse:
    """Answer to GetLeaseRecovery. `witness_rewrites`: since the plane's start."""
    status = lease_recovery.recovery_status(store, now_us)
    last = status.recovery.last
    if last is None:
        return control_pb2.GetLeaseRecoveryResponse(
            holders_known=True, witness_rewrites=witness_rewrites
        )
    return control_pb2.GetLeaseRecoveryResponse(
        restored_at=timestamp(last.restored_us),
        recovering=status.is_waiting,
        holders_known=last.unknown_until_us <= now_us,
        missing=map(_missing, status.missing),
        missing_holders=status.recovery.missing.count,
        reported_holders=status.reported,
        witness_rewrites=witness_rewrites,
    )


def end_recovery(
    store: PlaneStore, request: control_pb2.EndLeaseRecoveryRequest, now_us: int
) -> control_pb2.EndLeaseRecoveryResponse:
    """Answer to EndLeaseRecovery."""
    if not request.HasField("restored_at"):
        raise InvalidInput("restored_at", "is missing")
    restored_us = instant(request.restored_at, "restored_at")
    ended = lease_recovery.end_recovery(store, restored_us, now_us)
    return control_pb2.EndLeaseRecoveryResponse(ended=ended)


def _wanted(filter_: control_pb2.LeaseFilter, *, with_ended: bool) -> LeasesWanted:
    for name in ("company", "feature", "node"):
        if text := getattr(filter_, name):
            KNOWN_NAMES.require_identifier(f"filter.{name}", text)
    if filter_.incarnation:
        require_incarnation(filter_.incarnation, "filter.incarnation")
    return LeasesWanted(
        filter_.company, filter_.feature, filter_.incarnation, filter_.node, with_ended
    )


def _counter(counter: CounterLeases, wanted: LeasesWanted) -> control_pb2.LeasedCounter:
    ref = counter.key.counter
    return control_pb2.LeasedCounter(
        company=counter.company,
        feature=counter.key.feature,
        slot=ref.slot,
        values=ref.values,
        window=_window(ref.window),
        limit=counter.limit,
        ceiling=counter.ceiling,
        used=counter.used,
        outstanding=min(counter.outstanding, INT64_MAX),
        outstanding_before=min(counter.outstanding_before, INT64_MAX),
        burned=min(counter.burned, INT64_MAX),
        available=None if counter.available is None else max(counter.available, -INT64_MAX),
        overcommitted=min(counter.overcommitted, INT64_MAX),
        holders=[_holder(holder) for _, holder in leases_meant([counter], wanted)],
    )


def _holder(holder: Holder) -> control_pb2.LeaseHolder:
    lease, known = holder.granted.lease, holder.known
    ends = lease.valid_until_us < FOREVER_US
    return control_pb2.LeaseHolder(
        incarnation=lease.incarnation,
        node="" if known is None else known.node,
        granted=lease.granted,
        own=holder.granted.own,
        remaining=holder.granted.outstanding,
        held_since=timestamp(lease.since_us) if lease.since_us else None,
        asked_at=timestamp(lease.asked_us),
        valid_until=timestamp(lease.valid_until_us) if ends else None,
        silent=holder.is_silent,
        heard_at=timestamp_or_none(None if known is None else known.last_heard_us),
        released=lease.released,
    )


def _missing(missing: lease_recovery.Missing) -> control_pb2.MissingHolder:
    holder = missing.holder
    return control_pb2.MissingHolder(
        incarnation=holder.incarnation,
        node=missing.node,
        heard_at=timestamp_or_none(missing.heard_us),
        until=None if holder.has_lifetime else timestamp(holder.until_us),
    )


def _window(window: Window) -> catalog_pb2.WindowInstance | None:
    if window.never_ends:
        return None
    return catalog_pb2.WindowInstance(
        start=timestamp(window.start_us), end=timestamp(window.end_us)
    )


def _token(place: LeasePlace | None) -> str:
    return "" if place is None else encode_place(place)


def _place_of(token: str) -> LeasePlace | None:
    """The place that a token stands for; `None` for the start."""
    if not token:
        return None
    place = decode_place(token, LeasePlace)
    window = place.key.counter.window
    if not all(-INT64_MAX <= at <= INT64_MAX for at in (window.start_us, window.end_us)):
        raise bad_token()
    try:
        require_incarnation(place.incarnation)
    except InvalidInput:
        raise bad_token() from None
    return place
