"""Questions to the store on SQLite about counters: single ones, and those that changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.plan_queries import SqlitePlans
from sidecar.control.storage.values import CounterKey, CounterState, TotalsPosition
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.limits.counters import CounterTotal

COUNTER_KEY: Final = (
    "c.company, c.feature, c.window_end_us, c.window_start_us, c.slot, c.dimension_values"
)
TOTAL: Final = "c.total, coalesce(p.amount, 0), c.version, c.carried, coalesce(k.amount, 0)"
_PART: Final = (
    "LEFT JOIN counter_part {0} ON {0}.company = c.company AND {0}.feature = c.feature "
    "AND {0}.window_end_us = c.window_end_us AND {0}.window_start_us = c.window_start_us "
    "AND {0}.slot = c.slot AND {0}.dimension_values = c.dimension_values AND {0}.incarnation = "
)
_PARTS: Final = f"{_PART.format('p')} ? {_PART.format('k')} zeroblob(16)"
COUNTER_WITH_PARTS: Final = f"FROM counter c {_PARTS}"
"""Counters, beside each an incarnation's part (the first parameter) and the plane's own."""
_COUNTER_IS: Final = (
    "company = ? AND feature = ? AND window_end_us = ? "
    "AND window_start_us = ? AND slot = ? AND dimension_values = ?"
)
# Constants alone are put together.
_SINGLE: Final = (
    f"SELECT {TOTAL} {COUNTER_WITH_PARTS} WHERE c.company = ? AND c.feature = ? "
    "AND c.window_end_us = ? AND c.window_start_us = ? AND c.slot = ? AND c.dimension_values = ?"
)
_OF_SLOT: Final = (
    f"SELECT {COUNTER_KEY}, {TOTAL} {COUNTER_WITH_PARTS} WHERE c.company = ? AND c.feature = ? "
    "AND c.window_end_us = ? AND c.window_start_us = ? AND c.slot = ? AND c.dimension_values > ? "
    "ORDER BY c.dimension_values LIMIT ?"
)
_STATE: Final = f"SELECT total, version, carried FROM counter WHERE {_COUNTER_IS}"  # noqa: S608
_PARTS_OF: Final = f"SELECT incarnation, amount FROM counter_part WHERE {_COUNTER_IS}"  # noqa: S608
_UNENDED: Final = (
    f"SELECT {COUNTER_KEY}, {TOTAL} {COUNTER_WITH_PARTS} "
    "WHERE c.company = ? AND c.feature = ? AND (c.window_end_us, c.window_start_us, c.slot, "
    "c.dimension_values) > (?, ?, ?, ?) "
    "ORDER BY c.window_end_us, c.window_start_us, c.slot, c.dimension_values LIMIT ?"
)
_KEY_AFTER_COMPANY: Final = (
    "c.feature, c.window_end_us, c.window_start_us, c.slot, c.dimension_values"
)
_CHANGED: Final = (
    f"SELECT {COUNTER_KEY}, {TOTAL} FROM counter c INDEXED BY counter_by_version "  # noqa: S608
    f"{_PARTS} WHERE (c.version, {COUNTER_KEY}) > (?, ?, ?, ?, ?, ?, ?) "
    f"ORDER BY c.version, {COUNTER_KEY} LIMIT ?"
)
_CHANGED_OF_COMPANY: Final = (
    f"SELECT {COUNTER_KEY}, {TOTAL} FROM counter c "  # noqa: S608
    f"INDEXED BY counter_by_company_version {_PARTS} "
    f"WHERE c.company = ? AND (c.version, {_KEY_AFTER_COMPANY}) > (?, ?, ?, ?, ?, ?) "
    f"ORDER BY c.version, {_KEY_AFTER_COMPANY} LIMIT ?"
)
_CHANGED_KEYS: Final = (
    f"SELECT {COUNTER_KEY} FROM counter c INDEXED BY counter_by_version "  # noqa: S608
    f"WHERE (c.version, {COUNTER_KEY}) > (?, ?, ?, ?, ?, ?, ?) "
    f"ORDER BY c.version, {COUNTER_KEY} LIMIT ?"
)
_LAST_US: Final = INT64_MAX
"""No window starts then: behind it are windows that end later."""
_BEFORE_ALL: Final[codec.CounterColumns] = ("", "", 0, 0, "", "")
"""Stands before every key: no company's id is empty."""


