"""From messages to domain values. All validation of requests happens here, by hand.

Each function raises `InvalidInput` or `OutOfRange` with the field's path; nothing is counted then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias, TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX
from sidecar.domain.errors import FieldError, InvalidInput
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.requests import (
    NO_ATTRIBUTES,
    Check,
    require_dimensions,
    require_event_time,
    require_metadata,
    require_quantity,
)
from sidecar.domain.text import KNOWN_NAMES, NEW_NAMES
from sidecar.domain.time.units import SECOND_US
from sidecar.engine.usage_report import USAGES_MAX, UsagePlace
from sidecar.rpc.utf8_errors import malformed_field
from sidecar.shared.convert.times import optional_instant
from sidecar.shared.page_tokens import decode_place

M = TypeVar("M", bound=Message)

Timed: TypeAlias = (
    pb.CheckAndIncrementRequest | pb.RecordUsageRequest | pb.CheckRequest | pb.GetUsageRequest
)

AnyTime: TypeAlias = (
    pb.ExplainEntitlementRequest | pb.GetEntitlementRequest | pb.ListEntitlementsRequest
)
"""Questions whose `at` may lie in any of the years 2 to 9998."""

Quantified: TypeAlias = (
    pb.CheckAndIncrementRequest
    | pb.RecordUsageRequest
    | pb.CheckRequest
    | pb.ExplainEntitlementRequest
)

_MODES: Final = {
    pb.GRANT_MODE_UNSPECIFIED: GrantMode.ALL_OR_NOTHING,
    pb.GRANT_MODE_ALL_OR_NOTHING: GrantMode.ALL_OR_NOTHING,
    pb.GRANT_MODE_UP_TO: GrantMode.UP_TO,
}
_NANOS_MAX: Final = 999_999_999


def parse_message(kind: type[M], data: bytes) -> M:
    """The message that the bytes hold."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        field = malformed_field(kind.DESCRIPTOR, data)  # type: ignore[arg-type]  # the upb twin
        what = "is not valid UTF-8" if field else "the request is not a valid message"
        raise InvalidInput(field, what, "MALFORMED_REQUEST") from error


def parse_check(request: pb.CheckAndIncrementRequest, now_us: int) -> Check:
    """A request to decide and count."""
    try:
        mode = _MODES[request.grant_mode]
    except KeyError:
        raise InvalidInput("grant_mode", f"is not known: {request.grant_mode}") from None
    return _check(request, mode, now_us)


class Unchecked:
    """What a request wants that happens now, whatever may be wrong with it: never to be counted."""

    __slots__ = ("_request", "company", "event_time_us", "feature", "mode", "quantity")

    def __init__(self, request: pb.CheckAndIncrementRequest, now_us: int) -> None:
        self._request = request
        self.event_time_us = now_us
        self.company = request.company
        self.feature = request.feature
        self.quantity = request.quantity or (0 if request.HasField("quantity") else 1)
        self.mode = _MODES.get(request.grant_mode, GrantMode.ALL_OR_NOTHING)

    @property
    def idempotency_key(self) -> str:
        return self._request.idempotency_key

    @property
    def dimensions(self) -> Mapping[str, str]:
        return dict(self._request.dimensions)  # a message's own map would take what it lacks


def parse_record(request: pb.RecordUsageRequest, now_us: int) -> Check:
    """A report of what has happened: a check that is never denied."""
    return _check(request, GrantMode.RECORD_ONLY, now_us)


def parse_question(request: pb.CheckRequest, now_us: int, machine_ahead_us: int = 0) -> Check:
    """A question that counts nothing."""
    KNOWN_NAMES.require_identifier("company", request.company)
    KNOWN_NAMES.require_identifier("feature", request.feature)
    if request.grant_mode not in _MODES:
        raise InvalidInput("grant_mode", f"is not known: {request.grant_mode}")
    quantity = _quantity(request)
    dimensions = dict(request.dimensions)
    require_dimensions("dimensions", dimensions)
    return Check(
        request.company,
        request.feature,
        quantity,
        parse_event_time("event_time", request, now_us, machine_ahead_us),
        _MODES[request.grant_mode],
        dimensions=dimensions,
    )


