"""What others count: totals from the control plane, kept beside a counter's own part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from sidecar.domain.bounds import saturated
from sidecar.domain.limits.counters import CounterTotal, is_level
from sidecar.domain.slices import Slices
from sidecar.storage import codec, keys
from sidecar.storage.codec import StoredCounter
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

HEARD_AT_ONCE: Final = 200
"""Totals to be taken over in one step."""
LOOKED_AT_ONCE: Final = 200
"""Counters that one step looks at in search of those of a window."""


class CounterRow(msgspec.Struct, frozen=True):
    """A counter of a slot: the values of its dimensions, its window's start, and its usage."""

    values: tuple[str, ...]
    window_start_us: int
    used: int


class Counters:
    """Reads counters, and brings them in line with what the plane says."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def hear(
        self,
        incarnation_id: str,
        totals: Sequence[CounterTotal],
        follows: Callable[[str], bool] | None = None,
    ) -> bool:
        """Take over totals that the plane sent to an incarnation of this store; False: not taken.

        The plane says how much of a total is that incarnation's own; the rest is others'. Local
        counting goes on in between, so the own part is never overwritten. News older than what was
        heard before is ignored, and so is an answer to an incarnation that has been left: its own
        part is another. While records of an earlier incarnation wait, the plane's totals lack what
        was counted with them: what is known here is more then, and stays. What the plane has lost
        stays counted (`_as_told`). `follows`: whether counters of a company are wanted that are
        not there; `None`: all are.
        """
        incarnation = self._store.incarnation
        if len(self._store.incarnations) > 1:
            return False
        if incarnation.id != incarnation_id:
            return False

        def work(transaction: Transaction) -> None:
            for total in totals:
                ref = total.counter
                base = keys.counter_base(total.company, total.feature, ref.slot, ref.values)
                key = keys.counter_key(base, ref.window.start_us)
                known = transaction.counter(key)
                if known is None:
                    if follows is not None and not follows(total.company):
                        continue
                    known = StoredCounter(0, 0, 0, ref.window.end_us, ref.values)
                if total.version < known.heard:
                    continue
                others, corrections, lost = _as_told(known, total)
                came_from = known if total.carried is None else total
                heard = replace(
                    known,
                    others=others,
                    heard=total.version,
                    carried=came_from.carried,
                    corrections=corrections,
                    lost=lost,
                    packs_used=came_from.packs_used,
                )
                if heard != known:
                    transaction.put_counter(key, heard)

        if totals:
            self._store.transact(work)
        return True

    def of_slot(
        self,
        company: str,
        feature: str,
        slot: str,
        window_start_us: int,
        most: int,
        *,
        behind: bytes = b"",
    ) -> Slices[list[CounterRow]]:
        """Counters of a slot with dimensions in a window, one for each combination of values.

        At most so many, behind values that have a hash, in the order of those; in steps that are
        bounded in the keys that they look at.
        """
        prefix = keys.counters_of(company, feature, slot)
        suffix = keys.counter_key(b"", window_start_us)
        stop = prefix + b"\xff" * 25
        rows: list[CounterRow] = []
        start = prefix + behind + b"\xff" if behind else prefix
        while start and len(rows) < most:
            found = self._scan(start, stop)
            for key, data in found:
                if key.endswith(suffix):
                    counter = codec.decode_counter(data, self._store.incarnation.ordinal)
                    rows.append(CounterRow(counter.values, window_start_us, counter.used))
            start = _next_start(found[-1][0], suffix) if len(found) == LOOKED_AT_ONCE else b""
            yield
        return rows[:most]

    def _scan(self, start: bytes, stop: bytes) -> list[tuple[bytes, bytes]]:
        engine = self._store.engine
        return self._store.transact(
            lambda transaction: engine.scan(transaction.keyspace, start, stop, LOOKED_AT_ONCE)
        )


def _as_told(known: StoredCounter, total: CounterTotal) -> tuple[int, int, int]:
    """What others have counted, what of it are corrections, and what of it the plane has lost.

    Without corrections a counter only grows. Where it is less than it was, the plane has lost
    state: what was known stays, and what is counted anew comes on top of it. A level falls as well:
    of it the plane is believed.
    """
    others = total.total - total.own
    if total.corrections is None:
        return saturated(others), 0, 0  # a plane of before they were told: it is believed
    if is_level(total.counter.slot):
        return saturated(others), saturated(total.corrections), 0
    counted = others - total.corrections
    lost = known.lost
    if known.others - known.corrections - lost > counted:
        lost = max(lost, known.others - others)
    return saturated(others + lost), saturated(total.corrections), saturated(lost)


def _next_start(last: bytes, suffix: bytes) -> bytes:
    """Where to look on behind a key: of some values' windows, none but the one asked for counts."""
    values = last[: -len(suffix)]
    wanted = values + suffix
    return wanted if last < wanted else values + b"\xff"
