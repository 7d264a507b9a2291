"""Whatever is retried, reordered, cloned or sent twice: every record once, and totals right.

The model knows nothing of chains or watermarks. It holds what each store accepted, and says what
the ledger must hold once everyone has delivered. Where disks are cloned, every record has a key:
nothing else tells that a record which two clones hold is one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.control.errors import Fenced, SequenceGap
from sidecar.control.rules.history import Greeting
from sidecar.control.services import ingest
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.values import LineFilter
from tests.unit.control.support import LIFETIME, NOW_US, Writer, key_of, per_user, record

USERS = ("eve", "bob")

Steps: TypeAlias = list[tuple[Any, ...]]


@dataclass
class Sidecar:
    """A store that accepts usage, and delivers it as the protocol says."""

    writer: Writer
    acknowledged: int = 0


@dataclass
class World:
    """Sidecars on one plane, and what they have accepted: (number, user, key)."""

    store: PlaneStore
    sidecars: list[Sidecar] = field(default_factory=list)
    accepted: list[tuple[int, str, str]] = field(default_factory=list)
    born: int = 0

    def new_writer(self) -> Writer:
        self.born += 1
        return Writer(str(UUID(int=self.born)))

    def accept(self, sidecar: Sidecar, user: str, key: str) -> None:
        """The quantity is a power of two a record, so that a sum tells which records are in it."""
        number = len(self.accepted)
        self.accepted.append((number, user, key))
        # Under one key a payload is always the same, so later ones are duplicates.
        first = next(n for n, _, k in self.accepted if k == key) if key else number
        counters = [LIFETIME, per_user(user)]
        at_us = NOW_US + number
        sidecar.writer.write(record(1 << first, key=key, counters=counters, at_us=at_us))

    def deliver(self, sidecar: Sidecar, first: int, last: int, answered: bool) -> None:
        """Push a run, and go on as a sidecar does; the answer may get lost."""
        try:
            pushed = ingest.push(
                self.store,
                sidecar.writer.incarnation,
                sidecar.writer.run(first, last),
                NOW_US,
                NOW_US,
            )
        except SequenceGap:
            return  # everything from the first that is not acknowledged will be sent again
        except Fenced as fenced:
            if answered:
                self.reborn(sidecar, max(fenced.common_sequence, sidecar.acknowledged))
        else:
            if answered:
                sidecar.acknowledged = max(sidecar.acknowledged, pushed.watermark)

    def greet(self, sidecar: Sidecar) -> None:
        """Say hello, and go on as a sidecar does."""
        writer, acknowledged = sidecar.writer, sidecar.acknowledged
        last = len(writer.records)
        chains = writer.chains[acknowledged], writer.chains[last]
        greeting = Greeting(last, acknowledged, *chains)
        welcome = ingest.greet(self.store, writer.incarnation, "", greeting, NOW_US)
        if welcome.fenced:
            self.reborn(sidecar, welcome.common_sequence)
        else:
            sidecar.acknowledged = welcome.watermark

    def reborn(self, sidecar: Sidecar, common: int) -> None:
        left = sidecar.writer.records[common:]
        sidecar.writer = self.new_writer()
        sidecar.writer.write(*left)
        sidecar.acknowledged = 0

    def deliver_everything(self) -> None:
        for sidecar in self.sidecars:
            self.greet(sidecar)
            while sidecar.acknowledged < len(sidecar.writer.records):
                before = (sidecar.writer.incarnation, sidecar.acknowledged)
                self.deliver(sidecar, sidecar.acknowledged + 1, sidecar.acknowledged + 3, True)
                assert before != (sidecar.writer.incarnation, sidecar.acknowledged)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("accept"),
            st.integers(0, 9),
            st.sampled_from(USERS),
            st.sampled_from(["", "", "k1", "k2"]),
        ),
        st.tuples(
            st.just("push"), st.integers(0, 9), st.integers(0, 9), st.integers(1, 4), st.booleans()
        ),
        st.tuples(st.sampled_from(["clone", "hello"]), st.integers(0, 9)),
    ),
    max_size=40,
)


def _run(world: World, steps: Steps, cloning: bool) -> None:
    for kind, at, *rest in steps:
        sidecar = world.sidecars[at % len(world.sidecars)]
        written = len(sidecar.writer.records)
        if kind == "accept":
            user, key = rest
            own_key = f"only-{len(world.accepted)}" if cloning else ""
            world.accept(sidecar, user, f"{user}-{key}" if key else own_key)
        elif kind == "clone" and cloning and len(world.sidecars) < 4:
            world.sidecars.append(Sidecar(sidecar.writer.clone(), sidecar.acknowledged))
        elif kind == "hello":
            world.greet(sidecar)
        elif kind == "push" and written:
            offset, size, answered = rest
            first = 1 + offset % written
            world.deliver(sidecar, first, first + size - 1, answered)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, cloning=st.booleans())
def test_every_accepted_record_is_counted_once(steps: Steps, cloning: bool) -> None:
    store = SqliteStore()
    try:
        world = World(store)
        world.sidecars = [Sidecar(world.new_writer()), Sidecar(world.new_writer())]
        _run(world, steps, cloning)
        world.deliver_everything()
        _check(world)
    finally:
        store.close()


def _check(world: World) -> None:
    first_of_key: dict[str, int] = {}
    expected: dict[str, int] = dict.fromkeys(USERS, 0)
    for number, user, key in world.accepted:
        if key and key in first_of_key:
            continue
        first_of_key[key] = number
        expected[user] += 1 << number
    with world.store.read() as transaction:
        keys = [key_of(LIFETIME), *(key_of(per_user(user)) for user in USERS)]
        totals = [total.total for total in transaction.totals(keys, str(UUID(int=1)))]
        states = transaction.counters(keys)
        lines = transaction.lines(LineFilter("acme"), None, 10_000)
    assert [sum(expected.values()), *expected.values()] == totals
    assert [state.total for state in states] == [sum(state.parts.values()) for state in states]
    counted = [line.quantity for line in lines if not line.duplicate_of]
    assert sum(expected.values()) == sum(counted)
    assert len(counted) == len(set(counted))
