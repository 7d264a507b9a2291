import pytest

from sidecar.domain.limits.reasons import GrantMode
from sidecar.traces import LineError, TraceCheck
from sidecar.traces.jsonl import parse_jsonl


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            b'{"company": "acme", "feature": "tokens"}', TraceCheck("acme", "tokens"), id="least"
        ),
        pytest.param(
            b'{"company": "acme", "feature": "tokens", "quantity": 5, "idempotency_key": "k",'
            b' "event_time": "2023-11-16T18:17:03.5Z", "dimensions": {"user": "ana"},'
            b' "metadata": {"job": "7"}, "grant_mode": "GRANT_MODE_UP_TO"}',
            TraceCheck(
                "acme",
                "tokens",
                5,
                1_700_158_623_500_000,
                {"user": "ana"},
                {"job": "7"},
                "k",
                GrantMode.UP_TO,
            ),
            id="all fields",
        ),
        pytest.param(
            b'{"company":"a","feature":"f","quantity":"9223372036854775807","idempotencyKey":"k"}',
            TraceCheck("a", "f", 2**63 - 1, idempotency_key="k"),
            id="as protobuf writes it",
        ),
        pytest.param(
            b'{"company":"a","feature":"f","quantity":0}', TraceCheck("a", "f", 0), id="zero"
        ),
        pytest.param(
            b'{"company":"a","feature":"f","event_time":"2023-11-16T20:17:03+02:00"}',
            TraceCheck("a", "f", 1, 1_700_158_623_000_000),
            id="offset",
        ),
    ],
)
def test_a_line_is_one_check(line: bytes, expected: TraceCheck) -> None:
    assert (expected,) == parse_jsonl(line)


def test_a_blank_line_is_no_row() -> None:
    assert parse_jsonl(b"\t") is None


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"null",
        b'"text"',
        b'{"company": 7, "feature": "f"}',
        b'{"company": "a", "feature": "f", "quantity": 1.5}',
        b'{"company": "a", "feature": "f", "quantity": 9223372036854775808}',
        b'{"company": "a", "feature": "f", "event_time": "noon"}',
        b'{"company": "a", "feature": "f", "colour": "red"}',
        b'{"company": "a", "company": "b", "feature": "f"}',
        b'{"company": "\xff", "feature": "f"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_check_is_refused(line: bytes) -> None:
    with pytest.raises(LineError):
        parse_jsonl(line)
