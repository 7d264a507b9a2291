"""Header blocks: HPACK (RFC 7541) to fields.

Rules
- A block that neither refers to the dynamic table nor changes it means the same whatever the table
  holds. It is decoded here, field by field; fields that were seen before are looked up.
- Every other block goes through the `hpack` library, which keeps the table. A peer that sends
  several is asked to use no table (SETTINGS_HEADER_TABLE_SIZE = 0). Not before: nothing is gained
  where no table is used, and until then a peer may resize its table as the protocol allows.
- Once the peer has acknowledged that and its encoder has shrunk its table to nothing, the table can
  never hold anything again: from then on every block is of the first kind, and a literal "with
  indexing" is a literal. A peer that acknowledges and goes on using its table is served, but may
  not resize it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import hpack
from hpack.table import HeaderTable

from sidecar.front.errors import ConnectionFault, ErrorCode, HeaderListTooLarge
from sidecar.front.machine import huffman
from sidecar.front.machine.fields import TIMEOUT, HeaderField, field_of

_STATIC: Final = tuple(field_of(name, value) for name, value in HeaderTable.STATIC_TABLE)
_STATIC_MAX: Final = len(_STATIC)
_FIELD_OVERHEAD_BYTES: Final = 32
_KNOWN_MAX: Final = 32
_KNOWN_BYTES_MAX: Final = 128
_SIZE_UPDATES_MAX: Final = 2  # RFC 7541, 4.2: the smallest and the last
_INTEGER_MAX: Final = 2**28


Span: TypeAlias = tuple[int, int]


class HpackReader:
    """Reads the header blocks of one connection.

    independent: the last block was of the first kind. spans: where such a block spells the fields'
    values, from the length to the end; None for an indexed field.
    """

    __slots__ = (
        "_acknowledged",
        "_decoder",
        "_list_bytes_max",
        "_stateless",
        "independent",
        "known",
        "spans",
    )

    def __init__(self, list_bytes_max: int) -> None:
        self.spans: list[Span | None] = []
        self.independent = False
        self._list_bytes_max = list_bytes_max
        self.known: dict[bytes, HeaderField] = {}  # by representation
        self._decoder: hpack.Decoder | None = None  # made when a block needs it
        self._acknowledged = False
        self._stateless = False

    def acknowledged(self) -> None:
        """The peer knows that it must not use a table."""
        self._acknowledged = True
        if self._decoder is not None and self._decoder.header_table_size == 0:
            self._stateless, self._decoder = True, None

    def read(self, block: bytes) -> list[HeaderField]:
        """The fields of a block, in order.

        Raises ConnectionFault where it cannot be decoded, and HeaderListTooLarge.
        """
        try:
            fields = self._read_here(block)
        except (IndexError, hpack.HPACKError) as error:
            raise _undecodable(str(error) or "cut short") from error
        self.independent = fields is not None
        return self._read_with_table(block) if fields is None else fields

    def _read_here(self, block: bytes) -> list[HeaderField] | None:
        """Decode without a table; None where that does not do."""
        fields: list[HeaderField] = []
        spans = self.spans = []
        room = self._list_bytes_max
        at, end = self._size_updates(block), len(block)
        if at and not self._stateless:
            return None
        while at < end:
            first = block[at]
            if first & 0x80:
                field, span = self._static(first & 0x7F), None
                at += 1
            else:
                field, span = self._literal(block, at, first)
                at = span[1]
            if field is None:
                return None
            fields.append(field)
            spans.append(span)
            room -= len(field.name) + len(field.value) + _FIELD_OVERHEAD_BYTES
            if room < 0:
                if not self._stateless:
                    return None  # what follows may change the table
                raise HeaderListTooLarge
        return fields

    def _static(self, index: int) -> HeaderField | None:
        """An indexed field; None if it is one of the dynamic table."""
        if 0 < index <= _STATIC_MAX:
            return _STATIC[index - 1]
        if index and not self._stateless:
            return None
        raise _undecodable("no field has that index")

    def _literal(self, block: bytes, start: int, first: int) -> tuple[HeaderField | None, Span]:
        """A literal field and where its value is; None if it is about the dynamic table."""
        if first & 0x40:
            if not self._stateless:
                return None, (start, start)
            index, at = _integer(block, start, 0x3F)
        elif first & 0x20:
            raise _undecodable("table size update after a field")
        else:
            index, at = _integer(block, start, 0x0F)
        if index > _STATIC_MAX:
            return self._static(index), (start, start)
        value_at = at if index else _string_end(block, at)
        at = _string_end(block, value_at)
        if at > len(block):
            raise _undecodable("cut short")
        representation = block[start:at]
        field = self.known.get(representation)
        if field is None:
            field = self._decode(representation, index)
        return field, (value_at, at)

    def _size_updates(self, block: bytes) -> int:
        """Check the table size updates that the block begins with; where they end."""
        at = 0
        for _ in range(_SIZE_UPDATES_MAX + 1):
            if at == len(block) or block[at] & 0xE0 != 0x20:
                return at
            size, at = _integer(block, at, 0x1F)
            if size and self._acknowledged:
                raise _undecodable("table size update beyond the setting")
        raise _undecodable("too many table size updates")

    def _decode(self, representation: bytes, index: int) -> HeaderField:
        """Decode one literal field."""
        at = _integer(representation, 0, 0x3F if representation[0] & 0x40 else 0x0F)[1]
        if index:
            name = _STATIC[index - 1].name
        else:
            name, at = _string(representation, at)
        field = field_of(name, _string(representation, at)[0])
        if len(representation) <= _KNOWN_BYTES_MAX and field.role != TIMEOUT:
            if len(self.known) >= _KNOWN_MAX:
                self.known.clear()
            self.known[representation] = field
        return field

    def _read_with_table(self, block: bytes) -> list[HeaderField]:
        if self._decoder is None:
            self._decoder = hpack.Decoder(self._list_bytes_max)
        try:
            pairs = self._decoder.decode(block, raw=True)
        except hpack.OversizedHeaderListError as error:
            raise ConnectionFault(
                ErrorCode.ENHANCE_YOUR_CALM, "header list too large", "header_list"
            ) from error
        except hpack.HPACKError as error:
            raise _undecodable(str(error)) from error
        if self._acknowledged and self._decoder.header_table_size == 0:
            self._stateless, self._decoder = True, None
        return [field_of(bytes(name), bytes(value)) for name, value in pairs]


def list_bytes(fields: Iterable[HeaderField]) -> int:
    """The size of fields as RFC 9113, 6.5.2 counts it."""
    return sum(len(field.name) + len(field.value) + _FIELD_OVERHEAD_BYTES for field in fields)


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """The string literal at a position, decoded, and where it ends."""
    length, start = _integer(data, at, 0x7F)
    raw = data[start : start + length]
    return huffman.decode(raw) if data[at] & 0x80 else raw, start + length


def _string_end(block: bytes, at: int) -> int:
    length = block[at] & 0x7F
    if length < 0x7F:
        return at + 1 + length
    length, at = _integer(block, at, 0x7F)
    return at + length


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """The integer whose prefix is in block[at] (RFC 7541, 5.1), and the position after it."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    for shift in (0, 7, 14, 21):
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _undecodable(f"integer beyond {_INTEGER_MAX}")


def _undecodable(reason: str) -> ConnectionFault:
    return ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"header block: {reason}")
