"""What the control service answers: a function of the store, a request and the time, each.

They run in worker threads, reading and building of messages included.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc.company_answers import owner_messages
from sidecar.control.rpc.request_validation import (
    company_of_token,
    line_filter,
    line_of_token,
    page_token,
    require_incarnation,
    size_or,
    usage_of_token,
)
from sidecar.control.rules.records import read_attributes
from sidecar.control.services import directory, losses, usage
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import LedgerLine, Loss, UsageSum, record_id
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.errors import InvalidInput
from sidecar.domain.text import KNOWN_NAMES
from sidecar.domain.time.units import EPOCH
from sidecar.domain.time.windows import Window
from sidecar.shared.convert.catalog import catalog_snapshot_to_message
from sidecar.shared.convert.companies import company_to_message
from sidecar.shared.convert.grants import limit_to_message
from sidecar.shared.convert.snapshot_messages import SEGMENTED_ANSWER_BYTES_MAX, snapshot_for_reader
from sidecar.shared.convert.times import instant, timestamp, timestamp_or_none

PAGE_MAX: Final = 1_000
PAGE_DEFAULT: Final = 100
LISTED_BYTES: Final = 3 << 20
"""Companies of one page, however few: most callers take messages of 4 MiB."""
SUMS_MAX: Final = 10_000
SUMS_DEFAULT: Final = 1_000


def get_catalog(store: PlaneStore) -> control_pb2.GetCatalogResponse:
    """Answer to GetCatalog."""
    catalog = directory.get_catalog(store)
    return control_pb2.GetCatalogResponse(
        catalog=None if catalog is None else catalog_snapshot_to_message(catalog)
    )


def get_company(
    store: PlaneStore, request: control_pb2.GetCompanyRequest, now_us: int
) -> control_pb2.GetCompanyResponse:
    """Answer to GetCompany."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    stored = directory.get_granted_company(store, company, now_us)
    return control_pb2.GetCompanyResponse(
        company=company_to_message(stored.shown),
        snapshot=snapshot_for_reader(
            stored.snapshot,
            accepts_spans=request.accepts_spans,
            segmented_bytes_max=SEGMENTED_ANSWER_BYTES_MAX,
        ),
        owners=owner_messages(stored.owners),
    )


def list_names(
    store: PlaneStore, request: control_pb2.ListNamesRequest
) -> control_pb2.ListNamesResponse:
    """Answer to ListNames."""
    size = size_or("page_size", request.page_size, PAGE_DEFAULT, PAGE_MAX)
    beginning = request.beginning
    if request.kind == control_pb2.NAME_KIND_COMPANY:
        names = directory.company_names(store, beginning, size)
        return control_pb2.ListNamesResponse(names=names)
    held = directory.get_catalog(store)
    catalog = Catalog() if held is None else held.catalog
    keys: list[str]
    if request.kind == control_pb2.NAME_KIND_FEATURE:
        keys = [feature.key for feature in catalog.features]
    elif request.kind == control_pb2.NAME_KIND_PLAN:
        keys = [plan.key for plan in catalog.plans]
    elif request.kind == control_pb2.NAME_KIND_ADD_ON:
        keys = [add_on.key for add_on in catalog.add_ons]
    else:
        raise InvalidInput("kind", "must be one of COMPANY, FEATURE, PLAN and ADD_ON")
    found = sorted(key for key in keys if key.startswith(beginning))
    return control_pb2.ListNamesResponse(names=found[:size])


def list_companies(
    store: PlaneStore, request: control_pb2.ListCompaniesRequest
) -> control_pb2.ListCompaniesResponse:
    """Answer to ListCompanies."""
    size = size_or("page_size", request.page_size, PAGE_DEFAULT, PAGE_MAX)
    after = company_of_token(request.page_token)
    companies, following = directory.list_companies(store, after, size)
    answer = control_pb2.ListCompaniesResponse()
    room = LISTED_BYTES
    for at, stored in enumerate(companies):
        told = company_to_message(stored.shown)
        room -= told.ByteSize()
        if room < 0 and at:
            following = companies[at - 1].company.id
            break
        answer.companies.append(told)
    answer.next_page_token = page_token(following)
    return answer


def query_usage(
    store: PlaneStore, request: control_pb2.QueryUsageRequest
) -> control_pb2.QueryUsageResponse:
    """Answer to QueryUsage."""
    for at, group in enumerate(request.group_by):
        if group not in control_pb2.UsageGroup.values():
            raise InvalidInput(f"group_by[{at}]", f"has no value with number {group}")
    limit = size_or("max_sums", request.max_sums, SUMS_DEFAULT, SUMS_MAX)
    sums, truncated = usage.sum_usage(
        store,
        line_filter(request),
        by_company=control_pb2.USAGE_GROUP_COMPANY in request.group_by,
        by_day=control_pb2.USAGE_GROUP_DAY in request.group_by,
        limit=limit,
    )
    return control_pb2.QueryUsageResponse(sums=map(_sum, sums), truncated=truncated)


