"""Questions to the store on SQLite about fillings."""

from __future__ import annotations

from typing import Any, Final

from sidecar.control.storage.filling_values import Filling, FillingStage, FillingWalk
from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.lease_queries import SqliteLeases
from sidecar.control.storage.values import CounterKey, LinePosition

FILLED: Final = int(FillingStage.FILLED)
FILLING_IS: Final = "company = ? AND feature = ? AND slot = ?"
SUM_IS: Final = (
    f"{FILLING_IS} AND window_end_us = ? AND window_start_us = ? AND counter_slot = ? "
    "AND dimension_values = ?"
)
_COLUMNS: Final = (
    "company, slot, counted_by, from_us, keep_until_us, stage, reached_us, reached_incarnation, "
    "reached_sequence"
)


class SqliteFillings(SqliteLeases):
    """That part of a `ReadTransaction`, on a connection in which a transaction has begun."""

    def fillings_of(self, company: str, feature: str) -> list[Filling]:
        rows = self._all(
            f"SELECT {_COLUMNS} FROM filling WHERE company = ? AND feature = ? "  # noqa: S608
            "ORDER BY slot",
            company,
            feature,
        )
        return [_filling(*row) for row in rows]

    def any_filling(self) -> bool:
        return self._one("SELECT 1 FROM filling LIMIT 1") is not None

    def unfinished_fillings(self, after: tuple[str, str, str], limit: int) -> list[Filling]:
        rows = self._all(
            f"SELECT {_COLUMNS} FROM filling WHERE stage < {FILLED} "  # noqa: S608
            "AND (company, feature, slot) > (?, ?, ?) ORDER BY company, feature, slot LIMIT ?",
            *after,
            limit,
        )
        return [_filling(*row) for row in rows]

    def filling_sums(self, filling: Filling, limit: int) -> list[tuple[CounterKey, int]]:
        rows = self._all(
            "SELECT company, feature, window_end_us, window_start_us, counter_slot, "  # noqa: S608
            f"dimension_values, amount FROM filling_sum WHERE {FILLING_IS} LIMIT ?",
            *filling_columns(filling),
            limit,
        )
        return [(codec.counter_row_key(*row[:6]), row[6]) for row in rows]

    def filling_has_sum(self, filling: Filling, key: CounterKey) -> bool:
        row = self._one(
            f"SELECT 1 FROM filling_sum WHERE {SUM_IS}",  # noqa: S608
            *sum_columns(filling, key),
        )
        return row is not None

    def filling_walk(self) -> FillingWalk:
        row = self._one(
            "SELECT revision, company, since_us, wanted, catalog_company FROM filling_walk"
        )
        if row is None:
            return FillingWalk()
        revision, company, since_us, wanted, catalog_company = row
        return FillingWalk(revision, company, since_us, codec.wanted(wanted), catalog_company)


def filling_columns(filling: Filling) -> tuple[str, str, str]:
    """The key columns of a filling."""
    return filling.company, filling.feature, filling.slot


def sum_columns(filling: Filling, key: CounterKey) -> tuple[str | int, ...]:
    """The key columns of a filling's counter."""
    return (*filling_columns(filling), *codec.counter_columns(key)[2:])


def _filling(company: str, slot: str, counted_by: str, *rest: Any) -> Filling:
    from_us, keep_until_us, stage, reached_us, incarnation, sequence = rest
    reached = None
    if reached_us is not None:
        reached = LinePosition(reached_us, codec.incarnation_text(incarnation), sequence)
    return Filling(
        company,
        slot,
        codec.counted_by(counted_by),
        from_us,
        keep_until_us,
        FillingStage(stage),
        reached,
    )
