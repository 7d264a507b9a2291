"""Leases of a store that a test has opened, asked for and answered."""

from __future__ import annotations

from typing import Final

from sidecar.domain.leases.model import (
    Lease,
    LeaseEntry,
    LeaseRequest,
    LeaseResult,
    LeaseStatus,
    LeaseWish,
)
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.storage.leases import LEASES_AT_ONCE, Leases
from tests.support.build import DAY, counter_ref, limit
from tests.support.stores import MONTHLY, OpenedStore

BY_USER: Final = limit("by_user", window=DAY, each=["user"])
END_US: Final = MONTHLY.window.end_us
GRANTED: Final = LeaseStatus.GRANTED


def named(ref: CounterRef = MONTHLY) -> CounterName:
    """The name of a counter."""
    return CounterName("acme", "calls", ref)


def users(count: int) -> list[CounterRef]:
    """Counters of as many users."""
    return [counter_ref(BY_USER, (f"user {number}",)) for number in range(count)]


def result(
    number: int, granted: int, status: LeaseStatus = GRANTED, ref: CounterRef = MONTHLY
) -> LeaseResult:
    """What a plane answers."""
    return LeaseResult(number, status, granted, ref.window.end_us, amount=1_000)


def ask(
    opened: OpenedStore, want: int, *, gives_back: bool = False, ref: CounterRef = MONTHLY
) -> LeaseRequest:
    """Ask for a lease."""
    (asked,) = Leases(opened.store).request([LeaseWish(named(ref), 1, want, gives_back)])
    return asked


def take(
    opened: OpenedStore, answer: LeaseResult, ref: CounterRef = MONTHLY, life: str = "life-1"
) -> int:
    """Take an answer; how many were taken."""
    return Leases(opened.store).take(life, [(named(ref), answer, answer.granted - 10)])


def grant(opened: OpenedStore, granted: int, ref: CounterRef = MONTHLY) -> None:
    """Ask for a lease, and take it."""
    asked = ask(opened, granted, ref=ref)
    life = opened.store.incarnation.id
    assert 1 == take(opened, result(asked.number, granted, ref=ref), ref, life)


def lease(opened: OpenedStore, ref: CounterRef = MONTHLY) -> Lease | None:
    """What may be spent of a counter."""
    counter = opened.counter(ref)
    return None if counter is None else counter.lease


def entries(opened: OpenedStore) -> list[LeaseEntry]:
    """All that is noted of leases."""
    found, behind = Leases(opened.store).page(b"", LEASES_AT_ONCE)
    assert behind == b""
    return found
