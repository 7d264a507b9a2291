"""Who asks is there, though it is refused: it keeps what it holds, and shows nothing by that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from sidecar.control.rules.history import Greeting
from sidecar.control.services import ingest, snapshots
from sidecar.control.services.heard import HEARD_EVERY_US
from sidecar.control.services.lease_recovery import open_leases, report
from sidecar.control.services.lease_settling import heard_within_us, release
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.services.leases import AskedLeases, request_leases
from sidecar.control.storage.lease_values import StoredLease
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import KnownIncarnation
from sidecar.control.storage.witness_port import MemoryWitness, Witnessed, WitnessedHolder
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.unit.control.support import ALICE, BOB, NOW_US, Writer, key_of, record

BEFORE: Final = "epoch-of-before"
RELEASED_US: Final = DAY_US + heard_within_us(DAY_US)


def ask(store: PlaneStore, at_us: int) -> None:
    asked = [AskedLeases(ALICE, BEFORE, [])]
    [refused] = request_leases(store, KeptTimelines(), asked, at_us)
    assert isinstance(refused, FailedPrecondition)


def report_held(store: PlaneStore, at_us: int) -> None:
    with pytest.raises(FailedPrecondition):
        report(store, ALICE, BEFORE, [], at_us)


def watch(store: PlaneStore, at_us: int) -> None:
    snapshots.start(store, 0, False, at_us, incarnation=ALICE)


Ask = Callable[[PlaneStore, int], None]
asks = pytest.mark.parametrize("ask", [ask, report_held, watch])


def known(store: PlaneStore, who: str = ALICE) -> KnownIncarnation | None:
    with store.read() as transaction:
        return transaction.incarnation(who)


def greet(store: PlaneStore, confirmed: int, at_us: int) -> ingest.Welcome:
    return ingest.greet(store, ALICE, "node", Greeting(confirmed, confirmed, bytes(32)), at_us)


@asks
def test_who_is_refused_or_only_watches_keeps_what_it_holds(store: PlaneStore, ask: Ask) -> None:
    ingest.greet(store, ALICE, "node", Greeting(0, 0, b""), NOW_US)
    held = StoredLease(key_of(), ALICE, 100, 1, FOREVER_US, 1_000, NOW_US, NOW_US)
    with store.write() as transaction:
        transaction.put_leases([held])
    later_us = NOW_US + RELEASED_US
    ask(store, later_us - 1)
    assert 0 == release(store, [(held.key, ALICE)], (), later_us, DAY_US)
    silent_us = later_us - 1 + RELEASED_US
    assert 1 == release(store, [(held.key, ALICE)], (), silent_us, DAY_US)


@asks
def test_of_whom_nothing_is_known_nothing_is_noted(store: PlaneStore, ask: Ask) -> None:
    ask(store, NOW_US)
    assert known(store) is None


@asks
def test_it_is_not_noted_with_each_call(store: PlaneStore, ask: Ask) -> None:
    ingest.greet(store, ALICE, "node", Greeting(0, 0, b""), NOW_US)
    heard = []
    for after_us in (HEARD_EVERY_US, HEARD_EVERY_US + 1):
        ask(store, NOW_US + after_us)
        found = known(store)
        assert found is not None
        heard.append(found.last_heard_us - NOW_US)
    assert [0, HEARD_EVERY_US + 1] == heard


@asks
def test_who_is_heard_before_it_greets_shows_no_second_loss_of_state(
    store: PlaneStore, ask: Ask
) -> None:
    writer = Writer(ALICE)
    writer.write(record(1))
    writer.push(store)
    granted = {BOB: WitnessedHolder(9, NOW_US + DAY_US)}
    assert open_leases(store, MemoryWitness(Witnessed(9, 0, granted)), NOW_US, DAY_US)
    with store.read() as transaction:
        epoch = transaction.state().epoch
    ask(store, NOW_US + 2 * HOUR_US)
    welcome = greet(store, 99, NOW_US + 2 * HOUR_US + 1)
    assert (epoch, True) == (welcome.state.epoch, welcome.fenced)


def test_who_has_greeted_since_a_loss_of_state_shows_the_next_one(store: PlaneStore) -> None:
    writer = Writer(ALICE)
    writer.write(record(1))
    writer.push(store)
    granted = {BOB: WitnessedHolder(9, NOW_US + DAY_US)}
    assert open_leases(store, MemoryWitness(Witnessed(9, 0, granted)), NOW_US, DAY_US)
    ingest.greet(store, ALICE, "node", Greeting(1, 1, writer.chains[1]), NOW_US + 1)
    with store.read() as transaction:
        epoch = transaction.state().epoch
    assert epoch != greet(store, 99, NOW_US + 2 * HOUR_US).state.epoch
