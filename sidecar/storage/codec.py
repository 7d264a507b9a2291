"""Records on disk: their bytes, and nothing else. Each begins with a version byte.

Fixed parts are little-endian structs, since those are packed in a tenth of a microsecond; what is
read rarely or nested is MessagePack. A golden-bytes test holds each format still. Bytes that nobody
encoded are `StoreDamaged`, whatever is wrong with them.
"""

from __future__ import annotations

import struct
from typing import Final, TypeVar

import msgspec

from sidecar.domain.bounds import INT64_MAX, saturated
from sidecar.domain.leases.model import Lease
from sidecar.domain.limits.packs import Carried
from sidecar.storage.damage import UNREADABLE, StoreDamaged, damaged, reads
from sidecar.storage.key_check import KEY_CHECK_BYTES, KEYED
from sidecar.storage.outbox_entry import FIRST_CHAIN

T = TypeVar("T")

STORE_FORMAT: Final = 10
"""Format 2 knows counters into which amounts were carried, buckets, and segments of their own;
format 3 has a key for each tally, and the catalog in parts; format 4 names once what a timeline
holds; format 5 has answers in partitions; 6 knows what of a counter are corrections; 7 packs; 8
leases, and shares of rates; 9 counters that know their key; 10 counters below nothing, and items of
levels."""
_VERSION: Final = 1
_CARRYING: Final = 2
"""Version of a counter that ends in values and carried amounts, instead of values alone."""
_CORRECTED: Final = 3
"""Version of one that ends in values, corrections, and what the plane has lost."""
_CARRYING_CORRECTED, _PACKS = 4, 5
"""The same, with carried amounts behind the values; and with what was used of packs at the end."""
_LEASED: Final = 16
"""Added to the version of a counter whose lease stands before the rest."""
_TAKEN_BACK: Final = 64
"""Added to the version of a counter of which more was taken back here than was counted: of a level
that others have counted. Any other that is below nothing is damaged."""
PLAIN_KEYED: Final = _VERSION | KEYED
LEASED_UP: Final = frozenset(
    kind | _LEASED | keyed for kind in (_VERSION, _CORRECTED) for keyed in (0, KEYED)
)
COUNTED_UP: Final = LEASED_UP | {version & ~_LEASED for version in LEASED_UP}
"""Versions of counters of which a count changes the fixed part alone; those with a lease."""
_VERSION_BYTE: Final = bytes([_VERSION])

COUNTER: Final = struct.Struct("<BIqqqq")
"""The fixed part of a counter: version, incarnation, own, others, heard, end of the window."""
_LEASE = struct.Struct("<qqqq")
LEASED_COUNTER: Final = struct.Struct("<BIqqqqqqqq")
"""The same with a lease behind it: granted, refill at, valid until, amount."""
_TALLY = struct.Struct("<Bqq")

pack = msgspec.msgpack.Encoder().encode


class StoreFormatError(Exception):
    """A store that a newer program wrote."""


class StoredCounter(msgspec.Struct, frozen=True, gc=False):
    """What is known of a counter, in the feature's unit.

    `own`: counted here under the present incarnation; below 0 where more was taken back of a level.
    `others`: by everyone else, as last heard;
    may be negative after corrections. `heard`: the plane's version of what was last heard; older
    news is ignored. `values`: of the slot's dimensions. `carried`: what rolled over into the
    window, by age, the youngest first; `None` where nothing rolls over, or it is not known.
    `corrections`: the plane's own part of `others`; 0 also where it was not told. `lost`: the part
    of `others` that the plane has lost, and that is known here alone. `packs_used`: what earlier
    windows have used of packs, known where `carried` is. `lease`: what the present incarnation
    holds of it.
    """

    own: int
    others: int
    heard: int
    window_end_us: int
    values: tuple[str, ...] = ()
    carried: tuple[int, ...] | None = None
    corrections: int = 0
    lost: int = 0
    packs_used: int = 0
    lease: Lease | None = None

    @property
    def came_in(self) -> Carried | None:
        """What came into the window from those before; `None` where it is not known."""
        return None if self.carried is None else Carried(self.carried, self.packs_used)

    @property
    def used(self) -> int:
        """Usage as far as it is known here."""
        return max(0, min(INT64_MAX, self.own + self.others))


class Tally(msgspec.Struct, frozen=True):
    """Number of records and the sum of their quantities, in the feature's unit.

    The sum stays at 2^63-1: what was recorded of an unlimited feature may be more.
    """

    records: int = 0
    quantity: int = 0

    def plus(self, quantity: int) -> Tally:
        """With one more record."""
        return Tally(self.records + 1, min(INT64_MAX, self.quantity + quantity))


class Incarnation(msgspec.Struct, frozen=True):
    """One life of the store: its id, and what the plane has acknowledged of it.

    `ordinal` counts the lives of this store. `fenced`: the plane refused its history; what it has
    not taken moves to the present incarnation. `acknowledged_bytes`: of all records up to
    `acknowledged_sequence`. `last_sequence`: where it ended, once it was left; it tells what is
    missing of it.
    """

    ordinal: int
    id: str = msgspec.field(name="incarnation")
    fenced: bool = False
    acknowledged_sequence: int = 0
    acknowledged_chain: bytes = FIRST_CHAIN
    acknowledged_bytes: int = 0
    last_sequence: int | msgspec.UnsetType = msgspec.UNSET

    @property
    def known_end(self) -> int:
        """`last_sequence`; 0 where it is not known."""
        return 0 if isinstance(self.last_sequence, msgspec.UnsetType) else self.last_sequence


