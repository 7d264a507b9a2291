"""Reading what may be large: pairs of the engine, bounded in number and in bytes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from sidecar.storage.damage import StoreDamaged
from sidecar.storage.kv_engine import KvEngine, KvTransaction

STEP_BYTES: Final = 1 << 18
"""Bytes that one step of maintenance reads at most, beyond the first pair and the last page."""
_PAGE: Final = 20
"""Pairs that are read at once: the largest of so many are few enough bytes."""


def scan_bounded(
    engine: KvEngine,
    kv: KvTransaction,
    start: bytes,
    stop: bytes,
    most: int,
    bytes_max: int = STEP_BYTES,
) -> list[tuple[bytes, bytes]]:
    """Pairs with `start` <= key < `stop`, as many as fit the bounds but at least one, if any."""
    found: list[tuple[bytes, bytes]] = []
    size = 0
    while len(found) < most:
        wanted = min(_PAGE, most - len(found))
        page = engine.scan(kv, start, stop, wanted)
        for pair in page:
            size += len(pair[1])
            if found and size > bytes_max:
                return found
            found.append(pair)
        if len(page) < wanted or page[-1][0] < start:
            break
        start = next_start(start, page)
    return found


def next_start(start: bytes, page: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Where to go on behind pairs that were read from `start` on.

    Raises `StoreDamaged` where that would not come to an end, since keys are not in their order.
    """
    last = page[-1][0]
    if last < start:
        raise StoreDamaged("damage in the store: keys that are not in their order")
    return last + b"\0"


def out_of_order(found: Sequence[bytes]) -> list[int]:
    """Places of the fewest keys without which the others are in their order."""
    ends: list[bytes] = []
    places: list[int] = []
    before: list[int] = []
    for at, key in enumerate(found):
        length = bisect_left(ends, key)
        before.append(places[length - 1] if length else -1)
        ends[length : length + 1] = [key]
        places[length : length + 1] = [at]
    kept, at = set[int](), places[-1] if places else -1
    while at >= 0:
        kept.add(at)
        at = before[at]
    return [at for at in range(len(found)) if at not in kept]
