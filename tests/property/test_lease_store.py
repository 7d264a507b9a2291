"""Leases in a store against a model, and against a plane whose messages get lost, late and doubled.

Whatever happens, no incarnation may count further by its lease than the plane has granted to it;
and what the store says of its leases is what a model of plain dictionaries says.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.domain.leases.model import LeaseRequest, LeaseResult, LeaseStatus, LeaseWish
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.storage import codec, counting
from sidecar.storage.leases import LEASES_AT_ONCE, Leases
from sidecar.storage.transaction import Transaction
from tests.support.build import NOW_US, counter_ref, limit
from tests.support.stores import MONTHLY, MemoryDisk, OpenedStore, counter_key_of, record_of

AMOUNT: Final = 1_000
LIVES_MAX: Final = 6
REFS: Final = (MONTHLY, counter_ref(limit("by_user", each=["user"]), ("ann",)))
_REFS: Final = st.sampled_from(REFS)

_WISHES: Final = st.dictionaries(
    _REFS,
    st.tuples(st.integers(0, 9), st.integers(0, 60), st.booleans()),
    min_size=1,
    max_size=2,
)


class Row(NamedTuple):
    """What the plane has of an incarnation's lease of a counter."""

    number: int = 0
    granted: int = 0
    answer: LeaseResult | None = None


class Noted(NamedTuple):
    """What the store should have of it."""

    number: int
    waits: bool
    held: int


def named(ref: CounterRef) -> CounterName:
    return CounterName("acme", "calls", ref)


