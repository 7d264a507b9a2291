"""Changes of seats on SQLite."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sidecar.control.storage.sqlite.recovery_writes import SqliteRecoveryWrites
from sidecar.control.storage.sqlite.seat_queries import POOL_IS, pool_columns
from sidecar.control.storage.values import CounterKey
from sidecar.domain.seats.model import Seat
from sidecar.domain.seats.rules import SeatPool


class SqliteSeatWrites(SqliteRecoveryWrites):
    """That part of a `WriteTransaction`, on a connection in which a transaction has begun."""

    def put_seats(self, seats: Iterable[Seat]) -> None:
        self._connection.executemany(
            "INSERT INTO seat VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "(assigned_us, released_us, version) = "
            "(excluded.assigned_us, excluded.released_us, excluded.version)",
            [
                (
                    seat.counter.company,
                    seat.counter.feature,
                    seat.counter.counter.window.end_us,
                    seat.counter.counter.window.start_us,
                    seat.counter.counter.slot,
                    seat.holder,
                    seat.assigned_us,
                    seat.released_us,
                    seat.version,
                )
                for seat in seats
            ],
        )

    def put_seat_pool(self, key: CounterKey, pool: SeatPool) -> None:
        self._connection.execute(
            "INSERT INTO seat_pool VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "(held, freed, freed_since_us) = "
            "(excluded.held, excluded.freed, excluded.freed_since_us)",
            (*pool_columns(key), *msgspec.structs.astuple(pool)),
        )

    def forget_seats(self, ended_us: int, released_us: int, limit: int) -> int:
        key = "company, feature, window_end_us, window_start_us, slot"
        ended = self._all(
            f"SELECT {key}, holder FROM seat WHERE window_end_us < ? LIMIT ?",  # noqa: S608
            ended_us,
            limit,
        )
        released = self._all(
            f"SELECT {key}, holder, version FROM seat WHERE released_us < ? "  # noqa: S608
            "ORDER BY released_us LIMIT ?",
            released_us,
            limit,
        )
        forgotten = [*ended, *(row[:-1] for row in released)]
        self._connection.executemany(
            f"DELETE FROM seat WHERE {POOL_IS} AND holder = ?",  # noqa: S608
            forgotten,
        )
        if released:
            self._connection.execute(
                "UPDATE meta SET seats_forgotten_version = max(seats_forgotten_version, ?)",
                (max(row[-1] for row in released),),
            )
        if not ended:
            pools = self._all(
                f"SELECT {key} FROM seat_pool WHERE window_end_us < ? LIMIT ?",  # noqa: S608
                ended_us,
                limit,
            )
            self._connection.executemany(f"DELETE FROM seat_pool WHERE {POOL_IS}", pools)  # noqa: S608
            return len(forgotten) + len(pools)
        return len(forgotten)
