"""What the service of credits answers about the past: history, and refunds. In worker threads."""

from __future__ import annotations

from typing import Final

from sidecar.api.control.v1 import credits_pb2
from sidecar.control.rpc.credit_answers import (
    PAGE_DEFAULT,
    PAGE_MAX,
    reason_of,
    window_message,
)
from sidecar.control.rpc.request_validation import require_count, require_incarnation, size_or
from sidecar.control.services.credit_history import HistoryEvent, HistoryPlace, list_history
from sidecar.control.services.credit_parts import NamedPart
from sidecar.control.services.credit_refunds import RefundWanted
from sidecar.control.services.credit_refunds import refund_credits as refund
from sidecar.control.storage.credit_values import EntryFilter
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.bounds import BEGINNING_US, INT64_MAX, saturated
from sidecar.domain.errors import InvalidInput
from sidecar.domain.text import KNOWN_NAMES, NEW_NAMES
from sidecar.shared.convert.times import instant, timestamp
from sidecar.shared.page_tokens import bad_token, decode_place, encode_place

_IS_NO_RECORD: Final = (
    "must be the id of a usage record, as answers and history tell it: "
    "a UUID of 36 characters in lower case, '-' and a number"
)


def history(
    store: PlaneStore, request: credits_pb2.ListCreditHistoryRequest, now_us: int
) -> credits_pb2.ListCreditHistoryResponse:
    """Answer to ListCreditHistory."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    if request.feature:
        KNOWN_NAMES.require_identifier("feature", request.feature)
    from_us, until_us = BEGINNING_US, now_us + 1
    if request.HasField("from"):
        from_us = instant(getattr(request, "from"), "from")  # a keyword in Python
    if request.HasField("until"):
        until_us = instant(request.until, "until")
    if from_us > until_us:
        raise InvalidInput("until", "must not be before from")
    size = size_or("page_size", request.page_size, PAGE_DEFAULT, PAGE_MAX)
    wanted = EntryFilter(company, request.feature, from_us, until_us)
    events, following = list_history(store, wanted, _place_of(request.page_token), size, now_us)
    return credits_pb2.ListCreditHistoryResponse(
        events=map(_event, events),
        next_page_token="" if following is None else encode_place(following),
    )


def refund_credits(
    store: PlaneStore, request: credits_pb2.RefundCreditsRequest, now_us: int
) -> credits_pb2.RefundCreditsResponse:
    """Answer to RefundCredits."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    if request.feature:
        KNOWN_NAMES.require_identifier("feature", request.feature)
    if request.request_id:
        NEW_NAMES.require_identifier("request_id", request.request_id)
    incarnation, sequence = _record_of(request.record)
    wanted = RefundWanted(
        company,
        incarnation,
        sequence,
        request.feature,
        require_count("amount", request.amount, 0, INT64_MAX),
        reason_of(request.reason),
        request.request_id,
    )
    done = refund(store, wanted, now_us, dry_run=request.dry_run)
    return credits_pb2.RefundCreditsResponse(
        feature=done.feature,
        returned=done.amount - done.lost,
        lost=done.lost,
        parts=map(_part, done.parts),
        changed=done.changed,
    )


def _record_of(text: str) -> tuple[str, int]:
    """Incarnation and sequence of a record by its id."""
    incarnation, _, sequence = text.rpartition("-")
    try:
        require_incarnation(incarnation, "record")
    except InvalidInput:
        raise InvalidInput("record", _IS_NO_RECORD) from None
    number = int(sequence) if sequence.isascii() and sequence.isdecimal() else 0
    if not 1 <= number <= INT64_MAX:
        raise InvalidInput("record", _IS_NO_RECORD)
    return incarnation, number


def _event(event: HistoryEvent) -> credits_pb2.CreditEvent:
    return credits_pb2.CreditEvent(
        at=timestamp(event.at_us),
        kind=credits_pb2.CreditEventKind.ValueType(event.kind),
        feature=event.feature,
        amount=saturated(event.amount),
        parts=map(_part, event.parts),
        grant=event.grant,
        record=event.record,
        used_feature=event.metered,
        quantity=event.quantity,
        reason=event.reason,
    )


def _part(named: NamedPart) -> credits_pb2.CreditEventPart:
    part = named.part
    return credits_pb2.CreditEventPart(
        grant=named.grant,
        limit=named.limit,
        overdraft=named.is_overdraft,
        window=window_message(part.counter.window),
        amount=part.amount,
        lost=part.is_lost,
    )


def _place_of(token: str) -> HistoryPlace:
    """The place that a token stands for; the start for none."""
    if not token:
        return HistoryPlace()
    place = decode_place(token, HistoryPlace)
    numbers = [*place.entries, place.expired[0]]
    if place.lines is not None:
        numbers += [place.lines.event_time_us, place.lines.sequence]
        try:
            require_incarnation(place.lines.incarnation)
        except InvalidInput:
            raise bad_token() from None
    if not all(-1 <= number <= INT64_MAX for number in numbers):
        raise bad_token()
    return place
