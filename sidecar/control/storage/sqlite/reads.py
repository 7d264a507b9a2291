"""Questions to the store on SQLite: about usage, and those of `companies`, `rollover_queries`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.rollover_queries import SqliteRollover
from sidecar.control.storage.values import (
    CounterKey,
    CounterState,
    IncarnationTally,
    KeyUse,
    KnownIncarnation,
    LedgerLine,
    LineFilter,
    LinePosition,
    UsageSum,
)
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.time.units import DAY_US, MINUTE_US

_COUNTER_IS: Final = (
    "{0}.company = ? AND {0}.feature = ? AND {0}.window_end_us = ? "
    "AND {0}.window_start_us = ? AND {0}.slot = ? AND {0}.dimension_values = ?"
)
_PART_OF: Final = (
    "LEFT JOIN counter_part p ON p.company = c.company AND p.feature = c.feature "
    "AND p.window_end_us = c.window_end_us AND p.window_start_us = c.window_start_us "
    "AND p.slot = c.slot AND p.dimension_values = c.dimension_values AND p.incarnation = ?"
)
_TOTAL: Final = (
    f"SELECT c.total, coalesce(p.amount, 0), c.version, c.carried FROM counter c {_PART_OF} "  # noqa: S608 - constants alone
    f"WHERE {_COUNTER_IS.format('c')}"
)
_PARTS: Final = (
    f"SELECT p.incarnation, p.amount FROM counter_part p WHERE {_COUNTER_IS.format('p')}"  # noqa: S608 - constants alone
)
_OPEN: Final = (
    "SELECT c.feature, c.window_end_us, c.window_start_us, c.slot, c.dimension_values, "  # noqa: S608
    "c.total, coalesce(p.amount, 0), c.version, c.carried "
    f"FROM counter c {_PART_OF} WHERE c.company = ? "
    "{feature} AND c.window_end_us > ? "
    "AND c.window_start_us <= CASE WHEN c.carried IS NULL THEN ? ELSE ? END "
    "ORDER BY c.dimension_values <> '[]', c.feature, c.slot, c.dimension_values LIMIT ?"
)
_LINE_COLUMNS: Final = (
    "company, feature, event_time_us, incarnation, sequence, quantity, overage, "
    "accepted_us, received_us, record, duplicate_of, unattributed"
)


class SqliteReads(SqliteRollover):
    """A `ReadTransaction` on a connection in which a transaction has begun."""

    def incarnation(self, incarnation: str) -> KnownIncarnation | None:
        row = self._one(
            "SELECT watermark, head, fenced, node, first_heard_us, last_heard_us "
            "FROM incarnation WHERE incarnation = ?",
            codec.incarnation_column(incarnation),
        )
        if row is None:
            return None
        watermark, head, fenced, *heard = row
        return KnownIncarnation(incarnation, watermark, head, bool(fenced), *heard)

    def chains(self, incarnation: str, first: int, last: int) -> dict[int, bytes]:
        return dict(
            self._all(
                "SELECT sequence, chain FROM chain "
                "WHERE incarnation = ? AND sequence BETWEEN ? AND ?",
                codec.incarnation_column(incarnation),
                first,
                last,
            )
        )

    def tallies(self, incarnation: str) -> list[IncarnationTally]:
        rows = self._all(
            "SELECT feature, records, quantity FROM incarnation_tally "
            "WHERE incarnation = ? ORDER BY feature",
            codec.incarnation_column(incarnation),
        )
        return [IncarnationTally(*row) for row in rows]

    def key_uses(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], KeyUse]:
        found: dict[tuple[str, str], KeyUse] = {}
        execute = self._connection.execute
        for key in keys:
            row = execute(
                "SELECT incarnation, sequence, digest FROM first_use "
                "WHERE company = ? AND idempotency_key = ?",
                key,
            ).fetchone()
            if row is not None:
                found[key] = KeyUse(codec.incarnation_text(row[0]), row[1], row[2])
        return found

    def totals(self, keys: Iterable[CounterKey], incarnation: str) -> list[CounterTotal]:
        column = codec.incarnation_column(incarnation)
        totals = []
        for key in keys:
            row = self._one(_TOTAL, column, *codec.counter_columns(key)) or (0, 0, 0, None)
            totals.append(_total(key, *row))
        return totals

    def counters(self, keys: Iterable[CounterKey]) -> list[CounterState]:
        states = []
        sql = f"SELECT total, version, carried FROM counter c WHERE {_COUNTER_IS.format('c')}"  # noqa: S608
        for key in keys:
            columns = codec.counter_columns(key)
            row = self._one(sql, *columns)
            if row is not None:
                parts = self._all(_PARTS, *columns)
                by_incarnation = {codec.incarnation_text(part): amount for part, amount in parts}
                total, version, carried = row
                amounts = codec.carried(carried)
                states.append(CounterState(key, total, version, by_incarnation, amounts))
        return states

    def open_counters(
        self, company: str, feature: str, at_us: int, incarnation: str, limit: int
    ) -> list[CounterTotal]:
        sql = _OPEN.format(feature="AND c.feature = ?" if feature else "")
        column = codec.incarnation_column(incarnation)
        named = (feature,) if feature else ()
        soon_us = at_us + MINUTE_US
        rows = self._all(sql, column, company, *named, at_us, at_us, soon_us, limit)
        return [_total(codec.counter_row_key(company, *row[:5]), *row[5:]) for row in rows]

    def lines(self, wanted: LineFilter, after: LinePosition | None, limit: int) -> list[LedgerLine]:
        conditions, parameters = _conditions(wanted)
        if after is not None:
            conditions += " AND (event_time_us, incarnation, sequence) > (?, ?, ?)"
            column = codec.incarnation_column(after.incarnation)
            parameters += [after.event_time_us, column, after.sequence]
        rows = self._all(
            f"SELECT {_LINE_COLUMNS} FROM ledger WHERE {conditions} "  # noqa: S608
            "ORDER BY event_time_us, incarnation, sequence LIMIT ?",
            *parameters,
            limit,
        )
        return [_line(*row) for row in rows]

    def usage_sums(
        self, wanted: LineFilter, by_company: bool, by_day: bool, limit: int
    ) -> list[UsageSum]:
        company = "company" if by_company else "''"
        day = f"event_time_us / {DAY_US}" if by_day else "NULL"
        conditions, parameters = _conditions(wanted)
        rows = self._all(
            # Halves of 32 bits are summed: sum() fails where int64 does not hold the result.
            f"SELECT {company} AS c, feature, {day} AS d, count(*), "  # noqa: S608
            "sum(quantity >> 32), sum(quantity & 4294967295), "
            "sum(overage >> 32), sum(overage & 4294967295) "
            f"FROM ledger WHERE {conditions} AND duplicate_of = '' "
            "GROUP BY c, feature, d ORDER BY c, feature, d LIMIT ?",
            *parameters,
            limit,
        )
        return [_usage_sum(*row) for row in rows]


def _total(
    key: CounterKey, total: int, own: int, version: int, carried: str | None
) -> CounterTotal:
    amounts = codec.carried(carried)
    return CounterTotal(key.company, key.feature, key.counter, total, own, version, amounts)


def _conditions(wanted: LineFilter) -> tuple[str, list[object]]:
    conditions, parameters = ["event_time_us >= ?", "event_time_us < ?"], list[object]()
    parameters += [wanted.from_us, wanted.until_us]
    for column, value in (("company", wanted.company), ("feature", wanted.feature)):
        if value:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    return " AND ".join(conditions), parameters


def _line(
    company: str, feature: str, event_time_us: int, incarnation: bytes, sequence: int, *rest: Any
) -> LedgerLine:
    quantity, overage, accepted_us, received_us, record, duplicate_of, unattributed = rest
    return LedgerLine(
        company=company,
        feature=feature,
        event_time_us=event_time_us,
        incarnation=codec.incarnation_text(incarnation),
        sequence=sequence,
        quantity=quantity,
        overage=overage,
        accepted_us=accepted_us,
        received_us=received_us,
        record=record,
        duplicate_of=duplicate_of,
        unattributed=bool(unattributed),
    )


def _usage_sum(company: str, feature: str, day: int | None, records: int, *halves: int) -> UsageSum:
    quantity_high, quantity_low, overage_high, overage_low = halves
    return UsageSum(
        company=company,
        feature=feature,
        day=day,
        records=records,
        quantity=codec.saturated((quantity_high << 32) + quantity_low),
        overage=codec.saturated((overage_high << 32) + overage_low),
    )
