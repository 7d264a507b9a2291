"""YAML text to a tree that remembers where everything stands.

PyYAML splits the text into events. What they mean is decided here, by the core schema of YAML 1.2:
`yes`, `on`, `12:30:00` and `2026-01-31` are texts, and keys are always texts. Anchors and aliases
work; tags, merge keys and several documents are refused, and so is a key that comes twice. Size,
depth and the number of nodes (aliases written out) are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NoReturn, TypeAlias

import yaml

from sidecar.shared.catalog_file.problems import FilePosition, FileProblem, Path, path_text

NODES_MAX: Final = 1_000_000
DEPTH_MAX: Final = 50

Plain: TypeAlias = "bool | int | Decimal | str | list[Plain] | dict[str, Plain] | None"

_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,1000}|0o[0-7]{1,1000}|0x[0-9a-fA-F]{1,1000}")
_FRACTION: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,9})?")
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_BASES: Final = {"0o": 8, "0x": 16}
_EVENTS_OF: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml where it is built in


@dataclass(slots=True)
class Scalar:
    """A text as written; `quoted` is also true of block texts."""

    at: FilePosition
    text: str
    quoted: bool
    size: int = 1

    def value(self) -> bool | int | Decimal | str | None:
        """Return what it means. Numbers with a fraction stay decimal, so that none is rounded."""
        text = self.text
        if self.quoted:
            return text
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if _INTEGER.fullmatch(text):
            return int(text, _BASES.get(text[:2], 10))
        return Decimal(text) if _FRACTION.fullmatch(text) else text


@dataclass(slots=True)
class Listing:
    """A sequence."""

    at: FilePosition
    items: list[Node] = field(default_factory=list)
    size: int = 1


@dataclass(slots=True)
class Table:
    """A mapping; `keys` tells where each key stands."""

    at: FilePosition
    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, FilePosition] = field(default_factory=dict)
    size: int = 1


Node: TypeAlias = "Scalar | Listing | Table"


class SourceError(Exception):
    """The text is no tree that could be looked at; `problems` say why."""

    def __init__(self, *problems: FileProblem) -> None:
        super().__init__(problems)
        self.problems = problems


def plain(node: Node) -> Plain:
    """Return a tree as Python values, positions left out."""
    if isinstance(node, Table):
        return {key: plain(entry) for key, entry in node.entries.items()}
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    return node.value()


def parse(text: str) -> tuple[Node, list[FileProblem]]:
    """Return the tree of one document, and the keys that come twice (the first one counts).

    Raises `SourceError` where there is no tree to return.
    """
    composer = _Composer()
    try:
        for event in _events(text):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        at = _position(error.problem_mark or error.context_mark)
        raise SourceError(FileProblem(at, "", f"not YAML: {_cause(error)}")) from None
    if composer.root is None:
        raise SourceError(FileProblem(FilePosition(1, 1), "", "is empty"))
    return composer.root, composer.problems


def _cause(error: yaml.MarkedYAMLError) -> str:
    """What YAML says, and for what people often do, what to do instead."""
    cause = str(error.problem or error.context)
    if "cannot start any token" in cause:
        cause += (
            "; lines are indented by spaces, not by tabs, and a text that begins with @, ` or % "
        )
        cause += "is quoted"
    elif "mapping values are not allowed" in cause:
        cause += "; does the line before lack a colon, or is one of the two not indented alike?"
    elif error.context_mark is not None and "did not find expected" in cause:
        cause += f"; {error.context} that begins in line {error.context_mark.line + 1}"
    return cause


def position_of(text: str, at: int) -> FilePosition:
    """Return the place of the character with this index."""
    start = text.rfind("\n", 0, at) + 1
    return FilePosition(text.count("\n", 0, at) + 1, at - start + 1)


def _position(mark: Any) -> FilePosition:
    return FilePosition(mark.line + 1, mark.column + 1) if mark is not None else FilePosition(1, 1)


def _events(text: str) -> Iterator[yaml.Event]:
    unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if unprintable:
        at = position_of(text, unprintable.start())
        message = f"the character U+{ord(unprintable.group()):04X} is not allowed in YAML"
        raise SourceError(FileProblem(at, "", message))
    return yaml.parse(text, Loader=_EVENTS_OF)


@dataclass(slots=True)
class _Open:
    """A sequence or mapping whose end has not come yet."""

    node: Listing | Table
    anchor: str | None
    path: Path
    key: str | None = None  # of a mapping: the one whose value comes next
    repeated: bool = False  # the value that comes next belongs to a repeated key


class _Composer:
    """Takes events, one after the other, and builds the tree: no recursion, so no depth to fear."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.problems: list[FileProblem] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._handlers: dict[type, Callable[..., None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.SequenceStartEvent: self._start,
            yaml.MappingStartEvent: self._start,
            yaml.SequenceEndEvent: self._end,
            yaml.MappingEndEvent: self._end,
            yaml.DocumentStartEvent: self._document,
        }

    def take(self, event: yaml.Event) -> None:
        """Take the next event."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event, _position(event.start_mark))

    def _document(self, _: yaml.DocumentStartEvent, at: FilePosition) -> None:
        if self.root is not None:
            self._refuse(at, "a second document; a file holds one")

    def _scalar(self, event: yaml.ScalarEvent, at: FilePosition) -> None:
        if event.tag is not None:
            self._refuse(at, f"tags such as {event.tag!r} are not supported")
        node = Scalar(at, event.value, quoted=bool(event.style))
        self._remember(event.anchor, node)
        if not self._take_key(node):
            self._place(node)
            self._finish(node, at)

    def _alias(self, event: yaml.AliasEvent, at: FilePosition) -> None:
        node = self._anchors.get(str(event.anchor))
        if node is None:
            self._refuse(at, f"*{event.anchor} has no complete anchor &{event.anchor} before it")
        elif not (isinstance(node, Scalar) and self._take_key(node)):
            self._place(node)
            self._finish(node, at)

    def _start(
        self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent, at: FilePosition
    ) -> None:
        if event.tag is not None:
            self._refuse(at, f"tags such as {event.tag!r} are not supported")
        if len(self._open) == DEPTH_MAX:
            self._refuse(at, f"nested deeper than {DEPTH_MAX} levels")
        node = Table(at) if isinstance(event, yaml.MappingStartEvent) else Listing(at)
        path = self._path()
        self._place(node)
        self._open.append(_Open(node, event.anchor, path))

    def _end(self, _: yaml.CollectionEndEvent, at: FilePosition) -> None:
        done = self._open.pop()
        self._remember(done.anchor, done.node)
        self._finish(done.node, at)

    def _take_key(self, node: Scalar) -> bool:
        """Take a scalar as the next key of the mapping that is open, if it wants one."""
        parent = self._open[-1] if self._open else None
        if parent is None or not isinstance(parent.node, Table) or parent.key is not None:
            return False
        key = node.text
        if key == "<<" and not node.quoted:
            self._refuse(node.at, "merge keys (<<) are not supported; use aliases as values")
        parent.key = key
        parent.repeated = key in parent.node.keys
        if parent.repeated:
            first = parent.node.keys[key].line
            self._note(node.at, f"is here twice; the first is in line {first}")
        else:
            parent.node.keys[key] = node.at
        parent.node.size += 1
        return True

    def _place(self, node: Node) -> None:
        """Hang a value into what is open."""
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node, Listing):
            parent.node.items.append(node)
        elif parent.key is None:
            self._refuse(node.at, "a key must be a text")
        elif not parent.repeated:
            parent.node.entries[parent.key] = node

    def _finish(self, node: Node, at: FilePosition) -> None:
        """Count a complete value on its parent, which can now take the next one."""
        if not self._open:
            return
        parent = self._open[-1]
        parent.key = None
        parent.node.size += node.size
        if parent.node.size > NODES_MAX:
            self._refuse(at, f"more than {NODES_MAX} values, with aliases written out")

    def _remember(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _path(self) -> Path:
        """Return the field that comes next."""
        if not self._open:
            return ()
        parent = self._open[-1]
        if isinstance(parent.node, Listing):
            return (*parent.path, len(parent.node.items))
        return parent.path if parent.key is None else (*parent.path, parent.key)

    def _note(self, at: FilePosition, message: str) -> None:
        self.problems.append(FileProblem(at, path_text(self._path()), message))

    def _refuse(self, at: FilePosition, message: str) -> NoReturn:
        raise SourceError(*self.problems, FileProblem(at, path_text(self._path()), message))
