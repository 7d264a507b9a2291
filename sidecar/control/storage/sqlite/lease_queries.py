"""Questions to the store on SQLite about leases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from sidecar.control.storage.lease_values import (
    GrantedLease,
    LeaseFilter,
    LeaseLook,
    LeasePlace,
    LeasesElsewhere,
    StoredLease,
)
from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.totals import SqliteTotals
from sidecar.control.storage.values import CounterKey
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.capabilities import Capability
from sidecar.domain.leases.account import LeaseAccount
from sidecar.domain.time.windows import Window

_COLUMNS: Final = (
    "company",
    "feature",
    "window_end_us",
    "window_start_us",
    "slot",
    "dimension_values",
)
_KEY: Final = "l.company, l.feature, l.window_end_us, l.window_start_us, l.slot, l.dimension_values"
_TERMS: Final = (
    "l.granted, l.number, l.valid_until_us, l.amount, l.asked_us, l.since_us, l.released, l.counted"
)
_KEY_IS: Final = (
    "{0}.company = ? AND {0}.feature = ? AND {0}.window_end_us = ? AND {0}.window_start_us = ? "
    "AND {0}.slot = ? AND {0}.dimension_values = ?"
)
_OWN: Final = (
    "LEFT JOIN counter_part p ON p.company = l.company AND p.feature = l.feature "
    "AND p.window_end_us = l.window_end_us AND p.window_start_us = l.window_start_us "
    "AND p.slot = l.slot AND p.dimension_values = l.dimension_values "
    "AND p.incarnation = l.incarnation"
)
_OUTSTANDING: Final = (
    "max(0, CASE WHEN l.released THEN coalesce(l.counted, p.amount, 0) ELSE l.granted END "
    "- coalesce(p.amount, 0))"
)
# Constants alone are put together. Halves of 32 bits are summed: sum() fails past int64.
_TOTAL: Final = f"SELECT c.total FROM counter c WHERE {_KEY_IS.format('c')}"  # noqa: S608
_PART: Final = (
    f"SELECT p.amount FROM counter_part p WHERE {_KEY_IS.format('p')} "  # noqa: S608
    "AND p.incarnation = ?"
)
_KEY_IN_JSON: Final = " AND ".join(
    f"{{0}}.{column} = json_extract(wanted.value, '$[{at}]')" for at, column in enumerate(_COLUMNS)
)
_KNOWN: Final = (
    "SELECT wanted.key FROM json_each(?) wanted WHERE "  # noqa: S608
    f"EXISTS (SELECT 1 FROM counter c WHERE {_KEY_IN_JSON.format('c')}) "
    f"OR EXISTS (SELECT 1 FROM lease l WHERE {_KEY_IN_JSON.format('l')})"
)
_LEASE: Final = f"SELECT {_TERMS} FROM lease l WHERE {_KEY_IS.format('l')} AND l.incarnation = ?"  # noqa: S608
_OF_OTHERS: Final = (
    "SELECT coalesce(sum(outstanding >> 32), 0), coalesce(sum(outstanding & 4294967295), 0), "  # noqa: S608
    "count(*) FILTER (WHERE asked_us > ?) "
    f"FROM (SELECT {_OUTSTANDING} AS outstanding, l.asked_us AS asked_us FROM lease l {_OWN} "
    f"WHERE {_KEY_IS.format('l')} AND l.incarnation <> ?)"
)
_WITHOUT_LEASES: Final = (
    f"SELECT 1 FROM counter_part p JOIN incarnation i ON i.incarnation = p.incarnation "  # noqa: S608
    f"WHERE {_KEY_IS.format('p')} AND i.last_heard_us > ? AND NOT i.capabilities & ? LIMIT 1"
)
_HELD: Final = f"{_KEY}, l.incarnation, {_TERMS}, coalesce(p.amount, 0) AS own"
_GRANTED: Final = f"SELECT {_HELD} FROM lease l {_OWN} "  # noqa: S608
_OF_COUNTER: Final = (
    f"{_GRANTED} WHERE {_KEY_IS.format('l')} AND {_OUTSTANDING} > 0 "
    f"ORDER BY {_OUTSTANDING} DESC, l.incarnation LIMIT ?"
)
_OF_EARLIER: Final = (
    f"{_GRANTED} WHERE l.company = :company AND l.feature = :feature AND l.{{}} > :since_us "
    f"AND l.window_start_us <= :start_us AND l.dimension_values = '[]' AND {_OUTSTANDING} > 0 "
)
_BEFORE: Final = (
    f"SELECT * FROM ({_OF_EARLIER.format('window_end_us')} UNION "  # noqa: S608
    f"{_OF_EARLIER.format('asked_us')} AND l.asked_us >= l.window_end_us) "
    "ORDER BY granted - own DESC, incarnation LIMIT :most"
)
_NEXT_SLOT: Final = (
    "(SELECT l.slot FROM lease l INDEXED BY lease_by_slot WHERE l.company = :company "
    "AND l.feature = :feature AND l.slot > {} ORDER BY l.slot LIMIT 1)"
)
_SLOTS: Final = (
    f"WITH RECURSIVE found(slot) AS (SELECT {_NEXT_SLOT.format(repr(''))} UNION ALL "  # noqa: S608
    f"SELECT {_NEXT_SLOT.format('found.slot')} FROM found WHERE found.slot IS NOT NULL) "
    "SELECT slot FROM found WHERE slot IS NOT NULL"
)
_OF_SLOT: Final = "l.company = :company AND l.feature = :feature AND l.slot = :slot"
_NEXT_OF_SLOT: Final = (
    "FROM lease l INDEXED BY lease_by_slot "
    f"WHERE {_OF_SLOT} AND (l.window_end_us, l.window_start_us) > {{}} "
    "ORDER BY l.window_end_us, l.window_start_us LIMIT 1"
)
_NEXT_WINDOW: Final = (
    f"(SELECT l.window_end_us {_NEXT_OF_SLOT}), (SELECT l.window_start_us {_NEXT_OF_SLOT})"
)
# From window to window: of each there may be leases of very many values.
_WINDOWS: Final = (
    f"WITH RECURSIVE found(end_us, start_us) AS ("  # noqa: S608
    f"SELECT {_NEXT_WINDOW.replace('{}', f'(:after_us, {INT64_MAX})')} UNION ALL "
    f"SELECT {_NEXT_WINDOW.replace('{}', '(found.end_us, found.start_us)')} "
    "FROM found WHERE found.end_us IS NOT NULL)"
)
_SOME_WINDOWS: Final = (
    f"{_WINDOWS} SELECT start_us, end_us FROM found WHERE end_us IS NOT NULL LIMIT :limit"  # noqa: S608
)
_OVERLAPS: Final = (
    "AND l.window_start_us < :end_us "
    "AND (l.valid_until_us > :begins_us OR l.asked_us >= :begins_us) "
    "AND NOT (l.slot = :own_slot "
    "AND l.window_end_us = :end_us AND l.window_start_us = :start_us)"
)
_OF_VALUES: Final = (
    f"{_WINDOWS} SELECT {{}} FROM found "  # noqa: S608
    f"CROSS JOIN lease l INDEXED BY lease_by_slot {_OWN} WHERE {_OF_SLOT} "
    "AND l.window_end_us = found.end_us AND l.window_start_us = found.start_us "
    f"AND l.dimension_values = :values {_OVERLAPS}"
)
_OF_ANY_VALUES: Final = (
    f"SELECT {{}} FROM lease l INDEXED BY lease_by_slot {_OWN} "  # noqa: S608
    f"WHERE {_OF_SLOT} AND l.window_end_us > :after_us {_OVERLAPS}"
)
_SUM: Final = (
    f"coalesce(sum({_OUTSTANDING} >> 32), 0), "
    f"coalesce(sum({_OUTSTANDING} & 4294967295), 0), count(*)"
)
_PLACE: Final = f"({_KEY}, l.incarnation) > (?, ?, ?, ?, ?, ?, ?)"
_KNOWS_LEASES: Final = 1 << Capability.LEASES


class SqliteLeases(SqliteTotals):
    """That part of a `ReadTransaction`, on a connection in which a transaction has begun."""

    def lease_revision(self) -> int:
        return int(self._one("SELECT lease_revision FROM meta")[0])

    def known_counters(self, keys: Sequence[CounterKey]) -> set[CounterKey]:
        wanted = msgspec.json.encode([codec.counter_columns(key) for key in keys]).decode()
        return {keys[at] for (at,) in self._all(_KNOWN, wanted)}

    def lease_account(self, key: CounterKey, look: LeaseLook) -> LeaseAccount:
        columns = codec.counter_columns(key)
        column = codec.incarnation_column(look.incarnation)
        total = self._one(_TOTAL, *columns)
        part = self._one(_PART, *columns, column)
        row = self._one(_LEASE, *columns, column)
        high, low, active = self._one(_OF_OTHERS, look.active_since_us, *columns, column)
        blind = self._one(_WITHOUT_LEASES, *columns, look.heard_since_us, _KNOWS_LEASES)
        return LeaseAccount(
            used=0 if total is None else total[0],
            own=0 if part is None else part[0],
            granted=0 if row is None else row[0],
            number=0 if row is None else row[1],
            valid_until_us=0 if row is None else row[2],
            amount=0 if row is None else row[3],
            since_us=0 if row is None else row[5],
            released=row is not None and bool(row[6]),
            outstanding_of_others=(high << 32) + low,
            active_others=active,
            all_know_leases=blind is None,
        )

    def lease_of(self, key: CounterKey, incarnation: str) -> StoredLease | None:
        column = codec.incarnation_column(incarnation)
        row = self._one(_LEASE, *codec.counter_columns(key), column)
        return None if row is None else _lease(key, column, *row)

    def granted_leases(self, key: CounterKey, limit: int) -> list[GrantedLease]:
        return [
            _granted(*row) for row in self._all(_OF_COUNTER, *codec.counter_columns(key), limit)
        ]

    def leases_before(self, key: CounterKey, since_us: int, limit: int) -> list[GrantedLease]:
        wanted = {
            "company": key.company,
            "feature": key.feature,
            "since_us": since_us,
            "start_us": key.counter.window.start_us,
            "most": limit,
        }
        return [_granted(*row) for row in self._connection.execute(_BEFORE, wanted)]

    def leased_slots(self, company: str, feature: str) -> list[str]:
        wanted = {"company": company, "feature": feature}
        return [slot for (slot,) in self._connection.execute(_SLOTS, wanted)]

    def leased_windows(
        self, company: str, feature: str, slot: str, after_us: int, limit: int
    ) -> list[Window]:
        wanted = {"company": company, "feature": feature, "slot": slot}
        rows = self._connection.execute(
            _SOME_WINDOWS, {**wanted, "after_us": after_us, "limit": limit}
        )
        return [Window(start_us, end_us) for start_us, end_us in rows]

    def outstanding_elsewhere(self, wanted: LeasesElsewhere) -> tuple[int, int]:
        sql = _elsewhere(wanted, _SUM)
        high, low, rows = self._connection.execute(sql, _columns(wanted)).fetchone()
        return (high << 32) + low, rows

    def leases_elsewhere(self, wanted: LeasesElsewhere, limit: int) -> list[GrantedLease]:
        sql = f"{_elsewhere(wanted, _HELD)} AND {_OUTSTANDING} > 0 LIMIT :limit"
        rows = self._connection.execute(sql, {**_columns(wanted), "limit": limit})
        return [_granted(*row) for row in rows]

    def leases_after(
        self, wanted: LeaseFilter, after: LeasePlace | None, limit: int
    ) -> list[GrantedLease]:
        conditions, parameters = ["1"], list[object]()
        if wanted.incarnation:
            conditions.append("l.incarnation = ?")
            parameters.append(codec.incarnation_column(wanted.incarnation))
        if wanted.company:
            conditions.append("l.company = ?")
            parameters.append(wanted.company)
        if after is not None:
            conditions.append(_PLACE)
            place = codec.incarnation_column(after.incarnation)
            parameters += [*codec.counter_columns(after.key), place]
        rows = self._all(
            f"{_GRANTED} WHERE {' AND '.join(conditions)} ORDER BY {_KEY}, l.incarnation LIMIT ?",
            *parameters,
            limit,
        )
        return [_granted(*row) for row in rows]


def _elsewhere(wanted: LeasesElsewhere, columns: str) -> str:
    return (_OF_ANY_VALUES if wanted.values is None else _OF_VALUES).format(columns)


def _columns(wanted: LeasesElsewhere) -> dict[str, object]:
    counter = replace(wanted.key.counter, slot=wanted.slot, values=wanted.values or ())
    columns = codec.counter_columns(replace(wanted.key, counter=counter))
    names = ("company", "feature", "end_us", "start_us", "slot", "values")
    return {
        **dict(zip(names, columns, strict=True)),
        "own_slot": wanted.key.counter.slot,
        "begins_us": wanted.begins_us,
        "after_us": max(wanted.begins_us, wanted.ended_since_us),
    }


def _granted(*row: Any) -> GrantedLease:
    return GrantedLease(_lease(codec.counter_row_key(*row[:6]), *row[6:15]), row[15])


def _lease(key: CounterKey, incarnation: bytes, *terms: Any) -> StoredLease:
    granted, number, valid_until_us, amount, asked_us, since_us, released, counted = terms
    return StoredLease(
        key,
        codec.incarnation_text(incarnation),
        granted,
        number,
        valid_until_us,
        amount,
        asked_us,
        since_us,
        bool(released),
        counted,
    )
