"""Waiting records that are not what was written are set aside, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from sidecar.domain.slices import whole
from sidecar.storage import keys
from sidecar.storage.outbox import OutboxRun
from sidecar.storage.outbox_entry import record_in, total_bytes_in
from sidecar.storage.quarantine import (
    KEPT_BYTES_MAX,
    KEPT_MAX,
    quarantined,
    set_aside,
)
from tests.support.stores import MONTHLY, OpenedStore, chain_of, counter_key_of

COUNT: Final = 5
AT: Final = {"first": 1, "middle": 3, "last": COUNT}
HEADER_BYTES: Final = 41
Spoil = Callable[[bytes], bytes]


def flipped(entry: bytes, at: int) -> bytes:
    changed = bytearray(entry)
    changed[at] ^= 0x10
    return bytes(changed)


CHAINLESS: Final = ("cut to its chain", "nothing left", "zeros")
"""With these the record behind cannot be told to be whole, either: it is set aside, too."""
SPOILS: Final[dict[str, Spoil]] = {
    "a bit of the record": lambda entry: flipped(entry, len(entry) - 4),
    "its first bit": lambda entry: flipped(entry, HEADER_BYTES),
    "cut short": lambda entry: entry[:-3],
    "cut to its chain": lambda entry: entry[:20],
    "nothing left": lambda _: b"",
    "zeros": lambda entry: bytes(len(entry)),
}


def spoil(opened: OpenedStore, sequence: int, change: Spoil) -> None:
    """Change an entry behind the store's back."""
    key = keys.outbox_key(opened.store.incarnations[0].ordinal, sequence)
    engine = opened.store.engine
    kv = engine.begin()
    entry = kv.get(key)
    assert entry is not None
    kv.put(key, change(entry))
    kv.commit()


def run_of(opened: OpenedStore) -> OutboxRun | None:
    return whole(opened.outbox.next_run(1_000, 1 << 30))


def sent(opened: OpenedStore) -> list[bytes]:
    """What a plane gets that takes all, as the sync offers it; without names that were added."""
    taken: list[bytes] = []
    for _ in range(100):
        run = run_of(opened)
        if run is None:
            return taken
        if run.records:
            taken += run.records
            while opened.outbox.acknowledge(
                run.incarnation, run.first_sequence + len(run.records) - 1
            ):
                pass
            continue
        name = opened.new_incarnation()
        while opened.outbox.begin_incarnation(name, run.incarnation, run.first_sequence - 1):
            pass
        while opened.outbox.move_fenced():
            pass
    raise AssertionError("never done")


def in_quarantine(opened: OpenedStore) -> dict[str, int]:
    return dict(opened.store.transact(lambda transaction: quarantined(transaction.keyspace)))


def kept(opened: OpenedStore) -> int:
    return len(opened.pairs(keys.QUARANTINE, keys.after(keys.QUARANTINE)))


def assert_begin_with(expected: list[bytes], taken: list[bytes]) -> None:
    """That records are those expected; one that was moved has its former name behind it."""
    assert len(expected) == len(taken)
    assert all(record.startswith(one) for one, record in zip(expected, taken, strict=True)), (
        "altered"
    )


@pytest.mark.parametrize("reopened", [False, True], ids=["at run time", "after a start"])
@pytest.mark.parametrize("place", AT)
@pytest.mark.parametrize("name", SPOILS)
def test_a_damaged_record_is_set_aside_and_all_others_are_sent(
    opened: OpenedStore, name: str, place: str, reopened: bool
) -> None:
    records = opened.count_each(*range(1, COUNT + 1))
    spoil(opened, AT[place], SPOILS[name])
    if reopened:
        opened.reopen()
    gone = records[AT[place] - 1 : AT[place] + (name in CHAINLESS)]
    assert_begin_with([record for record in records if record not in gone], sent(opened))
    assert {"usage record": len(gone)} == in_quarantine(opened)
    assert len(gone) == kept(opened)
    assert 0 == opened.store.waiting_records()


@pytest.mark.parametrize("place", AT)
def test_records_that_are_added_behind_a_damaged_one_are_sent_too(
    opened: OpenedStore, place: str
) -> None:
    records = opened.count_each(*range(1, COUNT + 1))
    spoil(opened, AT[place], SPOILS["cut short"])
    opened.reopen()
    records += opened.count_each(6, 7)
    del records[AT[place] - 1]
    assert_begin_with(records, sent(opened))
    records = opened.count_each(8)
    assert_begin_with(records, sent(opened))


def test_all_damaged_leave_nothing_to_send_and_an_outbox_that_goes_on(opened: OpenedStore) -> None:
    opened.count_each(1, 2, 3)
    for sequence in (1, 2, 3):
        spoil(opened, sequence, SPOILS["zeros"])
    assert [] == sent(opened)
    assert {"usage record": 3} == in_quarantine(opened)
    assert_begin_with([opened.count(4)], sent(opened))


