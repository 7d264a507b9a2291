"""Balance usage: what the balances that a request draws on have left, source by source.

Sources are read in burn order, and no more of them than it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from sidecar.directory.balances import BalanceSource
from sidecar.directory.resolved import ResolvedCompany
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.credits.costs import (
    affordable,
    cost,
    cost_of_report,
)
from sidecar.domain.credits.held_grants import split
from sidecar.domain.credits.low_balance import part_of_balance, reached
from sidecar.domain.credits.prices import Price
from sidecar.domain.leases.model import LeaseNeed, LeaseStatus
from sidecar.domain.limits.decision import CreditPart, CreditsBurned
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.usage import QuotaUsage, remaining
from sidecar.engine.lease_book import LeaseBook
from sidecar.engine.lease_headroom import lease_headroom
from sidecar.engine.limit_usage import LimitUsage
from sidecar.storage.record_wire import encode_burn
from sidecar.storage.transaction import Transaction

SOURCES_ADDED_UP_MAX: Final = 8
"""Sources of which each answer adds up what is left; of more, who asks is told, and who is denied.
"""
_GONE: Final = frozenset({LeaseStatus.GONE, LeaseStatus.SUPERSEDED, LeaseStatus.REFUSED})


class BalanceUsage:
    """A balance that a request draws on, in micro-credits.

    `price`: of the request's units. `book`: of leases, where nothing burns without; else `None`.
    """

    __slots__ = (
        "_at_us",
        "_authority",
        "_company",
        "_low",
        "_now_us",
        "_reading",
        "_sources",
        "_transaction",
        "book",
        "feature",
        "price",
    )

    def __init__(
        self,
        transaction: Transaction,
        company: ResolvedCompany,
        feature: str,
        price: Price,
        at_us: int,
        now_us: int,
        book: LeaseBook | None,
        *,
        authority: bool,
    ) -> None:
        self._transaction, self._company = transaction, company
        self._at_us, self._now_us = at_us, now_us
        self._authority = authority
        self._reading = LimitUsage()
        self.feature, self.price, self.book = feature, price, book
        resolved = company.feature(feature)
        balance = None if resolved is None else resolved.balance
        self._sources = () if balance is None else balance.at(at_us)
        self._low = () if balance is None else balance.low

    def cost(self, quantity: int, *, has_happened: bool = False) -> int:
        """What a quantity costs; `OutOfRange` where that is too much, unless it has happened."""
        return (cost_of_report if has_happened else cost)(self.price, quantity)

    def affordable(self, quantity: int) -> int:
        """How much of a quantity can be paid by what may be burned here."""
        wanted = self.cost(quantity)
        covered = wanted - self.lacking(wanted)
        return quantity if covered == wanted else affordable(self.price, covered)

    def lacking(self, amount: int) -> int:
        """What of an amount cannot be burned here."""
        for usage in self._usages():
            if amount <= 0:
                break
            amount -= max(0, usage.left)
        return max(0, amount)

    def lacks_for_certain(self, amount: int) -> bool:
        """Whether the balance itself has less, whoever holds it."""
        for usage in self._usages():
            if amount <= 0:
                break
            amount -= _left_in_all(usage)
        return amount > 0

    def needs(self, amount: int, *, up_to: bool) -> list[LeaseNeed]:
        """Leases that are worth asking for, so that an amount can be burned.

        None where even all of them would not do, unless it is for as much as there is (`up_to`).
        """
        lacking = self.lacking(amount)
        if not lacking or self.book is None:
            return []
        found: list[LeaseNeed] = []
        possible = 0
        for usage, source in zip(self._usages(), self._sources, strict=False):
            lease = usage.lease
            if lease is None or possible >= lacking or self._is_gone(source):
                continue
            more = min(lacking - possible, _left_in_all(usage) - lease.left)
            exhausted_from = lease.exhausted_from
            if exhausted_from is not None and lease.left + more >= exhausted_from:
                more = exhausted_from - 1 - lease.left
                # Nobody knows how much less than that there is: half of it is found in a few rounds
                wanted = lease.left + -(-more // 2)
            else:
                wanted = lease.left + more
            if more > 0:
                possible += more
                found.append(LeaseNeed(source.name, wanted))
        return found if possible >= lacking or up_to else []

    def sooner(self, amount: int) -> list[LeaseNeed]:
        """Leases of sources that come before others by which an amount would burn here.

        Not of those of which the plane has just said that there is less.
        """
        found: list[LeaseNeed] = []
        for usage, source in zip(self._usages(), self._sources, strict=False):
            if amount <= 0 or self.book is None:
                break
            burns, lease = max(0, usage.left), usage.lease
            if lease is not None and lease.exhausted_from is None and not self._is_gone(source):
                wanted = min(amount, _left_in_all(usage))
                if wanted > burns:
                    found.append(LeaseNeed(source.name, wanted))
                    burns = wanted
            amount -= burns
        return found

    def shortage(self, amount: int) -> Reason:
        """Why an amount cannot be burned: there is less, or what there is, is not leased to here.

        For want of a lease where some source may have more that the plane has not denied.
        """
        if self.book is None or self.lacks_for_certain(amount):
            return Reason.CREDITS_EXHAUSTED
        lacking, possible, withheld = self.lacking(amount), 0, False
        for usage, source in zip(self._usages(), self._sources, strict=False):
            lease = usage.lease
            if lease is None or self._is_gone(source):
                continue
            more = _left_in_all(usage) - lease.left
            if lease.exhausted_from is not None:
                withheld |= lease.withheld
                more = min(more, lease.exhausted_from - 1 - lease.left)
            possible += max(0, more)
        may_be_had = withheld or possible >= lacking
        return Reason.LEASE_UNAVAILABLE if may_be_had else Reason.CREDITS_EXHAUSTED

    def wait_us(self, amount: int, now_us: int) -> int | None:
        """How long until a limit's next window has an amount; `None` where none will."""
        waits = [
            wait_us
            for usage, source in zip(self._usages(), self._sources, strict=False)
            if source.source.by_limit and (wait_us := usage.next_window_us(amount, now_us))
        ]
        return min(waits, default=None)

    def burned(self, needed: int, *, denied: bool = False) -> CreditsBurned:
        """What is told of a cost: what burns of it here, unless it is denied, and what is left."""
        parts = [] if denied else self._parts(needed)
        amount = sum(part for _, part in parts)
        left = None
        if denied or not needed or len(self._sources) <= SOURCES_ADDED_UP_MAX:
            in_all = sum(_left_in_all(usage) for usage in self._usages())
            left = min(INT64_MAX, in_all - amount)
        told = tuple(CreditPart(source.source.limit.id, part) for source, part in parts)
        low = self._reached(amount) if self._low and amount else ()
        return CreditsBurned(self.feature, needed, amount, told, left, low)

    def burn(self, needed: int) -> bytes:
        """Burn what is covered of a cost here; the parts of the record that say so, burns only."""
        wires: list[bytes] = []
        parts = self._parts(needed)
        for source, part in parts:
            self._reading.count_on(self._transaction, source.address.key, part)
            wires.append(encode_burn(source.address.wire, part))
            self._mark_if_due(source, part)
        self._reading.carry_on(self._transaction, self._now_us)
        if parts:
            self._mark_sooner(parts[-1][0])
        return b"".join(wires)

    def sources(self) -> list[tuple[BalanceSource, QuotaUsage]]:
        """All sources, in burn order, with their usage as it is."""
        return list(zip(self._sources, self._usages(), strict=True))

    def _reached(self, amount: int) -> tuple[int, ...]:
        """The low balances that burning an amount takes this one to, or below.

        Reads no more sources than it takes to know that there are none.
        """
        before = 0
        for usage, source in zip(self._usages(), self._sources, strict=False):
            before += part_of_balance(source.source, usage)
            if before - amount > self._low[0]:
                return ()
        return reached(self._low, before, before - amount)

    def _parts(self, amount: int) -> list[tuple[BalanceSource, int]]:
        lefts = zip(self._sources, (usage.left for usage in self._usages()), strict=False)
        return split(amount, lefts)[0]

    def _usages(self) -> Iterator[QuotaUsage]:
        """The sources' usages, in burn order; each is read once, when its turn comes."""
        usages = self._reading.usages
        for at, source in enumerate(self._sources):
            if at == len(usages):
                self._read(source)
            yield usages[at]

    def _read(self, source: BalanceSource) -> None:
        limit, address, reading = source.source.limit, source.address, self._reading
        counter = self._transaction.counter(address.key, ())
        if source.meter is None:
            used = 0 if counter is None else counter.used
            usage = QuotaUsage(limit, address.ref.window, used)
        else:
            usage = reading.carrying_usage(
                self._transaction,
                self._company,
                source.meter,
                address,
                counter,
                None,
                self._now_us,
                authority=self._authority,
            )
        if self.book is not None:
            at_us, now_us = self._at_us, self._now_us
            lease = lease_headroom(self.book, limit, counter, address.key, at_us, now_us)
            usage = replace(usage, lease=lease)
        reading.add(usage, address, counter)

    def _is_gone(self, source: BalanceSource) -> bool:
        """Whether the plane has just said that it leases nothing of a source."""
        assert self.book is not None
        news = self.book.told(source.address.key, self._now_us)
        return news is not None and news.status in _GONE

    def _mark_if_due(self, source: BalanceSource, part: int) -> None:
        book, key = self.book, source.address.key
        counter = self._reading.counted[key][1]
        lease = None if counter is None else counter.lease
        if book is None or counter is None or lease is None:
            return
        if counter.own + part >= lease.refill_at and not book.is_due(key):
            book.mark_due(key, source.name)

    def _mark_sooner(self, last: BalanceSource) -> None:
        """Have sources asked for that burn sooner than the last one that did, once.

        They are those that came in, or into force, while leases of later ones were held.
        """
        book = self.book
        if book is None:
            return
        reading = self._reading
        for usage, address, source in zip(
            reading.usages, reading.addresses, self._sources, strict=False
        ):
            if source is last:
                return
            counter, lease = reading.counted[address.key][1], usage.lease
            if lease is None or lease.left or _left_in_all(usage) <= 0:
                continue
            is_new = counter is None or counter.lease is None
            if is_new and lease.exhausted_from is None and not book.is_due(address.key):
                book.mark_due(address.key, source.name)


def _left_in_all(usage: QuotaUsage) -> int:
    """What a source has left, whoever holds it, as far as that is known here."""
    left = remaining(usage)
    return INT64_MAX if left is None else left
