"""Keys of the store. One ordered space; the first byte says what a key is for.

One space rather than several named databases, since each of those would add a root page and a
path of pages to every commit (measured: 16 % of an engine call).

| key                                                             | value             |
|-----------------------------------------------------------------|-------------------|
| `c` company NUL feature NUL slot-hash values-hash window-start   | counter           |
| `g` company NUL feature NUL slot-hash values-hash                | bucket of a rate  |
| `h` partition hash of company and idempotency key                | stored answer     |
| `i` the same hash: up to format 4                                | stored answer     |
| `l` incarnation, key of a counter without its first byte        | lease of it       |
| `m` name                                                         | facts of the store|
| `mname` incarnation                                              | its id            |
| `mtally` incarnation feature                                     | tally             |
| `n` company                                                      | that it is absent |
| `o` name that a company was renamed to                           | its first id      |
| `p` generation number                                            | part of a catalog |
| `q` number                                                       | damaged: set aside|
| `s` company                                                      | company snapshot  |
| `t` company                                                      | one to be taken   |
| `up` key of a counter without its first byte                     | how many seats    |
| `us` key of a counter without its first byte, holder             | seat              |
| `ut` company NUL feature NUL holder                              | seat, to be told  |
| `v` company NUL feature NUL item                                 | item of a level   |
| `x` instant, key of an item without its first byte               | that it is over   |
| `z` incarnation sequence                                         | outbox entry      |

Identifiers are printable, so NUL separates them. The outbox sorts last, which makes every new
entry an append.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from sidecar.storage.damage import reads

COUNTERS: Final = b"c"
BUCKETS: Final = b"g"
ANSWERS: Final = b"h"
UNPARTITIONED_ANSWERS: Final = b"i"
LEASES: Final = b"l"
META: Final = b"m"
ABSENT: Final = b"n"
COMPANY_NAMES: Final = b"o"
CATALOG_PARTS: Final = b"p"
QUARANTINE: Final = b"q"
SNAPSHOTS: Final = b"s"
STAGED: Final = b"t"
SEAT_POOLS: Final = b"up"
SEATS: Final = b"us"
UNTOLD_SEATS: Final = b"ut"
LEVEL_ITEMS: Final = b"v"
EXPIRIES: Final = b"x"
OUTBOX: Final = b"z"

META_FORMAT: Final = b"mformat"
META_INCARNATIONS: Final = b"mlineages"
META_CATALOG: Final = b"mcatalog"
META_POSITION: Final = b"mposition"
META_TALLY: Final = b"mtally"
META_CONTACT: Final = b"mcontact"
META_TIME: Final = b"mtime"
META_STAGED: Final = b"mstaged"
META_ANSWERS: Final = b"manswers"
META_PROBE: Final = b"mprobe"
META_NAME: Final = b"mname"
META_COVERAGE: Final = b"mcoverage"
META_QUARANTINE: Final = b"mquarantine"
META_RATE_SHARES: Final = b"mrateshares"
META_LEASE_TERMS: Final = b"mleaseterms"
META_LEASES: Final = b"mleases"
META_SEATS: Final = b"mseats"

_SLOT_BYTES: Final = 8
_VALUES_BYTES: Final = 16
_START = struct.Struct(">Q")
_ORDINAL = struct.Struct(">I")
_CATALOG_PART = struct.Struct(">cII")
_OUTBOX_KEY = struct.Struct(">cIQ")
pack_outbox_key: Final = _OUTBOX_KEY.pack
"""The key of an outbox entry: `OUTBOX`, incarnation, sequence."""


@lru_cache(maxsize=4096)
def _slot_hash(slot: str) -> bytes:
    return blake2b(slot.encode(), digest_size=_SLOT_BYTES).digest()


def counter_base(company: str, feature: str, slot: str, values: tuple[str, ...]) -> bytes:
    """Key of a counter, but for the start of its window."""
    key = _address(COUNTERS, company, feature, slot)
    return key + values_hash(values) if values else key


def bucket_base(company: str, feature: str, slot: str) -> bytes:
    """Key of a rate's bucket, but for the values of the slot's dimensions, where it has any."""
    return _address(BUCKETS, company, feature, slot)


def _address(kind: bytes, company: str, feature: str, slot: str) -> bytes:
    return b"%b%b\0%b\0%b" % (kind, company.encode(), feature.encode(), _slot_hash(slot))


def values_hash(values: tuple[str, ...]) -> bytes:
    """The part of a counter's key that tells the values of the slot's dimensions apart."""
    # Values are printable, so NUL keeps them apart.
    return blake2b("\0".join(values).encode(), digest_size=_VALUES_BYTES).digest()


def counter_key(base: bytes, window_start_us: int) -> bytes:
    """Key of a counter in a window; the start is in microseconds since the Unix epoch, or 0."""
    # Windows before 1970 exist too: shifted, so that they fit and sort.
    return base + _START.pack(window_start_us + (1 << 62))


def window_start_of(key: bytes) -> int:
    """Start of the window in the key of a counter, as `counter_key` has it."""
    return int(_START.unpack_from(key, len(key) - _START.size)[0]) - (1 << 62)


def counters_of(company: str, feature: str, slot: str) -> bytes:
    """What the keys of all counters of a slot begin with."""
    return counter_base(company, feature, slot, ())


def leases_of(incarnation: int) -> bytes:
    """What the keys of all leases of an incarnation begin with."""
    return LEASES + _ORDINAL.pack(incarnation)


def lease_key(incarnation: int, counter: bytes) -> bytes:
    """Key of an incarnation's lease of the counter with a key."""
    return leases_of(incarnation) + counter[1:]


