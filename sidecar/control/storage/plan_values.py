"""What the plane's store keeps about plans and their versions. Values only."""

from __future__ import annotations

import msgspec


class PlanMove(msgspec.Struct, frozen=True):
    """Companies with earlier versions of a plan get this one once their billing period ends.

    That is the period that holds `decided_us`. Companies up to `company` were looked through; all
    of them were, where it is `None`.
    """

    plan: str
    version: int
    decided_us: int
    company: str | None = ""


class PlanUse(msgspec.Struct, frozen=True, order=True):
    """A company has a version of a plan in [from_us, until_us).

    Both are the same instant where it is not in force, but may come to be until then: what was
    bought while another plan is in force, and what is planned.
    """

    plan: str
    version: int
    from_us: int
    until_us: int
