"""A trace: a file of recorded traffic, and what a first look at all of it tells."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, cast

from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX
from sidecar.domain.text import NEW_NAMES
from sidecar.traces.formats import COMPANIES_DEFAULT, FORMATS
from sidecar.traces.model import (
    LineError,
    LineParser,
    SkippedLine,
    TraceCheck,
    TraceError,
    TraceRow,
    require_valid,
)

LINE_BYTES_MAX: Final = 1024 * 1024
"""Longer lines are skipped, so that a file without line ends does not fill the memory."""
IDENTITY_BYTES: Final = 4096
"""Head of the file that its identity is made of; a log that only grows keeps it."""

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class TraceScan:
    """What one pass over a trace tells.

    `last_line` is the last line looked at. `first_us` and `last_us` are the earliest and the
    latest event time, whatever their order in the file; `None` where there is none.
    """

    rows: int = 0
    checks: int = 0
    skipped: int = 0
    last_line: int = 0
    first_us: int | None = None
    last_us: int | None = None

    @property
    def span_us(self) -> int:
        """Time from the first event to the last."""
        if self.first_us is None or self.last_us is None:
            return 0
        return self.last_us - self.first_us


class Trace:
    """A file of one of the `FORMATS`, gzip-compressed if its name ends in `.gz`.

    `companies`: how many companies the formats without any spread their rows over.
    """

    def __init__(self, path: Path, format_name: str, companies: int = COMPANIES_DEFAULT) -> None:
        self.path = path
        self.format_name = format_name
        self._companies = companies

    def items(self, last_line: int | None = None) -> Iterator[TraceRow | SkippedLine]:
        """Read row by row, up to a line. Blank lines and headers are left out.

        Raises `TraceError` if the file cannot be read or is not of the format at all.
        """
        parse = FORMATS[self.format_name](self._companies)
        with self._opened() as file:
            for number, line in enumerate(_lines(file), 1):
                if last_line is not None and number > last_line:
                    return
                item = _item(parse, number, line)
                if item is not None:
                    yield item

    def scan(
        self,
        rows_max: int | None = None,
        on_item: Callable[[TraceRow | SkippedLine], None] | None = None,
    ) -> TraceScan:
        """Look at the first `rows_max` rows, or all; `on_item` gets each of them."""
        rows = checks = skipped = last_line = 0
        first_us: int | None = None
        last_us: int | None = None
        if rows_max == 0:
            return TraceScan()
        for item in self.items():
            last_line = item.line
            if on_item is not None:
                on_item(item)
            if isinstance(item, SkippedLine):
                skipped += 1
                continue
            rows += 1
            checks += len(item.checks)
            for check in item.checks:
                if check.event_us is not None:
                    first_us = check.event_us if first_us is None else min(first_us, check.event_us)
                    last_us = check.event_us if last_us is None else max(last_us, check.event_us)
            if rows == rows_max:
                break
        return TraceScan(rows, checks, skipped, last_line, first_us, last_us)

    def identity(self) -> str:
        """Name the content: equal for copies of a file, compressed or not, other for another."""
        with self._opened() as file:
            return hashlib.sha256(file.read(IDENTITY_BYTES)).hexdigest()[:12]

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        try:
            if self.path.suffix == ".gz":
                with gzip.open(self.path) as file:
                    yield cast("BinaryIO", file)
            else:
                with self.path.open("rb") as file:
                    yield file
        except (OSError, EOFError, zlib.error) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise TraceError(f"cannot read {self.path}: {reason}") from None


def with_row_key(check: TraceCheck, trace: str, line: int) -> TraceCheck:
    """Give a check the idempotency key made of trace (format and identity), line and feature.

    The same file gives the same keys again; another file gives others, so that it is not taken
    for a retry of the first.
    """
    key = f"{trace}-{line}-{check.feature}"
    if NEW_NAMES.problem(key, IDENTIFIER_BYTES_MAX) is not None:
        key = f"{trace}-{line}-{hashlib.sha256(check.feature.encode()).hexdigest()[:32]}"
    return replace(check, idempotency_key=key)


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Lines without their ends, nor the mark that some programs start a file with.

    `None` stands for a line that is too long.
    """
    prefix = _BOM
    while line := file.readline(LINE_BYTES_MAX):
        if len(line) == LINE_BYTES_MAX and not line.endswith(b"\n"):
            while (rest := file.readline(LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                pass
            yield None
        else:
            yield line.removeprefix(prefix).rstrip(b"\r\n")
        prefix = b""


def _item(parse: LineParser, number: int, line: bytes | None) -> TraceRow | SkippedLine | None:
    if line is None:
        return SkippedLine(number, f"is longer than {LINE_BYTES_MAX} bytes")
    try:
        checks = parse(line)
        for check in checks or ():
            require_valid(check)
    except LineError as error:
        return SkippedLine(number, str(error))
    return None if checks is None else TraceRow(number, checks)
