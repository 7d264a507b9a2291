"""Grants leases: what is asked for of single counters, and what is given back.

All requests are independent. Each is answered by the counter's account, which is read in the
transaction that changes it; so whatever is granted twice at once, or pushed meanwhile, the equation
of `domain/leases/account.py` holds after every transaction. Sidecars share transactions: what one
was granted is written before another's account is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from sidecar.control.services.balances import Balances
from sidecar.control.services.heard import HEARD_EVERY_US, hear
from sidecar.control.services.lease_holders import Presence
from sidecar.control.services.lease_recovery import epoch_changed, is_epoch
from sidecar.control.services.lease_terms import KeptTimelines, TermsFinder
from sidecar.control.storage.lease_values import HOLDERS_MAX, LeaseLook, StoredLease
from sidecar.control.storage.port import PlaneStore, WriteTransaction
from sidecar.control.storage.values import CounterKey, KnownIncarnation
from sidecar.domain.capabilities import Capability
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.leases.account import (
    RECALLING_RETRY_MS,
    WITHHELD_RETRY_MS,
    LeaseAccount,
    LeaseVerdict,
    judge,
)
from sidecar.domain.leases.model import LeaseRequest, LeaseResult, LeaseStatus
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.domain.time.windows import Window

ACTIVE_US: Final = 60 * SECOND_US
"""For so long who asked about a counter is taken to go on using it."""
SILENT_US: Final = 30 * SECOND_US
"""Who neither watches nor was heard of for so long is not asked to give anything back."""
HEARD_US: Final = DAY_US
"""For so long who counts on a limit without leases is taken to be there."""


class AskedLeases(msgspec.Struct, frozen=True):
    """What a sidecar asks for: requests, each of another counter, under the epoch it knows."""

    incarnation: str
    epoch: str
    requests: Sequence[LeaseRequest]


class Leased(msgspec.Struct, frozen=True):
    """What came of requests: their results, in their order.

    `recalls`: who is asked to give back what it does not need, and of which counter; it may have
    been asked before. `revision`: of leases, after the last change; `None`: nothing changed.
    `windows`: those in which more was granted than before.
    """

    results: Sequence[LeaseResult]
    recalls: Sequence[tuple[str, CounterKey]] = ()
    revision: int | None = None
    windows: Sequence[Window] = ()


def request_leases(
    store: PlaneStore,
    timelines: KeptTimelines,
    asked: Sequence[AskedLeases],
    now_us: int,
    *,
    watching: Collection[str] = (),
) -> list[Leased | FailedPrecondition]:
    """Answer what sidecars ask for, one after the other, all in one transaction.

    `watching`: incarnations that have a watch open. Who asks under another epoch than the plane's
    gets an error for an answer (EPOCH_CHANGED). An incarnation that is fenced is refused.
    """
    with store.write() as transaction:
        return [_leased(transaction, timelines, each, now_us, watching) for each in asked]


def _leased(
    transaction: WriteTransaction,
    timelines: KeptTimelines,
    asked: AskedLeases,
    now_us: int,
    watching: Collection[str],
) -> Leased | FailedPrecondition:
    if not is_epoch(transaction, asked.epoch):
        hear(transaction, asked.incarnation, now_us)
        return epoch_changed()
    if _heard(transaction, asked.incarnation, now_us).fenced:
        refused = LeaseStatus.REFUSED
        return Leased([LeaseResult(each.number, refused) for each in asked.requests])
    granter = _Granter(transaction, timelines, asked.incarnation, now_us, watching)
    results = granter.answers(asked.requests)
    return Leased(results, tuple(granter.recalls), granter.keep(), tuple(granter.windows))


def _heard(transaction: WriteTransaction, incarnation: str, now_us: int) -> KnownIncarnation:
    """What is known of who asks: that it was heard, and that it knows leases, whatever it said."""
    known = transaction.incarnation(incarnation)
    if known is None:
        known = KnownIncarnation(incarnation, first_heard_us=now_us)
    knows_leases = Capability.LEASES in known.capabilities
    if not knows_leases or known.last_heard_us + HEARD_EVERY_US < now_us:
        known = msgspec.structs.replace(
            known, last_heard_us=now_us, capabilities=known.capabilities | {Capability.LEASES}
        )
        transaction.put_incarnation(known)
    return known


def _key_of(request: LeaseRequest) -> CounterKey:
    counter = request.counter
    return CounterKey(counter.company, counter.feature, counter.counter)


class _Granter:
    """Answers requests of one incarnation within one transaction."""

    def __init__(
        self,
        transaction: WriteTransaction,
        timelines: KeptTimelines,
        incarnation: str,
        now_us: int,
        watching: Collection[str],
    ) -> None:
        self.recalls: dict[tuple[str, CounterKey], None] = {}
        self.windows: dict[Window, None] = {}
        self._transaction = transaction
        self._timelines = timelines
        self._finder = TermsFinder(transaction, timelines, now_us)
        self._look = LeaseLook(incarnation, now_us - ACTIVE_US, now_us - HEARD_US)
        self._now_us = now_us
        self._presence = Presence(transaction, watching, now_us)
        self._changed: list[StoredLease] = []
        self._returned: list[CounterKey] = []
        self._known: set[CounterKey] = set()

    def answers(self, requests: Sequence[LeaseRequest]) -> list[LeaseResult]:
        """Answer requests; what they change is kept later."""
        # First calls are of counters of which nothing is known: one question says so of all.
        keys = [_key_of(each) for each in requests]
        self._repay(keys)
        self._known = self._transaction.known_counters(keys)
        return [self.answer(request) for request in requests]

    def _repay(self, keys: Iterable[CounterKey]) -> None:
        """Have balances repay what is owed: before anything is leased, and by what came back."""
        wanted = {(key.company, key.feature): None for key in keys}
        balances = [each for each in wanted if self._finder.is_balance(each[1])]
        if balances:
            repaying = Balances(self._transaction, self._timelines, self._now_us)
            for company, feature in balances:
                repaying.repay(company, feature)
            repaying.keep()

    def answer(self, request: LeaseRequest) -> LeaseResult:
        """Answer one request."""
        key = _key_of(request)
        account = LeaseAccount()
        if key in self._known:
            account = self._transaction.lease_account(key, self._look)
        verdict = judge(request, account, self._finder.terms(key))
        result = verdict.result
        if verdict.lacking:
            result = self._recalled(key, verdict)
        elif verdict.is_lowered:
            self.recalls[self._look.incarnation, key] = None
        if verdict.kept:
            self._change(key, account, result)
        return result

    def keep(self) -> int | None:
        """Write what has changed; the revision of leases, `None` where nothing has."""
        if not self._changed:
            return None
        self._transaction.put_leases(self._changed)
        self._repay(self._returned)
        return self._transaction.next_lease_revision()

    def _recalled(self, key: CounterKey, verdict: LeaseVerdict) -> LeaseResult:
        """Ask others for what is lacking, where those who are there have it."""
        others = [
            lease
            for lease in self._transaction.granted_leases(key, HOLDERS_MAX)
            if lease.lease.incarnation != self._look.incarnation
        ]
        holders = [
            lease
            for lease in (*others, *self._finder.leases_before(key, HOLDERS_MAX))
            if self._presence.may_return(lease, SILENT_US)
        ]
        if sum(lease.outstanding for lease in holders) < verdict.lacking:
            return msgspec.structs.replace(
                verdict.result, status=LeaseStatus.WITHHELD, retry_after_ms=WITHHELD_RETRY_MS
            )
        for lease in holders:
            self.recalls[lease.lease.incarnation, lease.lease.key] = None
        return msgspec.structs.replace(
            verdict.result, status=LeaseStatus.RECALLING, retry_after_ms=RECALLING_RETRY_MS
        )

    def _change(self, key: CounterKey, account: LeaseAccount, result: LeaseResult) -> None:
        outstanding = not account.released and account.granted > account.own
        self._changed.append(
            StoredLease(
                key=key,
                incarnation=self._look.incarnation,
                granted=result.granted,
                number=result.number,
                valid_until_us=result.valid_until_us,
                amount=result.amount,
                asked_us=self._now_us,
                since_us=account.since_us if outstanding else self._now_us,
            )
        )
        granted = 0 if account.released else account.granted
        if result.granted > granted:
            self.windows[key.counter.window] = None
        elif result.granted < granted:
            self._returned.append(key)
