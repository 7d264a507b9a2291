"""Changes of what is known of recovery of leases, on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from sidecar.control.storage.recovery_values import ExpectedHolder, LeaseRecovery
from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.level_writes import SqliteLevelWrites
from sidecar.control.storage.sqlite.recovery_queries import NOBODY


class SqliteRecoveryWrites(SqliteLevelWrites):
    """That part of a `WriteTransaction`, on a connection in which a transaction has begun."""

    def note_witnessed(self) -> None:
        self._connection.execute("UPDATE meta SET is_witnessed = 1")

    def put_lease_recovery(self, recovery: LeaseRecovery) -> None:
        self._connection.execute(
            "REPLACE INTO lease_recovery VALUES (1, ?, ?, ?, ?)",
            msgspec.structs.astuple(recovery),
        )

    def put_expected_holders(self, holders: Iterable[ExpectedHolder]) -> None:
        self._connection.execute("DELETE FROM expected_holder")
        self._connection.executemany(
            "REPLACE INTO expected_holder VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    codec.incarnation_column(holder.incarnation),
                    holder.until_us,
                    holder.has_lifetime,
                    codec.incarnation_column(holder.reporter) if holder.reporter else NOBODY,
                    holder.reported,
                    holder.number,
                )
                for holder in holders
            ],
        )

    def note_reported(self, reporter: str, numbers: Mapping[str, int]) -> None:
        column = codec.incarnation_column(reporter)
        self._connection.executemany(
            "UPDATE expected_holder SET reporter = ?, reported = 1 "
            "WHERE incarnation = ? AND number <= ? AND NOT reported",
            [
                (column, codec.incarnation_column(incarnation), number)
                for incarnation, number in numbers.items()
            ],
        )

    def raise_lease_revision(self, revision: int) -> None:
        self._connection.execute(
            "UPDATE meta SET lease_revision = max(lease_revision, ?)", (revision,)
        )
