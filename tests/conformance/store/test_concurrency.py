"""Steps, groups and long reads in between one another: one writer, and many who have begun.

A group that ends early leaves no byte, wherever it ends. What is read in slices has each thing
once, whatever is written between the slices.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

import pytest

from sidecar.domain.errors import Conflict, Unavailable
from sidecar.domain.slices import Slices
from sidecar.domain.time.units import DAY_US
from sidecar.storage import counters, keys, tallies
from sidecar.storage.codec import Tally
from sidecar.storage.kv_engine import KvEngine
from sidecar.storage.transaction import Transaction
from tests.support.build import NOW_US, counter_ref, limit
from tests.support.seeds import rounds, seeded
from tests.support.stores import MONTHLY, Disk, OpenedStore, count_in

T = TypeVar("T")

BY_USER = limit("by_user", each=["user"])
ANYONE = counter_ref(BY_USER, ("any",))
FEATURES = ("calls", "exports", "pages", "seats", "tokens")
STEPS = 4
ROUNDS = rounds(40, 71, slow=150, seeds=(171, 172))


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "LOOKED_AT_ONCE", 3)
    monkeypatch.setattr(tallies, "COUNTED_AT_ONCE", 3)


def state(opened: OpenedStore) -> object:
    store = opened.store
    return opened.pairs(), store.head, store.incarnations, store.waiting_records()


def abort(opened: OpenedStore) -> None:
    opened.store.abort_group()


def break_off(opened: OpenedStore) -> None:
    """A step raises what is no refusal: its group cannot be committed."""

    def broken(_: Transaction) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        opened.store.transact(broken)
    with pytest.raises(Unavailable, match="half-way"):
        opened.store.commit_group()


def interrupt(opened: OpenedStore) -> None:
    def interrupted(_: Transaction) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened.store.transact(interrupted)
    opened.store.abort_group()


ENDINGS: dict[str, Callable[[OpenedStore], None]] = {
    "aborted": abort,
    "broken off": break_off,
    "interrupted": interrupt,
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("after", range(STEPS + 1))
def test_a_group_that_ends_early_leaves_no_byte_wherever_it_ends(
    opened: OpenedStore, after: int, ending: str
) -> None:
    opened.count_each(1, 2)
    before = state(opened)
    opened.store.begin_group()
    for at in range(after):
        opened.count(5, counter_ref(BY_USER, (f"user {at}",)))
    ENDINGS[ending](opened)
    assert before == state(opened)
    opened.count(7)
    assert [1, 2, 7] == [quantity for _, _, quantity in opened.waiting()]
    opened.reopen()
    assert (10, 3) == (opened.used(), opened.store.head.sequence)


@pytest.mark.parametrize("refused", [set(), {0}, {1, 2}, {STEPS - 1}, set(range(STEPS))])
def test_a_group_is_the_sum_of_those_of_its_steps_that_were_not_refused(
    opened: OpenedStore, refused: set[int]
) -> None:
    taken = 0

    def step(transaction: Transaction) -> int:
        if at in refused:
            raise Conflict("idempotency_key", "was used before")
        count_in(transaction, 1 << at)
        known = transaction.counter(counter_key())
        assert known is not None
        return known.used

    with opened.store.group():
        for at in range(STEPS):
            if at in refused:
                with pytest.raises(Conflict):
                    opened.store.transact(step)
            else:
                taken += 1 << at
                assert taken == opened.store.transact(step)
    opened.reopen()
    assert taken == opened.used()
    assert STEPS - len(refused) == opened.store.head.sequence


def counter_key() -> bytes:
    base = keys.counter_base("acme", "calls", MONTHLY.slot, MONTHLY.values)
    return keys.counter_key(base, MONTHLY.window.start_us)


def test_a_scan_that_goes_on_behind_its_last_key_sees_what_is_there_by_then(disk: Disk) -> None:
    engine = disk.engine()
    put(engine, {b"b": b"1", b"d": b"1", b"f": b"1", b"h": b"1"})
    assert [b"b", b"d"] == scanned(engine, b"a", 2)
    put(engine, {b"c": b"2", b"e": b"2"}, b"f")
    assert [b"e", b"h"] == scanned(engine, b"d\0", 2)
    transaction = engine.begin()
    transaction.put(b"i", b"3")
    transaction.delete(b"h")
    assert [(b"i", b"3")] == engine.scan(transaction, b"e\0", b"z", 2)
    transaction.abort()
    assert [b"h"] == scanned(engine, b"e\0", 2)
    engine.close()


def put(engine: KvEngine, pairs: dict[bytes, bytes], *deleted: bytes) -> None:
    transaction = engine.begin()
    for key, value in pairs.items():
        transaction.put(key, value)
    for key in deleted:
        transaction.delete(key)
    transaction.commit()


def scanned(engine: KvEngine, start: bytes, most: int) -> list[bytes]:
    transaction = engine.begin()
    try:
        return [key for key, _ in engine.scan(transaction, start, b"z", most)]
    finally:
        transaction.abort()


class Busy:
    """Counts on users between slices: alone, in groups, and in groups that come to nothing.

    Each has counters in several months, and of several features.
    """

    def __init__(self, opened: OpenedStore, rng: Random, *, acknowledges: bool = False) -> None:
        self.used: dict[str, int] = {}
        """Calls of this month, by user."""
        self.accepted: list[tuple[str, int]] = []
        """Feature and quantity of each record."""
        self._opened = opened
        self._rng = rng
        self._acknowledges = acknowledges

    def act(self) -> None:
        opened, rng = self._opened, self._rng
        if self._acknowledges and rng.random() < 0.4:
            head = opened.store.head.sequence
            opened.outbox.acknowledge("life-1", max(0, head - rng.randrange(6)))
        elif rng.random() < 0.3:
            opened.store.begin_group()
            for _ in range(rng.randint(0, 3)):
                opened.count(1_000_000, counter_ref(BY_USER, (f"ghost {rng.randrange(9)}",)))
            opened.store.abort_group()
        else:
            with opened.store.group():
                for _ in range(rng.randint(0, 4)):
                    self._count(f"user {rng.randrange(9)}", rng.randrange(-2, 3))

    def between(self, slices: Slices[T]) -> T:
        """Take slices to their end, and act between any two of them."""
        while True:
            try:
                next(slices)
            except StopIteration as end:
                result: T = end.value
                return result
            self.act()

    def tallies(self, sequence: int) -> dict[str, Tally]:
        """What was accepted up to a sequence."""
        found: dict[str, Tally] = {}
        for feature, quantity in self.accepted[:sequence]:
            found[feature] = found.get(feature, Tally()).plus(quantity)
        return found

    def _count(self, user: str, months: int) -> None:
        feature = self._rng.choice(("calls", *FEATURES))
        quantity = self._rng.randint(1, 9)
        ref = counter_ref(BY_USER, (user,), NOW_US + months * 31 * DAY_US)
        self._opened.count(quantity, ref, feature=feature)
        self.accepted.append((feature, quantity))
        if months == 0 and feature == "calls":
            self.used[user] = self.used.get(user, 0) + quantity


@pytest.mark.parametrize(("count", "seed"), ROUNDS)
def test_counters_that_are_listed_while_others_count_are_each_there_once(
    opened: OpenedStore, count: int, seed: int
) -> None:
    busy = Busy(opened, seeded(seed))
    for _ in range(count):
        for _ in range(6):
            busy.act()
        before = dict(busy.used)
        rows = busy.between(
            opened.counters.of_slot("acme", "calls", ANYONE.slot, ANYONE.window.start_us, 1_000)
        )
        found = {row.values[0]: row.used for row in rows}
        assert len(rows) == len(found)
        assert set(before) <= set(found) <= set(busy.used)
        assert all(before.get(user, 1) <= used <= busy.used[user] for user, used in found.items())


@pytest.mark.parametrize(("count", "seed"), ROUNDS)
def test_what_was_accepted_is_exact_for_a_sequence_while_records_come_and_leave(
    opened: OpenedStore, count: int, seed: int
) -> None:
    busy = Busy(opened, seeded(seed), acknowledges=True)
    for _ in range(count):
        for _ in range(6):
            busy.act()
        begun_at = opened.store.head.sequence
        accepted = busy.between(opened.outbox.accepted())
        assert begun_at <= accepted.sequence <= opened.store.head.sequence
        assert busy.tallies(accepted.sequence) == accepted.tallies
    assert len(busy.accepted) == opened.store.head.sequence
