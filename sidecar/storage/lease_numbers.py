"""Numbers of requests for leases: they only grow, over all incarnations of a store."""

from __future__ import annotations

from typing import Final

from sidecar.storage import codec, keys
from sidecar.storage.kv_engine import KvTransaction

INCARNATIONS_MAX: Final = 64
"""Of so many incarnations it is kept how far they have asked."""


def read_numbers(kv: KvTransaction) -> dict[str, int]:
    """Numbers of the last requests, by incarnation. Raises `StoreDamaged`."""
    data = kv.get(keys.META_LEASES)
    return {} if data is None else codec.decode_value(data, dict[str, int])


def put_number(kv: KvTransaction, numbers: dict[str, int], incarnation: str, number: int) -> None:
    """Note how far an incarnation has asked; one that has not for longest is forgotten."""
    numbers[incarnation] = number
    if len(numbers) > INCARNATIONS_MAX:
        del numbers[min(numbers, key=numbers.__getitem__)]
    kv.put(keys.META_LEASES, codec.encode_value(numbers))


def next_number(kv: KvTransaction, incarnation: str) -> int:
    """A number that was never used, for an incarnation."""
    numbers = read_numbers(kv)
    number = max(numbers.values(), default=0) + 1
    put_number(kv, numbers, incarnation, number)
    return number
