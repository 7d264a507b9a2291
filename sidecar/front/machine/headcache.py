"""Request heads by header block: what was read once is found again.

Clients send the same block for every call of a method, but for a field or two. Two ways around
reading it anew, both exact for blocks that depend on no table (see hpackreader.py):

- Equal blocks mean equal heads.
- A block is decoded from left to right. So one that begins with the same bytes as a known block up
  to and including the name grpc-timeout, goes on with one string, whatever it says, and ends with
  the same bytes as the known one, means the same but for that timeout.

Both are kept for each connection: nobody can push out what others use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from hpack import HPACKError

from sidecar.front.bounds import Bounds
from sidecar.front.machine.heads import Head, timeout_seconds
from sidecar.front.machine.hpackreader import HpackReader, read_string
from sidecar.front.methods import Method

_KNOWN_MAX: Final = 16
_TEMPLATES_MAX: Final = 8
_BLOCK_BYTES_MAX: Final = 1024


class _Template(NamedTuple):
    """A block but for the value of grpc-timeout."""

    prefix: bytes
    suffix: bytes
    head: Head


class HeadCache:
    """The heads of one connection.

    `known`: heads by whole block, for blocks without a timeout; for the fast path to look into.
    """

    __slots__ = ("_methods", "_templates", "known", "reader")

    def __init__(self, methods: Mapping[bytes, Method], bounds: Bounds) -> None:
        self.reader = HpackReader(bounds.header_list_bytes_max)
        self.known: dict[bytes, Head] = {}
        self._methods = methods
        self._templates: list[_Template] = []

    def match(self, block: bytes) -> tuple[Head, float] | None:
        """The head of a block that is known but for its timeout, and that in seconds."""
        for template in self._templates:
            if block.startswith(template.prefix) and block.endswith(template.suffix):
                seconds = _timeout_between(block, template)
                if seconds > 0:
                    return template.head, seconds
        return None

    def read(self, block: bytes) -> Head:
        """Decode a block, and keep what may be found again.

        Raises ConnectionFault for what cannot be decoded, HeaderListTooLarge, and StreamFault for a
        malformed request.
        """
        reader = self.reader
        head = Head(reader.read(block), self._methods)
        if reader.independent and len(block) <= _BLOCK_BYTES_MAX:
            if reader.timeout_span is None:
                if len(self.known) >= _KNOWN_MAX:
                    self.known.clear()
                self.known[block] = head
            else:
                start, end = reader.timeout_span
                self._templates.insert(0, _Template(block[:start], block[end:], head))
                del self._templates[_TEMPLATES_MAX:]
        return head


def _timeout_between(block: bytes, template: _Template) -> float:
    """Seconds, where exactly one string stands between prefix and suffix; otherwise -1.0."""
    start = len(template.prefix)
    end = len(block) - len(template.suffix)
    if end <= start or block[start] & 0x7F != end - start - 1:
        return -1.0
    if block[start] & 0x80:
        try:
            return timeout_seconds(read_string(block, start)[0])
        except HPACKError:
            return -1.0
    return timeout_seconds(block[start + 1 : end])
