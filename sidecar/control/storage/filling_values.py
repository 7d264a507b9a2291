"""Fillings: usage that is taken over from the ledger into counters of a limit that is new.

Values only, of no particular database.
"""

from __future__ import annotations

import enum

import msgspec

from sidecar.control.storage.values import LinePosition
from sidecar.domain.catalog.model import Scope
from sidecar.domain.time.windows import WindowSpec


class FillingStage(enum.IntEnum):
    """How far a filling is; the numbers are stored, so they never change.

    CLEARING: sums of an earlier beginning are dropped. SUMMING: lines are gone through. ADDING:
    what counters lack of their sums is added to them. FILLED: they have all that the ledger has.
    """

    CLEARING = 1
    SUMMING = 2
    ADDING = 3
    FILLED = 4


class CountedBy(msgspec.Struct, frozen=True):
    """What a limit of a feature counts: its window and its scope, in canonical form."""

    feature: str
    window: WindowSpec
    scope: Scope


class Filling(msgspec.Struct, frozen=True):
    """Counters of one slot of a company's feature that are filled, and stay so from then on.

    `slot`: of any generation, so it names none. Lines of events from `from_us` on are meant; those
    up to `reached` have been summed, `None` for none. It may be forgotten at `keep_until_us`.
    """

    company: str
    slot: str
    counted_by: CountedBy
    from_us: int
    keep_until_us: int
    stage: FillingStage = FillingStage.CLEARING
    reached: LinePosition | None = None

    @property
    def feature(self) -> str:
        """Key of the feature."""
        return self.counted_by.feature


class FillingWalk(msgspec.Struct, frozen=True):
    """How far companies were looked through for limits that are new to them.

    Those whose last change is at most (`revision`, `company`) were looked at for what changed since
    `since_us`, when there was no such company left. Where limits of the catalog count something
    else, `wanted` is what, and companies up to `catalog_company` were looked at for it.
    """

    revision: int = 0
    company: str = ""
    since_us: int = 0
    wanted: tuple[CountedBy, ...] = ()
    catalog_company: str = ""
