"""Real database files that are copied, restored and lost, with their witness beside them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc.lease_answers import LeaseCall
from sidecar.control.rpc.lease_groups import LeaseGroups
from sidecar.control.rules.history import Greeting
from sidecar.control.services import ingest, lease_recovery
from sidecar.control.services.lease_recovery import HeldLease, open_leases, report
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.sqlite.witness import SqliteWitness, witness_path
from sidecar.control.storage.witness_port import LeaseWitness, Witnessed
from sidecar.domain.errors import FailedPrecondition, Unavailable
from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import DAY_US
from sidecar.shared.convert.leases import name_to_message
from tests.unit.control.support import (
    ALICE,
    BOB,
    CAROL,
    LIFETIME,
    NOW_US,
    TODAY,
    key_of,
    per_user,
    set_up,
)
from tests.unit.control.test_losses import greet

EVE: Final = CounterName("acme", "tokens", per_user("eve"))
EVER: Final = CounterName("acme", "tokens", LIFETIME)
LIMIT: Final = 100
"""Of tokens a user and day."""


class Plane(NamedTuple):
    """A database that is open, and its witness."""

    store: SqliteStore
    witness: LeaseWitness

    @property
    def epoch(self) -> str:
        with self.store.read() as transaction:
            return transaction.state().epoch

    def ask(
        self,
        who: str,
        number: int,
        need: int,
        counter: CounterName = EVE,
        *,
        held: int = 0,
        epoch: str | None = None,
    ) -> tuple[LeaseStatus, int]:
        """Ask for a lease; what becomes of it, and up to where it goes."""
        request = sync_pb2.LeaseRequest(
            counter=name_to_message(counter), number=number, held=held, need=need, want=need
        )
        message = sync_pb2.RequestLeasesRequest(
            incarnation=who, epoch=self.epoch if epoch is None else epoch, requests=[request]
        )
        groups, call = LeaseGroups(self.witness), LeaseCall(message)
        groups.add(call)
        assert [call] == groups.answer_next(self.store, NOW_US, (ALICE, BOB))
        answer = call.response(NOW_US)
        return LeaseStatus(answer.results[0].status), answer.results[0].granted

    def tell(self, who: str, granted: int, number: int, *, by: str = "", most: int = 0) -> None:
        """Report all that a sidecar holds; `by`: a later life of it, or of a copy.

        `most`: what it may have been granted by a request whose answer it has not taken.
        """
        key = key_of(EVE.counter)
        held = HeldLease(key, who, granted, number, TODAY.end_us, most)
        numbers = {who: number}
        report(self.store, by or who, self.epoch, [held], NOW_US, last_numbers=numbers)

    def missing(self) -> list[str]:
        status = lease_recovery.recovery_status(self.store, NOW_US)
        return [missing.holder.incarnation for missing in status.missing]


@contextmanager
def plane(path: Path, *, begin_anew: bool = False) -> Iterator[Plane]:
    """A plane's database as a process opens it."""
    with (
        closing(SqliteStore(path, begin_anew=begin_anew)) as store,
        closing(SqliteWitness(witness_path(path))) as witness,
    ):
        open_leases(store, witness, NOW_US, DAY_US)
        yield Plane(store, witness)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database in which Alice and Bob are known, and the limit is sold."""
    path = tmp_path / "control.db"
    with plane(path) as first:
        set_up(first.store, "acme")
        for who in (ALICE, BOB):
            greet(first.store, who, 0)
    return path


def restore(backup: Path, path: Path) -> None:
    """Put a backup where the database is, as an operator does."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copy(backup, path)


