"""What requests to the control plane have in common: bounds, ids and page tokens."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sidecar.api.control.v1 import control_pb2
from sidecar.control.services.totals import TotalsPlace
from sidecar.control.services.usage import LedgerUsagePlace
from sidecar.control.storage.values import LineFilter, LinePosition
from sidecar.domain.bounds import BEGINNING_US, FOREVER_US, INT64_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.text import KNOWN_NAMES
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US
from sidecar.shared.convert.times import instant
from sidecar.shared.page_tokens import bad_token, decode_place, encode_place

_NIL: Final = UUID(int=0)


def require_incarnation(incarnation: str, field: str = "incarnation") -> str:
    """A UUID in its canonical 36 characters."""
    try:
        parsed = UUID(incarnation)
    except ValueError:
        parsed = _NIL
    if parsed == _NIL or str(parsed) != incarnation:
        raise InvalidInput(field, "must be a UUID of 36 characters in lower case")
    return incarnation


def require_count(field: str, count: int, least: int, most: int) -> int:
    """A number in bounds."""
    if not least <= count <= most:
        raise InvalidInput(field, f"must be {least} to {most}, is {count}")
    return count


def size_or(field: str, asked: int, default: int, most: int) -> int:
    """A page's size: 1 to `most`; 0 is the default."""
    return require_count(field, asked, 0, most) or default


def line_filter(
    request: control_pb2.QueryUsageRequest | control_pb2.ListRecordsRequest,
) -> LineFilter:
    """The lines that a request means."""
    for field, text in (("company", request.company), ("feature", request.feature)):
        if text:
            KNOWN_NAMES.require_identifier(field, text)
    from_us, until_us = BEGINNING_US, FOREVER_US
    if request.HasField("from"):
        from_us = instant(getattr(request, "from"), "from")  # a keyword in Python
    if request.HasField("until"):
        until_us = instant(request.until, "until")
    if from_us > until_us:
        raise InvalidInput("until", "must not be before from")
    return LineFilter(request.company, request.feature, from_us, until_us)


def page_token(position: str | LinePosition | TotalsPlace | LedgerUsagePlace | None) -> str:
    """The token of a position; empty where there is no next page."""
    if not position:
        return ""
    return encode_place(position)


def company_of_token(token: str) -> str:
    """The id that a token stands for; empty for the start."""
    if not token:
        return ""
    company = decode_place(token, str)
    if KNOWN_NAMES.identifier_problem(company) is not None:
        raise bad_token()
    return company


def line_of_token(token: str) -> LinePosition | None:
    """The line that a token stands for; `None` for the start."""
    if not token:
        return None
    position = decode_place(token, LinePosition)
    numbers = (position.event_time_us, position.sequence)
    if not all(0 <= number <= INT64_MAX for number in numbers):
        raise bad_token()
    try:
        require_incarnation(position.incarnation)
    except InvalidInput:
        raise bad_token() from None
    return position


def usage_of_token(token: str) -> LedgerUsagePlace | None:
    """The place that a token stands for; `None` for the start."""
    if not token:
        return None
    place = decode_place(token, LedgerUsagePlace)
    if not FIRST_INSTANT_US <= place.at_us < END_INSTANT_US:
        raise bad_token()
    return place


def totals_of_token(token: str) -> TotalsPlace:
    """The place that a token stands for; the start for none."""
    if not token:
        return TotalsPlace()
    place = decode_place(token, TotalsPlace)
    key = place.key
    if key is None or place.company not in ("", key.company):
        raise bad_token()
    window = key.counter.window
    if not all(-INT64_MAX <= at <= INT64_MAX for at in (window.start_us, window.end_us)):
        raise bad_token()
    if not 0 <= place.version < INT64_MAX:
        raise bad_token()
    return place
