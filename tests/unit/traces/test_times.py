import pytest

from sidecar.traces import LineError
from sidecar.traces.times import parse_iso, parse_log

# 2023-11-16 18:17:03 UTC
BASE_US = 1_700_158_623_000_000
HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2023-11-16 18:17:03.9799600", BASE_US + 979_960, id="seven digits"),
        pytest.param("2023-11-16 18:17:03", BASE_US, id="no fraction"),
        pytest.param("2023-11-16 18:17:03.5", BASE_US + 500_000, id="one digit"),
        pytest.param("2023-11-16 18:17:03.1234567891", BASE_US + 123_456, id="cut, not rounded"),
        pytest.param("2023-11-16T18:17:03Z", BASE_US, id="T and Z"),
        pytest.param("2023-11-16 20:17:03+02:00", BASE_US, id="offset with colon"),
        pytest.param("2023-11-16 12:47:03.25-0530", BASE_US + 250_000, id="offset west"),
        pytest.param(" 2023-11-16 18:17:03 ", BASE_US, id="blanks around"),
        pytest.param("1969-12-31 23:59:59.5", -500_000, id="before the epoch"),
        pytest.param("2016-12-31 23:59:60", 1_483_228_800_000_000, id="leap second"),
    ],
)
def test_iso_time_is_read_to_the_microsecond(text: str, expected: int) -> None:
    assert expected == parse_iso(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2023-11-16",
        "2023-02-30 00:00:00",
        "2023-13-01 00:00:00",
        "2023-11-16 24:00:00",
        "2023-11-16 23:59:61",
        "0000-01-01 00:00:00",
        "2023-11-16 18:17:03+99:00",
        "٢٠٢٣-11-16 18:17:03",
        "2023-11-16 18:17:03 junk",
    ],
)
def test_what_is_no_iso_time_is_refused(text: str) -> None:
    with pytest.raises(LineError):
        parse_iso(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("16/Nov/2023:18:17:03 +0000", BASE_US, id="UTC"),
        pytest.param("16/Nov/2023:20:17:03 +0200", BASE_US, id="east"),
        pytest.param("16/Nov/2023:12:47:03 -0530", BASE_US, id="west, half an hour"),
        pytest.param("16/Nov/2023:18:17:03", BASE_US, id="no offset"),
        pytest.param("01/Dec/2023:00:00:00 +0000", BASE_US + 1_230_177_000_000, id="December"),
    ],
)
def test_log_time_is_read(text: str, expected: int) -> None:
    assert expected == parse_log(text)


@pytest.mark.parametrize(
    "text", ["", "-", "16/Nov/2023", "16/nov/2023:18:17:03 +0000", "31/Feb/2023:00:00:00 +0000"]
)
def test_what_is_no_log_time_is_refused(text: str) -> None:
    with pytest.raises(LineError):
        parse_log(text)
