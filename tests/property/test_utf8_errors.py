"""Whatever bytes come in: a message, or an error that names the broken text's field."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.errors import FieldError, InvalidInput
from sidecar.rpc.parse import parse_check, parse_message, parse_question, parse_record
from tests.support.build import NOW_US

BROKEN: Final = b"\xff\xfe"
FIELDS: Final = ("company", "feature", "idempotency_key")


@given(st.binary(max_size=80))
@example(b"\x0a" * 70)
@example(b"\x32\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")
@example(b"\xff" * 20)
def test_any_bytes_are_a_request_or_an_error_that_callers_are_told(data: bytes) -> None:
    with suppress(FieldError):
        parse_check(parse_message(pb.CheckAndIncrementRequest, data), NOW_US)
    with suppress(FieldError):
        parse_record(parse_message(pb.RecordUsageRequest, data), NOW_US)
    with suppress(FieldError):
        parse_question(parse_message(pb.CheckRequest, data), NOW_US)
    with suppress(FieldError):
        parse_message(pb.BatchCheckAndIncrementRequest, data)


@given(st.sampled_from(FIELDS), st.integers(0, 5), st.integers(1, 3))
def test_the_field_of_broken_text_is_named(field: str, before: int, behind: int) -> None:
    good = pb.CheckAndIncrementRequest(
        company="acme", feature="calls", quantity=5, dimensions={"user": "\u00e4"}
    )
    good.event_time.FromMicroseconds(NOW_US)
    number = pb.CheckAndIncrementRequest.DESCRIPTOR.fields_by_name[field].number
    bad = good.SerializeToString() + bytes([number << 3 | 2, len(BROKEN)]) + BROKEN
    parts = [good.SerializeToString()] * before + [bad] + [good.SerializeToString()] * behind
    data = b"".join(b"\x0a" + bytes([len(part)]) + part for part in parts)
    with pytest.raises(InvalidInput) as caught:
        parse_message(pb.BatchCheckAndIncrementRequest, data)
    assert f"checks[{before}].{field}" == caught.value.field
