"""What the sync service answers: a function of the store, a request and the time, each.

They run in worker threads, reading and building of messages included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc.request_validation import (
    page_token,
    require_count,
    require_incarnation,
    totals_of_token,
)
from sidecar.control.rules.history import Greeting, Run
from sidecar.control.services import ingest, snapshots, totals
from sidecar.control.services.losses import LostStore
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CHAIN_BYTES, CounterKey
from sidecar.domain.bounds import BATCH_MAX, IDENTIFIER_BYTES_MAX, INT64_MAX
from sidecar.domain.capabilities import Capability
from sidecar.domain.catalog.model import CatalogSnapshot
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.entitlement.earlier_kinds import catalog_without_kinds
from sidecar.domain.entitlement.earlier_overrides import snapshot_without_changes
from sidecar.domain.entitlement.earlier_readers import catalog_without_changes
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.text import KNOWN_NAMES
from sidecar.shared.convert.catalog import catalog_snapshot_to_message
from sidecar.shared.convert.counters import counter_from_message, total_to_message
from sidecar.shared.convert.snapshot_messages import SEGMENTED_BYTES_MAX, snapshot_for_reader
from sidecar.shared.convert.times import instant, timestamp

LOST_STORES_MAX: Final = 16
REASON_BYTES_MAX: Final = 256
CAPABILITIES_MAX: Final = 32
_CAPABILITIES: Final = (
    sync_pb2.CAPABILITY_LEASES,
    sync_pb2.CAPABILITY_RATE_SHARES,
    sync_pb2.CAPABILITY_SEATS,
)
NAMES_MAX: Final = 1_000
"""Most companies, or counters, that a sidecar asks for at once."""
WATCH_BYTES: Final = 1 << 20
"""Companies of one message of a watch; one that is larger is alone in its message."""
FETCH_BYTES: Final = 16 << 20
"""The same of an answer to a fetch."""


def hello(store: PlaneStore, request: sync_pb2.HelloRequest, now_us: int) -> sync_pb2.HelloResponse:
    """Answer to Hello."""
    incarnation = require_incarnation(request.incarnation)
    last = require_count("last_sequence", request.last_sequence, 0, INT64_MAX)
    acknowledged = require_count("acknowledged_sequence", request.acknowledged_sequence, 0, last)
    if acknowledged:
        _require_chain("acknowledged_chain", request.acknowledged_chain)
    for field, text in (("node", request.node), ("version", request.version)):
        KNOWN_NAMES.require(field, text, IDENTIFIER_BYTES_MAX)
    if request.last_chain:
        _require_chain("last_chain", request.last_chain)
    greeting = Greeting(last, acknowledged, request.acknowledged_chain, request.last_chain)
    lost = _lost_stores(request)
    require_count("capabilities", len(request.capabilities), 0, CAPABILITIES_MAX)
    said = frozenset(map(int, request.capabilities))
    knows = frozenset(known for known in Capability if known in said)
    welcome = ingest.greet(store, incarnation, request.node, greeting, now_us, lost, knows)
    return sync_pb2.HelloResponse(
        watermark=welcome.watermark,
        fenced=welcome.fenced,
        plane_time=timestamp(now_us),
        epoch=welcome.state.epoch,
        common_sequence=welcome.common_sequence,
        capabilities=_CAPABILITIES,
    )


def push(
    store: PlaneStore, request: sync_pb2.PushUsageRequest, now_us: int, elapsed_us: int
) -> tuple[sync_pb2.PushUsageResponse, ingest.Pushed]:
    """Answer to PushUsage, and what came of it."""
    incarnation = require_incarnation(request.incarnation)
    require_count("records", len(request.records), 1, BATCH_MAX)
    last_start = INT64_MAX - len(request.records)
    first = require_count("first_sequence", request.first_sequence, 1, last_start)
    _require_chain("previous_chain", request.previous_chain)
    run = Run(first, request.previous_chain, tuple(request.records))
    pushed = ingest.push(store, incarnation, run, now_us, elapsed_us)
    response = sync_pb2.PushUsageResponse(
        watermark=pushed.watermark,
        totals=map(total_to_message, pushed.totals),
        plane_time=timestamp(now_us),
    )
    return response, pushed


def fetch(
    store: PlaneStore, request: sync_pb2.FetchSnapshotsRequest, now_us: int
) -> sync_pb2.FetchSnapshotsResponse:
    """Answer to FetchSnapshots."""
    incarnation = require_incarnation(request.incarnation)
    require_count("companies", len(request.companies), 1, NAMES_MAX)
    _require_identifiers(request.companies)
    known = request.known_catalog_version
    fetched = snapshots.fetch(
        store,
        request.companies,
        known,
        incarnation,
        now_us,
        accepts_names=request.accepts_names,
        accepts_changes=request.accepts_changes,
    )
    catalog = fetched.catalog
    answer = sync_pb2.FetchSnapshotsResponse(
        catalog=None if catalog is None else _told_catalog(catalog, request),
        unknown_companies=fetched.unknown,
        totals=map(total_to_message, fetched.totals.totals),
        plane_time=timestamp(now_us),
        totals_page_token=page_token(fetched.totals.after),
        totals_version=fetched.totals.version,
        left_out_companies=fetched.left_out,
    )
    room = FETCH_BYTES
    readable = fetched.snapshots
    if not request.accepts_changes:
        readable = _without_changes(fetched.snapshots, fetched.in_force)
    for snapshot in readable:
        told = _told(snapshot, request.accepts_spans)
        room -= told.ByteSize()
        if room < 0 and answer.companies:
            names = {snapshot.company, *snapshot.names}
            answer.left_out_companies.extend(names.intersection(request.companies))
        else:
            answer.companies.append(told)
    return answer


def list_totals(
    store: PlaneStore, request: sync_pb2.ListTotalsRequest, now_us: int
) -> sync_pb2.ListTotalsResponse:
    """Answer to ListTotals."""
    incarnation = require_incarnation(request.incarnation)
    require_count("companies", len(request.companies), 0, NAMES_MAX)
    after = require_count("after_version", request.after_version, 0, INT64_MAX - 1)
    if not after and not request.companies:
        raise InvalidInput("companies", "must be named, but for changes after a version")
    place = totals_of_token(request.page_token)
    wanted = totals.TotalsWanted(incarnation, request.companies, after)
    page = totals.list_totals(store, wanted, place, now_us)
    return sync_pb2.ListTotalsResponse(
        totals=map(total_to_message, page.totals),
        next_page_token=page_token(page.after),
        version=page.version,
        plane_time=timestamp(now_us),
    )


def get_totals(
    store: PlaneStore, request: sync_pb2.GetTotalsRequest, now_us: int
) -> sync_pb2.GetTotalsResponse:
    """Answer to GetTotals."""
    incarnation = require_incarnation(request.incarnation)
    require_count("counters", len(request.counters), 1, NAMES_MAX)
    keys = [
        CounterKey(
            KNOWN_NAMES.require_identifier(f"counters[{at}].company", address.company),
            KNOWN_NAMES.require_identifier(f"counters[{at}].feature", address.feature),
            counter_from_message(address.counter, f"counters[{at}].counter"),
        )
        for at, address in enumerate(request.counters)
    ]
    found, version = totals.get_totals(store, keys, incarnation)
    return sync_pb2.GetTotalsResponse(
        totals=map(total_to_message, found), version=version, plane_time=timestamp(now_us)
    )


def watch_page(
    store: PlaneStore,
    position: snapshots.ResumePosition,
    incarnation: str,
    now_us: int,
) -> tuple[list[sync_pb2.WatchSnapshotsResponse], snapshots.WatchPage, snapshots.ResumePosition]:
    """A step of WatchSnapshots in messages of a bounded size, and the position after it.

    All of them but the last say that the revision is not complete.
    """
    page, after = snapshots.next_page(store, position, incarnation, now_us)
    catalog = page.catalog
    message = _watch_message(page, now_us)
    message.removed_companies.extend(page.removed)
    message.totals.extend(map(total_to_message, page.totals.totals))
    if catalog is not None:
        message.catalog.CopyFrom(_told_catalog(catalog, position))
    messages = [message]
    room = WATCH_BYTES - message.ByteSize()
    readable = page.snapshots
    if not position.accepts_changes:
        readable = _without_changes(page.snapshots, page.in_force)
    for snapshot in readable:
        told = _told(snapshot, position.accepts_spans)
        size = told.ByteSize()
        if size > room:
            messages.append(_watch_message(page, now_us))
            room = WATCH_BYTES
        messages[-1].companies.append(told)
        room -= size
    messages[-1].complete = page.complete
    return messages, page, after


def watch_totals(
    epoch: str, revision: int, told: Iterable[CounterTotal], now_us: int, *, complete: bool = True
) -> sync_pb2.WatchSnapshotsResponse:
    """A step of WatchSnapshots that changes no snapshot; without totals it is a heartbeat."""
    return sync_pb2.WatchSnapshotsResponse(
        revision=revision,
        complete=complete,
        totals=map(total_to_message, told),
        plane_time=timestamp(now_us),
        epoch=epoch,
    )


def _require_identifiers(companies: Sequence[str]) -> None:
    for at, company in enumerate(companies):
        KNOWN_NAMES.require_identifier(f"companies[{at}]", company)


def _watch_message(page: snapshots.WatchPage, now_us: int) -> sync_pb2.WatchSnapshotsResponse:
    return sync_pb2.WatchSnapshotsResponse(
        revision=page.revision, plane_time=timestamp(now_us), epoch=page.epoch
    )


def _told_catalog(
    snapshot: CatalogSnapshot, reader: sync_pb2.FetchSnapshotsRequest | snapshots.ResumePosition
) -> catalog_pb2.CatalogSnapshot:
    """The catalog, as far as its reader knows what is in it."""
    catalog = snapshot.catalog
    if not reader.accepts_kinds:
        catalog = catalog_without_kinds(catalog)
    if not reader.accepts_changes:
        catalog = catalog_without_changes(catalog)
    return catalog_snapshot_to_message(CatalogSnapshot(snapshot.version, catalog))


def _without_changes(
    snapshots: Sequence[CompanySnapshot], in_force: CatalogSnapshot | None
) -> Sequence[CompanySnapshot]:
    """`in_force`: the catalog, where a snapshot has changes."""
    index = None if in_force is None else CatalogIndex(in_force.catalog, in_force.version)
    return [snapshot_without_changes(snapshot, index) for snapshot in snapshots]


def _told(snapshot: CompanySnapshot, accepts_spans: bool) -> catalog_pb2.CompanySnapshot:
    return snapshot_for_reader(
        snapshot, accepts_spans=accepts_spans, segmented_bytes_max=SEGMENTED_BYTES_MAX
    )


def _lost_stores(request: sync_pb2.HelloRequest) -> list[LostStore]:
    require_count("lost_stores", len(request.lost_stores), 0, LOST_STORES_MAX)
    lost = []
    for at, store in enumerate(request.lost_stores):
        field = f"lost_stores[{at}]"
        if store.incarnation:
            require_incarnation(store.incarnation, f"{field}.incarnation")
        if len(store.reason.encode()) > REASON_BYTES_MAX:
            raise InvalidInput(f"{field}.reason", f"must be at most {REASON_BYTES_MAX} bytes")
        noticed_us = instant(store.noticed_time, f"{field}.noticed_time")
        lost.append(LostStore(store.incarnation, noticed_us, store.reason))
    return lost


def _require_chain(field: str, chain: bytes) -> None:
    if len(chain) != CHAIN_BYTES:
        raise InvalidInput(field, f"must be {CHAIN_BYTES} bytes, is {len(chain)}")
