"""Questions to the store on SQLite about recovery of leases."""

from __future__ import annotations

from typing import Any, Final

from sidecar.control.storage.recovery_values import ExpectedHolder, LeaseRecovery, MissingHolders
from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.companies import SqliteCompanies
from sidecar.domain.bounds import FOREVER_US

NOBODY: Final = b""
"""Stands in the column of who reports where nobody does yet."""


class SqliteRecovery(SqliteCompanies):
    """That part of a `ReadTransaction`, on a connection in which a transaction has begun."""

    def is_witnessed(self) -> bool:
        return bool(self._one("SELECT is_witnessed FROM meta")[0])

    def lease_recovery(self) -> LeaseRecovery | None:
        rows = self._all(
            "SELECT restored_us, unknown_until_us, lifetime_until_us, ended_us FROM lease_recovery"
        )
        return LeaseRecovery(*rows[0]) if rows else None

    def missing_holders(self) -> MissingHolders:
        count, until_us, has_lifetime = self._one(
            "SELECT count(*), coalesce(max(until_us), 0), coalesce(max(has_lifetime), 0) "
            "FROM expected_holder WHERE NOT reported"
        )
        return MissingHolders(count, until_us, bool(has_lifetime))

    def expected_holders(self, *, reported: bool, limit: int) -> list[ExpectedHolder]:
        rows = self._all(
            "SELECT incarnation, until_us, has_lifetime, reporter, reported, number "
            "FROM expected_holder WHERE reported = ? ORDER BY incarnation LIMIT ?",
            reported,
            limit,
        )
        return [_holder(*row) for row in rows]

    def heard_lately(self, within_us: int) -> list[str]:
        rows = self._all(
            "SELECT incarnation FROM incarnation WHERE NOT fenced AND last_heard_us > "
            "(SELECT max(last_heard_us) FROM incarnation) - ? LIMIT 4096",
            within_us,
        )
        return [codec.incarnation_text(row[0]) for row in rows]

    def holders_of_leases(self) -> list[ExpectedHolder]:
        rows = self._all(
            "SELECT incarnation, coalesce(max(window_end_us) FILTER (WHERE window_end_us < ?), 0), "
            "max(window_end_us >= ?), x'', 0, max(number) FROM lease GROUP BY incarnation",
            FOREVER_US,
            FOREVER_US,
        )
        return [_holder(*row) for row in rows]


def _holder(incarnation: bytes, *rest: Any) -> ExpectedHolder:
    until_us, has_lifetime, reporter, reported, number = rest
    return ExpectedHolder(
        codec.incarnation_text(incarnation),
        until_us,
        bool(has_lifetime),
        codec.incarnation_text(reporter) if reporter else "",
        bool(reported),
        number,
    )
