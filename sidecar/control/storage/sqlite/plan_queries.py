"""Questions to the store on SQLite about which company has which version of which plan."""

from __future__ import annotations

from sidecar.control.storage.plan_values import PlanMove
from sidecar.control.storage.sqlite.rollover_queries import SqliteRollover


class SqlitePlans(SqliteRollover):
    """That part of a `ReadTransaction`, on a connection in which a transaction has begun."""

    def companies_on_plan(self, plan: str, now_us: int) -> int:
        (count,) = self._one(
            "SELECT count(DISTINCT company) FROM plan_use "
            "WHERE plan = ? AND from_us <= ? AND until_us > ?",
            plan,
            now_us,
            now_us,
        )
        return int(count)

    def companies_before_version(
        self, plan: str, version: int, now_us: int, after: str, limit: int
    ) -> list[str]:
        rows = self._all(
            "SELECT DISTINCT company FROM plan_use WHERE plan = ? AND company > ? "
            "AND plan_version < ? AND until_us > ? ORDER BY company LIMIT ?",
            plan,
            after,
            version,
            now_us,
            limit,
        )
        return [company for (company,) in rows]

    def refers_to_version(self, plan: str, above: int, version: int, since_us: int) -> bool:
        row = self._one(
            "SELECT 1 FROM plan_use WHERE plan = ? AND plan_version > ? AND plan_version <= ? "
            "AND until_us > ? LIMIT 1",
            plan,
            above,
            version,
            since_us,
        )
        return row is not None

    def plan_moves(self) -> list[PlanMove]:
        rows = self._all(
            "SELECT plan, plan_version, decided_us, company FROM plan_move "
            "ORDER BY plan, plan_version"
        )
        return [PlanMove(*row) for row in rows]