def counter_of_lease(key: bytes) -> bytes:
    """Key of the counter in the key of a lease."""
    return COUNTERS + key[1 + _ORDINAL.size :]


@reads("the key of a lease")
def ordinal_of_lease(key: bytes) -> int:
    """The incarnation in the key of a lease."""
    return int(_ORDINAL.unpack_from(key, 1)[0])


def seats_of(counter: bytes) -> bytes:
    """What the keys of all seats begin with that are counted on the counter with a key."""
    return SEATS + counter[1:]


def seat_key(counter: bytes, holder: str) -> bytes:
    """Key of a holder's seat."""
    return SEATS + counter[1:] + holder.encode()


def seat_pool_key(counter: bytes) -> bytes:
    """Key of how many seats of a counter are held."""
    return SEAT_POOLS + counter[1:]


def untold_seat_key(company: str, feature: str, holder: str) -> bytes:
    """Key of what the plane is to be told of a holder."""
    return b"%b%b\0%b\0%b" % (UNTOLD_SEATS, company.encode(), feature.encode(), holder.encode())


@reads("the key of a seat")
def holder_of(key: bytes, begin: int) -> str:
    """The holder in the key of a seat, which begins so far in."""
    return key[begin:].decode()


def answer_hash(company: str, idempotency_key: str) -> bytes:
    """What the key of a stored answer ends in. Hashed: short keys keep the tree shallow."""
    name = f"{company}\0{idempotency_key}".encode()
    return blake2b(name, digest_size=16).digest()


def answers_of(partition: int) -> bytes:
    """What the keys of a partition's stored answers begin with; 0: of those without a partition."""
    return ANSWERS + bytes([partition & 0xFF]) if partition else UNPARTITIONED_ANSWERS


@reads("the key of a stored answer")
def partition_of(answer_key: bytes) -> int:
    """The partition in the key of a stored answer; of those with the same last byte the first."""
    return answer_key[1] or 0x100


def snapshot_key(company: str) -> bytes:
    """Key of a company's snapshot."""
    return SNAPSHOTS + company.encode()


def staged_key(company: str) -> bytes:
    """Key of a company's snapshot that is to be taken over with others."""
    return STAGED + company.encode()


def absent_key(company: str) -> bytes:
    """Key of what is known of a company that the control plane does not have."""
    return ABSENT + company.encode()


def name_of_company_key(name: str) -> bytes:
    """Key of whom a name leads to that a company was renamed to."""
    return COMPANY_NAMES + name.encode()


def catalog_part_key(generation: int, number: int) -> bytes:
    """Key of a part of a catalog."""
    return _CATALOG_PART.pack(CATALOG_PARTS, generation, number)


def name_key(incarnation: int) -> bytes:
    """Key of the id of an incarnation."""
    return META_NAME + _ORDINAL.pack(incarnation)


@reads("the key of an incarnation's id")
def ordinal_of_name(incarnation_name_key: bytes) -> int:
    """The incarnation in the key of its id."""
    return int(_ORDINAL.unpack_from(incarnation_name_key, len(META_NAME))[0])


@reads("the key of a company")
def company_of(company_key: bytes) -> str:
    """The company in the key of a snapshot, wherever it is, of its absence, or of a name."""
    return company_key[1:].decode()


def level_items_of(company: str, feature: str) -> bytes:
    """What the keys of all items of a level begin with."""
    return b"%b%b\0%b\0" % (LEVEL_ITEMS, company.encode(), feature.encode())


def level_item_key(company: str, feature: str, item: str) -> bytes:
    """Key of an item of a level."""
    return level_items_of(company, feature) + item.encode()


def expiry_key(expires_us: int, item: bytes) -> bytes:
    """Key of the note of when an item with a key is over, microseconds since the Unix epoch."""
    return EXPIRIES + _START.pack(expires_us) + item[1:]


def item_of_expiry(key: bytes) -> bytes:
    """Key of the item in the key of such a note."""
    return LEVEL_ITEMS + key[1 + _START.size :]


@reads("when an item is over")
def expires_us_of(key: bytes) -> int:
    """When, in the key of such a note."""
    return int(_START.unpack_from(key, 1)[0])


def tallies_of(incarnation: int) -> bytes:
    """What the keys of all tallies of an incarnation begin with."""
    return META_TALLY + _ORDINAL.pack(incarnation)


def tally_key(incarnation: int, feature: str) -> bytes:
    """Key of the tally of a feature."""
    return tallies_of(incarnation) + feature.encode()


@reads("the key of a tally")
def feature_of(key: bytes) -> str:
    """The feature in the key of a tally."""
    return key[len(META_TALLY) + _ORDINAL.size :].decode()


def outbox_key(incarnation: int, sequence: int) -> bytes:
    """Key of an outbox entry."""
    return _OUTBOX_KEY.pack(OUTBOX, incarnation, sequence)


@reads("the key of an outbox entry")
def sequence_of(outbox_entry_key: bytes) -> int:
    """The sequence in the key of an outbox entry."""
    return int(_OUTBOX_KEY.unpack(outbox_entry_key)[2])


@reads("the key of an outbox entry")
def ordinal_of(outbox_entry_key: bytes) -> int:
    """The number of the incarnation in the key of an outbox entry."""
    return int(_OUTBOX_KEY.unpack(outbox_entry_key)[1])


def quarantine_key(number: int) -> bytes:
    """Key of something damaged that was set aside."""
    return QUARANTINE + _START.pack(number)


def after(prefix: bytes) -> bytes:
    """The first key behind all that begin with a prefix; no prefix of ours is all 0xff bytes."""
    prefix = prefix.rstrip(b"\xff")
    return prefix[:-1] + bytes([prefix[-1] + 1])
