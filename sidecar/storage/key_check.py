"""Counters that know their key.

Damage to a key makes it that of another counter: who searches by the right one finds none, as if
nothing had been counted, and nothing that is read is wrong. So a counter ends in a checksum of its
key. Counting leaves the end alone, and who walks over counters holds both together.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from sidecar.storage.damage import StoreDamaged, reads

KEYED: Final = 32
"""Added to the version of a counter that ends so; those of formats up to 8 do not."""
KEY_CHECK_BYTES: Final = 4


def key_check(key: bytes) -> bytes:
    """What a counter under a key ends in."""
    return crc32(key).to_bytes(KEY_CHECK_BYTES, "little")


def keyed(data: bytes, key: bytes) -> bytes:
    """Bytes of a counter, with its key's checksum."""
    return bytes([data[0] | KEYED]) + data[1:] + key_check(key)


@reads("a counter")
def require_key(key: bytes, data: bytes) -> None:
    """Raise `StoreDamaged` for a counter under another key than it was written.

    One of an earlier format is believed until it is written anew.
    """
    if data[0] & KEYED and not data.endswith(key_check(key)):
        raise StoreDamaged("damage in the store: a counter under another key than its own")
