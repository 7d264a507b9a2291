"""What the plane's rows say of one counter, read by themselves: no view, no sum that it keeps."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sidecar.control.storage.sqlite.codec import incarnation_column
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.time.windows import Window
from tests.simulation.leases.plane_store import PlaneDatabase

KEY: Final = "company, feature, window_end_us, window_start_us, slot, dimension_values"
"""The columns by which tables know a counter; see `name_of`."""
_KEY: Final = (
    "company = ? AND feature = ? AND window_end_us = ? AND window_start_us = ? AND slot = ? "
    "AND dimension_values = ?"
)
_TOTAL: Final = f"SELECT total FROM counter WHERE {_KEY}"
_PARTS: Final = f"SELECT incarnation, amount FROM counter_part WHERE {_KEY}"
_LEASES: Final = (
    "SELECT incarnation, CASE WHEN released THEN coalesce(counted, 0) ELSE granted END "
    f"FROM lease WHERE {_KEY} AND (counted IS NOT NULL OR NOT released)"
)
_PLANE: Final = bytes(16)


def name_of(row: Sequence[object]) -> CounterName:
    """The counter that the columns of `KEY` are of."""
    company, feature, end_us, start_us, slot, values = row
    assert isinstance(end_us, int)
    assert isinstance(start_us, int)
    assert isinstance(values, str)
    ref = CounterRef(str(slot), tuple(json.loads(values)), Window(start_us, end_us))
    return CounterName(str(company), str(feature), ref)


class Account(NamedTuple):
    """A counter: what was used, the plane's own part of it, and by holder what is outstanding."""

    used: int
    corrections: int
    outstanding: dict[bytes, int]

    def outstanding_of(self, incarnations: Collection[str]) -> int:
        """What is outstanding of these."""
        return sum(self.outstanding.values()) - self.outstanding_but(incarnations)

    def outstanding_but(self, incarnations: Collection[str]) -> int:
        """What is outstanding of others."""
        left_out = set(map(incarnation_column, incarnations))
        return sum(amount for holder, amount in self.outstanding.items() if holder not in left_out)


def account_of(store: PlaneDatabase, name: CounterName) -> Account:
    """The account of a counter."""
    ref = name.counter
    key = (
        name.company,
        name.feature,
        ref.window.end_us,
        ref.window.start_us,
        ref.slot,
        json.dumps(ref.values, separators=(",", ":"), ensure_ascii=False),
    )
    used = sum(total for (total,) in store.rows(_TOTAL, *key))
    parts = dict(store.rows(_PARTS, *key))
    leases = store.rows(_LEASES, *key)
    outstanding = {holder: max(0, granted - parts.get(holder, 0)) for holder, granted in leases}
    return Account(used, parts.get(_PLANE, 0), outstanding)


def moved_away(store: PlaneDatabase, name: CounterName, voided: int) -> int:
    """What was counted there in ignorance of a reset: the plane has it on the counter behind."""
    return max(0, -account_of(store, name).corrections - voided)
