"""Changes of leases on SQLite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecar.control.storage.lease_values import StoredLease
from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.reads import SqliteReads

_DROP: Final = (
    "DELETE FROM lease WHERE company = ? AND feature = ? AND window_end_us = ? "
    "AND window_start_us = ? AND slot = ? AND dimension_values = ? AND incarnation = ?"
)


class SqliteLeaseWrites(SqliteReads):
    """That part of a `WriteTransaction`, on a connection in which a transaction has begun."""

    def next_lease_revision(self) -> int:
        self._connection.execute("UPDATE meta SET lease_revision = lease_revision + 1")
        return self.lease_revision()

    def put_leases(self, leases: Iterable[StoredLease]) -> None:
        # Not REPLACE, which would write the entries of all indexes anew.
        self._connection.executemany(
            "INSERT INTO lease VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET (granted, number, valid_until_us, amount, asked_us, "
            "since_us, released, counted) = (excluded.granted, excluded.number, "
            "excluded.valid_until_us, excluded.amount, excluded.asked_us, excluded.since_us, "
            "excluded.released, excluded.counted)",
            [
                (
                    *codec.counter_columns(lease.key),
                    codec.incarnation_column(lease.incarnation),
                    lease.granted,
                    lease.number,
                    lease.valid_until_us,
                    lease.amount,
                    lease.asked_us,
                    lease.since_us,
                    lease.released,
                    lease.counted,
                )
                for lease in leases
            ],
        )

    def drop_ended_leases(self, before_us: int, limit: int) -> int:
        key = "company, feature, window_end_us, window_start_us, slot, dimension_values"
        ended = self._all(
            f"SELECT {key}, incarnation FROM lease "  # noqa: S608
            "WHERE window_end_us < ? ORDER BY window_end_us LIMIT ?",
            before_us,
            limit,
        )
        self._connection.executemany(_DROP, ended)
        return len(ended)

    def drop_leases(self, leases: Iterable[StoredLease]) -> None:
        self._connection.executemany(
            _DROP,
            [
                (*codec.counter_columns(lease.key), codec.incarnation_column(lease.incarnation))
                for lease in leases
            ],
        )
