"""Changes of the store on SQLite: which company has which version of which plan."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sidecar.control.storage.plan_uses import plan_uses
from sidecar.control.storage.plan_values import PlanMove
from sidecar.control.storage.sqlite.credit_writes import SqliteCreditWrites
from sidecar.control.storage.values import StoredCompany


class SqlitePlanWrites(SqliteCreditWrites):
    """That part of a `WriteTransaction`, on a connection in which a transaction has begun."""

    def put_plan_move(self, move: PlanMove) -> None:
        self._connection.execute(
            "REPLACE INTO plan_move (plan, plan_version, decided_us, company) VALUES (?, ?, ?, ?)",
            msgspec.structs.astuple(move),
        )

    def drop_plan_moves(self, plan: str, version: int) -> None:
        self._connection.execute(
            "DELETE FROM plan_move WHERE plan = ? AND plan_version <= ?", (plan, version)
        )

    def _put_plan_uses(self, companies: Sequence[StoredCompany]) -> None:
        self._drop_plan_uses([stored.company.id for stored in companies])
        self._connection.executemany(
            "INSERT INTO plan_use VALUES (?, ?, ?, ?, ?)",
            [
                (stored.company.id, *msgspec.structs.astuple(use))
                for stored in companies
                for use in plan_uses(stored)
            ],
        )

    def _drop_plan_uses(self, companies: Sequence[str]) -> None:
        self._connection.executemany(
            "DELETE FROM plan_use WHERE company = ?", [(company,) for company in companies]
        )
