"""Fields of a tree as values.

What the shape check refuses is cut out of the tree first, so that all other problems can still be
told. Hence nothing here minds if a field that must be there is missing.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from sidecar.shared.catalog_file.problems import Finding, Path
from sidecar.shared.catalog_file.yaml_tree import Listing, Node, Scalar, Table
from sidecar.shared.durations import duration_of_text
from sidecar.shared.instants import instant_of_text

UNLIMITED: Final = "unlimited"

_SIGNED: Final = re.compile(r"\+[0-9]+")
_WINDOW: Final = re.compile(r"(?:(\d+) )?([a-z]+?)s?")
_D = TypeVar("_D", int, None)


def entry_of(node: Node, name: str) -> Node | None:
    """Return the entry of a mapping with this key; `None` where there is none."""
    return node.entries.get(name) if isinstance(node, Table) else None


def table_of(node: Node, name: str) -> dict[str, Node]:
    """Return the entries of a mapping; none where it is missing or empty."""
    entry = entry_of(node, name)
    return entry.entries if isinstance(entry, Table) else {}


def items_of(node: Node, name: str) -> list[Node] | None:
    """Return the items of a list; `None` where it is missing."""
    entry = entry_of(node, name)
    return entry.items if isinstance(entry, Listing) else None


def own_text(node: Node | None) -> str:
    """Return a text as written; empty for what is none."""
    return node.text if isinstance(node, Scalar) else ""


def text_of(node: Node, name: str, default: str = "") -> str:
    """Return the text of a field as written."""
    entry = entry_of(node, name)
    return entry.text if isinstance(entry, Scalar) else default


def flag_of(node: Node, name: str) -> bool:
    """Return whether a field is true."""
    entry = entry_of(node, name)
    return isinstance(entry, Scalar) and entry.value() is True


def own_integer(node: Node | None) -> int | None:
    """Return a whole number, such as `1000` or `1_000`; `None` for what is none."""
    if not isinstance(node, Scalar):
        return None
    if "_" in node.text or _SIGNED.fullmatch(node.text):
        return int(node.text.replace("_", ""))
    value = node.value()
    return value if isinstance(value, int) else None


def integer_of(node: Node, name: str, default: _D) -> int | _D:
    """Return the whole number in a field."""
    number = own_integer(entry_of(node, name))
    return default if number is None else number


def plan_that_follows(node: Node, name: str) -> str:
    """Return the plan of a field such as `then: {plan: free}`; empty for what names none."""
    entry = entry_of(node, name)
    return "" if entry is None else text_of(entry, "plan")


class Fields:
    """Reads fields whose texts have a meaning. `findings` grows with what is wrong with it.

    `time_zone`: of the company whose fields are read; a date is its midnight there.
    """

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.time_zone = "UTC"

    def note(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Report a problem."""
        self.findings.append(Finding(path, message, at_key))

    def instant(self, path: Path, node: Node, name: str, default: _D) -> int | _D:
        """Read an instant; the default where there is none, or where it is wrong."""
        entry = entry_of(node, name)
        if entry is None:
            return default
        try:
            return instant_of_text(own_text(entry), self.time_zone)
        except ValueError as error:
            self.note((*path, name), str(error))
            return default

    def duration(self, path: Path, node: Node, name: str, default: _D) -> int | _D:
        """Read a length of time in microseconds, in the same way."""
        entry = entry_of(node, name)
        if entry is None:
            return default
        try:
            return duration_of_text(own_text(entry))
        except ValueError as error:
            self.note((*path, name), str(error))
            return default

    def window(
        self, path: Path, node: Node, name: str, alignment: Alignment, first_weekday: int = 0
    ) -> WindowSpec | None:
        """Read a window, such as `3 months`; `None` where there is none, or where it is wrong."""
        entry = entry_of(node, name)
        if isinstance(entry, Table):
            interval, unit = integer_of(entry, "interval", 1), text_of(entry, "unit")
        else:
            found = _WINDOW.fullmatch(own_text(entry))
            interval, unit = (int(found[1] or 1), found[2]) if found else (1, "")
        if not unit:
            return None
        try:
            return WindowSpec(WindowUnit[unit.upper()], interval, alignment, first_weekday)
        except ValueError as error:
            self.note((*path, name), str(error))
            return None
