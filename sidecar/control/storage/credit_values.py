"""Credits as the plane keeps them: grants, and what it did with balances. Values only."""

from __future__ import annotations

import enum

import msgspec

from sidecar.control.storage.values import CounterKey
from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.credits.grants import CreditGrant
from sidecar.domain.credits.source_slots import counter_of_grant
from sidecar.domain.limits.counters import CounterRef


class StoredGrant(msgspec.Struct, frozen=True):
    """A one-off grant of a company, on the balance of a feature. Amounts in micro-credits.

    `reason`, `void_reason`: for people. `voided_us`: since when nothing of it can be spent any
    more; `None` where it was not voided. `told`: whether sidecars are told of it.
    """

    company: str
    feature: str
    grant: CreditGrant
    granted_us: int
    reason: str = ""
    voided_us: int | None = None
    void_reason: str = ""
    told: bool = True

    @property
    def key(self) -> CounterKey:
        """Its counter."""
        return CounterKey(self.company, self.feature, counter_of_grant(self.grant))

    def is_over(self, at_us: int) -> bool:
        """Whether nothing can return to it any more."""
        return self.voided_us is not None or self.grant.expires_us <= at_us


class GrantFilter(msgspec.Struct, frozen=True):
    """Which grants of a company are meant; an empty feature for any.

    `at_us`: only those that are not over then; `None` for all.
    """

    company: str
    feature: str = ""
    at_us: int | None = None


class GrantPlace(msgspec.Struct, frozen=True):
    """A place among a company's grants: by feature, then in burn order."""

    feature: str
    priority: int
    expires_us: int
    is_paid: bool
    effective_us: int
    id: str


class CreditEntryKind(enum.IntEnum):
    """What the plane did with a balance. Numbers are stored, so they never change."""

    GRANTED = 1
    VOIDED = 2
    REFUNDED = 3
    REPAID = 4
    BURNED = 5
    BURNED_ANEW = 6


class EntryPart(msgspec.Struct, frozen=True):
    """What of an entry concerns one counter of the balance; 1 or more micro-credits.

    `is_lost`: it was refunded and could not return.
    """

    counter: CounterRef
    amount: int
    is_lost: bool = False


class CreditEntry(msgspec.Struct, frozen=True):
    """Something that the plane did with a balance, at an instant. Amounts in micro-credits.

    GRANTED and VOIDED name the `grant`; `parts` of the former is its amount. REFUNDED, and BURNED
    by the plane, name the record by `incarnation` and `sequence`, the former with its parts, the
    last burned first; BURNED_ANEW is in place of all that the record says of its burns; REPAID has
    what repaid a debt. `request`: id of the request, unique among the
    company's; empty for none. `number`: given by the store, ascending.
    """

    company: str
    feature: str
    at_us: int
    kind: CreditEntryKind
    parts: tuple[EntryPart, ...] = ()
    grant: str = ""
    incarnation: str = ""
    sequence: int = 0
    reason: str = ""
    request: str = ""
    number: int = 0


class CreditRepayment(msgspec.Struct, frozen=True):
    """What a counter has repaid of a debt and was not given back."""

    counter: CounterRef
    amount: int
    number: int = 0


class EntryFilter(msgspec.Struct, frozen=True):
    """Which entries of a company are meant; an empty feature for any. Of [from_us, until_us)."""

    company: str
    feature: str = ""
    from_us: int = BEGINNING_US
    until_us: int = FOREVER_US
