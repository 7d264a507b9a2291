"""Counting on a counter's bytes, without a value in between: what a usual check does.

All that takes more care is left to `codec`, whose values and bytes these are.
"""

from __future__ import annotations

import struct

from sidecar.domain.bounds import INT64_MAX
from sidecar.storage.codec import (
    COUNTED_UP,
    COUNTER,
    LEASED_COUNTER,
    LEASED_UP,
    PLAIN_KEYED,
    decode_counter,
    pack,
)
from sidecar.storage.damage import damaged
from sidecar.storage.key_check import key_check


def used_of(data: bytes) -> int:
    """Usage as far as it is known here, as `StoredCounter.used`, whichever incarnation wrote it."""
    try:
        version, _, own, others, _, _ = COUNTER.unpack_from(data)
    except struct.error as error:
        raise damaged(error, "a counter") from error
    used: int = own + others
    if own >= 0 and 0 <= used <= INT64_MAX and version in COUNTED_UP:
        return used
    return decode_counter(data, 0, ()).used


def counted_up(
    key: bytes,
    data: bytes | None,
    incarnation: int,
    quantity: int,
    window_end_us: int,
    values: tuple[str, ...],
) -> tuple[int, bytes] | None:
    """A counter's usage, and its bytes with a quantity more; `None` where that takes more care.

    It does where amounts were carried in, another incarnation wrote it, or it would overflow. The
    same as `decode_counter` and `encode_counter`, without a value in between. `data`: as it is
    stored, `None` for one that is not; `key`, `window_end_us` and `values` are for that.
    """
    if data is None:
        fixed = COUNTER.pack(PLAIN_KEYED, incarnation, quantity, 0, 0, window_end_us)
        check = key_check(key)
        return 0, (fixed + pack(values) + check if values else fixed + check)
    try:
        version, written_under, own, others, heard, window_end_us = COUNTER.unpack_from(data)
    except struct.error as error:
        raise damaged(error, "a counter") from error
    own_after = own + quantity
    if written_under != incarnation or not quantity <= own_after <= INT64_MAX:
        return None
    if version != PLAIN_KEYED and version not in COUNTED_UP:
        return None
    fixed = COUNTER.pack(version, incarnation, own_after, others, heard, window_end_us)
    used = own + others
    if used > INT64_MAX:
        return None
    return (used if used > 0 else 0), fixed + data[COUNTER.size :]


def counted_up_leased(
    data: bytes | None, incarnation: int, quantity: int, now_us: int, amount: int
) -> tuple[int, bytes, int, bool] | None:
    """As `counted_up`, under the counter's lease; `None` also where that does not cover it.

    Usage before, the counter's bytes, what is left of the lease then, and whether it is to be
    refilled. `amount`: of the limit. Whether that, too, has room is the caller's to see.
    """
    if data is None or len(data) < LEASED_COUNTER.size:
        return None
    (
        version, written_under, own, others, heard, window_end_us,
        granted, refill_at, valid_until_us, lease_amount,
    ) = LEASED_COUNTER.unpack_from(data)  # fmt: skip
    own_after = own + quantity
    if (
        own_after > granted
        or now_us >= valid_until_us
        or amount < lease_amount
        or written_under != incarnation
        or version not in LEASED_UP
        or own_after < quantity
    ):
        return None
    used = own + others
    if used > INT64_MAX:
        return None
    counted = LEASED_COUNTER.pack(
        version, incarnation, own_after, others, heard, window_end_us,
        granted, refill_at, valid_until_us, lease_amount,
    )  # fmt: skip
    rest = data[LEASED_COUNTER.size :]
    return (used if used > 0 else 0), counted + rest, granted - own_after, own_after >= refill_at
