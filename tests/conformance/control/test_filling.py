"""What every database behind the control plane has to do for fillings."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.storage.filling_values import CountedBy, Filling, FillingStage, FillingWalk
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey, LinePosition
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Scope
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.windows import Alignment, Window, WindowSpec, WindowUnit
from tests.unit.control.support import ALICE

BY_USER: Final = CountedBy(
    "tokens",
    WindowSpec(WindowUnit.MONTH, 3, Alignment.ANCHORED),
    Scope(("user",), (("model", "large"), ("model", "small"))),
)
EVER: Final = CountedBy("tokens", WindowSpec(WindowUnit.LIFETIME), Scope())
SLOT: Final = "MONTH/3/ANCHORED|user|model=large,model=small"
FILLING: Final = Filling("acme", SLOT, BY_USER, 1_000, 2_000)
START: Final = ("", "", "")


def _key(user: str, slot: str = SLOT) -> CounterKey:
    return CounterKey("acme", "tokens", CounterRef(slot, (user,), Window(1, 2)))


@pytest.mark.parametrize(
    "filling",
    [
        FILLING,
        replace(FILLING, stage=FillingStage.SUMMING, reached=LinePosition(7, ALICE, 3)),
        replace(FILLING, counted_by=EVER, slot="LIFETIME||", stage=FillingStage.FILLED),
    ],
)
def test_a_filling_comes_back_as_it_was_put(store: PlaneStore, filling: Filling) -> None:
    with store.write() as transaction:
        assert not transaction.any_filling()
        transaction.put_filling(FILLING)
        transaction.put_filling(filling)
    with store.read() as transaction:
        assert filling in transaction.fillings_of("acme", "tokens")
        assert transaction.any_filling()
        assert [] == transaction.fillings_of("acme", "calls")
        assert [] == transaction.fillings_of("globex", "tokens")


def test_unfinished_ones_come_in_their_order_behind_a_place(store: PlaneStore) -> None:
    wanted = [
        replace(FILLING, company=name, stage=FillingStage(at)) for at, name in ((1, "a"), (3, "b"))
    ]
    done = replace(FILLING, company="aa", stage=FillingStage.FILLED)
    with store.write() as transaction:
        for filling in (wanted[1], done, wanted[0]):
            transaction.put_filling(filling)
    with store.read() as transaction:
        assert wanted == transaction.unfinished_fillings(START, 10)
        assert wanted[:1] == transaction.unfinished_fillings(START, 1)
        assert wanted[1:] == transaction.unfinished_fillings(("a", "tokens", SLOT), 10)


def test_sums_add_up_and_saturate(store: PlaneStore) -> None:
    other = replace(FILLING, slot="another")
    with store.write() as transaction:
        transaction.add_to_filling_sums(FILLING, {_key("ann"): 3, _key("bob"): INT64_MAX})
        transaction.add_to_filling_sums(FILLING, {_key("ann"): 4, _key("bob"): 1})
        transaction.add_to_filling_sums(other, {_key("ann"): 9})
    with store.read() as transaction:
        found = dict(transaction.filling_sums(FILLING, 10))
        assert {_key("ann"): 7, _key("bob"): INT64_MAX} == found
        assert 1 == len(transaction.filling_sums(FILLING, 1))
        assert transaction.filling_has_sum(FILLING, _key("ann"))
        assert not transaction.filling_has_sum(FILLING, _key("eve"))


def test_dropped_sums_are_gone_and_others_stay(store: PlaneStore) -> None:
    later = _key("ann", f"{SLOT}|5")
    with store.write() as transaction:
        transaction.add_to_filling_sums(FILLING, {_key("ann"): 3, later: 4, _key("bob"): 5})
        transaction.drop_filling_sums(FILLING, [_key("ann"), _key("bob")])
        assert [(later, 4)] == transaction.filling_sums(FILLING, 10)


def test_what_is_filled_is_forgotten_once_it_is_not_kept(store: PlaneStore) -> None:
    done = [replace(FILLING, company=name, stage=FillingStage.FILLED) for name in "abc"]
    with store.write() as transaction:
        transaction.put_filling(FILLING)
        for filling in done:
            transaction.put_filling(filling)
        assert 0 == transaction.forget_fillings(2_000, 10)
        assert 2 == transaction.forget_fillings(2_001, 2)
        assert 1 == transaction.forget_fillings(2_001, 2)
        assert [FILLING] == transaction.fillings_of("acme", "tokens")


def test_a_walk_comes_back_as_it_was_put(store: PlaneStore) -> None:
    walk = FillingWalk(7, "acme", 9, (BY_USER, EVER), "globex")
    with store.write() as transaction:
        assert FillingWalk() == transaction.filling_walk()
        transaction.put_filling_walk(walk)
    with store.read() as transaction:
        assert walk == transaction.filling_walk()
