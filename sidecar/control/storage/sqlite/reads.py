"""Questions to the store on SQLite: about usage, and those of `totals` and what it stands on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.seat_queries import SqliteSeats
from sidecar.control.storage.values import (
    IncarnationTally,
    KeyUse,
    KnownIncarnation,
    LedgerLine,
    LineFilter,
    LinePosition,
    UsageSum,
)
from sidecar.domain.bounds import saturated
from sidecar.domain.time.sure import KnownTime
from sidecar.domain.time.units import DAY_US

_LINE_COLUMNS: Final = (
    "company, feature, event_time_us, incarnation, sequence, quantity, overage, "
    "accepted_us, received_us, record, duplicate_of, unattributed"
)


class SqliteReads(SqliteSeats):
    """A `ReadTransaction` on a connection in which a transaction has begun."""

    def incarnation(self, incarnation: str) -> KnownIncarnation | None:
        row = self._one(
            "SELECT watermark, head, fenced, node, first_heard_us, last_heard_us, "
            "capabilities, agreed_us FROM incarnation WHERE incarnation = ?",
            codec.incarnation_column(incarnation),
        )
        if row is None:
            return None
        watermark, head, fenced, node, first_us, last_us, knows, agreed_us = row
        return KnownIncarnation(
            id=incarnation,
            watermark=watermark,
            head=head,
            fenced=bool(fenced),
            node=node,
            first_heard_us=first_us,
            last_heard_us=last_us,
            capabilities=codec.capabilities(knows),
            agreed_us=agreed_us,
        )

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

    def known_time(self) -> KnownTime | None:
        rows = self._all(
            "SELECT now_us, sure_us, offset_us, boot, ticks_us, elapsed_us FROM known_time"
        )
        return KnownTime(*rows[0]) if rows else None

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

    def line_of_record(self, company: str, incarnation: str, sequence: int) -> LedgerLine | None:
        # The index of a company's lines holds both, so that no line but the one is read.
        row = self._one(
            f"SELECT {_LINE_COLUMNS} FROM ledger WHERE rowid = ("  # noqa: S608
            "SELECT rowid FROM ledger INDEXED BY ledger_by_company "
            "WHERE company = ? AND incarnation = ? AND sequence = ?)",
            company,
            codec.incarnation_column(incarnation),
            sequence,
        )
        return None if row is None else _line(*row)

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
        quantity=saturated((quantity_high << 32) + quantity_low),
        overage=saturated((overage_high << 32) + overage_low),
    )
