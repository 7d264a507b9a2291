"""Questions about losses, on SQLite."""

from __future__ import annotations

from typing import Final

from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.recovery_queries import SqliteRecovery
from sidecar.control.storage.values import CORRECTIONS, Loss, LossCount
from sidecar.domain.bounds import INT64_MAX

UNKNOWN: Final = CORRECTIONS
"""Stands in the column for an incarnation that is not known."""
_OF_ONE_MAX: Final = 16
_COLUMNS: Final = (
    "incarnation, first_sequence, last_sequence, reason, node, noticed_us, acknowledged_us"
)


class SqliteLosses(SqliteRecovery):
    """The part of a `ReadTransaction` that is about losses."""

    def losses(self, limit: int, *, with_acknowledged: bool) -> list[Loss]:
        wanted = "" if with_acknowledged else "WHERE acknowledged_us IS NULL"
        rows = self._all(
            f"SELECT {_COLUMNS} FROM loss {wanted} ORDER BY noticed_us DESC LIMIT ?",  # noqa: S608
            limit,
        )
        return [_loss(*row) for row in rows]

    def losses_of(self, incarnation: str, first_sequence: int) -> list[Loss]:
        rows = self._all(
            f"SELECT {_COLUMNS} FROM loss WHERE incarnation = ? AND first_sequence = ? "  # noqa: S608
            "ORDER BY noticed_us LIMIT ?",
            codec.incarnation_column(incarnation or UNKNOWN),
            first_sequence,
            _OF_ONE_MAX,
        )
        return [_loss(*row) for row in rows]

    def loss_count(self) -> LossCount:
        # `total` is a floating-point sum, which cannot overflow.
        losses, records = self._one(
            "SELECT count(*), total(last_sequence - first_sequence + 1) "
            "FILTER (WHERE first_sequence > 0) FROM loss WHERE acknowledged_us IS NULL"
        )
        return LossCount(losses, min(int(records), INT64_MAX))


def _loss(column: bytes, *rest: int | str | None) -> Loss:
    incarnation = codec.incarnation_text(column)
    return Loss("" if incarnation == UNKNOWN else incarnation, *rest)  # type: ignore[arg-type]
