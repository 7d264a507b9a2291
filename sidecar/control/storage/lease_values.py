"""Leases as the plane keeps them. Values only, of no particular database."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.control.storage.values import CounterKey

HOLDERS_MAX: Final = 1_000
"""Holders of one counter that are looked at, those with the most first."""


class StoredLease(msgspec.Struct, frozen=True):
    """What one incarnation was granted of a counter, in the feature's unit.

    `granted`: up to where it may count by its own records. `number`: of its last request. `amount`:
    of the limit by which it was granted. `asked_us`: when it last asked. `since_us`: since when
    anything of it is outstanding. `released`: it was given up, at a known risk: nothing of it is
    outstanding, but what was `counted` for certain, and was not sent to this plane; `None` where
    nothing is known of that.
    """

    key: CounterKey
    incarnation: str
    granted: int
    number: int
    valid_until_us: int
    amount: int
    asked_us: int
    since_us: int
    released: bool = False
    counted: int | None = None


class GrantedLease(msgspec.Struct, frozen=True):
    """A lease, and how much of its counter's usage came from its holder (`own`)."""

    lease: StoredLease
    own: int

    @property
    def outstanding(self) -> int:
        """How much more the holder may count, as far as the plane knows what it has."""
        return max(0, (self.certain if self.lease.released else self.lease.granted) - self.own)

    @property
    def certain(self) -> int:
        """Up to where the holder has counted for certain."""
        counted = self.lease.counted
        return self.own if counted is None else max(self.own, counted)


class LeasePlace(msgspec.Struct, frozen=True):
    """A place among leases in the order of counters' keys, and of incarnations within one."""

    key: CounterKey
    incarnation: str


class LeaseFilter(msgspec.Struct, frozen=True):
    """Which leases are meant; empty for any company or incarnation.

    `incarnation` goes with any company, or with one.
    """

    company: str = ""
    incarnation: str = ""


class LeaseLook(msgspec.Struct, frozen=True):
    """By what an account is drawn up: whose request it is, and since when others count as there.

    `active_since_us`: for those who asked about the counter. `heard_since_us`: for those who count
    on it without knowing leases.
    """

    incarnation: str
    active_since_us: int
    heard_since_us: int


class LeasesElsewhere(msgspec.Struct, frozen=True):
    """Leases on other counters than `key`, of the same company's feature: those of a slot.

    `values`: of which values; `None`: of any. Meant are windows that overlap with the counter's,
    and that end after `ended_since_us`; and leases that are good after its first instant,
    `begins_us`, or were asked for after it: who holds one may not have known of its end until then.
    """

    key: CounterKey
    slot: str
    values: tuple[str, ...] | None
    begins_us: int
    ended_since_us: int
