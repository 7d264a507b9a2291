"""Questions to the store on SQLite about seats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.control.storage.sqlite.level_queries import SqliteLevels
from sidecar.control.storage.values import CounterKey
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.seats.model import Seat
from sidecar.domain.seats.rules import SeatPool
from sidecar.domain.time.windows import LIFETIME_WINDOW, Window

POOL_IS: Final = (
    "company = ? AND feature = ? AND window_end_us = ? AND window_start_us = ? AND slot = ?"
)
_SEAT: Final = (
    "company, feature, window_end_us, window_start_us, slot, holder, assigned_us, version, "
    "released_us"
)
_OF_ONE_VERSION_MAX: Final = 64
"""More seats than one request changes: a feature has at most 32 limits."""
# Constants alone are put together.
_ONE: Final = f"SELECT {_SEAT} FROM seat WHERE {POOL_IS} AND holder = ?"  # noqa: S608
_POOL: Final = f"SELECT held, freed, freed_since_us FROM seat_pool WHERE {POOL_IS}"  # noqa: S608
_AFTER: Final = (
    f"SELECT {_SEAT} FROM seat WHERE {POOL_IS} AND holder > ? AND released_us IS NULL "  # noqa: S608
    "ORDER BY holder LIMIT ?"
)
_NAMED: Final = (
    f"SELECT {_SEAT} FROM seat WHERE company = ? AND feature = ? AND window_end_us = ? "  # noqa: S608
    "AND window_start_us = ? AND holder = ? AND released_us IS NULL"
)
_CHANGES: Final = f"SELECT {_SEAT} FROM seat WHERE version > ? ORDER BY version LIMIT ?"  # noqa: S608


def pool_columns(key: CounterKey) -> tuple[str, str, int, int, str]:
    """The key columns of a counter's seats."""
    window = key.counter.window
    return key.company, key.feature, window.end_us, window.start_us, key.counter.slot


class SqliteSeats(SqliteLevels):
    """That part of a `ReadTransaction`, on a connection in which a transaction has begun."""

    def seat(self, key: CounterKey, holder: str) -> Seat | None:
        row = self._one(_ONE, *pool_columns(key), holder)
        return None if row is None else _seat(*row)

    def seat_pool(self, key: CounterKey) -> SeatPool:
        row = self._one(_POOL, *pool_columns(key))
        return SeatPool() if row is None else SeatPool(*row)

    def named_seats_of(self, company: str, feature: str, holder: str) -> list[Seat]:
        window = LIFETIME_WINDOW
        rows = self._all(_NAMED, company, feature, window.end_us, window.start_us, holder)
        return [_seat(*row) for row in rows]

    def seats_after(self, key: CounterKey, holder: str, limit: int) -> list[Seat]:
        return [_seat(*row) for row in self._all(_AFTER, *pool_columns(key), holder, limit)]

    def seat_changes(self, version: int, limit: int) -> Sequence[Seat]:
        most = limit + _OF_ONE_VERSION_MAX
        changes = [_seat(*row) for row in self._all(_CHANGES, version, most)]
        if len(changes) < most:
            return changes
        last = changes[-1].version
        return [change for change in changes if change.version < last]

    def seats_forgotten_version(self) -> int:
        row = self._one("SELECT seats_forgotten_version FROM meta")
        return int(row[0])

    def seats_held(self, limit: int) -> list[tuple[str, int]]:
        rows = self._all(
            "SELECT feature, sum(held) FROM seat_pool WHERE window_end_us = ? "
            "GROUP BY feature ORDER BY 2 DESC, 1 LIMIT ?",
            LIFETIME_WINDOW.end_us,
            limit,
        )
        return [(feature, held) for feature, held in rows]


def _seat(
    company: str,
    feature: str,
    end_us: int,
    start_us: int,
    slot: str,
    holder: str,
    assigned_us: int,
    version: int,
    released_us: int | None,
) -> Seat:
    counter = CounterRef(slot, (), Window(start_us, end_us))
    name = CounterName(company, feature, counter)
    return Seat(name, holder, assigned_us, version, released_us)
