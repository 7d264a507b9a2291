"""What others count: totals of the plane beside a counter's own part."""

from __future__ import annotations

import pytest

from sidecar.domain.slices import whole
from sidecar.storage.codec import StoredCounter
from sidecar.storage.counters import CounterRow
from tests.support.build import DAY, counter_ref, limit, total
from tests.support.stores import MONTHLY, OpenedStore

BY_USER = limit("by_user", window=DAY, each=["user"])
END_US = MONTHLY.window.end_us


def test_what_is_not_own_is_others(opened: OpenedStore) -> None:
    opened.count(5)
    opened.counters.hear("life-1", [total(MONTHLY, 12, 3, 1)])
    assert StoredCounter(5, 9, 1, END_US) == opened.counter()
    assert 14 == opened.used()


def test_a_counter_that_only_others_count_on(opened: OpenedStore) -> None:
    ann = counter_ref(BY_USER, ("ann",))
    opened.counters.hear("life-1", [total(ann, 12, 0, 1)])
    assert StoredCounter(0, 12, 1, ann.window.end_us, ("ann",)) == opened.counter(ann)


def test_counting_goes_on_from_what_was_heard(opened: OpenedStore) -> None:
    opened.counters.hear("life-1", [total(MONTHLY, 12, 0, 1)])
    opened.count(5)
    assert StoredCounter(5, 12, 1, END_US) == opened.counter()


def test_newer_totals_replace_older_ones(opened: OpenedStore) -> None:
    for version, heard in enumerate([10, 20, 15], start=1):
        corrections = -5 if heard == 15 else 0
        said = total(MONTHLY, heard, 0, version, corrections=corrections)
        opened.counters.hear("life-1", [said])
        assert heard == opened.used()


def test_older_totals_are_ignored(opened: OpenedStore) -> None:
    opened.counters.hear("life-1", [total(MONTHLY, 20, 0, 8)])
    opened.counters.hear("life-1", [total(MONTHLY, 10, 0, 7)])
    assert 20 == opened.used()


def test_older_totals_are_ignored_also_behind_newer_ones_that_changed_nothing(
    opened: OpenedStore,
) -> None:
    opened.counters.hear("life-1", [total(MONTHLY, 20, 0, 5)])
    opened.counters.hear("life-1", [total(MONTHLY, 20, 0, 8)])
    opened.counters.hear("life-1", [total(MONTHLY, 10, 0, 7)])
    assert 20 == opened.used()


def test_corrections_can_make_others_negative_but_not_the_usage(opened: OpenedStore) -> None:
    opened.count(5)
    opened.counters.hear("life-1", [total(MONTHLY, 2, 5, 1, corrections=-3)])
    corrected = StoredCounter(5, -3, 1, END_US, corrections=-3)
    assert (corrected, 2) == (opened.counter(), opened.used())
    opened.counters.hear("life-1", [total(MONTHLY, -9, 5, 2, corrections=-14)])
    assert 0 == opened.used()


def test_what_a_plane_has_lost_stays_counted(opened: OpenedStore) -> None:
    opened.count(5)
    opened.counters.hear("life-1", [total(MONTHLY, 95, 5, 1)])
    opened.counters.hear("life-1", [total(MONTHLY, 10, 5, 2)])
    assert 95 == opened.used()
    opened.count(3)
    opened.counters.hear("life-1", [total(MONTHLY, 13, 8, 3)])
    assert 98 == opened.used()
    opened.counters.hear("life-1", [total(MONTHLY, 23, 8, 4)])
    assert 108 == opened.used()
    opened.reopen()
    opened.counters.hear("life-1", [total(MONTHLY, 33, 8, 5)])
    assert 118 == opened.used()


@pytest.mark.parametrize("corrections", [-5, 1])
def test_the_first_correction_after_a_loss_gives_nothing_of_it_back(
    opened: OpenedStore, corrections: int
) -> None:
    opened.counters.hear("life-1", [total(MONTHLY, 980, 0, 1)])
    for version, (said, used) in enumerate([(10, 980), (30, 1000)], start=2):
        news = total(MONTHLY, said + corrections, 0, version, corrections=corrections)
        opened.counters.hear("life-1", [news])
        assert used == opened.used()


def test_a_second_loss_comes_on_top_of_the_first(opened: OpenedStore) -> None:
    for version, (said, used) in enumerate([(90, 90), (10, 90), (40, 120), (20, 120), (25, 125)]):
        opened.counters.hear("life-1", [total(MONTHLY, said, 0, version + 1)])
        assert used == opened.used()


def test_what_this_store_counted_and_a_plane_has_lost_stays_counted_under_later_lives(
    opened: OpenedStore,
) -> None:
    opened.count_each(90, 5)
    opened.outbox.acknowledge("life-1", 2)
    opened.counters.hear("life-1", [total(MONTHLY, 95, 95, 1)])
    opened.reopen(power_lost=True)
    opened.count(3)
    opened.counters.hear("life-2", [total(MONTHLY, 3, 3, 2)])
    assert 98 == opened.used()
    opened.outbox.acknowledge("life-2", 1)
    opened.reopen(power_lost=True)
    opened.counters.hear("life-3", [total(MONTHLY, 3, 0, 3)])
    assert 98 == opened.used()


def test_a_correction_lowers_what_is_counted_also_after_a_loss(opened: OpenedStore) -> None:
    opened.counters.hear("life-1", [total(MONTHLY, 40, 0, 1)])
    opened.counters.hear("life-1", [total(MONTHLY, 38, 0, 2, corrections=-2)])
    assert 38 == opened.used()
    opened.counters.hear("life-1", [total(MONTHLY, 8, 0, 3, corrections=-2)])
    assert 38 == opened.used()
    opened.reopen()
    opened.counters.hear("life-1", [total(MONTHLY, 3, 0, 4, corrections=-7)])
    assert 33 == opened.used()


