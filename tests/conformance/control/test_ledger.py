"""What every database behind the control plane has to do: lines, sums and counters."""

from __future__ import annotations

import msgspec

from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import (
    CORRECTIONS,
    CounterState,
    IncarnationTally,
    LedgerLine,
    LineFilter,
    LinePosition,
    UsageSum,
)
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.limits.counters import CounterRef, CounterTotal
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Window
from tests.unit.control.support import ALICE, BOB, LIFETIME, NOW_US, key_of, per_user

_CHAIN = b"\x07" * 32


def _line(sequence: int = 1, **changes: object) -> LedgerLine:
    line = LedgerLine(
        company="acme",
        feature="tokens",
        event_time_us=NOW_US,
        incarnation=ALICE,
        sequence=sequence,
        quantity=10,
        overage=1,
        accepted_us=NOW_US + 1,
        received_us=NOW_US + 2,
        record=b"bytes",
    )
    return msgspec.structs.replace(line, **changes)


def _append(store: PlaneStore, *lines: LedgerLine) -> None:
    with store.write() as transaction:
        transaction.append(lines, [_CHAIN] * len(lines))


def _lines(
    store: PlaneStore, wanted: LineFilter, after: LinePosition | None = None
) -> list[LedgerLine]:
    with store.read() as transaction:
        return transaction.lines(wanted, after, 100)


def test_a_line_comes_back_as_it_was(store: PlaneStore) -> None:
    line = _line(duplicate_of="other-1", unattributed=True)
    _append(store, line)
    assert [line] == _lines(store, LineFilter("acme"))


def test_lines_come_oldest_event_first_and_page_by_position(store: PlaneStore) -> None:
    late, early = _line(1), _line(2, event_time_us=NOW_US - 5)
    twin = _line(1, incarnation=BOB)
    _append(store, late, early, twin)
    assert [early, late, twin] == _lines(store, LineFilter("acme"))
    assert [twin] == _lines(store, LineFilter("acme"), LinePosition(NOW_US, ALICE, 1))


def test_lines_are_filtered_by_company_feature_and_time(store: PlaneStore) -> None:
    wanted = _line(1)
    _append(
        store,
        wanted,
        _line(2, company="other"),
        _line(3, feature="calls"),
        _line(4, event_time_us=NOW_US - 1),
        _line(5, event_time_us=NOW_US + 1),
    )
    assert [wanted] == _lines(store, LineFilter("acme", "tokens", NOW_US, NOW_US + 1))


def test_chains_are_kept_per_incarnation(store: PlaneStore) -> None:
    with store.write() as transaction:
        transaction.append([_line(1), _line(2), _line(3)], [b"a" * 32, b"b" * 32, b"c" * 32])
    with store.read() as transaction:
        assert {2: b"b" * 32, 3: b"c" * 32} == transaction.chains(ALICE, 2, 9)
        assert {} == transaction.chains(BOB, 1, 9)


def test_tallies_include_duplicates(store: PlaneStore) -> None:
    _append(store, _line(1), _line(2, duplicate_of="x"), _line(3, feature="calls"))
    _append(store, _line(4), _line(1, incarnation=BOB))
    with store.read() as transaction:
        assert [
            IncarnationTally("calls", 1, 10),
            IncarnationTally("tokens", 3, 30),
        ] == transaction.tallies(ALICE)


def test_sums_leave_duplicates_out(store: PlaneStore) -> None:
    _append(store, _line(1), _line(2), _line(3, duplicate_of="x"), _line(4, unattributed=True))
    with store.read() as transaction:
        sums = transaction.usage_sums(LineFilter(), False, False, 10)
    assert [UsageSum("", "tokens", None, 3, 30, 3)] == sums


def test_sums_by_company_and_day_come_in_order(store: PlaneStore) -> None:
    day = NOW_US // DAY_US
    _append(
        store,
        _line(1, company="b"),
        _line(2, event_time_us=day * DAY_US),
        _line(3, event_time_us=day * DAY_US - 1),
        _line(4, feature="calls"),
    )
    with store.read() as transaction:
        sums = transaction.usage_sums(LineFilter(), True, True, 10)
        cut = transaction.usage_sums(LineFilter("acme"), True, True, 2)
    expected = [
        UsageSum("acme", "calls", day, 1, 10, 1),
        UsageSum("acme", "tokens", day - 1, 1, 10, 1),
        UsageSum("acme", "tokens", day, 1, 10, 1),
        UsageSum("b", "tokens", day, 1, 10, 1),
    ]
    assert expected == sums
    assert expected[:2] == cut


