"""Answers that may be long, encoded in slices: what is due to calls in between is not held up.

Messages that follow one another are one message on the wire, so each slice is encoded by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.slices import Slices, pages
from sidecar.engine.query import EntitlementReport
from sidecar.engine.usage_report import UsageReport
from sidecar.rpc import response_messages
from sidecar.shared.page_tokens import encode_place
from sidecar.shared.protobuf_wire import delimited

_PAGE: Final = 100
_FIRST_FIELD: Final = b"\x0a"


def usage_answer(report: UsageReport) -> Slices[bytes]:
    """Bytes of a `GetUsageResponse`."""
    parts = []
    for feature, usages in report.features:
        usage = yield from _usage(feature, usages)
        parts.append(delimited(_FIRST_FIELD, usage))
        yield
    after = report.after
    rest = pb.GetUsageResponse(truncated=after is not None)
    if after is not None:
        rest.next_page_token = encode_place(after)
    response_messages.fill_basis(rest.basis, report.basis)
    return b"".join([*parts, rest.SerializeToString()])


def entitlements_answer(report: EntitlementReport) -> Slices[bytes]:
    """Bytes of a `ListEntitlementsResponse`."""
    parts = []
    page = pb.ListEntitlementsResponse()
    for entitlement in report.entitlements():
        page.entitlements.append(response_messages.entitlement_to_message(entitlement))
        if len(page.entitlements) == _PAGE:
            parts.append(page.SerializeToString())
            page = pb.ListEntitlementsResponse()
        for _ in range(1 + len(entitlement.limits) + len(entitlement.rates)):
            yield
    page.status = report.segment.status  # type: ignore[assignment]  # the numbers are the API's
    page.plan = report.segment.plan
    response_messages.fill_basis(page.basis, report.basis)
    return b"".join([*parts, page.SerializeToString()])


def _usage(feature: str, usages: Sequence[QuotaUsage | RateUsage]) -> Slices[bytes]:
    """Bytes of a `FeatureUsage`."""
    parts = [pb.FeatureUsage(feature=feature).SerializeToString()]
    for some in pages(usages, _PAGE):
        page = pb.FeatureUsage()
        for usage in some:
            response_messages.fill_limit_status(page.limits.add(), usage)
            yield
        parts.append(page.SerializeToString())
    return b"".join(parts)
