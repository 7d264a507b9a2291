"""Questions to the store on SQLite about what is carried from window to window."""

from __future__ import annotations

from typing import Final

from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.losses import SqliteLosses
from sidecar.control.storage.values import CounterKey, RolloverWalk, RolloverWindow

_KEY: Final = "company, feature, window_end_us, window_start_us, slot, dimension_values"
_STATE: Final = "total, carried, rollover_terms, rollover_settled, rollover_due_us"
_BY_OVERRIDES: Final = "AND instr(timeline, CAST('\"rollover\"' AS BLOB)) > 0"


class SqliteRollover(SqliteLosses):
    """That part of a `ReadTransaction`, on a connection in which a transaction has begun."""

    def rollover_window(self, key: CounterKey) -> RolloverWindow | None:
        row = self._one(
            f"SELECT {_STATE} FROM counter WHERE company = ? AND feature = ? "  # noqa: S608
            "AND window_end_us = ? AND window_start_us = ? AND slot = ? AND dimension_values = ? "
            "AND carried IS NOT NULL",
            *codec.counter_columns(key),
        )
        return None if row is None else codec.rollover_window(key, *row)

    def rollover_windows_after(
        self, key: CounterKey, end_us: int, limit: int
    ) -> list[RolloverWindow]:
        rows = self._all(
            f"SELECT {_KEY}, {_STATE} FROM counter WHERE company = ? AND feature = ? "  # noqa: S608
            "AND slot = ? AND window_end_us > ? AND carried IS NOT NULL "
            "ORDER BY window_end_us, window_start_us LIMIT ?",
            key.company,
            key.feature,
            key.counter.slot,
            end_us,
            limit,
        )
        return [codec.rollover_window(codec.counter_row_key(*row[:6]), *row[6:]) for row in rows]

    def rollover_windows_due(self, now_us: int, limit: int) -> list[CounterKey]:
        rows = self._all(
            f"SELECT {_KEY} FROM counter WHERE rollover_due_us <= ? "  # noqa: S608
            "ORDER BY rollover_due_us LIMIT ?",
            now_us,
            limit,
        )
        return [codec.counter_row_key(*row) for row in rows]

    def rollover_walk(self) -> RolloverWalk:
        row = self._one("SELECT revision, company, since_us, signature FROM rollover_walk")
        return RolloverWalk() if row is None else RolloverWalk(*row)

    def rollover_candidates(
        self, walk: RolloverWalk, limit: int, *, by_overrides: bool
    ) -> list[tuple[int, str]]:
        only = _BY_OVERRIDES if by_overrides else ""
        return self._all(
            "SELECT revision, company FROM company "  # noqa: S608
            f"WHERE (revision, company) > (?, ?) AND document IS NOT NULL {only} "
            "ORDER BY revision, company LIMIT ?",
            walk.revision,
            walk.company,
            limit,
        )