def encode_counter(counter: StoredCounter, incarnation: int) -> bytes:
    """Bytes of a counter, valid under an incarnation."""
    values, carried = counter.values, counter.carried
    corrected = counter.corrections, counter.lost
    if carried is None and corrected == (0, 0):
        version, end = _VERSION, pack(values) if values else b""
    elif carried is None:
        version, end = _CORRECTED, pack((values, *corrected))
    elif counter.packs_used:
        version, end = _PACKS, pack((values, carried, *corrected, counter.packs_used))
    elif corrected == (0, 0):
        version, end = _CARRYING, pack((values, carried))
    else:
        version, end = _CARRYING_CORRECTED, pack((values, carried, *corrected))
    known = counter.own, counter.others, counter.heard, counter.window_end_us
    if counter.own < 0:
        version |= _TAKEN_BACK
    lease = counter.lease
    if lease is None:
        return COUNTER.pack(version, incarnation, *known) + end
    held = lease.granted, lease.refill_at, lease.valid_until_us, lease.amount
    return LEASED_COUNTER.pack(version | _LEASED, incarnation, *known, *held) + end


def decode_counter(
    data: bytes, incarnation: int, values: tuple[str, ...] | None = None
) -> StoredCounter:
    """A counter. What an earlier incarnation counted itself is, seen from a later one, by others.

    So it has no lease either: what is left of one, that incarnation still has to account for.
    `values`: what the counter's values are, where the caller knows them: they are not read then.
    """
    carried, corrections, lost, packs_used, lease = None, 0, 0, 0, None
    try:
        version, written_under, own, others, heard, window_end_us = COUNTER.unpack_from(data)
        at = COUNTER.size
        if version & KEYED:
            data, version = data[:-KEY_CHECK_BYTES], version & ~KEYED
        below, version = version & _TAKEN_BACK, version & ~_TAKEN_BACK
        if version & _LEASED:
            lease, version = Lease(*_LEASE.unpack_from(data, at)), version & ~_LEASED
            at += _LEASE.size
        if version in (_CARRYING, _CARRYING_CORRECTED, _PACKS):
            end = _unpack_carrying(data[at:])
            values, carried, packs_used = end.values, end.carried, end.packs_used
            corrections, lost = end.corrections, end.lost
        elif version == _CORRECTED:
            values, corrections, lost = _unpack_corrected(data[at:])
        else:
            require_version_1(version)
            if values is None:
                values = _unpack_values(data[at:]) if len(data) > at else ()
    except UNREADABLE as error:
        raise damaged(error, "a counter") from error
    if own < 0 and not below:
        raise StoreDamaged("damage in the store: a counter below nothing")
    if written_under != incarnation:
        own, others, lease = 0, saturated(own + others), None
    return StoredCounter(
        own, others, heard, window_end_us, values, carried, corrections, lost, packs_used, lease
    )


@reads("a counter")
def is_carrying(data: bytes) -> bool:
    """Whether it is known of an encoded counter what was carried into its window."""
    return data[0] & ~(_LEASED | KEYED | _TAKEN_BACK) in (_CARRYING, _CARRYING_CORRECTED, _PACKS)


@reads("a counter")
def window_end_of(data: bytes) -> int:
    """End of the window of an encoded counter, for the sweep."""
    return int(COUNTER.unpack_from(data)[5])


def encode_tally(tally: Tally) -> bytes:
    """Bytes of a tally."""
    return _TALLY.pack(_VERSION, tally.records, tally.quantity)


@reads("a tally")
def decode_tally(data: bytes) -> Tally:
    """A tally."""
    version, records, quantity = _TALLY.unpack(data)
    require_version_1(version)
    return Tally(records, quantity)


def encode_value(value: object) -> bytes:
    """Bytes of a value that is read rarely: MessagePack behind the version byte."""
    return _VERSION_BYTE + pack(value)


@reads("a value")
def decode_value(data: bytes, kind: type[T]) -> T:
    """A value that `encode_value` wrote."""
    require_version_1(data[0])
    return msgspec.msgpack.decode(memoryview(data)[1:], type=kind)


class _CarryingEnd(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    values: tuple[str, ...]
    carried: tuple[int, ...]
    corrections: int = 0
    lost: int = 0
    packs_used: int = 0


def require_version_1(version: int) -> None:
    """Raise `StoreDamaged` for a record of another version than the first."""
    if version != _VERSION:
        # A store of a newer program was refused when it was opened, so nobody wrote this.
        raise StoreDamaged(f"damage in the store: a record of version {version}")


_unpack_values = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_unpack_carrying = msgspec.msgpack.Decoder(_CarryingEnd).decode
_unpack_corrected = msgspec.msgpack.Decoder(tuple[tuple[str, ...], int, int]).decode