def company_usage(
    store: PlaneStore, request: control_pb2.GetCompanyUsageRequest, now_us: int
) -> control_pb2.GetCompanyUsageResponse:
    """Answer to GetCompanyUsage."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    if request.feature:
        KNOWN_NAMES.require_identifier("feature", request.feature)
    at_us = instant(request.at, "at") if request.HasField("at") else now_us
    most = size_or("page_size", request.page_size, usage.LIMITS_MAX, usage.LIMITS_MAX)
    after = usage_of_token(request.page_token)
    if after is not None:
        at_us = after.at_us
    page = usage.company_usage(store, company, request.feature, at_us, most, after)
    by_limit = page.by_limit or usage.FeaturesByLimit([], [], [])
    return control_pb2.GetCompanyUsageResponse(
        limits=map(_limit_usage, page.limits),
        truncated=page.after is not None,
        next_page_token=page_token(page.after),
        company_unknown=page.company_unknown,
        unlimited_features=by_limit.unlimited,
        limited_features=by_limit.limited,
        ungranted_features=by_limit.ungranted,
    )


def list_records(
    store: PlaneStore, request: control_pb2.ListRecordsRequest
) -> control_pb2.ListRecordsResponse:
    """Answer to ListRecords."""
    KNOWN_NAMES.require_identifier("company", request.company)
    size = size_or("page_size", request.page_size, PAGE_DEFAULT, PAGE_MAX)
    after = line_of_token(request.page_token)
    lines, following = usage.list_lines(store, line_filter(request), after, size)
    return control_pb2.ListRecordsResponse(
        records=map(_record, lines), next_page_token=page_token(following)
    )


def get_incarnation(
    store: PlaneStore, request: control_pb2.GetIncarnationRequest
) -> control_pb2.GetIncarnationResponse:
    """Answer to GetIncarnation."""
    incarnation = require_incarnation(request.incarnation)
    known, tallies = usage.look_up_incarnation(store, incarnation)
    if known is None:
        return control_pb2.GetIncarnationResponse()
    return control_pb2.GetIncarnationResponse(
        watermark=known.watermark,
        tallies=[
            control_pb2.IncarnationTally(
                feature=tally.feature, records=tally.records, quantity=tally.quantity
            )
            for tally in tallies
        ],
        heard_at=timestamp(known.last_heard_us),
        fenced=known.fenced,
    )


def list_losses(
    store: PlaneStore, request: control_pb2.ListLossesRequest
) -> control_pb2.ListLossesResponse:
    """Answer to ListLosses."""
    found, count = losses.list_losses(store, with_acknowledged=request.with_acknowledged)
    return control_pb2.ListLossesResponse(
        losses=map(_loss, found), unacknowledged=count.losses, lost_records=count.records
    )


def acknowledge_losses(
    store: PlaneStore, request: control_pb2.AcknowledgeLossesRequest, now_us: int
) -> control_pb2.AcknowledgeLossesResponse:
    """Answer to AcknowledgeLosses."""
    if not request.HasField("noticed_until"):
        raise InvalidInput("noticed_until", "is missing")
    until_us = instant(request.noticed_until, "noticed_until")
    acknowledged = losses.acknowledge_losses(store, until_us, now_us)
    return control_pb2.AcknowledgeLossesResponse(acknowledged=acknowledged)


def _loss(loss: Loss) -> control_pb2.Loss:
    return control_pb2.Loss(
        incarnation=loss.incarnation,
        first_sequence=loss.first_sequence,
        last_sequence=loss.last_sequence,
        reason=loss.reason,
        node=loss.node,
        noticed_at=timestamp(loss.noticed_us),
        acknowledged_at=timestamp_or_none(loss.acknowledged_us),
    )


def _sum(found: UsageSum) -> control_pb2.UsageSum:
    day = "" if found.day is None else (EPOCH + timedelta(days=found.day)).date().isoformat()
    return control_pb2.UsageSum(
        company=found.company,
        feature=found.feature,
        day=day,
        records=found.records,
        quantity=found.quantity,
        overage=found.overage,
    )


def _limit_usage(found: usage.LedgerLimitUsage) -> control_pb2.LimitUsage:
    return control_pb2.LimitUsage(
        feature=found.feature,
        limit=limit_to_message(found.limit),
        dimensions=dict(zip(found.limit.scope.dimensions, found.values, strict=True)),
        window=_window(found.window),
        used=found.used,
        carried=found.carried,
        packs_left=found.packs_left,
    )


def _window(window: Window) -> catalog_pb2.WindowInstance:
    if window.never_ends:
        return catalog_pb2.WindowInstance()
    return catalog_pb2.WindowInstance(
        start=timestamp(window.start_us), end=timestamp(window.end_us)
    )


def _record(line: LedgerLine) -> control_pb2.LedgerRecord:
    attributes = read_attributes(line.record)
    damaged = attributes is None
    if attributes is None:
        attributes = sync_pb2.UsageRecord()
    return control_pb2.LedgerRecord(
        id=record_id(line.incarnation, line.sequence),
        company=line.company,
        feature=line.feature,
        quantity=line.quantity,
        overage=line.overage,
        event_time=timestamp(line.event_time_us),
        accepted_time=timestamp(line.accepted_us),
        received_time=timestamp(line.received_us),
        idempotency_key=attributes.idempotency_key,
        dimensions=attributes.dimensions,
        metadata=attributes.metadata,
        duplicate_of=line.duplicate_of,
        damaged=damaged,
    )
