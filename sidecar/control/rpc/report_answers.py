"""What the sync service answers to reports of leases; see `sync_answers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc.request_validation import require_count, require_incarnation
from sidecar.control.services.lease_recovery import HeldLease, Reported
from sidecar.control.services.lease_recovery import report as take_report
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.limits.counters import is_level
from sidecar.shared.convert.leases import name_from_message
from sidecar.shared.convert.times import timestamp

LEASES_MAX: Final = 1_000


def report(
    store: PlaneStore, request: sync_pb2.ReportLeasesRequest, now_us: int
) -> tuple[sync_pb2.ReportLeasesResponse, Reported]:
    """Answer to ReportLeases, and what came of it."""
    incarnation = require_incarnation(request.incarnation)
    require_count("leases", len(request.leases), 0, LEASES_MAX)
    held = [_held(lease, f"leases[{at}]") for at, lease in enumerate(request.leases)]
    numbers = _numbers(request.numbers) if request.complete else None
    reported = take_report(store, incarnation, request.epoch, held, now_us, last_numbers=numbers)
    return sync_pb2.ReportLeasesResponse(plane_time=timestamp(now_us)), reported


def _numbers(messages: Sequence[sync_pb2.LeaseNumber]) -> dict[str, int]:
    require_count("numbers", len(messages), 0, LEASES_MAX)
    return {
        require_incarnation(each.incarnation, f"numbers[{at}].incarnation"): require_count(
            f"numbers[{at}].number", each.number, 0, INT64_MAX
        )
        for at, each in enumerate(messages)
    }


def _held(message: sync_pb2.HeldLease, field: str) -> HeldLease:
    name = name_from_message(message.counter, f"{field}.counter")
    least = -INT64_MAX if is_level(name.counter.slot) else 0
    counted = message.counted if message.HasField("counted") else None
    if counted is not None:
        require_count(f"{field}.counted", counted, least, message.granted)
    return HeldLease(
        CounterKey(name.company, name.feature, name.counter),
        require_incarnation(message.incarnation, f"{field}.incarnation"),
        require_count(f"{field}.granted", message.granted, least, INT64_MAX),
        require_count(f"{field}.number", message.number, 0, INT64_MAX),
        require_count(f"{field}.valid_until_us", message.valid_until_us, -INT64_MAX, INT64_MAX),
        require_count(f"{field}.granted_max", message.granted_max, least, INT64_MAX),
        counted,
    )
