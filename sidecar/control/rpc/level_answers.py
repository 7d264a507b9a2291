"""Answers about levels: functions of the store, a request and the time, for worker threads."""

from __future__ import annotations

from sidecar.api.control.v1 import control_pb2
from sidecar.control.services.levels import level_bill
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.bounds import saturated
from sidecar.domain.levels.billing import average_text
from sidecar.domain.text import KNOWN_NAMES
from sidecar.shared.convert.times import optional_instant, timestamp


def get_level_bill(
    store: PlaneStore, request: control_pb2.GetLevelBillRequest, now_us: int
) -> control_pb2.GetLevelBillResponse:
    """Answer to GetLevelBill."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    feature = KNOWN_NAMES.require_identifier("feature", request.feature)
    at_us = optional_instant(request, "at", "")
    found = level_bill(store, company, feature, now_us if at_us is None else at_us, now_us)
    bill, billing = found.bill, found.billing
    return control_pb2.GetLevelBillResponse(
        window_start=timestamp(found.window.start_us),
        window_end=timestamp(found.window.end_us),
        until=timestamp(bill.until_us),
        measure=None if billing is None else billing.measure,  # type: ignore[arg-type]  # the API's
        opening=saturated(bill.opening),
        peak=saturated(bill.peak),
        average=average_text(bill.average),
        unit_microseconds=str(bill.unit_us),
        microseconds=bill.until_us - bill.start_us,
        is_final=found.is_final,
    )
