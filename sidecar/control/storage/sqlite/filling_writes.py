"""Changes of fillings on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sidecar.control.storage.filling_values import Filling, FillingWalk
from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.filling_queries import FILLED, SUM_IS, sum_columns
from sidecar.control.storage.sqlite.plan_writes import SqlitePlanWrites
from sidecar.control.storage.values import CounterKey
from sidecar.domain.bounds import saturated

_ADD: Final = (
    "INSERT INTO filling_sum VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "amount = min(amount + excluded.amount, 9223372036854775807)"
)


class SqliteFillingWrites(SqlitePlanWrites):
    """That part of a `WriteTransaction`, on a connection in which a transaction has begun."""

    def put_filling(self, filling: Filling) -> None:
        reached = filling.reached
        place: tuple[int | bytes | None, ...] = (None, None, None)
        if reached is not None:
            incarnation = codec.incarnation_column(reached.incarnation)
            place = (reached.event_time_us, incarnation, reached.sequence)
        self._connection.execute(
            "REPLACE INTO filling VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                filling.company,
                filling.feature,
                filling.slot,
                codec.value_text(filling.counted_by),
                filling.from_us,
                filling.keep_until_us,
                int(filling.stage),
                *place,
            ),
        )

    def add_to_filling_sums(self, filling: Filling, amounts: Mapping[CounterKey, int]) -> None:
        self._connection.executemany(
            _ADD,
            [(*sum_columns(filling, key), saturated(amount)) for key, amount in amounts.items()],
        )

    def drop_filling_sums(self, filling: Filling, keys: Iterable[CounterKey]) -> None:
        self._connection.executemany(
            f"DELETE FROM filling_sum WHERE {SUM_IS}",  # noqa: S608
            [sum_columns(filling, key) for key in keys],
        )

    def forget_fillings(self, before_us: int, limit: int) -> int:
        old = self._all(
            "SELECT company, feature, slot FROM filling WHERE keep_until_us < ? AND stage = ? "
            "ORDER BY keep_until_us LIMIT ?",
            before_us,
            FILLED,
            limit,
        )
        self._connection.executemany(
            "DELETE FROM filling WHERE company = ? AND feature = ? AND slot = ?", old
        )
        return len(old)

    def put_filling_walk(self, walk: FillingWalk) -> None:
        self._connection.execute(
            "REPLACE INTO filling_walk VALUES (1, ?, ?, ?, ?, ?)",
            (
                walk.revision,
                walk.company,
                walk.since_us,
                codec.value_text(walk.wanted),
                walk.catalog_company,
            ),
        )