class LeaseStore(RuleBasedStateMachine):
    """The store, the model, the plane, and messages on their way."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = OpenedStore(MemoryDisk())
        self.noted: dict[tuple[str, CounterRef], Noted] = {}
        self.own: dict[tuple[str, CounterRef], int] = {}
        self.leased: dict[CounterRef, int] = {}
        self.number = 0
        self.rows: dict[tuple[str, CounterRef], Row] = {}
        self.requests: list[tuple[str, CounterRef, LeaseRequest]] = []
        self.answers: list[tuple[str, CounterRef, LeaseResult]] = []

    @property
    def life(self) -> str:
        return self.opened.store.incarnation.id

    @rule(wishes=_WISHES, extra=st.integers(1, 60))
    def ask_and_be_answered(
        self, wishes: dict[CounterRef, tuple[int, int, bool]], extra: int
    ) -> None:
        """As it mostly goes; both messages may come again."""
        self.ask(wishes)
        for message in self.requests[-len(wishes) :]:
            self._reach_the_plane(*message, extra)
            self._be_answered(*self.answers[-1])

    @rule(wishes=_WISHES)
    def ask(self, wishes: dict[CounterRef, tuple[int, int, bool]]) -> None:
        asked = Leases(self.opened.store).request(
            [LeaseWish(named(ref), *wish) for ref, wish in wishes.items()]
        )
        for (ref, (need, want, gives_back)), request in zip(wishes.items(), asked, strict=True):
            self.number += 1
            own, before = self._own(ref), self.noted.get((self.life, ref), Noted(0, False, 0))
            held = before.held
            if gives_back or want == 0:
                held = min(held, own)
                self.leased.pop(ref, None)
            self.noted[self.life, ref] = Noted(self.number, True, held)
            assert LeaseRequest(named(ref), self.number, held, own, need, want) == request
            self.requests.append((self.life, ref, request))

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), again=st.booleans(), extra=st.integers(0, 60))
    def reach_the_plane(self, data: st.DataObject, again: bool, extra: int) -> None:
        at = data.draw(st.integers(0, len(self.requests) - 1))
        self._reach_the_plane(*(self.requests[at] if again else self.requests.pop(at)), extra)

    def _reach_the_plane(
        self, life: str, ref: CounterRef, request: LeaseRequest, extra: int
    ) -> None:
        row = self.rows.get((life, ref), Row())
        if request.number < row.number:
            result = LeaseResult(request.number, LeaseStatus.SUPERSEDED)
        elif request.number == row.number and row.answer is not None:
            result = row.answer
        else:
            base = min(request.held, row.granted)
            assert request.held <= row.granted, "it holds more than it was ever granted"
            granted = max(base, min(base + extra, request.used + request.want))
            until_us = ref.window.end_us
            result = LeaseResult(
                request.number, LeaseStatus.GRANTED, granted, until_us, amount=AMOUNT
            )
            self.rows[life, ref] = Row(request.number, granted, result)
        self.answers.append((life, ref, result))

    @precondition(lambda self: self.answers)
    @rule(data=st.data(), again=st.booleans())
    def be_answered(self, data: st.DataObject, again: bool) -> None:
        at = data.draw(st.integers(0, len(self.answers) - 1))
        self._be_answered(*(self.answers[at] if again else self.answers.pop(at)))

    def _be_answered(self, life: str, ref: CounterRef, result: LeaseResult) -> None:
        taken = Leases(self.opened.store).take(life, [(named(ref), result, result.granted // 2)])
        noted = self.noted.get((life, ref))
        counts = life == self.life and noted is not None
        counts = counts and noted == Noted(result.number, True, noted.held if noted else 0)
        assert counts == taken
        if counts:
            self._take(ref, result)

    def _take(self, ref: CounterRef, result: LeaseResult) -> None:
        is_granted = result.status is LeaseStatus.GRANTED
        held, own = result.granted if is_granted else 0, self._own(ref)
        self.noted[self.life, ref] = Noted(result.number, False, held)
        if not held and not own:
            del self.noted[self.life, ref]
        self.leased.pop(ref, None)
        if held > own:
            self.leased[ref] = held

    @rule(ref=_REFS, quantity=st.integers(1, 40))
    def count_by_the_lease(self, ref: CounterRef, quantity: int) -> None:
        def work(transaction: Transaction) -> int | None:
            kv, key = transaction.keyspace, counter_key_of(ref)
            ordinal = transaction.incarnation.ordinal
            data = kv.get(key)
            found = counting.counted_up_leased(data, ordinal, quantity, NOW_US, AMOUNT)
            if found is None:
                return None
            _, counted, left, is_due = found
            kv.put(key, counted)
            transaction.append(record_of(quantity, ref))
            lease = codec.decode_counter(counted, ordinal).lease
            assert lease is not None
            assert is_due == (lease.granted - left >= lease.refill_at)
            return left

        left, ceiling = self.opened.store.transact(work), self.leased.get(ref, 0)
        after = self._own(ref) + quantity
        assert left == (ceiling - after if after <= ceiling else None)
        if left is not None:
            self.own[self.life, ref] = after

    @rule(ref=_REFS, quantity=st.integers(1, 40))
    def record_past_all_leases(self, ref: CounterRef, quantity: int) -> None:
        self.opened.count(quantity, ref)
        self.own[self.life, ref] = self._own(ref) + quantity

    @rule(ref=_REFS)
    def drop(self, ref: CounterRef) -> None:
        Leases(self.opened.store).drop(named(ref))
        noted = self.noted.pop((self.life, ref), None)
        if noted is not None and (counted := min(noted.held, self._own(ref))):
            self.noted[self.life, ref] = Noted(noted.number, False, counted)
        self.leased.pop(ref, None)

    @rule()
    def restart(self) -> None:
        self.opened.reopen()

    @precondition(lambda self: len(self.opened.store.incarnations) < LIVES_MAX)
    @rule(is_fenced=st.booleans())
    def take_a_new_life(self, is_fenced: bool) -> None:
        oldest = self.opened.store.incarnations[0]
        if not is_fenced:
            self.opened.reopen(power_lost=True)
        elif oldest.id == self.life:
            waiting = self.opened.waiting()
            quantities = dict.fromkeys(REFS, 0)
            pairs = self.opened.pairs(b"z", b"{")
            for ref in REFS:
                encoded = ref.slot.encode()
                for (_, entry), (_, _, quantity) in zip(pairs, waiting, strict=True):
                    quantities[ref] += quantity if encoded in entry else 0
            self.opened.outbox.begin_incarnation(self.opened.new_incarnation(), oldest.id, 0)
            while self.opened.outbox.move_fenced():
                pass
            for ref, quantity in quantities.items():
                self.own[self.life, ref] = quantity
        else:
            return
        self.leased = {}

    def _own(self, ref: CounterRef) -> int:
        return self.own.get((self.life, ref), 0)

    @invariant()
    def the_plane_has_granted_whatever_may_be_spent(self) -> None:
        for ref in REFS:
            counter = self.opened.counter(ref)
            lease = None if counter is None else counter.lease
            assert self.leased.get(ref) == (None if lease is None else lease.granted)
            if lease is not None:
                assert lease.granted <= self.rows[self.life, ref].granted

    @invariant()
    def what_is_listed_is_what_was_noted(self) -> None:
        found, _ = Leases(self.opened.store).page(b"", LEASES_AT_ONCE)
        said = {
            (entry.incarnation, entry.counter.counter): (entry.number, entry.granted)
            for entry in found
        }
        assert {key: (noted.number, noted.held) for key, noted in self.noted.items()} == said
        for entry in found:
            if entry.incarnation == self.life:
                assert self._own(entry.counter.counter) == entry.own


LeaseStore.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestLeaseStore = LeaseStore.TestCase
