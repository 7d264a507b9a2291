"""Questions to the store on SQLite about credits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sidecar.control.storage.credit_values import (
    CreditEntry,
    CreditEntryKind,
    CreditRepayment,
    EntryFilter,
    GrantFilter,
    GrantPlace,
    StoredGrant,
)
from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.filling_queries import SqliteFillings
from sidecar.control.storage.values import CounterKey
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.windows import Window

_GRANT: Final = (
    "company, feature, id, amount, priority, kind, effective_us, expires_us, granted_us, reason, "
    "voided_us, void_reason, told"
)
_BURN_ORDER: Final = f"feature, priority, expires_us, kind = {GrantKind.PAID:d}, effective_us, id"
_ENTRY: Final = (
    "company, feature, at_us, kind, parts, credit_grant, incarnation, sequence, reason, request, "
    "number"
)


class SqliteCredits(SqliteFillings):
    """The part of a `ReadTransaction` that is about credits."""

    def credit_grant(self, company: str, id_: str) -> StoredGrant | None:
        sql = f"SELECT {_GRANT} FROM credit_grant WHERE company = ? AND id = ?"  # noqa: S608 - constants alone
        row = self._one(sql, company, id_)
        return None if row is None else _grant(*row)

    def credit_grants(
        self, wanted: GrantFilter, after: GrantPlace | None, limit: int
    ) -> list[StoredGrant]:
        conditions, parameters = ["company = ?"], list[object]([wanted.company])
        if wanted.feature:
            conditions.append("feature = ?")
            parameters.append(wanted.feature)
        if wanted.at_us is not None:
            conditions.append("voided_us IS NULL AND expires_us > ?")
            parameters.append(wanted.at_us)
        if after is not None:
            conditions.append(f"({_BURN_ORDER}) > (?, ?, ?, ?, ?, ?)")
            parameters += [after.feature, after.priority, after.expires_us]
            parameters += [after.is_paid, after.effective_us, after.id]
        rows = self._all(
            f"SELECT {_GRANT} FROM credit_grant WHERE {' AND '.join(conditions)} "  # noqa: S608
            f"ORDER BY {_BURN_ORDER} LIMIT ?",
            *parameters,
            limit,
        )
        return [_grant(*row) for row in rows]

    def told_credit_grants(self, company: str) -> list[StoredGrant]:
        sql = f"SELECT {_GRANT} FROM credit_grant WHERE company = ? AND told ORDER BY id"  # noqa: S608 - constants alone
        return [_grant(*row) for row in self._all(sql, company)]

    def companies_with_credit_grants(self, after: str, limit: int) -> list[str]:
        rows = self._all(
            "SELECT DISTINCT company FROM credit_grant INDEXED BY credit_grant_told "
            "WHERE told AND company > ? ORDER BY company LIMIT ?",
            after,
            limit,
        )
        return [company for (company,) in rows]

    def told_credit_features(self) -> dict[str, int]:
        return dict(
            self._all("SELECT feature, count(*) FROM credit_grant WHERE told GROUP BY feature")
        )

    def expired_credit_grants(
        self, wanted: EntryFilter, after: tuple[int, str], limit: int
    ) -> list[StoredGrant]:
        rows = self._all(
            f"SELECT {_GRANT} FROM credit_grant WHERE company = ? "  # noqa: S608 - constants alone
            "AND (feature = ? OR ? = '') AND expires_us >= ? AND expires_us < ? "
            "AND (expires_us, id) > (?, ?) AND (voided_us IS NULL OR voided_us >= expires_us) "
            "ORDER BY expires_us, id LIMIT ?",
            wanted.company,
            wanted.feature,
            wanted.feature,
            wanted.from_us,
            min(wanted.until_us, FOREVER_US),
            *after,
            limit,
        )
        return [_grant(*row) for row in rows]

    def credit_entries(
        self, wanted: EntryFilter, after: tuple[int, int], limit: int
    ) -> list[CreditEntry]:
        rows = self._all(
            f"SELECT {_ENTRY} FROM credit_entry WHERE company = ? "  # noqa: S608 - constants alone
            "AND (feature = ? OR ? = '') AND at_us >= ? AND at_us < ? AND (at_us, number) > (?, ?) "
            "ORDER BY at_us, number LIMIT ?",
            wanted.company,
            wanted.feature,
            wanted.feature,
            wanted.from_us,
            wanted.until_us,
            *after,
            limit,
        )
        return [_entry(*row) for row in rows]

    def credit_entries_of(self, company: str, incarnation: str, sequence: int) -> list[CreditEntry]:
        rows = self._all(
            f"SELECT {_ENTRY} FROM credit_entry WHERE company = ? "  # noqa: S608 - constants alone
            "AND incarnation = ? AND sequence = ? ORDER BY number",
            company,
            codec.incarnation_column(incarnation),
            sequence,
        )
        return [_entry(*row) for row in rows]

    def credit_request(self, company: str, request: str) -> CreditEntry | None:
        row = self._one(
            f"SELECT {_ENTRY} FROM credit_entry "  # noqa: S608 - constants alone
            "WHERE company = ? AND request = ? AND request <> ''",
            company,
            request,
        )
        return None if row is None else _entry(*row)

    def credit_losses(self, keys: Iterable[CounterKey]) -> dict[CounterKey, int]:
        found: dict[CounterKey, int] = {}
        sql = (
            "SELECT amount FROM credit_loss WHERE company = ? AND feature = ? "
            "AND window_end_us = ? AND window_start_us = ? AND slot = ?"
        )
        for key in keys:
            row = self._one(sql, *codec.counter_columns(key)[:5])
            if row is not None:
                found[key] = row[0]
        return found

    def credit_repayments(self, company: str, feature: str, limit: int) -> list[CreditRepayment]:
        rows = self._all(
            "SELECT number, window_end_us, window_start_us, slot, amount FROM credit_repayment "
            "WHERE company = ? AND feature = ? ORDER BY number DESC LIMIT ?",
            company,
            feature,
            limit,
        )
        return [
            CreditRepayment(CounterRef(slot, (), Window(start_us, end_us)), amount, number)
            for number, end_us, start_us, slot, amount in rows
        ]

    def credit_debts(self, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
        return self._all(
            "SELECT company, feature FROM counter INDEXED BY counter_debt "
            "WHERE slot = 'OVERDRAFT' AND total > 0 AND (company, feature) > (?, ?) "
            "ORDER BY company, feature LIMIT ?",
            *after,
            limit,
        )


def _grant(company: str, feature: str, id_: str, *rest: Any) -> StoredGrant:
    amount, priority, kind, effective_us, expires_us, granted_us, reason = rest[:7]
    voided_us, void_reason, told = rest[7:]
    grant = CreditGrant(id_, amount, priority, GrantKind(kind), effective_us, expires_us)
    return StoredGrant(
        company, feature, grant, granted_us, reason, voided_us, void_reason, bool(told)
    )


def _entry(
    company: str, feature: str, at_us: int, kind: int, parts: str, *rest: Any
) -> CreditEntry:
    grant, incarnation, sequence, reason, request, number = rest
    return CreditEntry(
        company,
        feature,
        at_us,
        CreditEntryKind(kind),
        codec.credit_parts(parts),
        grant,
        "" if incarnation is None else codec.incarnation_text(incarnation),
        sequence or 0,
        reason,
        request,
        number,
    )
