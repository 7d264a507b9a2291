"""Requests to a language model, as the Azure LLM inference traces have them.

CSV with the columns TIMESTAMP, ContextTokens and GeneratedTokens, found by name whatever their
order; without a header, the first three columns. A row ends with its line: a quoted field that
goes over several lines makes each of them a line that cannot be used.
"""

from __future__ import annotations

import csv
from typing import Final

from sidecar.domain.bounds import INT64_MAX
from sidecar.traces.model import LineError, TraceCheck, TraceError
from sidecar.traces.times import parse_iso

COLUMNS: Final = ("timestamp", "contexttokens", "generatedtokens")
_COLUMN_NAMES: Final = "TIMESTAMP, ContextTokens and GeneratedTokens"
_QUANTITY_DIGITS_MAX: Final = len(str(INT64_MAX))


class AzureLlmParser:
    """Three checks a row: context_tokens, generated_tokens and llm_requests.

    Row n, counted from 0 over all rows whether they can be used or not, belongs to
    `company-{n modulo companies}`, written with two digits at least.
    """

    def __init__(self, companies: int) -> None:
        self._companies = companies
        self._rows = 0
        self._columns: tuple[int, ...] | None = None

    def __call__(self, line: bytes) -> tuple[TraceCheck, ...] | None:
        """Turn a line into checks; `None` for a blank line and for the header."""
        if not line.strip():
            return None
        if self._columns is None:
            self._columns, is_header = _find_columns(_fields(line))
            if is_header:
                return None
        row, self._rows = self._rows, self._rows + 1
        fields = _fields(line)
        if len(fields) <= max(self._columns):
            raise LineError(f"has {len(fields)} columns, not the {_COLUMN_NAMES} needed")
        time, context, generated = (fields[column] for column in self._columns)
        company = f"company-{row % self._companies:02d}"
        event_us = parse_iso(time)
        return (
            TraceCheck(company, "context_tokens", _quantity("ContextTokens", context), event_us),
            TraceCheck(
                company, "generated_tokens", _quantity("GeneratedTokens", generated), event_us
            ),
            TraceCheck(company, "llm_requests", 1, event_us),
        )


def _find_columns(fields: list[str]) -> tuple[tuple[int, ...], bool]:
    """Places of the columns, and whether the line is the header that names them."""
    names = [field.strip().lower() for field in fields]
    if all(column in names for column in COLUMNS):
        return tuple(names.index(column) for column in COLUMNS), True
    try:
        parse_iso(fields[0])
    except LineError:
        raise TraceError(
            f"the first line is neither a header with {_COLUMN_NAMES} nor a row of them"
        ) from None
    return (0, 1, 2), False


def _fields(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode()], strict=True))
    except UnicodeDecodeError:
        raise LineError("is not UTF-8") from None
    except csv.Error as error:
        raise LineError(f"is not CSV: {error}") from None


def _quantity(column: str, text: str) -> int:
    text = text.strip()
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > _QUANTITY_DIGITS_MAX:
        raise LineError(f"{column}: {text[:40]!r} is not a whole number below 2^63")
    return int(text)
