"""The bounds of requests, each with the field that it names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sidecar.domain.errors import FieldError, InvalidInput, OutOfRange
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.requests import (
    Check,
    payload_digest,
    require_dimensions,
    require_event_time,
    require_metadata,
    require_quantity,
)
from sidecar.domain.time.units import DAY_US, MINUTE_US
from tests.support.build import NOW_US, check


def refusal(call: Callable[[], None]) -> tuple[type[FieldError], str]:
    with pytest.raises(FieldError) as caught:
        call()
    return type(caught.value), caught.value.field


@pytest.mark.parametrize("quantity", [0, 1, 2**63 - 1])
def test_quantities_within_the_bounds(quantity: int) -> None:
    require_quantity("quantity", quantity)


@pytest.mark.parametrize("quantity", [-1, -(2**63)])
def test_negative_quantities(quantity: int) -> None:
    assert (InvalidInput, "quantity") == refusal(lambda: require_quantity("quantity", quantity))


@pytest.mark.parametrize("offset_us", [-35 * DAY_US, -1, 0, 5 * MINUTE_US])
def test_event_times_within_the_bounds(offset_us: int) -> None:
    require_event_time("event_time", NOW_US + offset_us, NOW_US)


@pytest.mark.parametrize("offset_us", [-35 * DAY_US - 1, -NOW_US, -2 * NOW_US, 5 * MINUTE_US + 1])
def test_event_times_past_the_bounds(offset_us: int) -> None:
    at_us = NOW_US + offset_us
    found = refusal(lambda: require_event_time("event_time", at_us, NOW_US))
    assert (OutOfRange, "event_time") == found


@pytest.mark.parametrize(
    "dimensions",
    [
        {},
        {"k" * 64: "v" * 256},
        {"user": ""},
        {"\u00e4" * 32: "\u00e4" * 128},
        {f"key{n}": "x" for n in range(16)},
    ],
)
def test_dimensions_within_the_bounds(dimensions: dict[str, str]) -> None:
    require_dimensions("dimensions", dimensions)


@pytest.mark.parametrize(
    ("dimensions", "field"),
    [
        pytest.param({f"key{n}": "x" for n in range(17)}, "dimensions", id="17 of them"),
        pytest.param({"": "x"}, "dimensions", id="empty key"),
        pytest.param({"k" * 65: "x"}, "dimensions", id="key of 65 bytes"),
        pytest.param({"\u00e4" * 33: "x"}, "dimensions", id="key of 66 bytes in 33 characters"),
        pytest.param({"a\tb": "x"}, "dimensions", id="key with a control character"),
        pytest.param({"user": "v" * 257}, "dimensions[user]", id="value of 257 bytes"),
        pytest.param({"user": "a\nb"}, "dimensions[user]", id="value with a line break"),
    ],
)
def test_dimensions_past_the_bounds(dimensions: dict[str, str], field: str) -> None:
    assert (InvalidInput, field) == refusal(lambda: require_dimensions("dimensions", dimensions))


@pytest.mark.parametrize(
    "metadata", [{}, {"k" * 96: "v" * 4000}, {str(n): "" for n in range(1000)}, {"a": "\n\t\0"}]
)
def test_metadata_within_the_bounds(metadata: dict[str, str]) -> None:
    require_metadata("metadata", metadata)


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"k" * 96: "v" * 4001}, id="4,097 bytes in two texts"),
        pytest.param({f"{n:04}": "\u00e4" * 2 for n in range(513)}, id="4,104 bytes in many"),
    ],
)
def test_metadata_past_the_bounds(metadata: dict[str, str]) -> None:
    assert (InvalidInput, "metadata") == refusal(lambda: require_metadata("metadata", metadata))


def test_the_digest_has_16_bytes_and_never_changes() -> None:
    """Stored with every answer: another digest would turn retries into conflicts."""
    digest = payload_digest(check(quantity=7, dimensions={"user": "ann", "model": "large"}))
    assert "4be0f52d60c89eff730ba77696f88783" == digest.hex()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(check(at_us=NOW_US - DAY_US), id="event time"),
        pytest.param(check(metadata={"trace": "1"}), id="metadata"),
        pytest.param(check(key="other"), id="the key itself"),
        pytest.param(check(company="other"), id="company, which the key belongs to"),
    ],
)
def test_what_a_retry_may_change(other: Check) -> None:
    assert payload_digest(check()) == payload_digest(other)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(check(feature="other"), id="feature"),
        pytest.param(check(quantity=2), id="quantity"),
        pytest.param(check(mode=GrantMode.UP_TO), id="grant mode"),
        pytest.param(check(mode=GrantMode.RECORD_ONLY), id="recorded, not checked"),
        pytest.param(check(dimensions={"user": "ann"}), id="a dimension more"),
    ],
)
def test_what_a_retry_may_not_change(other: Check) -> None:
    assert payload_digest(check()) != payload_digest(other)


def test_the_order_of_dimensions_means_nothing() -> None:
    one = check(dimensions={"a": "1", "b": "2"})
    assert payload_digest(one) == payload_digest(check(dimensions={"b": "2", "a": "1"}))
