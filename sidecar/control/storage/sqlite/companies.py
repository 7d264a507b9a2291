"""Questions to the store on SQLite about catalog and companies."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.values import CompanyChange, PlaneState, StoredCompany, Tombstone
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import CatalogSnapshot
from sidecar.domain.company.model import CompanySnapshot

_KEYS_LOOKED_FOR_MAX: Final = 20
"""Past so many keys, looking for each takes longer than reading everything once."""
_COMPANY_COLUMNS: Final = "company, revision, document, timeline, coalesce(changed_us, 0), owners"
_TIMELINE: Final = "timeline, CASE WHEN timeline IS NULL THEN document END"


class SqliteCompanies:
    """That part of a `ReadTransaction`, on a connection in which a transaction has begun."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, *parameters: object) -> list[Any]:
        return self._connection.execute(sql, parameters).fetchall()

    def _one(self, sql: str, *parameters: object) -> Any:
        return self._connection.execute(sql, parameters).fetchone()

    def state(self) -> PlaneState:
        return PlaneState(*self._one("SELECT epoch, revision FROM meta"))

    def catalog(self) -> CatalogSnapshot | None:
        row = self._one("SELECT revision, document FROM catalog")
        return None if row is None else CatalogSnapshot(row[0], codec.catalog(row[1]))

    def catalog_version(self) -> int:
        row = self._one("SELECT revision FROM catalog")
        return 0 if row is None else int(row[0])

    def companies(self, ids: Iterable[str]) -> dict[str, StoredCompany]:
        found: dict[str, StoredCompany] = {}
        sql = f"SELECT {_COMPANY_COLUMNS} FROM company WHERE company = ? AND document IS NOT NULL"  # noqa: S608
        for company in ids:
            row = self._one(sql, company)
            if row is not None:
                found[company] = _stored_company(*row)
        return found

    def snapshots(self, ids: Iterable[str]) -> dict[str, CompanySnapshot]:
        found, _ = self.snapshots_within(list(ids), INT64_MAX)
        return found

    def snapshots_within(
        self, ids: Sequence[str], bytes_max: int
    ) -> tuple[dict[str, CompanySnapshot], Sequence[str]]:
        found: dict[str, CompanySnapshot] = {}
        sql = (
            f"SELECT revision, {_TIMELINE} FROM company "  # noqa: S608 - constants alone
            "WHERE company = ? AND document IS NOT NULL"
        )
        room = bytes_max
        for at, company in enumerate(ids):
            row = self._one(sql, company)
            if row is None:
                continue
            room -= _size_of(*row[1:])
            if room < 0 and found:
                return found, ids[at:]
            found[company] = codec.snapshot(company, *row)
        return found, ()

    def tombstones(self, ids: Iterable[str]) -> dict[str, Tombstone]:
        found: dict[str, Tombstone] = {}
        sql = (
            "SELECT revision, timeline, coalesce(changed_us, 0) FROM company "
            "WHERE company = ? AND document IS NULL AND timeline IS NOT NULL"
        )
        for company in ids:
            row = self._one(sql, company)
            if row is not None:
                revision, timeline, changed_us = row
                last = codec.snapshot(company, revision, timeline)
                found[company] = Tombstone(last, changed_us)
        return found

    def companies_after(self, company: str, limit: int) -> list[StoredCompany]:
        rows = self._all(
            f"SELECT {_COMPANY_COLUMNS} FROM company "  # noqa: S608
            "WHERE company > ? AND document IS NOT NULL ORDER BY company LIMIT ?",
            company,
            limit,
        )
        return [_stored_company(*row) for row in rows]

    def company_ids_after(self, company: str, limit: int) -> list[str]:
        rows = self._all(
            "SELECT company FROM company "
            "WHERE company > ? AND document IS NOT NULL ORDER BY company LIMIT ?",
            company,
            limit,
        )
        return [company for (company,) in rows]

    def first_ids(self, names: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in names:
            row = self._one("SELECT company FROM company_name WHERE name = ?", name)
            if row is not None:
                found[name] = row[0]
        return found

    def called(self, ids: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        sql = "SELECT name FROM company_name WHERE company = ? ORDER BY revision DESC LIMIT 1"
        for company in ids:
            row = self._one(sql, company)
            if row is not None:
                found[company] = row[0]
        return found

    def company_names_after(self, name: str, limit: int) -> list[str]:
        sql = "SELECT name FROM company_name WHERE name > ? ORDER BY name LIMIT ?"
        return [found for (found,) in self._all(sql, name, limit)]

    def companies_naming(
        self, keys: Sequence[str], company: str, limit: int
    ) -> list[StoredCompany]:
        if not keys:
            return []
        if len(keys) > _KEYS_LOOKED_FOR_MAX:
            return self.companies_after(company, limit)
        # SQLite finds a text in all documents in a tenth of the time that reading them takes.
        named = " OR ".join(["instr(document, ?)"] * len(keys))
        rows = self._all(
            f"SELECT {_COMPANY_COLUMNS} FROM company "  # noqa: S608
            f"WHERE company > ? AND document IS NOT NULL AND ({named}) ORDER BY company LIMIT ?",
            company,
            *map(codec.text_in_document, keys),
            limit,
        )
        return [_stored_company(*row) for row in rows]

    def company_changes(
        self, revision: int, company: str, limit: int, bytes_max: int
    ) -> tuple[list[CompanyChange], bool]:
        rows = self._connection.execute(
            f"SELECT company, revision, document IS NOT NULL, {_TIMELINE} FROM company "  # noqa: S608 - constants alone
            "WHERE (revision, company) > (?, ?) ORDER BY revision, company LIMIT ?",
            (revision, company, limit),
        )
        changes: list[CompanyChange] = []
        room = bytes_max
        for key, changed, exists, timeline, document in rows:
            room -= _size_of(timeline, document) if exists else 0
            if room < 0 and changes:
                return changes, True
            snapshot = codec.snapshot(key, changed, timeline, document) if exists else None
            changes.append(CompanyChange(key, changed, snapshot))
        return changes, len(changes) == limit


def _size_of(timeline: bytes | None, document: bytes | None) -> int:
    return len(timeline or document or b"")


def _stored_company(
    company: str,
    revision: int,
    document: bytes,
    timeline: bytes | None,
    changed_us: int,
    owners: bytes | None,
) -> StoredCompany:
    snapshot = codec.snapshot(company, revision, timeline, document)
    return StoredCompany(codec.company(document), snapshot, changed_us, codec.owners(owners))
