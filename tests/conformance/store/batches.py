"""What is done to a store in one go: tests have it fail, or run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.leases.model import LeaseResult, LeaseStatus, LeaseWish
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import DAY_US
from sidecar.storage import keys
from sidecar.storage.answers import Answers
from sidecar.storage.contact import write_contact
from sidecar.storage.leases import Leases
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.storage.sweep import COUNTER_KEPT_US, Sweep
from sidecar.storage.transaction import Transaction
from sidecar.storage.watch_position import WatchPosition
from tests.support.build import NOW_US, counter_ref, limit, total
from tests.support.stores import MONTHLY, OpenedStore, count_in, keep_answer

USERS = [counter_ref(limit("by_user", each=["user"]), (name,)) for name in ("ann", "bob")]
LATER_US = MONTHLY.window.end_us + COUNTER_KEPT_US + 1

Do = Callable[[OpenedStore], object]


class Batch(NamedTuple):
    """What is there before, and what is then done."""

    prepare: Do
    run: Do


def a_call(opened: OpenedStore) -> None:
    """Two counters, a stored answer and a record, as of a check with a key."""

    def work(transaction: Transaction) -> None:
        count_in(transaction, 3)
        count_in(transaction, 4, USERS[0])
        keep_answer(transaction, keys.answer_hash("acme", "key"))

    opened.store.transact(work)


def some_calls(opened: OpenedStore) -> None:
    with opened.store.group():
        for _ in range(3):
            a_call(opened)


def steps_within_a_step(opened: OpenedStore) -> None:
    def work(_: Transaction) -> None:
        a_call(opened)
        a_call(opened)

    opened.store.transact(work)


def lost_power(opened: OpenedStore) -> None:
    some_calls(opened)
    opened.reopen(power_lost=True)
    a_call(opened)


def fence(opened: OpenedStore) -> None:
    opened.outbox.begin_incarnation("life-9", "life-1", 0)


def fenced(opened: OpenedStore) -> None:
    some_calls(opened)
    fence(opened)


def hear(opened: OpenedStore) -> None:
    refs = [MONTHLY, *USERS]
    totals = [total(ref, 50 + at, 2, 7 + at) for at, ref in enumerate(refs)]
    opened.counters.hear("life-1", totals)


def take_companies(opened: OpenedStore) -> None:
    companies = [CompanySnapshot(name, 2) for name in ("acme", "globex")]
    changes = SnapshotChanges(None, companies, ("hooli",), WatchPosition("epoch", 2))
    opened.snapshots.apply(changes)


def held_companies(opened: OpenedStore) -> None:
    companies = [CompanySnapshot(name, 1) for name in ("acme", "hooli")]
    opened.snapshots.apply(SnapshotChanges(None, companies, (), WatchPosition("epoch", 1)))


def begin_a_partition(opened: OpenedStore) -> None:
    Answers(opened.store, quota_bytes=1, kept_us=DAY_US).tend(NOW_US)


def two_partitions(opened: OpenedStore) -> None:
    some_calls(opened)
    begin_a_partition(opened)
    a_call(opened)


def remove_a_partition(opened: OpenedStore) -> None:
    Answers(opened.store, quota_bytes=1 << 20, kept_us=DAY_US).tend(NOW_US + DAY_US)


def ask_for_leases(opened: OpenedStore) -> None:
    names = [CounterName("acme", "calls", ref) for ref in (MONTHLY, *USERS)]
    wishes = [LeaseWish(name, 1, 50, gives_back=at == 1) for at, name in enumerate(names)]
    Leases(opened.store).request(wishes)


def asked_for_leases(opened: OpenedStore) -> None:
    some_calls(opened)
    ask_for_leases(opened)


def take_leases(opened: OpenedStore) -> None:
    answered = []
    for number, ref in enumerate((MONTHLY, *USERS), 1):
        result = LeaseResult(number, LeaseStatus.GRANTED, 45, ref.window.end_us, amount=90)
        answered.append((CounterName("acme", "calls", ref), result, 30))
    Leases(opened.store).take("life-1", answered)


def held_leases(opened: OpenedStore) -> None:
    asked_for_leases(opened)
    take_leases(opened)


def drop_a_lease(opened: OpenedStore) -> None:
    Leases(opened.store).drop(CounterName("acme", "calls", MONTHLY))


BATCHES = {
    "a call": Batch(a_call, a_call),
    "a group of calls": Batch(a_call, some_calls),
    "calls within a call": Batch(a_call, steps_within_a_step),
    "totals": Batch(a_call, hear),
    "an acknowledgement": Batch(some_calls, lambda o: o.outbox.acknowledge("life-1", 3)),
    "an acknowledgement that ends a life": Batch(
        lost_power, lambda o: o.outbox.acknowledge("life-1", 6)
    ),
    "a fencing": Batch(some_calls, fence),
    "a step of moving": Batch(fenced, lambda o: o.outbox.move_fenced()),
    "companies": Batch(held_companies, take_companies),
    "requests for leases": Batch(some_calls, ask_for_leases),
    "requests that give leases back": Batch(held_leases, ask_for_leases),
    "leases that are granted": Batch(asked_for_leases, take_leases),
    "a lease that is dropped": Batch(held_leases, drop_a_lease),
    "a contact": Batch(a_call, lambda o: write_contact(o.store, 5)),
    "a new partition of answers": Batch(some_calls, begin_a_partition),
    "a step of removing answers": Batch(two_partitions, remove_a_partition),
    "a step of the sweep": Batch(some_calls, lambda o: Sweep(o.store).step(LATER_US, 2)),
}
