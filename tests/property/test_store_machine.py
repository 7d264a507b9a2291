"""A sidecar's store against a model of plain dictionaries, through any sequence of events.

Checks, reports, batches, groups, acknowledgements, news from the plane, fences, restarts, losses of
power: usage, outbox, chain, tallies and replays always agree with the model. Steps are small here,
so that much happens between two of them.
"""

from __future__ import annotations

from collections import Counter as Tally
from contextlib import ExitStack
from itertools import count
from typing import Final
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.directory.directory import Directory
from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.errors import Conflict
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.requests import Check
from sidecar.domain.slices import Slices, whole
from sidecar.engine.enforce import Answer, Enforcer, Outcome, Replay
from sidecar.engine.needs import Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.rpc.response_encoder import ResponseEncoder
from sidecar.storage import codec, outbox, tallies
from sidecar.storage.outbox import Outbox
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.storage.tallies import AcceptedUsage
from sidecar.sync.records import UsageRecordReader
from tests.support.build import (
    DAY,
    HARD,
    NOW_US,
    SHADOW,
    catalog,
    catalog_snapshot,
    check,
    company,
    counter_ref,
    limit,
    metered,
    total,
)
from tests.support.stores import MemoryDisk, OpenedStore, chain_of

WHOLE: Final = limit("whole", 60)
TRIED: Final = limit("tried", 20, SHADOW)
BY_USER: Final = limit("by_user", 25, HARD, DAY, each=["user"])
LIMITS: Final[tuple[Limit, ...]] = (WHOLE, TRIED, BY_USER)
USERS: Final = ("", "ann", "bob")
KEYS: Final = ("", "", "k1", "k2")
HOUR_US: Final = 3_600_000_000

_CHECKS: Final = st.builds(
    lambda quantity, mode, key, user: check(
        quantity=quantity, mode=mode, key=key, dimensions={"user": user} if user else {}
    ),
    st.integers(0, 9),
    st.sampled_from(list(GrantMode)),
    st.sampled_from(KEYS),
    st.sampled_from(USERS),
)


def refs_of(user: str) -> list[tuple[Limit, CounterRef]]:
    """Limits that apply to a user's request, with their counters."""
    found = [(WHOLE, counter_ref(WHOLE)), (TRIED, counter_ref(TRIED))]
    return [*found, (BY_USER, counter_ref(BY_USER, (user,)))] if user else found


