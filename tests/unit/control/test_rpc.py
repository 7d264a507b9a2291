"""The control plane over real gRPC: calls, and how they fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore, codec
from sidecar.shared.convert.catalog import catalog_to_message
from tests.unit.control.plane import Calls, Refusal, refusal, running
from tests.unit.control.support import (
    ALICE,
    BOB,
    CATALOG,
    LIFETIME,
    NOW_US,
    Writer,
    per_user,
    record,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture
async def calls(store: PlaneStore) -> AsyncIterator[Calls]:
    async with running(store) as calls:
        yield calls


def _writer(*records: bytes, incarnation: str = ALICE) -> Writer:
    writer = Writer(incarnation)
    writer.write(*records)
    return writer


async def test_apply_and_look_at_what_was_applied(calls: Calls) -> None:
    request = control_pb2.ApplyRequest(catalog=catalog_to_message(CATALOG))
    before = await calls.control.GetCatalog(control_pb2.GetCatalogRequest())
    first = await calls.control.Apply(request)
    again = await calls.control.Apply(request)
    after = await calls.control.GetCatalog(control_pb2.GetCatalogRequest())
    assert not before.HasField("catalog")
    assert (1, 4, 0) == (first.revision, first.changed, first.unchanged)
    assert (1, 0, 4) == (again.revision, again.changed, again.unchanged)
    assert (1, request.catalog) == (after.catalog.version, after.catalog.catalog)


async def test_a_dry_run_changes_nothing(calls: Calls) -> None:
    request = control_pb2.ApplyRequest(catalog=catalog_to_message(CATALOG), dry_run=True)
    dry = await calls.control.Apply(request)
    after = await calls.control.GetCatalog(control_pb2.GetCatalogRequest())
    assert (0, 4) == (dry.revision, dry.changed)
    assert not after.HasField("catalog")


async def test_companies_are_got_and_listed_in_pages(calls: Calls) -> None:
    await calls.apply("a", "b", "c", catalog=True)
    got = await calls.control.GetCompany(control_pb2.GetCompanyRequest(company="b"))
    assert ("b", 1) == (got.company.id, got.snapshot.version)
    request = control_pb2.ListCompaniesRequest(page_size=2)
    first = await calls.control.ListCompanies(request)
    request.page_token = first.next_page_token
    second = await calls.control.ListCompanies(request)
    assert ["a", "b"] == [company.id for company in first.companies]
    assert ["c"] == [company.id for company in second.companies]
    assert "" == second.next_page_token


@pytest.mark.parametrize(
    ("kind", "beginning", "size", "names"),
    [
        (control_pb2.NAME_KIND_COMPANY, "", 0, ["ab", "abc", "b"]),
        (control_pb2.NAME_KIND_COMPANY, "ab", 0, ["ab", "abc"]),
        (control_pb2.NAME_KIND_COMPANY, "ab", 1, ["ab"]),
        (control_pb2.NAME_KIND_COMPANY, "c", 0, []),
        (control_pb2.NAME_KIND_FEATURE, "to", 0, ["tokens"]),
        (control_pb2.NAME_KIND_PLAN, "p", 0, ["pro"]),
        (control_pb2.NAME_KIND_ADD_ON, "", 0, []),
    ],
)
async def test_names_are_told_by_what_they_begin_with(
    calls: Calls, kind: control_pb2.NameKind.ValueType, beginning: str, size: int, names: list[str]
) -> None:
    await calls.apply("b", "abc", "ab", catalog=True)
    request = control_pb2.ListNamesRequest(kind=kind, beginning=beginning, page_size=size)
    assert names == list((await calls.control.ListNames(request)).names)


async def test_a_line_whose_record_is_damaged_is_told_as_such_among_the_others(
    calls: Calls, store: SqliteStore
) -> None:
    await calls.apply("acme", catalog=True)
    await calls.push(_writer(record(3, key="k"), record(4, key="l")))
    with store.write() as transaction:
        transaction._connection.execute("UPDATE ledger SET record = x'ff' WHERE sequence = 1")
    found = await calls.control.ListRecords(control_pb2.ListRecordsRequest(company="acme"))
    assert [(3, "", True), (4, "l", False)] == [
        (line.quantity, line.idempotency_key, line.damaged) for line in found.records
    ]


async def test_a_push_is_answered_and_shows_in_every_question(calls: Calls) -> None:
    await calls.apply("acme", catalog=True)
    writer = _writer(
        record(3, key="k", counters=[LIFETIME, per_user("eve")], user="eve"), record(4)
    )
    pushed = await calls.push(writer)
    assert (2, [7, 3]) == (pushed.watermark, [total.total for total in pushed.totals])
    group = control_pb2.USAGE_GROUP_DAY
    sums = await calls.control.QueryUsage(control_pb2.QueryUsageRequest(group_by=[group]))
    assert [("", "tokens", "2025-11-24", 2, 7)] == [
        (found.company, found.feature, found.day, found.records, found.quantity)
        for found in sums.sums
    ]
    usage_request = control_pb2.GetCompanyUsageRequest(company="acme")
    usage_request.at.FromMicroseconds(NOW_US)
    usage = await calls.control.GetCompanyUsage(usage_request)
    assert [("ever", {}, 7), ("daily", {"user": "eve"}, 3)] == [
        (found.limit.id, dict(found.dimensions), found.used) for found in usage.limits
    ]
    assert not usage.limits[0].window.HasField("start")
    records_request = control_pb2.ListRecordsRequest(company="acme", page_size=1)
    page = await calls.control.ListRecords(records_request)
    records_request.page_token = page.next_page_token
    last = await calls.control.ListRecords(records_request)
    line = page.records[0]
    assert (f"{ALICE}-1", 3, "k", {"user": "eve"}) == (
        line.id,
        line.quantity,
        line.idempotency_key,
        dict(line.dimensions),
    )
    assert ([f"{ALICE}-2"], "") == ([line.id for line in last.records], last.next_page_token)
    heard = await calls.control.GetIncarnation(control_pb2.GetIncarnationRequest(incarnation=ALICE))
    assert (2, 7, False) == (heard.watermark, heard.tallies[0].quantity, heard.fenced)
    unheard = await calls.control.GetIncarnation(control_pb2.GetIncarnationRequest(incarnation=BOB))
    assert control_pb2.GetIncarnationResponse() == unheard


async def test_hello_and_fetch(calls: Calls) -> None:
    await calls.apply("acme", catalog=True)
    hello = await calls.sync.Hello(sync_pb2.HelloRequest(incarnation=ALICE, node="pod-1"))
    assert (0, False, 36) == (hello.watermark, hello.fenced, len(hello.epoch))
    fetched = await calls.sync.FetchSnapshots(
        sync_pb2.FetchSnapshotsRequest(incarnation=ALICE, companies=["acme", "nobody"])
    )
    assert (1, ["acme"], ["nobody"]) == (
        fetched.catalog.version,
        [snapshot.company for snapshot in fetched.companies],
        list(fetched.unknown_companies),
    )


async def test_a_gap_and_a_fence_say_where(calls: Calls) -> None:
    writer = _writer(*(record(at) for at in range(5)))
    gap = await refusal(calls.push(writer, first=3))
    details = {"field": "first_sequence", "expected_sequence": "1"}
    assert Refusal(PRECONDITION, "SEQUENCE_GAP", details) == gap
    await calls.push(writer)
    clone = _writer(*writer.records[:4], record(99))
    fenced = await refusal(calls.push(clone, first=3))
    details = {"field": "incarnation", "common_sequence": "4"}
    assert Refusal(PRECONDITION, "FENCED", details) == fenced


CHAIN = bytes(32)

BAD = {
    "no UUID": ("sync/Hello", sync_pb2.HelloRequest(incarnation="x"), "incarnation"),
    "a UUID in capitals": (
        "sync/Hello",
        sync_pb2.HelloRequest(incarnation=ALICE.upper()),
        "incarnation",
    ),
    "acknowledged beyond the last": (
        "sync/Hello",
        sync_pb2.HelloRequest(incarnation=ALICE, acknowledged_sequence=1),
        "acknowledged_sequence",
    ),
    "a node's name too long": (
        "sync/Hello",
        sync_pb2.HelloRequest(incarnation=ALICE, node="x" * 129),
        "node",
    ),
    "no records": (
        "sync/PushUsage",
        sync_pb2.PushUsageRequest(incarnation=ALICE, first_sequence=1, previous_chain=CHAIN),
        "records",
    ),
    "too many records": (
        "sync/PushUsage",
        sync_pb2.PushUsageRequest(
            incarnation=ALICE, first_sequence=1, previous_chain=CHAIN, records=[b""] * 1_001
        ),
        "records",
    ),
    "sequence 0": (
        "sync/PushUsage",
        sync_pb2.PushUsageRequest(incarnation=ALICE, previous_chain=CHAIN, records=[b""]),
        "first_sequence",
    ),
    "a short chain": (
        "sync/PushUsage",
        sync_pb2.PushUsageRequest(
            incarnation=ALICE, first_sequence=1, previous_chain=b"x", records=[b""]
        ),
        "previous_chain",
    ),
    "no companies": (
        "sync/FetchSnapshots",
        sync_pb2.FetchSnapshotsRequest(incarnation=ALICE),
        "companies",
    ),
    "no companies, and no version either": (
        "sync/ListTotals",
        sync_pb2.ListTotalsRequest(incarnation=ALICE),
        "companies",
    ),
    "too many companies": (
        "sync/ListTotals",
        sync_pb2.ListTotalsRequest(incarnation=ALICE, companies=["a"] * 1_001),
        "companies",
    ),
    "a negative version": (
        "sync/ListTotals",
        sync_pb2.ListTotalsRequest(incarnation=ALICE, companies=["a"], after_version=-1),
        "after_version",
    ),
    "a place among totals that is none": (
        "sync/ListTotals",
        sync_pb2.ListTotalsRequest(incarnation=ALICE, companies=["a"], page_token="e30="),
        "page_token",
    ),
    "no counters": (
        "sync/GetTotals",
        sync_pb2.GetTotalsRequest(incarnation=ALICE),
        "counters",
    ),
    "a counter whose window ends before it starts": (
        "sync/GetTotals",
        sync_pb2.GetTotalsRequest(
            incarnation=ALICE,
            counters=[
                sync_pb2.CounterAddress(
                    company="a",
                    feature="f",
                    counter=sync_pb2.Counter(slot="s", window_start_us=2, window_end_us=1),
                )
            ],
        ),
        "counters[0].counter.window_end_us",
    ),
    "a negative revision": (
        "sync/WatchSnapshots",
        sync_pb2.WatchSnapshotsRequest(incarnation=ALICE, resume_revision=-1),
        "resume_revision",
    ),
    "names of nothing": (
        "control/ListNames",
        control_pb2.ListNamesRequest(),
        "kind",
    ),
    "a negative page": (
        "control/ListCompanies",
        control_pb2.ListCompaniesRequest(page_size=-1),
        "page_size",
    ),
    "a strange page token": (
        "control/ListCompanies",
        control_pb2.ListCompaniesRequest(page_token="???"),
        "page_token",
    ),
    "the page token of another method": (
        "control/ListRecords",
        control_pb2.ListRecordsRequest(company="a", page_token="ImIi"),
        "page_token",
    ),
    "records of no company": (
        "control/ListRecords",
        control_pb2.ListRecordsRequest(),
        "company",
    ),
    "an unknown group": (
        "control/QueryUsage",
        control_pb2.QueryUsageRequest(group_by=[9]),  # type: ignore[list-item]
        "group_by[0]",
    ),
    "a company's name that is not printable": (
        "control/GetCompany",
        control_pb2.GetCompanyRequest(company="a\nb"),
        "company",
    ),
}


def _method(calls: Calls, name: str) -> object:
    service, method = name.split("/")
    return getattr(calls.sync if service == "sync" else calls.control, method)


@pytest.mark.parametrize(("method", "request_", "field"), BAD.values(), ids=BAD)
async def test_bad_input_names_the_field(
    calls: Calls, method: str, request_: object, field: str
) -> None:
    call = _method(calls, method)(request_)  # type: ignore[operator]
    answer = call.read() if method == "sync/WatchSnapshots" else call
    assert Refusal(INVALID, "INVALID_ARGUMENT", {"field": field}) == await refusal(answer)


async def test_a_company_that_is_not_there_is_not_found(calls: Calls) -> None:
    refused = await refusal(calls.control.GetCompany(control_pb2.GetCompanyRequest(company="x")))
    assert Refusal(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", {"field": "company"}) == refused


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"\xff\xff\xff\xff", id="no message"),
        pytest.param(b"\x0a\x02\xc3\x28", id="broken UTF-8"),
    ],
)
@pytest.mark.parametrize(
    "method", ["Hello", "PushUsage", "FetchSnapshots", "ListTotals", "GetTotals"]
)
async def test_garbage_on_the_wire_is_an_invalid_argument(
    calls: Calls, method: str, garbage: bytes
) -> None:
    path = f"/sidecar.api.sync.v1.SyncService/{method}"
    call: Any = calls.channel.unary_unary(path)
    assert Refusal(INVALID, "INVALID_ARGUMENT", {}) == await refusal(call(garbage))


async def test_a_mistake_of_ours_is_an_internal_error_without_details(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    await calls.apply(catalog=True)

    def mistaken(_: bytes) -> None:
        raise KeyError("nobody thought of it")

    monkeypatch.setattr(codec, "catalog", mistaken)
    refused = await refusal(calls.control.GetCatalog(control_pb2.GetCatalogRequest()))
    assert Refusal(grpc.StatusCode.INTERNAL, "", {}) == refused


async def test_a_document_that_is_damaged_is_lost_data(calls: Calls, store: SqliteStore) -> None:
    await calls.apply(catalog=True)
    with store.write() as transaction:
        transaction._connection.execute("UPDATE catalog SET document = x'00'")
    refused = await refusal(calls.control.GetCatalog(control_pb2.GetCatalogRequest()))
    assert (grpc.StatusCode.DATA_LOSS, "STORE_DAMAGED") == (refused.code, refused.reason)
