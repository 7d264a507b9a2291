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
from collections.abc import Mapping
from typing import Final

from sidecar.front.bounds import Bounds
from sidecar.front.machine.fields import CUSTOM, TIMEOUT
from sidecar.front.machine.heads import RequestHead
from sidecar.front.machine.hpackreader import HpackReader, list_bytes
from sidecar.front.machine.templates import Sample, Template, template_of
from sidecar.front.methods import Method

_KNOWN_MAX: Final = 8
_TEMPLATES_MAX: Final = 4
_SAMPLES_MAX: Final = 4
_BLOCK_BYTES_MAX: Final = 1024


class HeadCache:
    """The heads of one connection.

    known: heads by whole block, for blocks that do not vary; for the usual path to look into.
    """

    __slots__ = ("_list_bytes_max", "_methods", "_samples", "_templates", "known", "reader")

    def __init__(self, methods: Mapping[bytes, Method], bounds: Bounds) -> None:
        self.reader = HpackReader(bounds.header_list_bytes_max)
        self.known: dict[bytes, RequestHead] = {}
        self._list_bytes_max = bounds.header_list_bytes_max
        self._methods = methods
        self._templates: list[Template] = []
        self._samples: deque[Sample] = deque(maxlen=_SAMPLES_MAX)

    def match(self, block: bytes) -> tuple[RequestHead, float] | None:
        """The head of a block that is known but for some values, and its timeout in seconds."""
        for template in self._templates:
            found = template.match(block)
            if found is not None:
                return found
        return None

    def read(self, block: bytes) -> RequestHead:
        """Decode a block, and keep what may be found again.

        Raises ConnectionFault for what cannot be decoded, HeaderListTooLarge, and StreamFault for a
        malformed request.
        """
        reader = self.reader
        fields = reader.read(block)
        head = RequestHead(fields, self._methods)
        sound = head.timeout_seconds >= 0  # the refusal of a malformed one is no head for others
        if sound and reader.independent and len(block) <= _BLOCK_BYTES_MAX:
            self._learn(Sample(block, fields, reader.spans), head)
        return head

    def _learn(self, sample: Sample, head: RequestHead) -> None:
        """Keep a head under its block, or under the part of it that does not vary."""
        holes = {at for at, field in enumerate(sample.fields) if field.role == TIMEOUT}
        for other in self._samples:
            holes |= _differences(sample, other)
        self._samples.append(sample)
        room = self._list_bytes_max - list_bytes(sample.fields)
        template = template_of(sample, sorted(holes), head, room) if holes else None
        if template is not None:
            self._templates.insert(0, template)
            del self._templates[_TEMPLATES_MAX:]
            return
        if len(self.known) >= _KNOWN_MAX:
            self.known.clear()
        self.known[sample.block] = head


def _differences(sample: Sample, other: Sample) -> set[int]:
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
