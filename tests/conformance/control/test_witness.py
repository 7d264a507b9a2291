"""What holds for every witness of leases, and what a file of one does besides."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from sidecar.control.errors import StoreRefused
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.sqlite.witness import SqliteWitness
from sidecar.control.storage.witness_port import (
    NOTHING_SEEN,
    LeaseWitness,
    MemoryWitness,
    Witnessed,
    WitnessedHolder,
)
from sidecar.domain.errors import Unavailable
from tests.unit.control.support import ALICE, BOB

MAKERS: Final[dict[str, Callable[[Path], LeaseWitness]]] = {
    "memory": lambda _: MemoryWitness(),
    "sqlite": lambda folder: SqliteWitness(folder / "control.db.leases"),
}
HELD: Final = WitnessedHolder(1, 10)


@pytest.fixture(params=MAKERS)
def witness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LeaseWitness]:
    with closing(MAKERS[request.param](tmp_path)) as witness:
        yield witness


def seen(revision: int, holders: dict[str, WitnessedHolder], noted_us: int = 0) -> Witnessed:
    return Witnessed(revision, noted_us, holders)


def test_a_new_witness_has_seen_nothing_not_even_that_there_was_nothing(
    witness: LeaseWitness,
) -> None:
    assert witness.read() is None
    witness.note(NOTHING_SEEN)
    assert witness.read() is None
    witness.note(seen(0, {}, 7))
    assert seen(0, {}, 7) == witness.read()


def test_the_latest_of_everything_stays_whoever_comes_second(witness: LeaseWitness) -> None:
    witness.note(seen(5, {ALICE: WitnessedHolder(5, 100, number=8)}, 50))
    witness.note(seen(6, {BOB: WitnessedHolder(6, 0, has_lifetime=True)}, 60))
    witness.note(seen(4, {ALICE: WitnessedHolder(4, 110, number=7)}, 40))  # of another process
    witness.note(seen(7, {BOB: WitnessedHolder(7, 90)}, 55))
    holders = {
        ALICE: WitnessedHolder(5, 110, number=8),
        BOB: WitnessedHolder(7, 90, has_lifetime=True),
    }
    assert seen(7, holders, 60) == witness.read()


def test_holders_are_forgotten_unless_something_was_granted_meanwhile(
    witness: LeaseWitness,
) -> None:
    old = {name: WitnessedHolder(1, 10) for name in (ALICE, BOB)}
    witness.note(seen(1, old))
    witness.note(seen(2, {ALICE: WitnessedHolder(2, 10)}))
    witness.forget({})
    witness.forget(old)
    assert seen(2, {ALICE: WitnessedHolder(2, 10)}) == witness.read()


def test_a_file_remembers_and_processes_share_it(tmp_path: Path) -> None:
    path = tmp_path / "control.db.leases"
    with closing(SqliteWitness(path)) as one, closing(SqliteWitness(path)) as other:
        one.note(seen(1, {ALICE: HELD}))
        other.note(seen(2, {BOB: HELD}))
    with closing(SqliteWitness(path)) as later:
        assert seen(2, {ALICE: HELD, BOB: HELD}) == later.read()
    journal = tmp_path / "control.db.leases-journal"
    assert b"" == journal.read_bytes()  # nothing beside it that could get lost
    assert 0o600 == path.stat().st_mode & 0o777


def test_a_file_of_before_numbers_were_kept_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "control.db.leases"
    with closing(SqliteWitness(path)) as witness:
        witness.note(seen(1, {ALICE: HELD}))
        witness._file.connection.execute("ALTER TABLE holder DROP COLUMN number")
        witness._file.connection.execute("PRAGMA user_version = 1")
    for number in (0, 3):
        with closing(SqliteWitness(path)) as witness:
            witness.note(seen(1, {ALICE: WitnessedHolder(1, 10, number=number)}))
            assert seen(1, {ALICE: WitnessedHolder(1, 10, number=number)}) == witness.read()


def test_what_could_not_be_written_goes_along_with_what_comes_next(tmp_path: Path) -> None:
    path = tmp_path / "control.db.leases"
    with closing(SqliteWitness(path)) as witness:
        blocker = SqliteWitness(path)
        connection = blocker._file.connection  # another process, in the middle of a change
        connection.execute("BEGIN EXCLUSIVE")
        witness._file.connection.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(Unavailable) as refused:
            witness.note(seen(3, {ALICE: HELD}))
        assert "STORE_UNAVAILABLE" == refused.value.reason
        connection.rollback()
        blocker.close()
        witness.note(NOTHING_SEEN)  # of a request that was granted nothing
        assert seen(3, {ALICE: HELD}) == witness.read()


@pytest.mark.parametrize("data", [b"no database at all, but a text", b""], ids=["text", "empty"])
def test_a_file_that_cannot_be_read_is_set_aside_and_the_witness_is_new(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "control.db.leases"
    path.write_bytes(data)
    with closing(SqliteWitness(path)) as witness:
        assert witness.read() is None
        witness.note(seen(1, {ALICE: HELD}))
        assert seen(1, {ALICE: HELD}) == witness.read()
    aside = tmp_path / "control.db.leases.damaged"
    assert (data, bool(data)) == (aside.read_bytes() if data else b"", aside.exists())


def test_a_file_with_damaged_pages_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "control.db.leases"
    with closing(SqliteWitness(path)) as witness:
        witness.note(seen(1, {ALICE: HELD}))
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with closing(SqliteWitness(path)) as witness:
        assert witness.read() is None
    assert path.with_name("control.db.leases.damaged").exists()


def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "control.db.leases"
    SqliteStore(path).close()
    before = path.read_bytes()
    with pytest.raises(StoreRefused, match="no witness of leases"):
        SqliteWitness(path)
    assert before == path.read_bytes()


def delete(path: Path) -> None:
    path.unlink()


def replace_by_garbage(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"garbage" * 3_000)


def overwrite_with_garbage(path: Path) -> None:
    path.write_bytes(b"garbage" * 3_000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_an_older_one(path: Path) -> None:
    path.unlink()
    shutil.copy(path.with_name("older"), path)


def overwrite_with_an_older_one(path: Path) -> None:
    path.write_bytes(path.with_name("older").read_bytes())


@pytest.mark.parametrize("is_read", [False, True], ids=["noted", "read"])
@pytest.mark.parametrize(
    "happens",
    [
        delete,
        replace_by_garbage,
        overwrite_with_garbage,
        empty,
        replace_by_an_older_one,
        overwrite_with_an_older_one,
    ],
)
def test_a_file_that_is_lost_while_it_is_in_use_is_written_anew_in_whole(
    tmp_path: Path, happens: Callable[[Path], None], is_read: bool
) -> None:
    path = tmp_path / "control.db.leases"
    with closing(SqliteWitness(path)) as witness:
        witness.note(seen(1, {ALICE: HELD}, 5))
        shutil.copy(path, tmp_path / "older")
        witness.note(seen(2, {BOB: HELD}, 6))
        happens(path)
        if is_read:
            witness.read()
        witness.note(seen(3, {ALICE: WitnessedHolder(3, 20)}, 7))
        expected = seen(3, {ALICE: WitnessedHolder(3, 20), BOB: HELD}, 7)
        assert (expected, 1) == (witness.read(), witness.rewrites)
        witness.note(seen(4, {}, 8))
        assert 1 == witness.rewrites
    with closing(SqliteWitness(path)) as later:
        assert seen(4, dict(expected.holders), 8) == later.read()
    assert 0o600 == path.stat().st_mode & 0o777


def test_a_look_is_enough_to_have_a_deleted_file_again(tmp_path: Path) -> None:
    path = tmp_path / "control.db.leases"
    with closing(SqliteWitness(path)) as witness, closing(SqliteWitness(path)) as other:
        witness.note(seen(1, {ALICE: HELD}, 5))
        other.note(seen(2, {BOB: HELD}, 6))
        path.unlink()
        witness.note(NOTHING_SEEN)
        other.note(NOTHING_SEEN)  # it finds what another process has written
        for each in (witness, other):
            assert seen(2, {ALICE: HELD, BOB: HELD}, 6) == each.read()
            assert 1 == each.rewrites


def test_what_was_forgotten_is_not_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "control.db.leases"
    with closing(SqliteWitness(path)) as witness:
        witness.note(seen(1, {ALICE: HELD, BOB: HELD}, 5))
        witness.forget({ALICE: HELD, BOB: WitnessedHolder(0, 10)})
        path.write_bytes(b"")
        assert seen(1, {BOB: HELD}, 5) == witness.read()


def test_where_no_file_can_be_made_nothing_is_noted_until_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "control.db.leases"
    with closing(SqliteWitness(path)) as witness:
        witness.note(seen(1, {ALICE: HELD}, 5))
        path.unlink()
        path.mkdir()
        for noted in (seen(2, {BOB: HELD}, 6), NOTHING_SEEN):
            with pytest.raises(Unavailable) as refused:
                witness.note(noted)
            assert "STORE_UNAVAILABLE" == refused.value.reason
        path.rmdir()
        witness.note(NOTHING_SEEN)
        assert seen(2, {ALICE: HELD, BOB: HELD}, 6) == witness.read()