def copied_while_running(path: Path, backup: Path) -> None:
    """A copy by SQLite, while a process writes to it."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)


GRANTED, RECOVERING = LeaseStatus.GRANTED, LeaseStatus.RECOVERING


def test_a_restored_database_grants_once_its_holders_have_said_what_they_hold(
    path: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    with plane(path) as first:
        assert (GRANTED, 10) == first.ask(BOB, 1, 10)
        copied_while_running(path, backup)
        assert (GRANTED, 70) == first.ask(ALICE, 1, 70)
        epoch = first.epoch
    restore(backup, path)
    with plane(path) as restored:
        assert epoch != restored.epoch
        assert [ALICE] == restored.missing()  # the backup knows what Bob was granted
        with pytest.raises(FailedPrecondition):
            restored.ask(BOB, 2, 10, held=10, epoch=epoch)
        assert (RECOVERING, 10) == restored.ask(BOB, 2, 90, held=10)
        # Nor on other windows, on which the limit might count by now.
        assert (RECOVERING, 0) == restored.ask(ALICE, 9, 5, EVER)
        restored.tell(ALICE, 70, 1)
        assert [] == restored.missing()
        assert (GRANTED, 5) == restored.ask(ALICE, 10, 5, EVER)
        # 100 less the 70 that only Alice knew of: the limit holds.
        assert (GRANTED, 30) == restored.ask(BOB, 3, 30, held=10)
        assert LeaseStatus.RECALLING == restored.ask(BOB, 4, 31, held=30)[0]
    with plane(path) as again:  # a start later
        assert LeaseStatus.RECALLING == again.ask(BOB, 5, 31, held=30)[0]


def test_recovery_goes_on_over_a_restart(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "backup.db")
    with plane(path) as first:
        first.ask(ALICE, 1, 70)
    restore(tmp_path / "backup.db", path)
    with plane(path) as restored:
        epoch = restored.epoch
    with plane(path) as restored:
        assert epoch == restored.epoch
        assert [ALICE] == restored.missing()
        assert (RECOVERING, 0) == restored.ask(BOB, 1, 10)


def test_a_plane_that_dies_between_commit_and_witness_has_lost_nothing(path: Path) -> None:
    class Dying:
        """A witness that the power leaves before it is on disk."""

        def note(self, seen: Witnessed) -> None:
            raise Unavailable("", "power cut", "STORE_UNAVAILABLE")

        read = forget = close = note

    with plane(path) as first:
        epoch = first.epoch
        dying = Plane(first.store, Dying())  # type: ignore[arg-type]  # it only dies
        with pytest.raises(Unavailable):
            dying.ask(ALICE, 1, 70)
    with plane(path) as restarted:
        assert epoch == restarted.epoch
        assert [] == restarted.missing()
        # The answer never left; who asks again gets no more than was committed, once.
        assert (GRANTED, 70) == restarted.ask(ALICE, 1, 70)
        assert (GRANTED, 30) == restarted.ask(BOB, 1, 30)
        seen = restarted.witness.read()
        assert seen is not None
        assert {ALICE, BOB} == set(seen.holders)


def test_what_a_plane_granted_just_before_it_died_is_waited_for_after_a_restore(
    path: Path, tmp_path: Path
) -> None:
    shutil.copy(path, tmp_path / "backup.db")
    with plane(path) as first:
        seen = first.witness.read()
        first.ask(ALICE, 1, 70)
        assert seen is not None
    with closing(sqlite3.connect(witness_path(path))) as witness:  # as before that commit
        witness.execute("UPDATE witness SET revision = ?", (seen.revision,))
        witness.execute("DELETE FROM holder")
        witness.commit()
    with plane(path):
        pass  # the start after the power cut
    restore(tmp_path / "backup.db", path)
    with plane(path) as restored:
        assert [ALICE] == restored.missing()


def test_without_its_witness_a_plane_waits_until_an_operator_knows_better(path: Path) -> None:
    with plane(path) as first:
        first.ask(ALICE, 1, 70)
    witness_path(path).unlink()
    with plane(path) as restored:
        restored.tell(ALICE, 70, 1)
        assert (RECOVERING, 0) == restored.ask(BOB, 1, 10)
        assert lease_recovery.end_recovery(restored.store, NOW_US, NOW_US)
        assert (GRANTED, 10) == restored.ask(BOB, 2, 10)


def test_a_copy_from_before_the_first_lease_waits_too_where_its_witness_was_deleted(
    path: Path, tmp_path: Path
) -> None:
    shutil.copy(path, tmp_path / "backup.db")
    with plane(path) as first:
        assert (GRANTED, 70) == first.ask(ALICE, 1, 70)
    restore(tmp_path / "backup.db", path)
    witness_path(path).unlink()
    with plane(path) as restored:
        assert (RECOVERING, 0) == restored.ask(BOB, 1, 10)
        restored.tell(ALICE, 70, 1)
        assert lease_recovery.end_recovery(restored.store, NOW_US, NOW_US)
        assert (GRANTED, 30) == restored.ask(BOB, 2, 30)


def test_a_copy_from_before_the_first_lease_with_its_witness_is_found_out_by_a_sidecar(
    path: Path, tmp_path: Path
) -> None:
    for file in (path, witness_path(path)):
        shutil.copy(file, tmp_path / f"{file.name}.backup")
    with plane(path) as first:
        assert (GRANTED, 70) == first.ask(ALICE, 1, 70)
    restore(tmp_path / f"{path.name}.backup", path)
    restore(tmp_path / f"{path.name}.leases.backup", witness_path(path))
    with plane(path) as restored:
        ingest.greet(restored.store, ALICE, "node", Greeting(5, 5, bytes(32)), NOW_US + 1)
        assert (RECOVERING, 0) == restored.ask(BOB, 1, 10)
        restored.tell(ALICE, 70, 1)
        assert not lease_recovery.recovery_of(restored.store).withholds(TODAY, NOW_US + DAY_US)


@pytest.mark.parametrize(("number", "is_original"), [(1, False), (2, True)])
def test_a_copy_of_a_store_does_not_stand_for_its_original_which_holds_more(
    path: Path, tmp_path: Path, number: int, is_original: bool
) -> None:
    with plane(path) as first:
        assert (GRANTED, 8) == first.ask(ALICE, 1, 8)
        copied_while_running(path, tmp_path / "backup.db")
        assert (GRANTED, 54) == first.ask(ALICE, 2, 54, held=8)
    restore(tmp_path / "backup.db", path)
    with plane(path) as restored:
        restored.tell(ALICE, 54 if is_original else 8, number, by=CAROL)
        assert ([] if is_original else [ALICE]) == restored.missing()
        status, granted = restored.ask(BOB, 1, 46)
        assert ((GRANTED, 46) if is_original else (RECOVERING, 0)) == (status, granted)


def test_a_copy_between_a_request_and_its_answer_stands_for_all_that_its_original_may_have_got(
    path: Path, tmp_path: Path
) -> None:
    with plane(path) as first:
        assert (GRANTED, 8) == first.ask(ALICE, 1, 8)
        copied_while_running(path, tmp_path / "backup.db")
        assert (GRANTED, 54) == first.ask(ALICE, 2, 54, held=8)
    restore(tmp_path / "backup.db", path)
    with plane(path) as restored:
        restored.tell(ALICE, 8, 2, by=CAROL, most=62)
        assert [] == restored.missing()
        status, _ = restored.ask(BOB, 1, 39)
        assert GRANTED is not status
        assert (GRANTED, 38) == restored.ask(BOB, 2, 38)
        # Whoever it is, once it asks again it has said what it holds.
        assert (GRANTED, 54) == restored.ask(ALICE, 3, 54, held=54)
        assert (GRANTED, 46) == restored.ask(BOB, 3, 46, held=38)


def test_a_damaged_witness_is_as_good_as_none(path: Path) -> None:
    with plane(path) as first:
        first.ask(ALICE, 1, 70)
    witness_path(path).write_bytes(b"\0" * 5_000)
    with plane(path) as restored:
        assert (RECOVERING, 0) == restored.ask(BOB, 1, 10)


def test_a_database_that_begins_anew_waits_for_those_who_hold_leases(path: Path) -> None:
    with plane(path) as first:
        first.ask(ALICE, 1, 70)
    path.unlink()
    with plane(path, begin_anew=True) as anew:
        set_up(anew.store, "acme")
        greet(anew.store, BOB, 0)
        assert [ALICE] == anew.missing()
        assert (RECOVERING, 0) == anew.ask(BOB, 1, 40)
        anew.tell(ALICE, 70, 1)
        assert (GRANTED, 30) == anew.ask(BOB, 2, 30)


def test_a_rescued_database_has_lost_nothing(path: Path) -> None:
    with plane(path) as first:
        first.ask(ALICE, 1, 70)
        epoch = first.epoch
        rescued = first.store.rescue()
        assert rescued is not None
    restore(rescued, path)
    with plane(path) as restored:
        assert epoch == restored.epoch
        assert (GRANTED, 30) == restored.ask(BOB, 1, 30)


def test_database_and_witness_restored_together_are_found_out_by_a_sidecar(
    path: Path, tmp_path: Path
) -> None:
    with plane(path) as first:
        first.ask(BOB, 1, 10)
    for file in (path, witness_path(path)):
        shutil.copy(file, tmp_path / f"{file.name}.backup")
    with plane(path) as first:
        first.ask(ALICE, 1, 70)
        epoch = first.epoch
    restore(tmp_path / f"{path.name}.backup", path)
    restore(tmp_path / f"{path.name}.leases.backup", witness_path(path))
    with plane(path) as restored:
        assert epoch == restored.epoch  # nothing shows it yet
        greeting = Greeting(5, 5, bytes(32))  # it was told of records that are not there
        ingest.greet(restored.store, ALICE, "node", greeting, NOW_US + 1)
        assert epoch != restored.epoch
        assert (RECOVERING, 10) == restored.ask(BOB, 2, 90, held=10)
        restored.tell(ALICE, 70, 1)
        assert lease_recovery.recovery_of(restored.store).withholds(TODAY, NOW_US)
        assert not lease_recovery.recovery_of(restored.store).withholds(TODAY, NOW_US + DAY_US)