def test_a_total_is_the_sum_of_its_parts(store: PlaneStore) -> None:
    key, other = key_of(LIFETIME), key_of(per_user("eve"))
    with store.write() as transaction:
        transaction.add_to_counters(ALICE, {key: 5, other: 1}, 1)
        transaction.add_to_counters(BOB, {key: 7}, 2)
        transaction.add_to_counters(ALICE, {key: 1}, 3)
        transaction.add_to_counters(CORRECTIONS, {key: -3}, 3)
    with store.read() as transaction:
        totals = transaction.totals([key, other], ALICE)
        states = transaction.counters([key, key_of(per_user("nobody"))])
    assert [
        CounterTotal("acme", "tokens", LIFETIME, 10, 6, 3, None, -3),
        CounterTotal("acme", "tokens", per_user("eve"), 1, 1, 1),
    ] == totals
    assert [CounterState(key, 10, 3, {ALICE: 6, BOB: 7, CORRECTIONS: -3})] == states


def test_a_counter_that_is_not_there_is_at_0(store: PlaneStore) -> None:
    with store.read() as transaction:
        totals = transaction.totals([key_of()], BOB)
    assert [CounterTotal("acme", "tokens", LIFETIME, 0, 0, 0)] == totals


def test_sums_saturate_at_the_ends_of_int64(store: PlaneStore) -> None:
    top = _line(1, quantity=INT64_MAX, overage=INT64_MAX)
    _append(store, top, msgspec.structs.replace(top, sequence=2))
    with store.write() as transaction:
        for amount in (INT64_MAX, INT64_MAX, 5):
            transaction.add_to_counters(ALICE, {key_of(): amount}, 1)
            transaction.add_to_counters(ALICE, {key_of(per_user("eve")): -amount}, 1)
    with store.read() as transaction:
        assert [IncarnationTally("tokens", 2, INT64_MAX)] == transaction.tallies(ALICE)
        sums = transaction.usage_sums(LineFilter(), False, False, 10)
        highest, lowest = transaction.totals([key_of(), key_of(per_user("eve"))], ALICE)
    assert [UsageSum("", "tokens", None, 2, INT64_MAX, INT64_MAX)] == sums
    assert (INT64_MAX, INT64_MAX) == (highest.total, highest.own)
    assert (-INT64_MAX, -INT64_MAX) == (lowest.total, lowest.own)


def _total(store: PlaneStore) -> int:
    with store.read() as transaction:
        (found,) = transaction.totals([key_of()], ALICE)
    return found.total


def test_what_is_taken_back_at_once_does_not_saturate_a_total(store: PlaneStore) -> None:
    half = 2**62
    with store.write() as transaction:
        transaction.add_to_counters(ALICE, {key_of(): half}, 1)
    for writer in (BOB, ALICE, BOB):
        with store.write() as transaction:
            transaction.add_to_counters(writer, {key_of(): half}, 2, {key_of(): -half})
        assert half == _total(store)


def test_a_total_that_saturated_is_exact_again_once_it_fits(store: PlaneStore) -> None:
    with store.write() as transaction:
        transaction.add_to_counters(ALICE, {key_of(): INT64_MAX}, 1)
        transaction.add_to_counters(BOB, {key_of(): 7}, 1)
    assert INT64_MAX == _total(store)
    with store.write() as transaction:
        transaction.add_to_counters(CORRECTIONS, {key_of(): -10}, 2)
    assert INT64_MAX + 7 - 10 == _total(store)


def test_totals_of_a_slot_come_by_values_in_pages(store: PlaneStore) -> None:
    names = ["dan", "eve", "bob", "ann"]
    yesterday = per_user("eve").window.start_us - DAY_US
    older = CounterRef(per_user("eve").slot, ("eve",), Window(yesterday, yesterday + DAY_US))
    with store.write() as transaction:
        amounts = {key_of(per_user(name)): at for at, name in enumerate(names, start=1)}
        transaction.add_to_counters(ALICE, amounts, 1)
        others = {key_of(LIFETIME): 9, key_of(per_user("eve"), "other"): 9, key_of(older): 9}
        transaction.add_to_counters(ALICE, others, 1)

    def behind(values: tuple[str, ...], limit: int = 10) -> list[int]:
        key = key_of(CounterRef(per_user("").slot, values, per_user("").window))
        with store.read() as transaction:
            return [total.total for total in transaction.totals_of_slot(key, BOB, limit)]

    assert [4, 3, 1, 2] == behind(())
    assert [4, 3] == behind((), limit=2)
    assert [1, 2] == behind(("bob",))
    assert [] == behind(("eve",))


def test_values_of_dimensions_are_kept_apart(store: PlaneStore) -> None:
    names = ['a","b', "a", "b", "", "ä\u0000\n"]
    counters = [key_of(per_user(name)) for name in names]
    with store.write() as transaction:
        amounts = {key: at for at, key in enumerate(counters, start=1)}
        transaction.add_to_counters(ALICE, amounts, 1)
    with store.read() as transaction:
        totals = transaction.totals(counters, ALICE)
        slot = key_of(CounterRef(per_user("").slot, (), per_user("").window))
        found = transaction.totals_of_slot(slot, ALICE, 10)
    assert [1, 2, 3, 4, 5] == [total.total for total in totals]
    assert set(names) == {total.counter.values[0] for total in found}
