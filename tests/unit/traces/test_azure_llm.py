import pytest

from sidecar.traces import LineError, TraceCheck, TraceError
from sidecar.traces.azure_llm import AzureLlmParser

HEADER = b"TIMESTAMP,ContextTokens,GeneratedTokens"
TIME = b"2023-11-16 18:17:03.9799600"
TIME_US = 1_700_158_623_979_960


def parsed(*lines: bytes, companies: int = 10) -> list[tuple[TraceCheck, ...] | None]:
    parser = AzureLlmParser(companies)
    return [parser(line) for line in lines]


def checks(company: str, context: int, generated: int) -> tuple[TraceCheck, ...]:
    return (
        TraceCheck(company, "context_tokens", context, TIME_US),
        TraceCheck(company, "generated_tokens", generated, TIME_US),
        TraceCheck(company, "llm_requests", 1, TIME_US),
    )


def test_a_row_is_three_checks() -> None:
    assert [None, checks("company-00", 4808, 10)] == parsed(HEADER, TIME + b",4808,10")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        pytest.param(
            b"model,GeneratedTokens,TIMESTAMP,ContextTokens", b"m,7," + TIME + b",5", id="reordered"
        ),
        pytest.param(HEADER + b",Extra", TIME + b',5,7,"a, b"', id="extra column with a comma"),
        pytest.param(b'"TIMESTAMP","ContextTokens","GeneratedTokens"', TIME + b",5,7", id="quoted"),
        pytest.param(b"timestamp, contexttokens, generatedtokens", TIME + b", 5, 7", id="blanks"),
        pytest.param(HEADER, b'"' + TIME + b'","5","7"', id="quoted fields"),
    ],
)
def test_columns_are_found_by_name(header: bytes, row: bytes) -> None:
    assert [None, checks("company-00", 5, 7)] == parsed(header, row)


def test_without_a_header_the_first_three_columns_count() -> None:
    assert [checks("company-00", 5, 7)] == parsed(TIME + b",5,7,ignored")


def test_blank_lines_are_no_rows() -> None:
    row = TIME + b",1,1"
    expected = [None, None, checks("company-00", 1, 1), None, checks("company-01", 1, 1)]
    assert expected == parsed(b"", HEADER, row, b"  ", row)


def test_companies_take_turns() -> None:
    found = parsed(HEADER, *[TIME + b",1,1"] * 5, companies=3)
    names = [row[0].company for row in found if row]
    assert ["company-00", "company-01", "company-02", "company-00", "company-01"] == names


def test_a_bad_row_takes_its_turn() -> None:
    parser = AzureLlmParser(10)
    parser(HEADER)
    with pytest.raises(LineError):
        parser(b"no,row,here")
    assert checks("company-01", 1, 2) == parser(TIME + b",1,2")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (TIME + b",5", "2 columns"),
        (TIME + b",,7", "ContextTokens"),
        (TIME + b",5,7.5", "GeneratedTokens"),
        (TIME + b",5,1_000", "GeneratedTokens"),
        (TIME + b",5,1e3", "GeneratedTokens"),
        (TIME + b",5," + b"9" * 5000, "GeneratedTokens"),
        (TIME + ",5,٣".encode(), "GeneratedTokens"),
        (b"noon,5,7", "not a time"),
        (b'"' + TIME + b",5,7", "not CSV"),
        (TIME + b",5,\xff", "UTF-8"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(row: bytes, problem: str) -> None:
    parser = AzureLlmParser(10)
    parser(HEADER)
    with pytest.raises(LineError, match=problem):
        parser(row)


@pytest.mark.parametrize("first", [b"name,age", b"{}", b"TIMESTAMP,ContextTokens"])
def test_a_file_of_another_kind_is_refused_at_once(first: bytes) -> None:
    with pytest.raises(TraceError, match="first line"):
        AzureLlmParser(10)(first)
