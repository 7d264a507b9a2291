"""The watch machine: follows the control plane's changes without ever mixing old and new.

Rules
- Steps are held back until the plane says that a revision is complete, and are then applied as one;
  but for a start from nothing, which is used as it comes, since there is nothing to mix with.
- The position moves only with what was applied, so that a stream that is cut off resumes there;
  where applying fails, it goes back.
- Another epoch is another history: what is held is followed from its start again, and snapshots of
  it replace those held, whatever their versions say.
- What is held back is bounded: past the bound it is applied early, and that is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from sidecar.domain.catalog.model import CatalogSnapshot
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.limits.counters import CounterTotal

HELD_BACK_MAX: Final = 20_000
"""Most companies that are held back."""
HELD_BACK_BYTES_MAX: Final = 64 << 20
"""Most bytes of their messages."""


class WatchStep(msgspec.Struct, frozen=True):
    """One message of the stream.

    With it, all totals that changed after one version of the ledger and up to another were told;
    zeros: nothing is said of that. `unreadable`: what is wrong with companies that were left out.
    `bytes`: of the messages of the others.
    """

    epoch: str
    revision: int
    complete: bool
    catalog: CatalogSnapshot | None = None
    companies: Sequence[CompanySnapshot] = ()
    removed: Sequence[str] = ()
    totals: Sequence[CounterTotal] = ()
    totals_after: int = 0
    totals_until: int = 0
    unreadable: Mapping[str, str] = msgspec.field(default_factory=dict)
    bytes: int = 0


class Apply(msgspec.Struct, frozen=True):
    """Apply changes as one. `revision`: the new position, `None` leaves it where it is.

    `all_known`: with this, everything that the plane has was given since the start from nothing.
    """

    epoch: str
    revision: int | None
    catalog: CatalogSnapshot | None
    companies: Sequence[CompanySnapshot]
    removed: Sequence[str]
    replace: bool
    all_known: bool


class StartOver(msgspec.Struct, frozen=True):
    """End the stream and watch from nothing."""


class WatchMachine:
    """Follows one stream after another. `epoch` and `revision`: where it was left."""

    def __init__(self, epoch: str, revision: int) -> None:
        self.epoch = epoch
        self.revision = revision
        self.applied_early = 0
        self._from_nothing = revision == 0
        self._replace = False
        self._before = (revision, False)
        self._catalog: CatalogSnapshot | None = None
        self._companies: dict[str, CompanySnapshot] = {}
        self._removed: dict[str, None] = {}
        self._bytes = 0

    def resume_revision(self) -> int:
        """Revision to ask for in a new stream; what was held back of the last one is dropped."""
        self._drop()
        self._from_nothing = self.revision == 0
        return self.revision

    def stepped(self, step: WatchStep) -> Apply | StartOver | None:
        """Take a message; what to do about it, if anything."""
        if self.epoch and step.epoch != self.epoch:
            self.epoch, self.revision = step.epoch, 0
            self._replace = True
            return StartOver()
        self.epoch = step.epoch
        if step.catalog is not None:
            self._catalog = step.catalog
        self._hold_back(step)
        held_back = len(self._companies) + len(self._removed)
        if step.complete:
            if step.revision <= self.revision and not held_back and self._catalog is None:
                return None
            return self._apply(max(step.revision, self.revision))
        if self._from_nothing and (held_back or self._catalog is not None):
            return self._apply(None)
        if held_back > HELD_BACK_MAX or self._bytes > HELD_BACK_BYTES_MAX:
            self.applied_early += 1
            return self._apply(None)
        return None

    def not_applied(self) -> None:
        """The last changes could not be applied: they are asked for again in a new stream."""
        self.revision, self._replace = self._before

    def _apply(self, revision: int | None) -> Apply:
        self._before = (self.revision, self._replace)
        complete = revision is not None
        changes = Apply(
            epoch=self.epoch,
            revision=revision,
            catalog=self._catalog,
            companies=tuple(self._companies.values()),
            removed=tuple(self._removed),
            replace=self._replace,
            all_known=complete and self._from_nothing,
        )
        if revision is not None:
            self.revision = revision
            self._from_nothing = self._replace = False
        self._drop()
        return changes

    def _hold_back(self, step: WatchStep) -> None:
        """Add a step's changes; of two about the same company the later one is what counts."""
        for name in step.removed:
            self._companies.pop(name, None)
            self._removed[name] = None
        self._bytes += step.bytes
        for snapshot in step.companies:
            self._removed.pop(snapshot.company, None)
            self._companies[snapshot.company] = snapshot

    def _drop(self) -> None:
        self._catalog = None
        self._companies, self._removed = {}, {}
        self._bytes = 0
