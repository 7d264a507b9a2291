"""Changes of levels on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sidecar.control.storage.level_port import LevelInstant, excess_part
from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.filling_writes import SqliteFillingWrites
from sidecar.control.storage.values import CounterKey
from sidecar.domain.bounds import saturated
from sidecar.domain.time.units import DAY_US

_ADD: Final = (
    "INSERT INTO {} VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "amount = max(min(amount + excluded.amount, 9223372036854775807), -9223372036854775807)"
)
_FORGET: Final = (
    "DELETE FROM counter_part WHERE company = ? AND feature = ? AND window_end_us = ? "
    "AND window_start_us = ? AND slot = ? AND dimension_values = ? AND incarnation = ? "
    "AND amount = 0"
)


class SqliteLevelWrites(SqliteFillingWrites):
    """That part of a `WriteTransaction`, on a connection in which a transaction has begun."""

    def add_level_changes(self, changes: Mapping[LevelInstant, int]) -> None:
        days: dict[LevelInstant, int] = {}
        for instant, amount in changes.items():
            day = instant._replace(at_us=instant.at_us // DAY_US)
            days[day] = days.get(day, 0) + amount
        for table, amounts in (("level_change", changes), ("level_day", days)):
            self._connection.executemany(
                _ADD.format(table),
                [(*instant, saturated(amount)) for instant, amount in amounts.items()],
            )

    def forget_made_up(self, at_us: int, keys: Iterable[CounterKey]) -> None:
        column = codec.incarnation_column(excess_part(at_us))
        self._connection.executemany(
            _FORGET, [(*codec.counter_columns(key), column) for key in keys]
        )
