"""The libraries' own log lines, bounded: what peers send must not fill the log.

grpcio writes a line for each header value that is no UTF-8, with all of the value. Of each kind one
line a minute is written, and it says how many were held back since the last one.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Final

from structlog.typing import EventDict

_SECONDS: Final = 60.0
"""From one line of a kind to the next."""
_KINDS_MAX: Final = 200
"""Kinds that are told apart; all others are one kind."""
_OTHERS: Final = "others"
_TEXT_CHARS_MAX: Final = 500
_TRACEBACK_CHARS_MAX: Final = 4_000
_OURS: Final = "asyncio"
"""The logger of mistakes in what the event loop runs: those are ours, so it says where."""
_WARNINGS: Final = "py.warnings"


class _Kind:
    """next_at: when its next line may be written, by the clock. held_back: lines since the last."""

    __slots__ = ("held_back", "next_at")

    def __init__(self) -> None:
        self.next_at = float("-inf")
        self.held_back = 0


class LibraryLines:
    """Which records of standard `logging` are written. For one thread at a time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kinds: dict[Hashable, _Kind] = {}

    def held_back(self, record: logging.LogRecord) -> int | None:
        """How many lines of its kind were held back before it; None: it is one of them."""
        key = _kind_of(record)
        if key not in self._kinds and len(self._kinds) >= _KINDS_MAX:
            key = _OTHERS
        kind = self._kinds.setdefault(key, _Kind())
        now = self._clock()
        if now < kind.next_at:
            kind.held_back += 1
            return None
        kind.next_at = now + _SECONDS
        held_back, kind.held_back = kind.held_back, 0
        return held_back


def shortened(_logger: object, _name: str, event: EventDict) -> EventDict:
    """A processor for the libraries' records: bounds the text, says what was raised in a line."""
    record: logging.LogRecord = event["_record"]
    event["event"] = _short(event["event"])
    if record.held_back:  # type: ignore[attr-defined]
        event["held_back"] = record.held_back  # type: ignore[attr-defined]
    event.pop("stack_info", None)
    raised = event.pop("exc_info", None)
    if not raised or raised[1] is None:
        return event
    if record.name == _OURS:
        text = "".join(traceback.format_exception(*raised)).rstrip()
        event["exception"] = text[-_TRACEBACK_CHARS_MAX:]
    else:
        event["error"] = _short("".join(traceback.format_exception_only(raised[1])).rstrip())
    return event


def _short(text: str) -> str:
    if len(text) <= _TEXT_CHARS_MAX:
        return text
    return f"{text[:_TEXT_CHARS_MAX]}... ({len(text)} characters)"


def _kind_of(record: logging.LogRecord) -> Hashable:
    """What lines of a kind have in common: nothing that a peer can vary, but places in code."""
    if record.name == _WARNINGS:  # begins with its place
        what: object = record.getMessage().partition(" ")[0]
    elif record.args and isinstance(record.msg, str):
        what = record.msg
    else:
        what = record.pathname, record.lineno
    error_type, _, trace = record.exc_info or (None, None, None)
    return record.name, record.levelno, what, error_type, _innermost(trace)


def _innermost(trace: TracebackType | None) -> Hashable:
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno
