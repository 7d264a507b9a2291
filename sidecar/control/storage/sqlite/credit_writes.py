"""Changes of credits on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sidecar.control.storage.credit_values import CreditEntry, CreditRepayment, StoredGrant
from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.lease_writes import SqliteLeaseWrites
from sidecar.control.storage.values import CounterKey

_ADD_LOSS: Final = (
    "INSERT INTO credit_loss VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "amount = min(amount + excluded.amount, 9223372036854775807)"
)


class SqliteCreditWrites(SqliteLeaseWrites):
    """That part of a `WriteTransaction`, on a connection in which a transaction has begun."""

    def put_credit_grants(self, grants: Iterable[StoredGrant]) -> None:
        self._connection.executemany(
            "REPLACE INTO credit_grant (company, feature, id, amount, priority, kind, "
            "effective_us, expires_us, granted_us, reason, voided_us, void_reason, told) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    stored.company,
                    stored.feature,
                    stored.grant.id,
                    stored.grant.amount,
                    stored.grant.priority,
                    int(stored.grant.kind),
                    stored.grant.effective_us,
                    stored.grant.expires_us,
                    stored.granted_us,
                    stored.reason,
                    stored.voided_us,
                    stored.void_reason,
                    stored.told,
                )
                for stored in grants
            ],
        )

    def put_credit_entries(self, entries: Iterable[CreditEntry]) -> None:
        self._connection.executemany(
            "INSERT INTO credit_entry (company, feature, at_us, kind, credit_grant, parts, "
            "incarnation, sequence, reason, request) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    entry.company,
                    entry.feature,
                    entry.at_us,
                    int(entry.kind),
                    entry.grant,
                    codec.credit_parts_text(entry.parts),
                    codec.incarnation_column(entry.incarnation) if entry.incarnation else None,
                    entry.sequence if entry.incarnation else None,
                    entry.reason,
                    entry.request,
                )
                for entry in entries
            ],
        )

    def add_credit_losses(self, amounts: Mapping[CounterKey, int]) -> None:
        self._connection.executemany(
            _ADD_LOSS,
            [(*codec.counter_columns(key)[:5], amount) for key, amount in amounts.items()],
        )

    def put_credit_repayments(
        self, company: str, feature: str, repayments: Iterable[CreditRepayment], most: int
    ) -> None:
        self._connection.executemany(
            "INSERT INTO credit_repayment (company, feature, window_end_us, window_start_us, "
            "slot, amount) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    *codec.counter_columns(CounterKey(company, feature, each.counter))[:5],
                    each.amount,
                )
                for each in repayments
            ],
        )
        self._connection.execute(
            "DELETE FROM credit_repayment WHERE company = ? AND feature = ? AND number <= ("
            "SELECT number FROM credit_repayment WHERE company = ? AND feature = ? "
            "ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (company, feature, company, feature, most),
        )

    def set_credit_repayments(self, rest: Mapping[int, int]) -> None:
        for number, amount in rest.items():
            if amount:
                sql = "UPDATE credit_repayment SET amount = ? WHERE number = ?"
                self._connection.execute(sql, (amount, number))
            else:
                self._connection.execute("DELETE FROM credit_repayment WHERE number = ?", (number,))
