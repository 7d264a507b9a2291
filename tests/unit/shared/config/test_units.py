"""Settings whose numbers are said with another unit than the one in their name."""

from __future__ import annotations

import pytest

from sidecar.cli.common import ExitCode
from sidecar.shared.config import SidecarConfig, fields
from sidecar.shared.config.units import example_of_unit, number_of_text, unit_of_name
from tests.unit.cli.fakes import tallyd


@pytest.mark.parametrize(
    ("name", "text", "number"),
    [
        ("store_bytes_max", "4GiB", 4 << 30),
        ("store_bytes_max", "4 GiB", 4 << 30),
        ("store_bytes_max", "5GB", 5_000_000_000),
        ("message_bytes_max", "512KiB", 512 << 10),
        ("idempotency_hours", "7d", 168),
        ("idempotency_hours", "48 hours", 48),
        ("drain_seconds_max", "1.5m", 90),
        ("push_linger_ms", "0.2s", 200),
    ],
)
@pytest.mark.parametrize("from_text", [True, False])
def test_a_number_with_a_unit_is_read_in_the_unit_of_its_setting(
    name: str, text: str, number: int, from_text: bool
) -> None:
    field = next(field for field in fields(SidecarConfig) if field.name == name)

    assert number == field.parse(text, from_text=from_text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("store_bytes_max", "4gib"),
        ("store_bytes_max", "90s"),
        ("store_bytes_max", "1.5GiB"),
        ("idempotency_hours", "90m"),
        ("idempotency_hours", "1GiB"),
        ("outbox_records_max", "2h"),
        ("drain_seconds_max", "2h"),
    ],
)
def test_a_unit_that_does_not_fit_is_refused_as_it_was_said(name: str, text: str) -> None:
    field = next(field for field in fields(SidecarConfig) if field.name == name)

    with pytest.raises(ValueError, match=f"not '{text}'"):
        field.parse(text, from_text=True)


@pytest.mark.parametrize("field", [f for f in fields(SidecarConfig) if f.type is int])
def test_the_example_of_a_message_can_be_written(field: object) -> None:
    unit = unit_of_name(field.name)  # type: ignore[attr-defined]
    if unit:
        assert number_of_text(example_of_unit(unit), unit)


def test_a_flag_takes_units() -> None:
    result = tallyd("config", "show", "sidecar", "--set", "store_bytes_max=8GiB")

    assert ExitCode.OK == result.exit_code
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["store_bytes_max", str(8 << 30), "flag", "--store-bytes-max"] in rows
