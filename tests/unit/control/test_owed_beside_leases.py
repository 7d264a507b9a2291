"""What is owed while sidecars hold leases of what would repay it, by outcome."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from sidecar.control.services.credit_debts import repay_debts
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.support.burning import CREDITS, recurring
from tests.unit.control.burning_plane import MONTHLY, BurningPlane, burning, sold, source
from tests.unit.control.plane import running
from tests.unit.control.support import ALICE, BOB, CAROL, Writer
from tests.unit.control.test_lease_rpc import recalled

EVER: Final = replace(MONTHLY, window=WindowSpec(WindowUnit.LIFETIME))
KEY: Final = CounterKey("acme", CREDITS, source())


def test_a_debt_recalls_what_is_idle_elsewhere_and_is_repaid_once_it_comes_back(
    store: PlaneStore,
) -> None:
    plane = BurningPlane(store, overdraft=50)
    plane.ask(source(), 70, feature=CREDITS, who=BOB)
    plane.push(burning(15, 30, [(source(), 30)]), who=BOB)

    pushed = plane.push(burning(75, 150))

    assert (60, 120) == (plane.used(source()), plane.debt)
    assert [(BOB, KEY)] == list(pushed.recalls)
    plane.ask(source(), 0, held=30, used=30, feature=CREDITS, who=BOB)
    assert (100, 80) == (plane.used(source()), plane.debt)
    assert [] == list(plane.push(burning(1, 2)).recalls)


def test_a_sidecar_that_burns_the_overdraft_has_others_asked(store: PlaneStore) -> None:
    plane = BurningPlane(store, overdraft=50)
    plane.ask(source(), 70, feature=CREDITS, who=BOB)
    plane.ask(source(), 30, feature=CREDITS, who=CAROL)
    plane.ask(OVERDRAFT_COUNTER, 20, feature=CREDITS)

    pushed = plane.push(burning(10, 20, [(OVERDRAFT_COUNTER, 20)]))

    assert [(BOB, KEY), (CAROL, KEY)] == list(pushed.recalls)


def test_nobody_is_asked_while_nothing_is_owed(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    plane.ask(source(), 70, feature=CREDITS, who=BOB)
    assert [] == list(plane.push(burning(15, 30)).recalls)
    assert 0 == plane.debt


def test_leases_on_a_counter_that_the_limit_had_before_are_asked_back(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    plane.ask(source(), 70, feature=CREDITS, who=BOB)
    plane.sell(sold(EVER))

    assert [(BOB, KEY)] == list(plane.push(burning(25, 50)).recalls)


def test_the_task_asks_again_for_what_is_held_meanwhile(store: PlaneStore) -> None:
    plane = BurningPlane(store, recurring(amount=100))
    plane.ask(source(), 100, feature=CREDITS, who=BOB)
    plane.push(burning(10, 20))

    repaid = repay_debts(store, [("acme", CREDITS)], plane.now_us)

    assert ([], [(BOB, KEY)]) == (list(repaid.changed), list(repaid.holders))


async def test_holders_that_watch_hear_of_it_at_once(store: PlaneStore) -> None:
    plane = BurningPlane(store, EVER)
    plane.ask(source(EVER), 70, feature=CREDITS, who=BOB)
    async with running(store) as calls:
        watch = calls.watch(BOB, without_companies=True)
        await watch.read()
        writer = Writer(ALICE)
        writer.write(burning(25, 50))
        await calls.push(writer)
        assert [replace(KEY, counter=source(EVER))] == await recalled(watch, 1)
        watch.cancel()
