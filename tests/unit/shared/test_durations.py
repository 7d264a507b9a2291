"""Lengths of time as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.formatting import duration_text
from sidecar.shared.durations import duration_of_text

DAY_US = 86_400_000_000


@pytest.mark.parametrize(
    ("text", "length_us"),
    [
        ("second", 1_000_000),
        ("seconds", 1_000_000),
        ("1 second", 1_000_000),
        ("10 seconds", 10_000_000),
        ("minute", 60_000_000),
        ("90 minutes", 5_400_000_000),
        ("hour", 3_600_000_000),
        ("2 days", 2 * DAY_US),
        ("100 milliseconds", 100_000),
        ("1500 microseconds", 1_500),
        ("1500us", 1_500),
        ("250ms", 250_000),
        ("90s", 90_000_000),
        ("15m", 900_000_000),
        ("1h", 3_600_000_000),
        ("30d", 30 * DAY_US),
        ("1.5s", 1_500_000),
        ("0.25 days", DAY_US // 4),
    ],
)
def test_a_length_of_time_in_each_of_its_forms(text: str, length_us: int) -> None:
    assert length_us == duration_of_text(text)


@given(st.integers(1, 400 * DAY_US))
def test_what_is_shown_can_be_written(length_us: int) -> None:
    assert length_us == duration_of_text(duration_text(length_us))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "s",
        "-1s",
        "0.5us",
        "1.s",
        ".5s",
        "1 s",
        "10  seconds",
        "1h30m",
        "month",
        "٣s",
        "1" * 16 + "s",
    ],
)
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a length of time such as second"):
        duration_of_text(text)
