"""Questions to the store on SQLite about levels."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sidecar.control.storage.level_port import excess_part, excess_us
from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.credit_queries import SqliteCredits
from sidecar.control.storage.values import CounterKey
from sidecar.domain.levels.billing import ChangeAt
from sidecar.domain.time.units import DAY_US

# Halves of 32 bits are summed: sum() fails past int64.
_SUM: Final = "coalesce(sum(amount >> 32), 0), coalesce(sum(amount & 4294967295), 0)"
_OF_DAYS: Final = f"SELECT {_SUM} FROM level_day WHERE company = ? AND feature = ? AND day < ?"  # noqa: S608
_OF_DAY: Final = (
    f"SELECT {_SUM} FROM level_change "  # noqa: S608
    "WHERE company = ? AND feature = ? AND at_us >= ? AND at_us <= ?"
)
_EXCESSES: Final = (
    "SELECT incarnation, amount FROM counter_part WHERE company = ? AND feature = ? "
    "AND window_end_us = ? AND window_start_us = ? AND slot = ? AND dimension_values = ? "
    "AND incarnation >= ?"
)
_REPEATED: Final = (
    "SELECT duplicate_of FROM ledger INDEXED BY ledger_by_company "
    "WHERE company = ? AND event_time_us = ? AND incarnation = ? AND sequence = ?"
)


class SqliteLevels(SqliteCredits):
    """That part of a `ReadTransaction`, on a connection in which a transaction has begun."""

    def level_at(self, company: str, feature: str, at_us: int) -> int:
        day = at_us // DAY_US
        high, low = self._one(_OF_DAYS, company, feature, day)
        of_day = self._one(_OF_DAY, company, feature, day * DAY_US, at_us)
        return int(((high + of_day[0]) << 32) + low + of_day[1])

    def level_changes(
        self, company: str, feature: str, after_us: int, until_us: int, limit: int
    ) -> list[ChangeAt]:
        rows = self._all(
            "SELECT at_us, amount FROM level_change WHERE company = ? AND feature = ? "
            "AND at_us > ? AND at_us < ? ORDER BY at_us LIMIT ?",
            company,
            feature,
            after_us,
            until_us,
            limit,
        )
        return [ChangeAt(*row) for row in rows]

    def repeated_by(self, company: str, event_time_us: int, incarnation: str, sequence: int) -> str:
        column = codec.incarnation_column(incarnation)
        row = self._one(_REPEATED, company, event_time_us, column, sequence)
        return "" if row is None else str(row[0])

    def level_excesses(self, key: CounterKey) -> dict[int, int]:
        first = codec.incarnation_column(excess_part(0))
        rows = self._all(_EXCESSES, *codec.counter_columns(key), first)
        return {excess_us(UUID(bytes=column)): amount for column, amount in rows}
