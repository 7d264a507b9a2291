"""RFC 3339 instants, to the microsecond."""

import pytest

from sidecar.shared.catalog_file.instants import instant_of_text


@pytest.mark.parametrize(
    ("text", "instant_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01z", 1_000_000),
        ("1970-01-01 00:00:00.5Z", 500_000),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T19:00:00-05:00", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000_000),
    ],
)
def test_an_instant_is_read_exactly(text: str, instant_us: int) -> None:
    assert instant_us == instant_of_text(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-01-31", "is not a date-time"),
        ("2026-01-31T00:00Z", "is not a date-time"),
        ("20260131T000000Z", "is not a date-time"),
        ("2026-W05-6T00:00:00Z", "is not a date-time"),
        ("\u0662026-01-31T00:00:00Z", "is not a date-time"),
        ("2026-01-31T00:00:00", "has no offset"),
        ("2026-01-31T00:00:00.1234567Z", "is finer than a microsecond"),
        ("2026-02-29T00:00:00Z", "is not a time that the calendar has"),
        ("2026-01-31T24:00:01Z", "is not a time that the calendar has"),
        ("2026-01-31T00:00:60Z", "is not a time that the calendar has"),
        ("2026-01-31T00:00:00+25:00", "is not a time that the calendar has"),
        ("0001-01-01T00:00:00+01:00", "is not a time that the calendar has"),
    ],
)
def test_what_is_no_instant_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        instant_of_text(text)
