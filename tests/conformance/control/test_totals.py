"""Pages of totals: whatever changes between two of them, nothing of before is missed."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from sidecar.control.services import totals
from sidecar.control.services.totals import TotalsPlace, TotalsWanted
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CORRECTIONS, CounterKey, TotalsPosition
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.limits.counters import CounterRef, CounterTotal
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Window
from tests.support.seeds import rounds, seeded
from tests.unit.control.support import ALICE, BOB, LIFETIME, NOW_US, key_of, per_user

COMPANIES = ("acme", "b", "globex")


def _add(store: PlaneStore, amounts: dict[CounterKey, int], version: int) -> None:
    with store.write() as transaction:
        transaction.add_to_counters(ALICE, amounts, version)


def _pages(store: PlaneStore, wanted: TotalsWanted) -> Iterator[totals.TotalsPage]:
    place: TotalsPlace | None = TotalsPlace()
    while place is not None:
        page = totals.list_totals(store, wanted, place, NOW_US)
        yield page
        place = page.after


def _all(store: PlaneStore, *companies: str, after: int = 0) -> list[CounterTotal]:
    wanted = TotalsWanted(BOB, companies, after)
    return [total for page in _pages(store, wanted) for total in page.totals]


def _window(start_us: int, end_us: int, feature: str = "tokens", name: str = "acme") -> CounterKey:
    return CounterKey(name, feature, CounterRef("DAY/1/CALENDAR||", (), Window(start_us, end_us)))


def test_windows_that_have_not_ended_are_told_also_those_that_have_not_begun(
    store: PlaneStore,
) -> None:
    ended = _window(NOW_US - DAY_US, NOW_US)
    last = _window(NOW_US - DAY_US + 1, NOW_US + 1)
    to_come = _window(NOW_US + DAY_US, NOW_US + 2 * DAY_US, "calls")
    _add(store, {ended: 1, last: 2, to_come: 3, key_of(LIFETIME): 4, key_of(name="x"): 5}, 7)
    assert [3, 2, 4] == [total.total for total in _all(store, "acme", "unheard-of")]


def test_what_changed_is_told_of_whatever_window(store: PlaneStore) -> None:
    ended = _window(NOW_US - DAY_US, NOW_US)
    _add(store, {key_of(LIFETIME): 1, key_of(name="x"): 1}, 5)
    _add(store, {ended: 2}, 6)
    _add(store, {key_of(name="x"): 3}, 7)
    assert [2] == [total.total for total in _all(store, "acme", after=5)]
    assert [1, 2] == [total.total for total in _all(store, "acme", after=4)]
    assert [2, 4] == [total.total for total in _all(store, after=5)]
    assert [] == _all(store, after=7)


def test_a_total_says_what_of_it_are_corrections(store: PlaneStore) -> None:
    with store.write() as transaction:
        transaction.add_to_counters(BOB, {key_of(): 9}, 1)
        transaction.add_to_counters(CORRECTIONS, {key_of(): -2}, 2)
    (total,) = _all(store, "acme")
    assert (7, 9, -2) == (total.total, total.own, total.corrections)
    assert [total] == _all(store, after=1)


def test_a_change_is_found_with_all_its_parts(store: PlaneStore) -> None:
    with store.write() as transaction:
        transaction.add_to_counters(ALICE, {key_of(): 1, key_of(per_user("eve")): 1}, 1)
        transaction.add_to_counters(BOB, {key_of(): 2}, 2)
    with store.read() as transaction:
        states = transaction.changed_counters(TotalsPosition(0), 9)
        behind = transaction.changed_counters(TotalsPosition(1, states[0].key), 9)
        cut = transaction.changed_counters(TotalsPosition(0), 1)
    assert [(1, {ALICE: 1}), (2, {ALICE: 1, BOB: 2})] == [
        (state.version, state.parts) for state in states
    ]
    assert [states[1:], states[:1]] == [behind, cut]


def test_the_version_of_a_ledger_without_usage_is_1(store: PlaneStore) -> None:
    assert 1 == totals.newest_version(store)
    with store.write() as transaction:
        assert NOW_US == transaction.next_ledger_version(NOW_US)
    assert NOW_US == totals.newest_version(store)


@pytest.mark.parametrize("bound", ["PAGE_TOTALS", "PAGE_BYTES"])
def test_pages_are_bounded_in_totals_and_in_bytes(
    store: PlaneStore, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    _add(store, {key_of(per_user("u" * 200 + str(at))): at for at in range(9)}, 1)
    monkeypatch.setattr(totals, bound, {"PAGE_TOTALS": 2, "PAGE_BYTES": 500}[bound])
    pages = list(_pages(store, TotalsWanted(BOB, ["acme"])))
    assert [2, 2, 2, 2, 1] == [len(page.totals) for page in pages if page.totals]


class Ledger:
    """What was counted: sum and version of each counter."""

    def __init__(self, store: PlaneStore, rng: random.Random) -> None:
        self.sums: dict[CounterKey, tuple[int, int]] = {}
        self.version = 10
        self._store = store
        self._rng = rng

    def change(self) -> None:
        keys = {_random_key(self._rng) for _ in range(self._rng.randint(1, 4))}
        with self._store.write() as transaction:
            self.version = transaction.next_ledger_version(self.version + 1)
            transaction.add_to_counters(ALICE, dict.fromkeys(keys, 1), self.version)
        for key in keys:
            self.sums[key] = (self.sums.get(key, (0, 0))[0] + 1, self.version)


@pytest.mark.parametrize(("times", "seed"), rounds(15, 1, slow=150, seeds=(2, 3)))
def test_pages_miss_nothing_of_before_whatever_changes_between_them(
    store: PlaneStore, monkeypatch: pytest.MonkeyPatch, times: int, seed: int
) -> None:
    rng = seeded(seed)
    ledger = Ledger(store, rng)
    for _ in range(20):
        ledger.change()
    for _ in range(times):
        monkeypatch.setattr(totals, "PAGE_TOTALS", rng.randint(1, 5))
        monkeypatch.setattr(totals, "_READ_AT_ONCE", rng.randint(1, 3))
        after = rng.choice([0, rng.randint(1, ledger.version)])
        names = () if after and rng.random() < 0.5 else tuple(rng.sample(COMPANIES, 2))
        before, began = dict(ledger.sums), ledger.version
        heard: dict[CounterKey, int] = {}
        versions = []
        for page in _pages(store, TotalsWanted(BOB, names, after)):
            versions.append(page.version)
            for total in page.totals:
                key = CounterKey(total.company, total.feature, total.counter)
                assert ledger.sums[key] == (total.total, total.version)
                heard[key] = total.total
            if rng.random() < 0.3:
                ledger.change()
        assert began == versions[0]
        for key, (amount, version) in before.items():
            counts = version > after if after else key.counter.window.end_us > NOW_US
            if counts and (not names or key.company in names):
                assert amount <= heard[key]


def _random_key(rng: random.Random) -> CounterKey:
    start_us = rng.choice([NOW_US - DAY_US, NOW_US - 1, NOW_US + DAY_US])
    window = rng.choice([Window(start_us, start_us + DAY_US), Window(0, FOREVER_US)])
    user = (f"user-{rng.randint(0, 3)}",)
    feature = rng.choice(["calls", "tokens"])
    return CounterKey(rng.choice(COMPANIES), feature, CounterRef("SLOT|user|", user, window))