class StoreMachine(RuleBasedStateMachine):
    """The store under test, and what should be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.small_steps = ExitStack()
        for module, name in ((outbox, "STEP_RECORDS"), (tallies, "COUNTED_AT_ONCE")):
            self.small_steps.enter_context(patch.object(module, name, 2))
        self.collecting: Slices[AcceptedUsage] | None = None
        self.opened = OpenedStore(MemoryDisk())
        content = catalog({"basic": [metered("calls", *LIMITS)]})
        self.opened.snapshots.apply(
            SnapshotChanges(catalog_snapshot(content), [compile_snapshot(company(), 1)])
        )
        self._make_enforcer()
        self.counted: Tally[CounterRef] = Tally()
        self.others: Tally[CounterRef] = Tally()
        self.waiting: list[int] = []
        self.accepted: list[int] = []
        """Quantities of the present incarnation's records."""
        self.answers: dict[str, tuple[tuple[object, ...], bytes]] = {}
        self.version = 0

    def teardown(self) -> None:
        self.small_steps.close()

    def _make_enforcer(self) -> None:
        self.enforcer = Enforcer(
            self.opened.store,
            Directory(self.opened.snapshots, 10),
            PlaneStatus(authority=True),
            ResponseEncoder(),
        )

    @rule(asked=_CHECKS)
    def check_alone(self, asked: Check) -> None:
        try:
            outcome: Outcome | Needs = self.enforcer.check_and_increment(asked, NOW_US)
        except Conflict as error:
            outcome = error
        self._expect(asked, outcome)

    @rule(asked=st.lists(_CHECKS, min_size=1, max_size=5))
    def check_many(self, asked: list[Check]) -> None:
        outcomes = self.enforcer.check_and_increment_each(asked, NOW_US)
        assert not isinstance(outcomes, Needs)
        for one, outcome in zip(asked, outcomes, strict=True):
            self._expect(one, outcome)

    @rule(asked=st.lists(_CHECKS, min_size=1, max_size=5))
    def check_in_a_group_that_fails(self, asked: list[Check]) -> None:
        try:
            with self.opened.store.group():
                self.enforcer.check_and_increment_each(asked, NOW_US)
                raise KeyError
        except KeyError:
            pass

    @precondition(lambda self: self.waiting)
    @rule(share=st.integers(0, 100))
    def acknowledge(self, share: int) -> None:
        oldest = self.opened.store.incarnations[0]
        here = sum(1 for name, _, _ in self.opened.waiting() if name == oldest.id)
        taken = here * share // 100
        watermark = oldest.acknowledged_sequence + taken
        while self.opened.outbox.acknowledge(oldest.id, watermark):
            pass
        del self.waiting[:taken]

    @precondition(lambda self: len(self.opened.store.incarnations) == 1)
    @rule(others=st.integers(0, 30), user=st.sampled_from(USERS[1:]), whole=st.booleans())
    def hear(self, others: int, user: str, whole: bool) -> None:
        """The plane knows all that this store counted under earlier names, and part of the rest."""
        ref = counter_ref(WHOLE) if whole else counter_ref(BY_USER, (user,))
        counter = self.opened.counter(ref)
        own = 0 if counter is None else counter.own
        left = self.counted[ref] - own
        self.version += 1
        reported = own // 2
        said = left + others + reported
        # A plane that says nothing of corrections may say less than it did.
        news = total(ref, said, reported, self.version, corrections=None)
        self.opened.counters.hear(self.opened.store.incarnation.id, [news])
        self.others[ref] = others

    @precondition(lambda self: self.version)
    @rule()
    def hear_old_news(self) -> None:
        ref = counter_ref(WHOLE)
        counter = self.opened.counter(ref)
        if counter is not None and counter.heard:
            old = total(ref, 999, 0, counter.heard - 1)
            self.opened.counters.hear(self.opened.store.incarnation.id, [old])

    @rule()
    def ask_what_was_accepted(self) -> None:
        self.collecting = self.opened.outbox.accepted()

    @precondition(lambda self: self.collecting)
    @rule(steps=st.integers(1, 4))
    def go_on_to_collect_it(self, steps: int) -> None:
        assert self.collecting is not None
        try:
            for _ in range(steps):
                next(self.collecting)
        except StopIteration as end:
            self.collecting = None
            self._expect_accepted(end.value)

    @rule(share=st.integers(0, 100), restarts_after=st.sets(st.integers(0, 8), max_size=2))
    def fence(self, share: int, restarts_after: set[int]) -> None:
        opened = self.opened
        oldest = opened.store.incarnations[0]
        here = sum(1 for name, _, _ in opened.waiting() if name == oldest.id)
        common = here * share // 100
        present = len(opened.store.incarnations) == 1
        name, sequence = opened.new_incarnation(), oldest.acknowledged_sequence + common
        more = count(1)
        while opened.outbox.begin_incarnation(name, oldest.id, sequence):
            if next(more) in restarts_after:
                self.restart()
        while opened.outbox.move_fenced():
            if next(more) in restarts_after:
                self.restart()
        moved = self.waiting[common:here]
        self.waiting = self.waiting[here:] + moved
        self.accepted = moved if present else self.accepted + moved

    @rule()
    def restart(self) -> None:
        self.collecting = None
        self.opened.reopen()
        self._make_enforcer()

    @precondition(lambda self: len(self.opened.store.incarnations) < 10)
    @rule()
    def lose_power(self) -> None:
        self.collecting = None
        self.opened.reopen(power_lost=True)
        self._make_enforcer()
        self.accepted = []

    @invariant()
    def usage_agrees(self) -> None:
        for user in USERS[1:]:
            for _, ref in refs_of(user):
                assert self._used(ref) == self.opened.used(ref)

    @invariant()
    def outbox_agrees(self) -> None:
        found = self.opened.waiting()
        assert self.waiting == [quantity for _, _, quantity in found]
        assert len(found) == len({(name, sequence) for name, sequence, _ in found})
        assert len(found) == self.opened.store.waiting_records()

    @invariant()
    def the_chain_holds(self) -> None:
        run = whole(self.opened.outbox.next_run(10_000, 1 << 30))
        if run is not None and len(self.opened.store.incarnations) == 1:
            expected = chain_of(*run.records, previous=run.previous_chain)
            assert expected == self.opened.store.head.chain

    @invariant()
    def tallies_agree(self) -> None:
        # Without what an earlier question left in memory: that is looked at by itself.
        fresh = Outbox(self.opened.store, UsageRecordReader())
        self._expect_accepted(whole(fresh.accepted()))

    def _expect_accepted(self, accepted: AcceptedUsage) -> None:
        taken = self.accepted[: accepted.sequence]
        assert len(taken) == accepted.sequence
        expected = codec.Tally(len(taken), sum(taken))
        assert expected == accepted.tallies.get("calls", codec.Tally())

    def _used(self, ref: CounterRef) -> int:
        return self.counted[ref] + self.others[ref]

    def _expect(self, asked: Check, outcome: Outcome | Needs) -> None:
        payload = (asked.quantity, asked.mode, dict(asked.dimensions))
        known = self.answers.get(asked.idempotency_key)
        if known is not None:
            if payload != known[0]:
                assert isinstance(outcome, Conflict)
                return
            assert Replay(known[1]) == outcome
            return
        assert isinstance(outcome, Answer)
        granted = self._granted(asked)
        decision = outcome.decision
        assert (granted is not None, granted or 0) == (decision.allowed, decision.granted)
        if granted is None or not asked.quantity:  # a question writes nothing
            return
        for ref in {ref for _, ref in refs_of(asked.dimensions.get("user", ""))}:
            self.counted[ref] += granted
        self.waiting.append(granted)
        self.accepted.append(granted)
        if asked.idempotency_key:
            self.answers[asked.idempotency_key] = (payload, outcome.kept)

    def _granted(self, asked: Check) -> int | None:
        if asked.mode is GrantMode.RECORD_ONLY:
            return asked.quantity
        left = asked.quantity
        for of, ref in refs_of(asked.dimensions.get("user", "")):
            if of.enforcement is HARD:
                left = min(left, max(0, (of.amount or 0) - self._used(ref)))
        if asked.mode is GrantMode.UP_TO:
            return left if left or not asked.quantity else None
        return asked.quantity if left == asked.quantity else None


StoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestStore = StoreMachine.TestCase
