"""Logs: one JSON object a line, or readable lines for people. Never used on the path of a call.

Modules write `structlog.get_logger(__name__)`; the libraries' own records (standard `logging`,
warnings) come out the same way, bounded (`library_lines.py`). Tracebacks show no local variables:
they may hold customers' data.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from time import monotonic
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import Processor

from sidecar.shared.ops.library_lines import LibraryLines, shortened

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class _Output:
    """The end of the line. Losing a log line must never cost a call, so failures are swallowed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        """Write one line at once; a closed pipe or a full disk loses it."""
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return


class _NamedLogger:
    """What structlog writes to: `name` is there for the processor that adds it to the event."""

    def __init__(self, output: _Output, name: str) -> None:
        self.name = name
        self.debug = self.info = self.warning = self.error = self.critical = output.write


class _Handler(logging.Handler):
    """Hands the records of standard `logging` to the same output."""

    def __init__(
        self, output: _Output, formatter: logging.Formatter, clock: Callable[[], float]
    ) -> None:
        super().__init__()
        self._output = output
        self._lines = LibraryLines(clock)
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, or hold it back."""
        held_back = self._lines.held_back(record)
        if held_back is not None:
            record.held_back = held_back
            self._output.write(self.format(record))


def configure_logging(
    level: str = "info",
    log_format: Literal["json", "console"] = "json",
    stream: TextIO | None = None,
    clock: Callable[[], float] = monotonic,
) -> None:
    """Set up all logging of the process; the last call counts.

    `level` is "debug", "info", "warning" or "error"; KeyError for others. `stream` is standard
    error where it is None: standard output belongs to results. `clock`: seconds, by which lines of
    libraries are held back.
    """
    threshold = LEVELS[level]
    target = sys.stderr if stream is None else stream
    output = _Output(target)
    shared = _shared_processors()
    last = _last_processors(log_format, colours=target.isatty())
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda name="": _NamedLogger(output, name),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[shortened, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = _Handler(output, formatter, clock)
    logging.basicConfig(level=threshold, handlers=[handler], force=True)
    logging.captureWarnings(True)


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _last_processors(log_format: str, *, colours: bool) -> list[Processor]:
    if log_format == "console":
        traceback = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
