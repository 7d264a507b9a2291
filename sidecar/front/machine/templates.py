"""Header blocks but for some values, which differ from call to call (see headcache.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from hpack import HPACKError

from sidecar.front.machine import huffman
from sidecar.front.machine.fields import CUSTOM, TIMEOUT, HeaderField, is_sound
from sidecar.front.machine.heads import RequestHead, timeout_seconds
from sidecar.front.machine.hpackreader import Span

_HOLES_MAX: Final = 4
_LONG: Final = 0x7F
"""Strings as long as this have longer lengths: they are no holes."""
_CODED: Final = 0x80
_TIMEOUT_HOLE: Final = -1


class Sample(NamedTuple):
    """A block that was read. spans: where the values of its fields are, with their lengths."""

    block: bytes
    fields: Sequence[HeaderField]
    spans: Sequence[Span | None]


class Template(Protocol):
    """What is left of a block without some values."""

    def match(self, block: bytes) -> tuple[RequestHead, float] | None:
        """The head of a block that fits, and its timeout in seconds (0.0: none)."""
        ...


def template_of(
    sample: Sample, places: Sequence[int], head: RequestHead, room: int
) -> Template | None:
    """A block without the values of the fields at some places.

    room: bytes that its header list may grow by. None where there are many values, or one is not
    spelt as a short string.
    """
    if len(places) > _HOLES_MAX:
        return None
    fields, block, at = sample.fields, sample.block, 0
    parts, holes = [], []
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
    if holes == [_TIMEOUT_HOLE]:
        return _Timed(parts[0], parts[1], room, head)
    return _Varied(parts, holes, room, head)


class _Timed:
    """A block without its timeout: the usual case, and so the one to be quick about."""

    __slots__ = ("_at", "_head", "_prefix", "_rest", "_room", "_suffix")

    def __init__(self, prefix: bytes, suffix: bytes, room: int, head: RequestHead) -> None:
        self._prefix = prefix
        self._suffix = suffix
        self._at = len(prefix)
        self._rest = len(prefix) + 1 + len(suffix)
        self._room = room
        self._head = head

    def match(self, block: bytes) -> tuple[RequestHead, float] | None:
        length = len(block) - self._rest
        at = self._at
        if (
            not 0 <= length < _LONG
            or block[at] & _LONG != length
            or not block.startswith(self._prefix)
            or not block.endswith(self._suffix)
        ):
            return None
        value = block[at + 1 : at + 1 + length]
        if block[at] & _CODED:
            try:
                value = huffman.decode(value)
            except HPACKError:
                return None
        seconds = timeout_seconds(value)
        return (self._head, seconds) if seconds > 0 and len(value) <= self._room else None


class _Varied:
    """A block without several values.

    parts: its bytes around the holes. holes: for each the position of its field in the head's
    custom metadata, or _TIMEOUT_HOLE.
    """

    __slots__ = ("_head", "_holes", "_parts", "_room")

    def __init__(
        self, parts: Sequence[bytes], holes: Sequence[int], room: int, head: RequestHead
    ) -> None:
        self._parts = parts
        self._holes = holes
        self._room = room
        self._head = head

    def match(self, block: bytes) -> tuple[RequestHead, float] | None:
        values = self._values(block)
        return None if values is None else self._filled(values)

    def _values(self, block: bytes) -> list[bytes] | None:
        """What stands in a block's holes; None where it does not fit."""
        values: list[bytes] = []
        parts = self._parts
        at, size = 0, len(block)
        for part in parts[:-1]:
            if not block.startswith(part, at):
                return None
            at += len(part)
            if at >= size:
                return None
            end = at + 1 + (block[at] & _LONG)
            if block[at] & _LONG == _LONG or end > size:
                return None
            value = block[at + 1 : end]
            if block[at] & _CODED:
                try:
                    value = huffman.decode(value)
                except HPACKError:
                    return None
            values.append(value)
            at = end
        return values if block[at:] == parts[-1] else None

    def _filled(self, values: Sequence[bytes]) -> tuple[RequestHead, float] | None:
        """The head with these values; None where one must be looked at more closely."""
        seconds, room = 0.0, self._room
        custom = list(self._head.custom)
        for hole, value in zip(self._holes, values, strict=True):
            room -= len(value)
            if hole == _TIMEOUT_HOLE:
                seconds = timeout_seconds(value)
                if seconds < 0:
                    return None
            elif is_sound(value):
                custom[hole] = custom[hole][0], value
            else:
                return None
        return (self._head.with_custom(tuple(custom)), seconds) if room >= 0 else None
