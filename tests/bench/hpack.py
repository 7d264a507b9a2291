"""HPACK (RFC 7541) without tables: a request's header block, and the status in its trailers."""

from __future__ import annotations

from typing import Final


class ProtocolError(Exception):
    """The peer broke HTTP/2, ended the connection, or does what this client does not support."""


def _literal(name: bytes | int, value: bytes) -> bytes:
    """A field without indexing; a name in the static table is given by its index there."""
    if isinstance(name, int):
        start = bytes([name]) if name < 15 else bytes([15, name - 15])
    else:
        start = bytes([0, len(name)]) + name
    if len(value) > 126:
        raise ValueError(f"header value of {len(value)} bytes, allowed are 126")
    return start + bytes([len(value)]) + value


def request_block(method: str, authority: str) -> bytes:
    """The header block of every call of `method` ("/package.Service/Method")."""
    return b"".join(
        (
            b"\x20\x83\x86",  # no dynamic table, :method POST, :scheme http
            _literal(4, method.encode()),  # :path
            _literal(1, authority.encode()),  # :authority
            _literal(b"te", b"trailers"),
            _literal(31, b"application/grpc"),  # content-type
            _literal(58, b"tallyd-h2driver"),  # user-agent
        )
    )


# The part of HPACK's Huffman code (RFC 7541, appendix B) that can spell a gRPC status.
_HUFFMAN: Final = {
    "0": "00000", "1": "00001", "2": "00010", "3": "011001", "4": "011010", "5": "011011",
    "6": "011100", "7": "011101", "8": "011110", "9": "011111", "-": "010110", "a": "00011",
    "c": "00100", "g": "100110", "p": "101011", "r": "101100", "s": "01000", "t": "01001",
    "u": "101101",
}  # fmt: skip


def huffman(text: str) -> bytes:
    """Huffman-coded `text`, of the characters in "grpc-status" and the digits."""
    bits = "".join(_HUFFMAN[character] for character in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


# Both spellings, so that comparing bytes replaces a Huffman decoder.
_STATUS_NAMES: Final = (b"grpc-status", huffman("grpc-status"))
_STATUS_CODES: Final = {
    spelling: code for code in range(17) for spelling in (b"%d" % code, huffman(str(code)))
}


def _integer(block: bytes, at: int, prefix_bits: int) -> tuple[int, int]:
    """HPACK integer whose prefix is in block[at]; returns it and the position after it."""
    prefix_max = (1 << prefix_bits) - 1
    value = block[at] & prefix_max
    if value < prefix_max:
        return value, at + 1
    for shift in (0, 7, 14):
        at += 1
        value += (block[at] & 0x7F) << shift
        if block[at] < 0x80:
            return value, at + 1
    raise ProtocolError("HPACK integer of more than four bytes")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """HPACK string as it is spelt (perhaps in Huffman code) and the position after it."""
    length, at = _integer(block, at, 7)
    if at + length > len(block):
        raise ProtocolError("HPACK string beyond its block")
    return block[at : at + length], at + length


def _static(index: int) -> None:
    if not 1 <= index <= 61:
        raise ProtocolError(f"HPACK index {index} is not in the static table")


def trailers_status(block: bytes) -> tuple[int | None, str]:
    """The gRPC status in a header block (None: it has no valid one) and a readable message.

    The message is empty where the server sent none or spelt it in Huffman code.
    Raises ProtocolError for a malformed block and for the dynamic table, which we have forbidden.
    """
    status: int | None = None
    message = ""
    at = 0
    try:
        while at < len(block):
            first = block[at]
            if first >= 0x80:  # an indexed field; grpc-status is not in the static table
                index, at = _integer(block, at, 7)
                _static(index)
                continue
            if first & 0x60 == 0x20:
                size, at = _integer(block, at, 5)
                if size:
                    raise ProtocolError(f"HPACK table of {size} bytes, allowed are 0")
                continue
            index, at = _integer(block, at, 6 if first & 0x40 else 4)
            name = b""
            if index:
                _static(index)
            else:
                name, at = _string(block, at)
            value, at = _string(block, at)
            if name in _STATUS_NAMES:
                status = _STATUS_CODES.get(value)
            elif name == b"grpc-message":
                message = value.decode("ascii", "replace")
    except IndexError:
        raise ProtocolError("HPACK block cut short") from None
    return status, message
