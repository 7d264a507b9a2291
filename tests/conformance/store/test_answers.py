"""Answers for retries: remembered for as long as is said, within a quota, never in records' way."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.errors import Exhausted
from sidecar.domain.time.units import HOUR_US, SECOND_US
from sidecar.storage import keys
from sidecar.storage.answers import STEP_KEYS, Answers
from sidecar.storage.kv_engine import KvEngine
from sidecar.storage.room import reserve_bytes
from sidecar.storage.transaction import Transaction
from tests.conformance.store.conftest import MakeDisk
from tests.support.build import NOW_US
from tests.support.seeds import rounds, seeded
from tests.support.stores import OpenedStore, count_in, keep_answer

KEPT_US: Final = 24 * HOUR_US
ANSWER_BYTES: Final = 72
"""Most that one of these answers is taken to need, with its key: 48 bytes, and half as much."""


def name_of(number: int) -> bytes:
    return keys.answer_hash("acme", str(number))


class Retries:
    """Keeps answers under numbered keys, at a time that goes on, and looks for them again."""

    def __init__(self, opened: OpenedStore, quota_bytes: int = 1 << 30) -> None:
        self.now_us = NOW_US
        self.kept_at: dict[int, int] = {}
        self._opened = opened
        self._quota_bytes = quota_bytes
        self.begin()

    def begin(self, *, goes_on: bool = True) -> None:
        self.answers = Answers(
            self._opened.store, quota_bytes=self._quota_bytes, kept_us=KEPT_US, goes_on=goes_on
        )

    def tend(self) -> None:
        """Until nothing is left to do at once."""
        for _ in range(1_000):
            if not self.answers.tend(self.now_us):
                return
        raise AssertionError("never done")

    def keep(self, *numbers: int) -> None:
        def work(transaction: Transaction) -> None:
            for number in numbers:
                keep_answer(transaction, name_of(number))

        self._opened.store.transact(work)
        self.kept_at |= dict.fromkeys(numbers, self.now_us)

    def knows(self, number: int) -> bool:
        name = name_of(number)
        return self._opened.store.transact(lambda t: t.answer(name)) is not None

    def known(self) -> list[int]:
        return [number for number in self.kept_at if self.knows(number)]

    def remembered_us(self) -> int | None:
        return self.answers.remembered_us(self.now_us)

    def stored(self) -> int:
        """How many answers take room, expired or not."""
        return len(self._opened.pairs(keys.ANSWERS, keys.after(keys.UNPARTITIONED_ANSWERS)))


def test_answers_are_remembered_for_as_long_as_promised_and_then_their_room_comes_free(
    opened: OpenedStore,
) -> None:
    retries = Retries(opened)
    for number in range(120):  # an hour apart
        retries.tend()
        retries.keep(number)
        assert {*range(max(0, number - 24), number + 1)} <= {*retries.known()}
        assert retries.remembered_us() is None
        assert retries.stored() <= 49  # two days, and one
        retries.now_us += HOUR_US
    assert (0, 0) == (retries.answers.forgotten, retries.answers.not_kept)


def test_the_older_half_of_the_quota_goes_first_and_it_is_said_how_far_back_is_remembered(
    opened: OpenedStore, caplog: pytest.LogCaptureFixture
) -> None:
    retries = Retries(opened, 100 * ANSWER_BYTES)
    for number in range(150):
        retries.keep(number)
        retries.tend()
        assert retries.answers.size_bytes <= 100 * ANSWER_BYTES
        retries.now_us += SECOND_US
    known = retries.known()
    assert known == list(range(known[0], 150))  # none between them is missing
    assert 50 <= len(known) <= 100
    remembered_us = retries.remembered_us()
    assert remembered_us is not None
    assert known[0] == 150 - remembered_us // SECOND_US + 1
    assert known[0] == retries.answers.forgotten
    retries.now_us += KEPT_US
    retries.tend()
    assert retries.remembered_us() is None


def test_what_is_said_is_as_before_after_a_restart(opened: OpenedStore) -> None:
    retries = Retries(opened, 100 * ANSWER_BYTES)
    for number in range(150):
        retries.keep(number)
        retries.tend()
        retries.now_us += SECOND_US
    before = retries.remembered_us(), retries.known(), retries.answers.size_bytes
    opened.reopen()
    retries.begin()
    assert before == (retries.remembered_us(), retries.known(), retries.answers.size_bytes)
    assert before[0] is not None


def test_an_answer_that_finds_no_room_is_not_kept_and_counted(opened: OpenedStore) -> None:
    """Of more than can be removed between two looks; the call itself is counted all the same."""
    retries = Retries(opened, 100 * ANSWER_BYTES)
    retries.keep(*range(200))
    retries.answers.tend(retries.now_us)
    retries.keep(200)
    assert not retries.knows(200)
    assert 1 == retries.answers.not_kept
    assert 0 == retries.remembered_us()
    retries.tend()
    retries.now_us += SECOND_US
    retries.tend()
    retries.keep(201)
    assert retries.knows(201)
    remembered_us = retries.remembered_us()
    assert remembered_us is not None
    assert remembered_us <= SECOND_US


def test_a_step_removes_no_more_than_it_may(opened: OpenedStore) -> None:
    retries = Retries(opened)
    retries.tend()
    retries.keep(*range(3 * STEP_KEYS))
    retries.now_us += KEPT_US
    retries.tend()  # a new partition begins
    retries.now_us += KEPT_US
    left = []
    while retries.answers.tend(retries.now_us):
        left.append(retries.stored())
    assert [2 * STEP_KEYS, STEP_KEYS, 0] == left


@pytest.mark.parametrize("back_us", [HOUR_US, 400 * KEPT_US])
def test_a_clock_that_is_set_back_stops_nothing(opened: OpenedStore, back_us: int) -> None:
    retries = Retries(opened, 100 * ANSWER_BYTES)
    for number in range(80):
        retries.keep(number)
        retries.tend()
    retries.now_us -= back_us
    for number in range(80, 300):
        retries.keep(number)
        retries.tend()
        assert retries.answers.size_bytes <= 100 * ANSWER_BYTES
        retries.now_us += SECOND_US
    assert {*range(260, 300)} <= {*retries.known()}


@pytest.mark.parametrize("short", [False, True])
def test_where_it_is_not_known_what_has_elapsed_since_answers_age_anew(
    opened: OpenedStore, short: bool
) -> None:
    retries = Retries(opened, 100 * ANSWER_BYTES if short else 1 << 30)
    for number in range(120):
        retries.keep(number)
        retries.tend()
    assert short == (retries.remembered_us() is not None)
    before = retries.known()
    opened.reopen()
    retries.begin(goes_on=False)
    retries.now_us += 400 * KEPT_US
    retries.tend()
    assert before == retries.known()
    assert retries.remembered_us() == (0 if short else None)
    for _ in range(3):
        retries.now_us += KEPT_US
        retries.tend()
    assert [] == retries.known()
    assert retries.remembered_us() is None


def test_answers_of_earlier_lives_are_told_as_they_were_as_long_as_they_are_kept(
    opened: OpenedStore,
) -> None:
    retries = Retries(opened)
    retries.tend()
    retries.keep(1)
    opened.reopen(power_lost=True)
    retries.begin()
    retries.keep(2)
    retries.now_us += KEPT_US - 1
    retries.tend()
    assert [1, 2] == retries.known()
    for _ in range(3):
        retries.now_us += KEPT_US
        retries.keep(3)
        retries.tend()
    assert [3] == retries.known()
    names = opened.pairs(keys.META_NAME, keys.after(keys.META_NAME))
    assert [(keys.name_key(2), b"life-2")] == names


def _fill(opened: OpenedStore, *, with_answers: bool) -> tuple[int, Retries]:
    """Count with keys until there is no room: how often, and what is remembered."""
    retries = Retries(opened, opened.store.engine.max_bytes() // 2)
    counted = 0

    def call(transaction: Transaction) -> None:
        opened.store.require_room()
        for _ in range(20):
            count_in(transaction, 1)
            if with_answers:
                keep_answer(transaction, name_of(counted))

    while True:
        try:
            opened.store.transact(call)
        except Exhausted:
            return counted, retries
        counted += 1
        retries.now_us += SECOND_US
        retries.answers.tend(retries.now_us)


def test_answers_take_no_room_that_records_need(make_disk: MakeDisk) -> None:
    """What waits may fill the store to the brim, whether keys come with it or not."""
    max_bytes = 1 << 21
    counted = []
    for with_answers in (False, True):
        opened = OpenedStore(make_disk(max_bytes))
        calls, retries = _fill(opened, with_answers=with_answers)
        counted.append(calls)
        if with_answers:
            assert 0 == retries.remembered_us()
            assert retries.answers.not_kept
        opened.close()
    without, with_keys = counted
    assert with_keys >= without * 0.9


def test_calls_with_keys_go_on_for_ever_once_their_records_are_sent(make_disk: MakeDisk) -> None:
    """Four times what fits the store: nothing is refused, and what is said holds."""
    opened = OpenedStore(make_disk(1 << 21))
    engine: KvEngine = opened.store.engine
    retries = Retries(opened, engine.max_bytes() // 2)
    for first in range(0, 60_000, 100):
        opened.store.require_room()
        retries.keep(*range(first, first + 100))
        opened.count(1)
        opened.outbox.acknowledge("life-1", opened.store.head.sequence)
        retries.tend()
        retries.now_us += SECOND_US
        assert engine.room_bytes() >= reserve_bytes(engine) // 2
    assert 0 == retries.answers.not_kept
    remembered_us = retries.remembered_us()
    assert remembered_us is not None
    assert remembered_us >= 10 * SECOND_US
    oldest = 60_000 - (remembered_us // SECOND_US - 1) * 100
    assert all(retries.knows(number) for number in range(oldest, 60_000))
    opened.close()


@pytest.mark.parametrize(("count", "seed"), rounds(300, 91, slow=5_000, seeds=(191, 192)))
def test_what_is_said_to_be_remembered_is(opened: OpenedStore, count: int, seed: int) -> None:
    """Against a list of what was kept when, with restarts and any course of time."""
    rng, quota_bytes = seeded(seed), 60 * ANSWER_BYTES
    retries = Retries(opened, quota_bytes)
    number = 0
    for _ in range(count):
        for _ in range(rng.choice([0, 1, 1, 3, 20])):
            number += 1
            retries.keep(number)
        if rng.random() < 0.8:
            retries.answers.tend(retries.now_us)
        if rng.random() < 0.02:
            opened.reopen()
            retries.begin()
        retries.now_us += rng.choice([0, SECOND_US, HOUR_US, 7 * HOUR_US])
        retries.answers.tend(retries.now_us)
        remembered_us = retries.remembered_us()
        since_us = retries.now_us - (KEPT_US if remembered_us is None else remembered_us)
        for old, at_us in [*retries.kept_at.items()]:
            if at_us > since_us:
                assert retries.knows(old)
            elif at_us < retries.now_us - 3 * KEPT_US:
                assert not retries.knows(old)
                del retries.kept_at[old]


def test_answers_of_the_format_before_are_remembered_and_go(make_disk: MakeDisk) -> None:
    disk = make_disk(1 << 24)
    opened = OpenedStore(disk)
    old = keys.UNPARTITIONED_ANSWERS + name_of(1)
    expiry = (NOW_US + KEPT_US).to_bytes(8, "little")
    opened.store.transact(lambda t: t.keyspace.put(old, b"\1" + expiry + bytes(16) + b"old"))
    opened.reopen()
    retries = Retries(opened)
    retries.kept_at[1] = NOW_US
    retries.tend()
    opened.reopen()
    retries.begin()
    retries.now_us += KEPT_US - 1
    retries.tend()
    retries.keep(2)
    assert [1, 2] == retries.known()
    retries.now_us += 1
    retries.tend()
    assert [2] == retries.known()
    assert [] == opened.pairs(b"i", b"j")
    opened.close()


def test_an_answer_that_was_not_committed_takes_no_room(opened: OpenedStore) -> None:
    retries = Retries(opened)
    opened.store.begin_group()
    opened.store.transact(keep_answer)
    opened.store.abort_group()
    assert 0 == retries.answers.size_bytes


def test_answers_outlive_starts_that_end_before_anything_is_noted_of_them(
    opened: OpenedStore,
) -> None:
    kept = []
    for number in range(5):
        kept.append(
            opened.store.transact(lambda t, number=number: keep_answer(t, name_of(number)))  # type: ignore[misc]
        )
        opened.reopen(power_lost=number % 2 == 0)
    names = [name_of(number) for number in range(5)]
    assert kept == opened.store.transact(lambda t: [t.answer(name) for name in names])
