"""What the control plane answers: its messages as values, and its refusals as errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

import grpc
import msgspec

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX, INT64_MAX
from sidecar.domain.catalog.model import CatalogSnapshot
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.slices import Slices
from sidecar.domain.text import KNOWN_NAMES
from sidecar.shared.call_errors import error_info
from sidecar.shared.convert.catalog import catalog_snapshot_in_slices
from sidecar.shared.convert.counters import totals_in_slices
from sidecar.sync.ledger_versions import LedgerVersions
from sidecar.sync.machine.push import PushAnswer, PushFenced, PushGap
from sidecar.sync.machine.watch import WatchStep
from sidecar.sync.told_companies import ToldCompanies

_REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


REVISION_MAX: Final = INT64_MAX - 1
"""What a plane takes to resume from: to one that never had it, it shows that its state is another.
A later one it would refuse, each time, and nothing would be heard of it any more."""


class PlaneAway(Exception):
    """No usable answer from the plane."""


class PlaneRefuses(PlaneAway):
    """The plane answers, and does not take what it was sent: trying again helps nothing."""


class PlaneLacks(PlaneRefuses):
    """The plane is of a version that does not know what it was asked."""


class ListedTotals(msgspec.Struct, frozen=True):
    """A page of totals as of a version of the ledger, 0 where that is not said.

    `next_token`: for the page behind it, with the same companies; empty for the last.
    """

    totals: Sequence[CounterTotal]
    next_token: str
    version: int


class FetchAnswer(msgspec.Struct, frozen=True):
    """Snapshots that were asked for.

    `left_out`: companies to be asked for again. `unreadable`: what is wrong with those that could
    not be read.
    """

    catalog: CatalogSnapshot | None
    companies: Sequence[CompanySnapshot]
    unknown: Sequence[str]
    totals: ListedTotals
    left_out: Sequence[str] = ()
    unreadable: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def version(self) -> int:
        """The latest revision that it tells of."""
        versions = [snapshot.version for snapshot in self.companies]
        if self.catalog is not None:
            versions.append(self.catalog.version)
        return max(versions, default=0)


_SEQUENCE: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
_REFUSED_AT: Final = (
    ("SEQUENCE_GAP", "expected_sequence", PushGap),
    ("FENCED", "common_sequence", PushFenced),
)
"""Reasons, and where they say which record is meant."""


def refusal_of(error: grpc.aio.AioRpcError) -> PushGap | PushFenced:
    """What a push was refused for; raises `PlaneAway` where it was not refused but failed."""
    info = error_info(cast("grpc.Call", error))  # it only reads details and metadata
    if info is not None:
        for reason, name, refusal in _REFUSED_AT:
            sequence = info.metadata.get(name, "")
            if info.reason == reason and _SEQUENCE.fullmatch(sequence):
                return refusal(int(sequence))
    raise failure_of(error) from error


def failure_of(error: grpc.aio.AioRpcError) -> PlaneAway:
    """What a call failed with."""
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return PlaneLacks(describe(error))
    kind = PlaneRefuses if error.code() in _REFUSALS else PlaneAway
    return kind(describe(error))


def describe(error: grpc.aio.AioRpcError) -> str:
    """An error for people."""
    return f"{error.code().name}: {error.details()}"


def fetched_in_slices(
    answer: sync_pb2.FetchSnapshotsResponse, told: ToldCompanies, versions: LedgerVersions
) -> Slices[FetchAnswer]:
    """An answer to FetchSnapshots, but for its companies: those are `told`."""
    version = versions.said(answer.totals_version)
    newest = version or versions.most(answer.plane_time)
    totals = yield from totals_in_slices(answer.totals, "totals", newest)
    return FetchAnswer(
        catalog=(yield from _catalog(answer)),
        companies=told.snapshots,
        unknown=_companies(answer.unknown_companies),
        totals=ListedTotals(totals, answer.totals_page_token, version),
        left_out=_companies(answer.left_out_companies),
        unreadable=told.unreadable,
    )


def listed_in_slices(
    answer: sync_pb2.ListTotalsResponse, versions: LedgerVersions
) -> Slices[ListedTotals]:
    """An answer to ListTotals."""
    version = versions.said(answer.version)
    newest = version or versions.most(answer.plane_time)
    totals = yield from totals_in_slices(answer.totals, "totals", newest)
    return ListedTotals(totals, answer.next_page_token, version)


def got_in_slices(
    answer: sync_pb2.GetTotalsResponse, versions: LedgerVersions
) -> Slices[Sequence[CounterTotal]]:
    """An answer to GetTotals; totals are as of the ledger's version, whenever they changed."""
    version = versions.said(answer.version)
    newest = version or versions.most(answer.plane_time)
    totals = yield from totals_in_slices(answer.totals, "totals", newest)
    return [msgspec.structs.replace(total, version=max(total.version, version)) for total in totals]


def pushed_in_slices(
    answer: sync_pb2.PushUsageResponse, versions: LedgerVersions
) -> Slices[PushAnswer]:
    """An answer to PushUsage."""
    newest = versions.most(answer.plane_time)
    totals = yield from totals_in_slices(answer.totals, "totals", newest)
    return PushAnswer(answer.watermark, totals)


def watch_step_in_slices(
    answer: sync_pb2.WatchSnapshotsResponse, told: ToldCompanies, versions: LedgerVersions
) -> Slices[WatchStep]:
    """A message of a watch, but for its companies: those are `told`.

    Totals may come before the stream has told everything up to their version.
    """
    until = versions.said(answer.totals_until_version)
    newest = versions.most(answer.plane_time)
    KNOWN_NAMES.require("epoch", answer.epoch, IDENTIFIER_BYTES_MAX)
    return WatchStep(
        epoch=answer.epoch,
        revision=min(answer.revision, REVISION_MAX),
        complete=answer.complete,
        catalog=(yield from _catalog(answer)),
        companies=told.snapshots,
        removed=_companies(answer.removed_companies),
        totals=(yield from totals_in_slices(answer.totals, "totals", newest)),
        totals_after=max(0, answer.totals_after_version) if until else 0,
        totals_until=until,
        unreadable=told.unreadable,
        bytes=told.bytes,
    )


def _companies(names: Iterable[str]) -> tuple[str, ...]:
    """Those that there can be: of another company there is nothing to do."""
    return tuple(name for name in names if KNOWN_NAMES.identifier_problem(name) is None)


def _catalog(
    answer: sync_pb2.FetchSnapshotsResponse | sync_pb2.WatchSnapshotsResponse,
) -> Slices[CatalogSnapshot | None]:
    if not answer.HasField("catalog"):
        return None
    return (yield from catalog_snapshot_in_slices(answer.catalog, "catalog"))
