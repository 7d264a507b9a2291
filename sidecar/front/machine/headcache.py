"""Request heads by header block: what was read once is found again.

Clients send the same block for every call of a method, but for the values of a field or two: a
timeout, the ids of a trace. Two ways around reading it anew, both exact for blocks that depend on
no table (see hpackreader.py):

- Equal blocks mean equal heads.
- A block is decoded from left to right, and a string's length says where it ends. So a block that
  equals a known one but for the strings at certain places means the same but for those values.
  Which places vary is learned by comparing blocks whose fields have equal names.

Both are kept for each connection: nobody can push out what others use.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from hpack import HPACKError

from sidecar.front.bounds import Bounds
from sidecar.front.machine import huffman
from sidecar.front.machine.fields import CUSTOM, TIMEOUT, Field, is_sound
from sidecar.front.machine.heads import Head, timeout_seconds
from sidecar.front.machine.hpackreader import HpackReader, Span, list_bytes
from sidecar.front.methods import Method

_KNOWN_MAX: Final = 8
_TEMPLATES_MAX: Final = 4
_SAMPLES_MAX: Final = 4
_HOLES_MAX: Final = 4
_BLOCK_BYTES_MAX: Final = 1024
_LONG: Final = 0x7F
"""Strings as long as this have longer lengths: they are no holes."""


class _Sample(NamedTuple):
    """A block that was read: what later ones are compared with."""

    block: bytes
    fields: Sequence[Field]
    spans: Sequence[Span | None]


class _Template(NamedTuple):
    """A block but for some values. `parts` are its bytes around the holes between them.

    holes: for each the position of its field in the head's custom metadata; _TIMEOUT_HOLE for the
    timeout's. room: bytes that the header list may grow by.
    """

    parts: Sequence[bytes]
    holes: Sequence[int]
    room: int
    head: Head


_TIMEOUT_HOLE: Final = -1


class HeadCache:
    """The heads of one connection.

    known: heads by whole block, for blocks that do not vary; for the usual path to look into.
    """

    __slots__ = ("_list_bytes_max", "_methods", "_samples", "_templates", "known", "reader")

    def __init__(self, methods: Mapping[bytes, Method], bounds: Bounds) -> None:
        self.reader = HpackReader(bounds.header_list_bytes_max)
        self.known: dict[bytes, Head] = {}
        self._list_bytes_max = bounds.header_list_bytes_max
        self._methods = methods
        self._templates: list[_Template] = []
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES_MAX)

    def match(self, block: bytes) -> tuple[Head, float] | None:
        """The head of a block that is known but for some values, and its timeout in seconds."""
        for template in self._templates:
            values = _values(template, block)
            if values is not None:
                return _filled(template, values)
        return None

    def read(self, block: bytes) -> Head:
        """Decode a block, and keep what may be found again.

        Raises ConnectionFault for what cannot be decoded, HeaderListTooLarge, and StreamFault for a
        malformed request.
        """
        reader = self.reader
        fields = reader.read(block)
        head = Head(fields, self._methods)
        sound = head.timeout_seconds >= 0  # the refusal of a malformed one is no head for others
        if sound and reader.independent and len(block) <= _BLOCK_BYTES_MAX:
            self._learn(_Sample(block, fields, reader.spans), head)
        return head

    def _learn(self, sample: _Sample, head: Head) -> None:
        """Keep a head under its block, or under the part of it that does not vary."""
        holes = {at for at, field in enumerate(sample.fields) if field.role == TIMEOUT}
        for other in self._samples:
            holes |= _differences(sample, other)
        self._samples.append(sample)
        template = self._template(sample, sorted(holes), head) if holes else None
        if template is not None:
            self._templates.insert(0, template)
            del self._templates[_TEMPLATES_MAX:]
            return
        if len(self.known) >= _KNOWN_MAX:
            self.known.clear()
        self.known[sample.block] = head

    def _template(self, sample: _Sample, places: Sequence[int], head: Head) -> _Template | None:
        """What is left of a block without the values of some fields.

        None where there are many, or one is not spelt as a short string.
        """
        if len(places) > _HOLES_MAX:
            return None
        fields, block, at = sample.fields, sample.block, 0
        parts, holes = [], []
        room = self._list_bytes_max - list_bytes(fields)
        for place in places:
            span = sample.spans[place]
            if span is None or block[span[0]] & _LONG == _LONG:
                return None
            parts.append(block[at : span[0]])
            at = span[1]
            room += len(fields[place].value)
            before = sum(field.role == CUSTOM for field in fields[:place])
            holes.append(_TIMEOUT_HOLE if fields[place].role == TIMEOUT else before)
        parts.append(block[at:])
        return _Template(parts, holes, room, head)


def _differences(sample: _Sample, other: _Sample) -> set[int]:
    """Which values differ, if the fields have equal names and all that differ may vary."""
    if len(sample.fields) != len(other.fields):
        return set()
    found = set()
    for at, (one, two) in enumerate(zip(sample.fields, other.fields, strict=True)):
        if one.name != two.name:
            return set()
        if one.value != two.value:
            if one.role not in (CUSTOM, TIMEOUT):
                return set()
            found.add(at)
    return found


def _values(template: _Template, block: bytes) -> list[bytes] | None:
    """The values in a block's holes; None where it does not fit the template."""
    values: list[bytes] = []
    parts = template.parts
    at, size = 0, len(block)
    for _, part in zip(template.holes, parts, strict=False):
        if not block.startswith(part, at):
            return None
        at += len(part)
        if at >= size:
            return None
        length = block[at] & _LONG
        end = at + 1 + length
        if length == _LONG or end > size:
            return None
        if block[at] & 0x80:
            try:
                values.append(huffman.decode(block[at + 1 : end]))
            except HPACKError:
                return None
        else:
            values.append(block[at + 1 : end])
        at = end
    return values if block[at:] == parts[-1] else None


def _filled(template: _Template, values: Sequence[bytes]) -> tuple[Head, float] | None:
    """The template's head with these values; None where one must be looked at more closely."""
    head = template.head
    seconds = 0.0
    custom: list[tuple[bytes, bytes]] | None = None
    room = template.room
    for hole, value in zip(template.holes, values, strict=True):
        room -= len(value)
        if hole == _TIMEOUT_HOLE:
            seconds = timeout_seconds(value)
            if seconds < 0:
                return None
        elif is_sound(value):
            custom = custom or list(head.custom)
            custom[hole] = custom[hole][0], value
        else:
            return None
    if room < 0:
        return None
    return head if custom is None else head.with_custom(tuple(custom)), seconds