def test_a_plane_that_says_nothing_of_corrections_is_believed(opened: OpenedStore) -> None:
    opened.counters.hear("life-1", [total(MONTHLY, 40, 0, 1)])
    opened.counters.hear("life-1", [total(MONTHLY, 30, 0, 2, corrections=None)])
    assert 30 == opened.used()


def test_several_totals_are_taken_over_at_once(opened: OpenedStore) -> None:
    users = [counter_ref(BY_USER, (name,)) for name in ("ann", "bob", "eve")]
    opened.counters.hear("life-1", [total(ref, at, 0, 1) for at, ref in enumerate(users)])
    assert [0, 1, 2] == [opened.used(ref) for ref in users]


def test_totals_outlive_closing(opened: OpenedStore) -> None:
    opened.count(5)
    opened.counters.hear("life-1", [total(MONTHLY, 12, 3, 1)])
    opened.reopen()
    assert StoredCounter(5, 9, 1, END_US) == opened.counter()


def test_after_a_new_life_reported_the_plane_says_what_is_its_own(opened: OpenedStore) -> None:
    opened.count(5)
    opened.outbox.acknowledge("life-1", 1)
    opened.reopen(power_lost=True)
    opened.count(2)
    opened.outbox.acknowledge("life-2", 1)
    opened.counters.hear("life-2", [total(MONTHLY, 10, 2, 4)])
    assert (StoredCounter(2, 8, 4, END_US), 10) == (opened.counter(), opened.used())


def test_an_answer_to_a_left_life_is_not_taken(opened: OpenedStore) -> None:
    opened.count(5)
    opened.outbox.acknowledge("life-1", 1)
    opened.reopen(power_lost=True)
    opened.count(2)
    assert not opened.counters.hear("life-1", [total(MONTHLY, 9, 5, 4)])
    assert 7 == opened.used()
    assert opened.counters.hear("life-2", [total(MONTHLY, 9, 0, 4)])
    assert 11 == opened.used()


def test_an_answer_to_a_part_of_a_left_life_keeps_what_is_still_to_be_sent(
    opened: OpenedStore,
) -> None:
    opened.count_each(5, 10)
    opened.reopen(power_lost=True)
    opened.outbox.acknowledge("life-1", 1)
    opened.counters.hear("life-1", [total(MONTHLY, 5, 5, 1)])
    assert 15 == opened.used()


def test_news_of_others_keeps_what_a_left_life_has_still_to_send(opened: OpenedStore) -> None:
    opened.count_each(5, 10)
    opened.reopen(power_lost=True)
    opened.counters.hear("life-2", [total(MONTHLY, 7, 0, 1)])
    assert 15 == opened.used()
    opened.outbox.acknowledge("life-1", 2)
    opened.counters.hear("life-2", [total(MONTHLY, 22, 0, 2)])
    assert 22 == opened.used()


def test_news_of_others_between_fencing_and_moving_keeps_what_is_to_be_moved(
    opened: OpenedStore,
) -> None:
    opened.count_each(5, 10)
    opened.outbox.begin_incarnation(opened.new_incarnation(), "life-1", 0)
    opened.counters.hear("life-2", [total(MONTHLY, 7, 0, 1)])
    while opened.outbox.move_fenced():
        pass
    assert 15 == opened.used()
    opened.counters.hear("life-2", [total(MONTHLY, 7, 0, 1)])
    assert 22 == opened.used()


def test_counters_of_a_slot_are_listed_by_window(opened: OpenedStore) -> None:
    today = {name: counter_ref(BY_USER, (name,)) for name in ("ann", "bob")}
    yesterday = counter_ref(BY_USER, ("ann",), today["ann"].window.start_us - 1)
    opened.count(1, today["ann"])
    opened.count(2, today["bob"])
    opened.count(4, yesterday)
    opened.count(8)
    opened.count(16, today["ann"], company="acme2")
    opened.count(32, today["ann"], feature="calls2")
    slot, start_us = today["ann"].slot, today["ann"].window.start_us
    rows = whole(opened.counters.of_slot("acme", "calls", slot, start_us, 100))
    expected = [CounterRow(("ann",), start_us, 1), CounterRow(("bob",), start_us, 2)]
    assert expected == sorted(rows, key=lambda row: row.values)
    old_us = yesterday.window.start_us
    assert [CounterRow(("ann",), old_us, 4)] == whole(
        opened.counters.of_slot("acme", "calls", slot, old_us, 100)
    )


@pytest.mark.parametrize("most", [0, 1, 2500, 5000])
def test_counters_of_a_slot_are_bounded(opened: OpenedStore, most: int) -> None:
    with opened.store.group():
        for number in range(2600):
            opened.count(1, counter_ref(BY_USER, (f"user {number}",)))
    ref = counter_ref(BY_USER, ("user 1",))
    rows = whole(opened.counters.of_slot("acme", "calls", ref.slot, ref.window.start_us, most))
    assert min(most, 2600) == len(rows) == len({row.values for row in rows})


def test_the_counter_of_a_whole_company_is_the_only_one_of_its_slot(opened: OpenedStore) -> None:
    opened.count(3)
    start_us = MONTHLY.window.start_us
    rows = whole(opened.counters.of_slot("acme", "calls", MONTHLY.slot, start_us, 100))
    assert [CounterRow((), start_us, 3)] == rows