def parse_explanation(request: pb.ExplainEntitlementRequest, now_us: int) -> Check:
    """A question for an explanation. Its instant may lie in any of the years 2 to 9998."""
    KNOWN_NAMES.require_identifier("company", request.company)
    KNOWN_NAMES.require_identifier("feature", request.feature)
    quantity = _quantity(request)
    at_us = parse_any_time(request, now_us)
    dimensions = dict(request.dimensions)
    require_dimensions("dimensions", dimensions)
    return Check(request.company, request.feature, quantity, at_us, dimensions=dimensions)


def parse_any_time(request: AnyTime, now_us: int) -> int:
    """The instant `at`, in any of the years 2 to 9998; the present if the field is absent."""
    at_us = optional_instant(request, "at", "")
    return now_us if at_us is None else at_us


def parse_event_time(field: str, request: Timed, now_us: int, machine_ahead_us: int) -> int:
    """Microseconds since the Unix epoch, within the bounds; the present if the field is absent."""
    at_us = _instant(field, request, now_us)
    require_event_time(field, at_us, now_us, machine_ahead_us)
    return at_us


def parse_usage_page(
    request: pb.GetUsageRequest, now_us: int, machine_ahead_us: int
) -> tuple[int, int, UsagePlace | None]:
    """The instant whose windows are meant, a page's size, and where it goes on."""
    if not 0 <= request.page_size <= USAGES_MAX:
        message = f"must be 0 to {USAGES_MAX}, is {request.page_size}"
        raise InvalidInput("page_size", message)
    most = request.page_size or USAGES_MAX
    if not request.page_token:
        return parse_event_time("at", request, now_us, machine_ahead_us), most, None
    after = decode_place(request.page_token, UsagePlace)
    require_event_time("page_token", after.at_us, now_us, machine_ahead_us)
    return after.at_us, most, after


def _instant(field: str, request: Timed, now_us: int) -> int:
    if not request.HasField(field):  # type: ignore[arg-type]  # the name differs by message
        return now_us
    stamp: Timestamp = getattr(request, field)
    if not 0 <= stamp.nanos <= _NANOS_MAX:
        raise InvalidInput(field, f"nanos must be 0 to {_NANOS_MAX}")
    return stamp.seconds * SECOND_US + stamp.nanos // 1000


def with_path(error: FieldError, path: str) -> FieldError:
    """The same error, for a field that lies deeper: `path` names the message it is in."""
    if not error.field:
        return error
    return type(error)(f"{path}.{error.field}", error.message, error.reason)


def _check(
    request: pb.CheckAndIncrementRequest | pb.RecordUsageRequest, mode: GrantMode, now_us: int
) -> Check:
    company = request.company
    feature = request.feature
    KNOWN_NAMES.require_identifier("company", company)
    KNOWN_NAMES.require_identifier("feature", feature)
    key = request.idempotency_key
    if key:
        NEW_NAMES.require("idempotency_key", key, IDENTIFIER_BYTES_MAX)
    dimensions, metadata = attributes(request)
    # Whether it is too old is for the enforcer to say: a retry gets its answer also when it has
    # become so.
    at_us = _instant("event_time", request, now_us)
    return Check(company, feature, _quantity(request), at_us, mode, key, dimensions, metadata)


def attributes(
    request: pb.CheckAndIncrementRequest | pb.RecordUsageRequest,
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Dimensions and metadata."""
    dimensions = NO_ATTRIBUTES
    if request.dimensions:
        dimensions = dict(request.dimensions)
        require_dimensions("dimensions", dimensions)
    metadata = NO_ATTRIBUTES
    if request.metadata:
        metadata = dict(request.metadata)
        require_metadata("metadata", metadata)
    return dimensions, metadata


def _quantity(request: Quantified) -> int:
    quantity = request.quantity
    if quantity > 0:
        return quantity
    if not request.HasField("quantity"):
        return 1
    require_quantity("quantity", quantity)
    return quantity
