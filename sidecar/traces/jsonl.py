"""Checks as the API writes them in JSON: one CheckAndIncrementRequest a line.

Field names as in the API or in lowerCamelCase; 64-bit quantities as number or string; event_time
in RFC 3339.
"""

from __future__ import annotations

import json

from google.protobuf import json_format

from sidecar.api.enforcement.v1 import enforcement_pb2
from sidecar.domain.limits.reasons import GrantMode
from sidecar.shared.api_json import instant_of
from sidecar.traces.model import LineError, TraceCheck

_UP_TO = enforcement_pb2.GRANT_MODE_UP_TO


def parse_jsonl(line: bytes) -> tuple[TraceCheck, ...] | None:
    """Turn a line into one check."""
    if not line.strip():
        return None
    request = enforcement_pb2.CheckAndIncrementRequest()
    try:
        json_format.Parse(line.decode(), request)
    except UnicodeDecodeError:
        raise LineError("is not UTF-8") from None
    except (json_format.ParseError, RecursionError) as error:
        raise LineError(_problem(error)) from None
    return (
        TraceCheck(
            company=request.company,
            feature=request.feature,
            quantity=request.quantity if request.HasField("quantity") else 1,
            event_us=instant_of(request.event_time) if request.HasField("event_time") else None,
            dimensions=dict(request.dimensions),
            metadata=dict(request.metadata),
            idempotency_key=request.idempotency_key,
            mode=GrantMode.UP_TO if request.grant_mode == _UP_TO else GrantMode.ALL_OR_NOTHING,
        ),
    )


def _problem(error: Exception) -> str:
    cause = error.__context__
    if isinstance(cause, json.JSONDecodeError):
        return f"is not JSON: {cause.msg} at column {cause.colno}"
    return f"is not a check: {str(error)[:200]}"
