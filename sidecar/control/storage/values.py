"""What goes into the plane's store and comes out. Values only, of no particular database."""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

import msgspec

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.capabilities import Capability
from sidecar.domain.catalog.model import Rollover
from sidecar.domain.company.field_values import FieldPath
from sidecar.domain.company.model import Company, CompanySnapshot
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.limits.packs import Allowance, Carried
from sidecar.domain.limits.rollover import Passing

CHAIN_BYTES: Final = 32
FIRST_CHAIN: Final = bytes(CHAIN_BYTES)
"""The chain before the first record of an incarnation."""

CORRECTIONS: Final = "plane"
"""Stands in for an incarnation where the plane itself counts: corrections, perhaps negative."""


class PlaneState(msgspec.Struct, frozen=True):
    """Identity of the plane's state, and the number of the last change of catalog or companies."""

    epoch: str
    revision: int


class Owner(enum.IntEnum):
    """Who decides about a field of a company. Numbers as in the API."""

    FILE = 1
    API = 2
    PLANE = 3


class FieldOwner(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who owns a field of a company, since when; `call` is the method that made it the API's."""

    path: FieldPath
    owner: Owner
    since_us: int
    call: str = ""


class StoredCompany(msgspec.Struct, frozen=True):
    """A company, and what sidecars get of it; its version is the revision of the last change.

    `changed_us`: when it last changed, as far as known. `owners`: of those of its fields that are
    not the file's, sorted by path.
    """

    company: Company
    snapshot: CompanySnapshot
    changed_us: int = 0
    owners: tuple[FieldOwner, ...] = ()

    @property
    def shown(self) -> Company:
        """The company with the id that it is called by now, as people are told of it."""
        return msgspec.structs.replace(self.company, id=self.snapshot.called)


class Tombstone(msgspec.Struct, frozen=True):
    """What stays of a company that was removed: should it come back, its timeline goes on."""

    snapshot: CompanySnapshot
    changed_us: int


class CompanyChange(msgspec.Struct, frozen=True):
    """The last change of a company; `snapshot` is `None` where it was removed."""

    id: str
    revision: int
    snapshot: CompanySnapshot | None


class KnownIncarnation(msgspec.Struct, frozen=True):
    """What is known of one store of a sidecar.

    Everything up to sequence `watermark` is in the ledger; `head` is the chain there.
    `capabilities`: what it said that it knows. `agreed_us`: when its history was last seen to be
    the ledger's; it may have been heard of since.
    """

    id: str
    watermark: int = 0
    head: bytes = FIRST_CHAIN
    fenced: bool = False
    node: str = ""
    first_heard_us: int = 0
    last_heard_us: int = 0
    capabilities: frozenset[Capability] = frozenset()
    agreed_us: int = 0


class Loss(msgspec.Struct, frozen=True):
    """Usage that is gone: records first to last of an incarnation.

    Sequences are 0, and the incarnation is empty, where they are not known. `acknowledged_us`: when
    an operator said to have seen it.
    """

    incarnation: str
    first_sequence: int
    last_sequence: int
    reason: str
    node: str
    noticed_us: int
    acknowledged_us: int | None = None

    @property
    def records(self) -> int:
        """How many they are, as far as that is known."""
        return self.last_sequence - self.first_sequence + 1 if self.first_sequence else 0


class LossCount(msgspec.Struct, frozen=True):
    """Losses that nobody has acknowledged, and their records as far as known."""

    losses: int = 0
    records: int = 0


class IncarnationTally(msgspec.Struct, frozen=True):
    """Sum of one feature over the records of an incarnation, duplicates included."""

    feature: str
    records: int
    quantity: int


class LedgerLine(msgspec.Struct, frozen=True):
    """A usage record in the ledger. `record` is exactly what the sidecar chained over.

    `duplicate_of`: id of the record that was counted instead, or empty. `unattributed`: it is on
    no counter, since its company or feature was unknown.
    """

    company: str
    feature: str
    event_time_us: int
    incarnation: str
    sequence: int
    quantity: int
    overage: int
    accepted_us: int
    received_us: int
    record: bytes
    duplicate_of: str = ""
    unattributed: bool = False


class UnreadableLine(msgspec.Struct, frozen=True):
    """A record that cannot be read, and so is on no counter. `problem`: why, for people."""

    incarnation: str
    sequence: int
    received_us: int
    problem: str
    record: bytes


Booked: TypeAlias = LedgerLine | UnreadableLine


class LinePosition(msgspec.Struct, frozen=True, order=True):
    """Where a line stands among those of its company: oldest event first."""

    event_time_us: int
    incarnation: str
    sequence: int


class KeyUse(msgspec.Struct, frozen=True):
    """The record that was the first under an idempotency key, and the digest of its payload."""

    incarnation: str
    sequence: int
    digest: bytes


class CounterKey(msgspec.Struct, frozen=True):
    """Names a counter."""

    company: str
    feature: str
    counter: CounterRef


class CounterState(msgspec.Struct, frozen=True):
    """A counter: its total, version, and the parts of which the total is the sum.

    `carried`: what rolled over into its window, by age; `None` where nothing carries on.
    `packs_used`: what windows before it have used of packs.
    """

    key: CounterKey
    total: int
    version: int
    parts: dict[str, int]
    carried: tuple[int, ...] | None = None
    packs_used: int = 0


class TotalsPosition(msgspec.Struct, frozen=True):
    """A place among counters in the order of (version, key).

    Behind it are those of a later version, and where `key` is given, those of the same version
    behind that key, too.
    """

    version: int
    key: CounterKey | None = None


class RolloverTerms(msgspec.Struct, frozen=True):
    """By what a window is closed: the limit's amount, its rollover and its packs.

    `amount_lasting`, `packs_held`, `packs_past`: see `Allowance`.

    Quantities in the feature's unit. `amount`: `None` where nothing of packs is used, whatever
    usage there is. `rollover`: `None` where only packs are carried on.
    `passing`: what it passes on. `following`: to which counter, where that is of another
    generation; `None` for the next window of the same one.
    """

    amount: int | None
    rollover: Rollover | None
    passing: Passing = Passing.REST
    following: CounterRef | None = None
    packs: int = 0
    amount_lasting: int | None = None
    packs_held: int = 0
    packs_past: int | None = None

    @property
    def allowance(self) -> Allowance:
        """What the window passes on by."""
        return Allowance(
            self.amount,
            self.rollover,
            self.packs,
            self.amount_lasting,
            self.packs_held,
            self.packs_past,
        )


class RolloverWindow(msgspec.Struct, frozen=True):
    """One window of a row of windows in which unused amounts, or packs, are carried on.

    `total` is what was used in it, `carried` what came into it, by age, and `packs_used` what those
    before it have used of packs. It was closed by `terms`,
    if it was and anything is carried on from it; they are final where it is `settled`. `due_us`:
    when to look at it next, `None` for never.
    """

    key: CounterKey
    total: int
    carried: tuple[int, ...]
    terms: RolloverTerms | None = None
    settled: bool = False
    due_us: int | None = None
    packs_used: int = 0

    @property
    def came_in(self) -> Carried:
        """What came into the window from those before."""
        return Carried(self.carried, self.packs_used)

    def with_carried(self, carried: Carried) -> RolloverWindow:
        """The window with something else that came into it."""
        return msgspec.structs.replace(self, carried=carried.by_age, packs_used=carried.packs_used)


class RolloverWalk(msgspec.Struct, frozen=True):
    """How far companies were looked through for limits that newly roll over.

    Those whose last change is at most (`revision`, `company`) were looked at, since the limits that
    roll over by the catalog became those of `signature`, at `since_us`.
    """

    revision: int = 0
    company: str = ""
    since_us: int = 0
    signature: str = ""


class LineFilter(msgspec.Struct, frozen=True):
    """Which lines are meant; empty for any company or feature. Events in [from_us, until_us)."""

    company: str = ""
    feature: str = ""
    from_us: int = BEGINNING_US
    until_us: int = FOREVER_US


class UsageSum(msgspec.Struct, frozen=True):
    """A sum over lines that are no duplicates.

    `company` is empty and `day` (number of days since the Unix epoch, UTC) is `None` unless the
    lines were grouped by them. Quantities in the feature's unit.
    """

    company: str
    feature: str
    day: int | None
    records: int
    quantity: int
    overage: int


def record_id(incarnation: str, sequence: int) -> str:
    """The id of a record, as in the answer to the check."""
    return f"{incarnation}-{sequence}"