class SqliteTotals(SqlitePlans):
    """That part of a `ReadTransaction`, on a connection in which a transaction has begun."""

    def totals(self, keys: Iterable[CounterKey], incarnation: str) -> list[CounterTotal]:
        column = codec.incarnation_column(incarnation)
        totals = []
        for key in keys:
            columns = codec.counter_columns(key)
            row = self._one(_SINGLE, column, *columns) or (0, 0, 0, None, 0)
            totals.append(total_of_row(*columns, *row))
        return totals

    def totals_of_slot(
        self, behind: CounterKey, incarnation: str, limit: int
    ) -> list[CounterTotal]:
        column = codec.incarnation_column(incarnation)
        *columns, values = codec.counter_columns(behind)
        # Without values it is before all of them: "[]" would sort behind.
        values = values if behind.counter.values else ""
        rows = self._all(_OF_SLOT, column, *columns, values, limit)
        return [total_of_row(*row) for row in rows]

    def counters(self, keys: Iterable[CounterKey]) -> list[CounterState]:
        states = (self._state_of(*codec.counter_columns(key)) for key in keys)
        return [state for state in states if state is not None]

    def ledger_version(self) -> int:
        return int(self._one("SELECT ledger_version FROM meta")[0])

    def unended_totals(
        self, company: str, after: CounterKey | None, at_us: int, incarnation: str, limit: int
    ) -> list[CounterTotal]:
        column = codec.incarnation_column(incarnation)
        totals: list[CounterTotal] = []
        feature, behind = "", (at_us, _LAST_US, "", "")
        if after is not None:
            feature, *columns = codec.counter_columns(after)[1:]
            # Whose window has ended meanwhile is behind us, too.
            behind = max(behind, tuple(columns))  # type: ignore[assignment]  # of four columns
        else:
            feature = self._feature_after(company, "")
        while feature and len(totals) < limit:
            left = limit - len(totals)
            rows = self._all(_UNENDED, column, company, feature, *behind, left)
            totals += [total_of_row(*row) for row in rows]
            if len(rows) < left:
                feature, behind = self._feature_after(company, feature), (at_us, _LAST_US, "", "")
        return totals

    def changed_totals(
        self, company: str, after: TotalsPosition, incarnation: str, limit: int
    ) -> list[CounterTotal]:
        column = codec.incarnation_column(incarnation)
        version, columns = _place(after)
        if company:
            parameters = (column, company, version, *columns[1:], limit)
            rows = self._all(_CHANGED_OF_COMPANY, *parameters)
        else:
            rows = self._all(_CHANGED, column, version, *columns, limit)
        return [total_of_row(*row) for row in rows]

    def changed_counters(self, after: TotalsPosition, limit: int) -> list[CounterState]:
        version, columns = _place(after)
        rows = self._all(_CHANGED_KEYS, version, *columns, limit)
        states = (self._state_of(*row) for row in rows)
        return [state for state in states if state is not None]

    def _feature_after(self, company: str, feature: str) -> str:
        """The next feature of which anything was counted; empty: there is none."""
        row = self._one(
            "SELECT feature FROM counter WHERE company = ? AND feature > ? "
            "ORDER BY feature LIMIT 1",
            company,
            feature,
        )
        return "" if row is None else str(row[0])

    def _state_of(self, *columns: Any) -> CounterState | None:
        row = self._one(_STATE, *columns)
        if row is None:
            return None
        parts = {
            codec.incarnation_text(incarnation): amount
            for incarnation, amount in self._all(_PARTS_OF, *columns)
        }
        total, version, carried = row
        key = codec.counter_row_key(*columns)
        came_in = codec.carried(carried)
        if came_in is None:
            return CounterState(key, total, version, parts)
        return CounterState(key, total, version, parts, came_in.by_age, came_in.packs_used)


def total_of_row(*row: Any) -> CounterTotal:
    """The total of `COUNTER_KEY` and `TOTAL`."""
    key = codec.counter_row_key(*row[:6])
    total, own, version, carried, corrections = row[6:]
    came_in = codec.carried(carried)
    amounts, packs_used = (None, 0) if came_in is None else (came_in.by_age, came_in.packs_used)
    return CounterTotal(
        key.company, key.feature, key.counter, total, own, version, amounts, corrections, packs_used
    )


def _place(position: TotalsPosition) -> tuple[int, codec.CounterColumns]:
    """The position as columns: everything behind them is behind it."""
    if position.key is None:
        return position.version + 1, _BEFORE_ALL
    return position.version, codec.counter_columns(position.key)
