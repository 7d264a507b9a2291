"""Entries of the outbox: their bytes, and whether they still are what was written.

An entry is a version byte, the bytes of all records up to here, the chain at the record, and the
record. The chain is over the records alone, so a record can be told to be whole although its own
entry's chain is not: then the one behind it says so. Nothing here raises for bytes that nobody
wrote: what is damaged is to be found, and must not be in the way of the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from hashlib import sha256
from typing import Final

_ENTRY: Final = struct.Struct("<BQ32s")
pack_entry: Final = _ENTRY.pack
"""What comes before the record in an entry: version, bytes of all records up to here, chain."""
ENTRY_VERSION: Final = 1
FIRST_CHAIN: Final = bytes(32)
"""The chain before the first record."""


def record_in(entry: bytes) -> bytes:
    """The record of an entry."""
    return entry[_ENTRY.size :]


def chain_in(entry: bytes) -> bytes:
    """The chain at an entry's record; zero bytes where the entry is too short for one."""
    if len(entry) < _ENTRY.size:
        return FIRST_CHAIN
    return entry[_ENTRY.size - len(FIRST_CHAIN) : _ENTRY.size]


def total_bytes_in(entry: bytes) -> int:
    """Bytes of all records of the incarnation up to this one, as the entry says."""
    return int(_ENTRY.unpack_from(entry)[1]) if len(entry) >= _ENTRY.size else 0


class ChainWalk:
    """Follows the chain from one entry to the next. `sequence` and `chain`: where it is.

    `is_record` says whether bytes are a record that the plane can read.
    """

    def __init__(self, sequence: int, chain: bytes, is_record: Callable[[bytes], bool]) -> None:
        self.sequence = sequence
        self.chain = chain
        self._is_record = is_record

    def follow(self, sequence: int, entry: bytes, behind: Callable[[], bytes | None]) -> bool:
        """Go on to the next entry; whether its record is the one that was written.

        `behind` gives the entry after it, if there is one. What follows a damaged entry is held
        against the chain that the damaged one has; what follows a missing one cannot be told whole.
        """
        before, has_gap = self.chain, sequence != self.sequence + 1
        self.sequence, self.chain = sequence, chain_in(entry)
        if has_gap or len(entry) < _ENTRY.size:
            return False
        record = record_in(entry)
        chain = sha256(before + record).digest()
        if chain != self.chain:
            follower = behind()
            if follower is None or _chained(chain, follower) != chain_in(follower):
                return False
            self.chain = chain
        return self._is_record(record)


def _chained(chain: bytes, entry: bytes) -> bytes:
    return sha256(chain + record_in(entry)).digest()