def test_what_comes_before_the_damaged_one_is_sent_as_it_is(opened: OpenedStore) -> None:
    records = opened.count_each(1, 2, 3)
    spoil(opened, 3, SPOILS["cut short"])
    assert OutboxRun("life-1", 1, bytes(32), tuple(records[:2])) == run_of(opened)


@pytest.mark.parametrize("at", [0, 3, 12, HEADER_BYTES - 1], ids=str)
@pytest.mark.parametrize("place", ["first", "middle"])
def test_a_record_whose_entry_alone_is_damaged_is_sent_under_its_name(
    opened: OpenedStore, place: str, at: int
) -> None:
    """The chain behind it tells that the record is what was written."""
    records = opened.count_each(*range(1, COUNT + 1))
    spoil(opened, AT[place], lambda entry: flipped(entry, at))
    assert records == sent(opened)
    assert {} == in_quarantine(opened)
    assert ["life-1"] == [known.id for known in opened.store.incarnations]
    assert (COUNT, chain_of(*records)) == (
        opened.store.incarnation.acknowledged_sequence,
        opened.store.incarnation.acknowledged_chain,
    )


def test_a_damaged_record_that_the_plane_has_is_forgotten_as_the_others(
    opened: OpenedStore,
) -> None:
    records = opened.count_each(1, 2, 3)
    spoil(opened, 2, SPOILS["cut short"])
    opened.outbox.acknowledge("life-1", 2)
    assert {} == in_quarantine(opened)
    assert OutboxRun("life-1", 3, chain_of(*records[:2]), (records[2],)) == run_of(opened)


@pytest.mark.parametrize("name", SPOILS)
def test_status_and_sums_are_had_although_a_record_is_damaged(
    opened: OpenedStore, name: str
) -> None:
    opened.count_each(1, 2, 4)
    spoil(opened, 2, SPOILS[name])
    assert 3 == opened.store.waiting_records()
    assert opened.outbox.waiting_bytes() <= opened.store.engine.used_bytes()
    opened.outbox.oldest_accepted_us()
    opened.tallies()


@pytest.mark.parametrize("total", [0, 1, (1 << 64) - 1])
def test_a_sum_of_bytes_that_cannot_be_is_worked_out_anew(opened: OpenedStore, total: int) -> None:
    records = opened.count_each(1, 2, 3)
    spoil(opened, 3, lambda entry: entry[:1] + total.to_bytes(8, "little") + entry[9:])
    opened.reopen()
    assert sum(map(len, records)) == opened.outbox.waiting_bytes()
    records.append(opened.count(4))
    assert sum(map(len, records)) == opened.outbox.waiting_bytes()
    (_, entry) = opened.pairs(keys.outbox_key(1, 4), keys.outbox_key(1, 5))[0]
    assert sum(map(len, records)) == total_bytes_in(entry)
    assert record_in(entry) == records[-1]


def test_an_entry_behind_a_gap_is_set_aside_when_the_store_is_opened(opened: OpenedStore) -> None:
    records = opened.count_each(1, 2, 3)
    (key, entry) = opened.pairs(keys.outbox_key(1, 3), keys.outbox_key(1, 4))[0]
    kv = opened.store.engine.begin()
    kv.delete(key)
    kv.put(keys.outbox_key(1, 3 + (1 << 60)), entry)
    kv.commit()
    opened.reopen()
    assert 2 == opened.store.head.sequence
    assert {"usage record": 1} == in_quarantine(opened)
    assert_begin_with([*records[:2], opened.count(4)], sent(opened))


def test_usage_of_a_damaged_record_still_counts_here_until_the_plane_tells(
    opened: OpenedStore,
) -> None:
    opened.count_each(1, 2, 4)
    spoil(opened, 3, SPOILS["zeros"])
    sent(opened)
    counter = opened.store.transact(lambda t: t.counter(counter_key_of(MONTHLY)))
    assert counter is not None
    assert (7, 0, 7) == (counter.used, counter.own, counter.others)


def test_quarantine_is_bounded_in_number_and_in_bytes(opened: OpenedStore) -> None:
    def fill(number: int, data: bytes) -> None:
        opened.store.transact(
            lambda transaction: set_aside(
                transaction.keyspace, keys.outbox_key(1, number), data, "problem"
            )
        )

    with opened.store.group():
        for number in range(KEPT_MAX + 5):
            fill(number, b"x")
    assert KEPT_MAX == kept(opened)
    assert {"usage record": KEPT_MAX + 5} == in_quarantine(opened)
    fill(0, bytes(KEPT_BYTES_MAX))
    assert {"usage record": KEPT_MAX + 6} == in_quarantine(opened)
    assert KEPT_MAX == kept(opened)
