"""The part of the port about which company has which plan, in which version.

It is kept beside the companies, so that nobody has to read them all to know.
"""

from __future__ import annotations

from typing import Protocol

from sidecar.control.storage.plan_values import PlanMove


class PlanReads(Protocol):
    """Questions to one state of the store."""

    def companies_on_plan(self, plan: str, now_us: int) -> int:
        """How many companies have a plan now, in a version or another."""
        ...

    def companies_before_version(
        self, plan: str, version: int, now_us: int, after: str, limit: int
    ) -> list[str]:
        """Companies that have an earlier version of a plan, now or later, behind an id."""
        ...

    def refers_to_version(self, plan: str, above: int, version: int, since_us: int) -> bool:
        """Whether a company has, or had at an instant or later, a version in (above, version]."""
        ...

    def plan_moves(self) -> list[PlanMove]:
        """The moves to new versions that are not done, in the order of (plan, version)."""
        ...


class PlanWrites(PlanReads, Protocol):
    """Questions and changes."""

    def put_plan_move(self, move: PlanMove) -> None:
        """Create or replace a move: same plan and version."""
        ...

    def drop_plan_moves(self, plan: str, version: int) -> None:
        """Forget the moves of a plan to versions up to one: they are done."""
        ...
