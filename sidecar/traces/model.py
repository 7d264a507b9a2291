"""What a trace is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX, INT64_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.requests import (
    require_dimensions,
    require_metadata,
    require_quantity,
)
from sidecar.domain.text import KNOWN_NAMES, NEW_NAMES


class TraceError(Exception):
    """The file as a whole cannot be used."""


class LineError(Exception):
    """One line cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class TraceCheck:
    """One check of a trace. `quantity` is in the feature's unit.

    `event_us`: when it happened, in microseconds since the Unix epoch; `None` if the trace does
    not tell. `idempotency_key`: empty for none.
    """

    company: str
    feature: str
    quantity: int = 1
    event_us: int | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str = ""
    mode: GrantMode = GrantMode.ALL_OR_NOTHING


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One line and the checks that it stands for. Lines count from 1."""

    line: int
    checks: tuple[TraceCheck, ...]


@dataclass(frozen=True, slots=True)
class SkippedLine:
    """One line that could not be used, and why."""

    line: int
    problem: str


LineParser: TypeAlias = Callable[[bytes], tuple[TraceCheck, ...] | None]
"""Turns a line without its end into checks; `None` for a line that is no row, such as a header.

Raises `LineError` for a line that cannot be used and `TraceError` where no line could be. It may
keep state between lines, so each pass over a file takes a new one.
"""


def require_valid(check: TraceCheck) -> None:
    """Raise `LineError` unless a sidecar would take the check, event time aside.

    Looked at here, where the line is known, rather than left to the answer.
    """
    try:
        KNOWN_NAMES.require_identifier("company", check.company)
        KNOWN_NAMES.require_identifier("feature", check.feature)
        require_quantity("quantity", check.quantity)
        NEW_NAMES.require("idempotency_key", check.idempotency_key, IDENTIFIER_BYTES_MAX)
        require_dimensions("dimensions", check.dimensions)
        require_metadata("metadata", check.metadata)
    except InvalidInput as error:
        raise LineError(str(error)) from None
    if check.quantity > INT64_MAX:
        raise LineError(f"quantity: must be below 2^63, not {check.quantity}")
