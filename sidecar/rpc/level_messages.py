"""Levels as messages: requests in, answers out."""

from __future__ import annotations

from typing import Final, TypeAlias

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX, LEVEL_ITEMS_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.levels.changes import LevelAction, LevelChange, require_ttl
from sidecar.domain.limits.requests import (
    NO_ATTRIBUTES,
    require_dimensions,
    require_metadata,
    require_quantity,
)
from sidecar.domain.text import KNOWN_NAMES, NEW_NAMES
from sidecar.engine.level_calls import LevelAnswer
from sidecar.engine.level_query import LevelReport
from sidecar.rpc.response_messages import fill_basis, fill_decision, fill_limit_status
from sidecar.shared.convert.times import duration_us, optional_instant, timestamp
from sidecar.shared.page_tokens import decode_place, encode_place
from sidecar.shared.protobuf_wire import text
from sidecar.storage.level_items import LevelItem

ChangeRequest: TypeAlias = pb.AdjustLevelRequest | pb.SetLevelRequest

_RECORD_ID: Final = b"\x12"
"""The field `record_id` on the wire."""
_INT64_MIN: Final = -(2**63)


def parse_change(request: ChangeRequest, now_us: int) -> LevelChange:
    """A change; raises `InvalidInput` or `OutOfRange` with the field at fault."""
    KNOWN_NAMES.require_identifier("company", request.company)
    KNOWN_NAMES.require_identifier("feature", request.feature)
    if isinstance(request, pb.SetLevelRequest):
        action, amount = LevelAction.SET, request.level
        require_quantity("level", amount)
    else:
        action, amount = LevelAction.ADJUST, request.amount
        if amount == _INT64_MIN:
            raise InvalidInput("amount", "must be at least -(2^63-1)")
    item, key = request.item, request.idempotency_key
    if item:
        NEW_NAMES.require_identifier("item", item)
    if key:
        NEW_NAMES.require("idempotency_key", key, IDENTIFIER_BYTES_MAX)
    ttl_us = None
    if request.HasField("time_to_live"):
        ttl_us = duration_us(request.time_to_live, "time_to_live")
        require_ttl("time_to_live", ttl_us, item)
    dimensions = metadata = NO_ATTRIBUTES
    if request.dimensions:
        dimensions = dict(request.dimensions)
        require_dimensions("dimensions", dimensions)
    if request.metadata:
        metadata = dict(request.metadata)
        require_metadata("metadata", metadata)
    at_us = optional_instant(request, "event_time", "")
    return LevelChange(
        request.company,
        request.feature,
        action,
        amount,
        now_us if at_us is None else at_us,
        item,
        ttl_us,
        key,
        dimensions,
        metadata,
    )


def parse_page(request: pb.GetLevelRequest) -> tuple[int, str]:
    """How many items at most, and behind which they go on."""
    if not 0 <= request.page_size <= LEVEL_ITEMS_MAX:
        message = f"must be 0 to {LEVEL_ITEMS_MAX}, is {request.page_size}"
        raise InvalidInput("page_size", message)
    behind = decode_place(request.page_token, str) if request.page_token else ""
    return request.page_size or LEVEL_ITEMS_MAX, behind


def encode_level_answer(answer: LevelAnswer) -> bytes:
    """Bytes of an `AdjustLevelResponse`, which are those of a `SetLevelResponse` as well.

    They end in the record's id, as those do that are kept for retries.
    """
    response = pb.AdjustLevelResponse(changed=answer.changed)
    fill_decision(response.decision, answer.decision, answer.basis)
    if answer.item is not None:
        response.item.CopyFrom(_item(answer.item))
    data = response.SerializeToString()
    return data + text(_RECORD_ID, answer.record_id) if answer.record_id else data


def encode_level_report(report: LevelReport) -> bytes:
    """Bytes of a `GetLevelResponse`."""
    response = pb.GetLevelResponse(items=[_item(item) for item in report.items])
    for usage in report.usages:
        fill_limit_status(response.limits.add(), usage)
    if report.after:
        response.next_page_token = encode_place(report.after)
    fill_basis(response.basis, report.basis)
    return response.SerializeToString()


def _item(item: LevelItem) -> pb.LevelItem:
    message = pb.LevelItem(item=item.item, level=item.level, dimensions=item.dimensions)
    if item.expires_us:
        message.expires.CopyFrom(timestamp(item.expires_us))
    return message
