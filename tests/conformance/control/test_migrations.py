"""Each migration alone, on a database of the version before that is full of what a plane knows.

An older database has the rows that a plane of today writes, as far as the older one had columns for
them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

from sidecar.control.errors import StoreRefused
from sidecar.control.rules.history import Greeting
from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.services.ingest import greet
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.services.sweep import keep_time
from sidecar.control.storage.filling_values import CountedBy, Filling, FillingWalk
from sidecar.control.storage.lease_values import StoredLease
from sidecar.control.storage.level_port import LevelInstant
from sidecar.control.storage.plan_values import PlanMove
from sidecar.control.storage.recovery_values import ExpectedHolder, LeaseRecovery
from sidecar.control.storage.sqlite import SqliteStore, migrate
from sidecar.control.storage.values import CounterKey, LineFilter
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Scope
from sidecar.domain.company.subscription_changes import NOW, ResetUsage
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.seats.model import Seat
from sidecar.domain.seats.rules import SeatPool
from sidecar.domain.time.sure import KnownTime
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.conformance.control.credits import put_credits
from tests.support.failing import Fuse, fails_at
from tests.support.failing_planes import failing_connection
from tests.support.tables import Row, Rows, rows_of
from tests.unit.control.rollover_plane import RolloverPlane, catalog_of, monthly, on_plan, utc
from tests.unit.control.support import ALICE, BOB, CAROL, LIFETIME, Writer, record

MIGRATIONS = migrate.migrations()
NEWEST = MIGRATIONS[-1][0]
OLDER = range(1, NEWEST)
ADDED: dict[int, dict[str, Row]] = {
    2: {"company": (None, None)},
    3: {"counter": (None, None, 0, None)},
    4: {},
    5: {},
    6: {},
    7: {},
    8: {},
    9: {"known_time": (None,)},
    10: {"company": (None,)},
    11: {},
    12: {},
    13: {},
    14: {"meta": (0,), "incarnation": (0,)},
    15: {},
    16: {"meta": (0,)},
    17: {"expected_holder": (0,)},
    18: {},
    19: {},
    20: {},
    21: {},
    22: {},
    23: {"meta": (0,)},
    24: {"lease": (None,)},
}
"""What each migration gives to rows that were there."""
COPIED = {20: {"incarnation": ("last_heard_us",)}}
"""New columns that begin with what another one of the row has."""
WORKED_OUT = {11: {"plan_use"}}
"""New tables that a migration fills with what other tables say."""


def live(path: Path) -> None:
    """Have a plane know something of everything."""
    store = SqliteStore(path)
    plane = RolloverPlane(store)
    names = ("acme", "globex", "gone")
    plane.apply(catalog_of(pro=monthly()), *(on_plan(name=name) for name in names))
    plane.use(30)
    for incarnation in (ALICE, BOB):
        writer = plane.writer if incarnation == ALICE else Writer(incarnation)
        writer.write(record(5, key="once", at_us=plane.now_us), record(7, name="globex"))
        writer.push(store, len(writer.records) - 1, now_us=plane.now_us)
    plane.sleep_until(utc(2026, 2, 1))
    change_subscription(store, "globex", ResetUsage(), NOW, plane.now_us)
    apply.apply(store, Desired(remove=("gone",)), plane.now_us)
    unreadable = Writer(CAROL)
    unreadable.write(b"\xff")
    unreadable.push(store, now_us=plane.now_us)
    greet(store, CAROL, "node", Greeting(9, 9, bytes(32)), plane.now_us)
    keep_time(store, KnownTime(plane.now_us, plane.now_us, 0, "boot", 1))
    with store.write() as transaction:
        put_credits(transaction)
        transaction.add_level_changes({LevelInstant("acme", "jobs", plane.now_us): 1})
        counted_by = CountedBy("tokens", WindowSpec(WindowUnit.DAY), Scope())
        filling = Filling("acme", "DAY/1/CALENDAR||", counted_by, 0, plane.now_us)
        transaction.put_filling(filling)
        transaction.put_plan_move(PlanMove("pro", 2, plane.now_us))
        transaction.add_to_filling_sums(filling, {plane.key(plane.now_us): 1})
        transaction.put_filling_walk(FillingWalk(1, "acme", 0, (counted_by,)))
        transaction.put_company_name("hooli", "globex", 1)
        transaction.put_lease_recovery(LeaseRecovery(plane.now_us, 0, plane.now_us))
        transaction.put_expected_holders([ExpectedHolder(BOB, plane.now_us, False)])
        transaction.put_leases([StoredLease(plane.key(plane.now_us), BOB, 9, 1, 0, 10, 0, 0)])
        seats = CounterName("acme", "members", LIFETIME)
        transaction.put_seats([Seat(seats, "ann", plane.now_us, 1)])
        transaction.put_seat_pool(CounterKey("acme", "members", LIFETIME), SeatPool(1))
    store.close()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    path = tmp_path_factory.mktemp("planes") / "plane.db"
    live(path)
    return rows_in(path)


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def rows_in(path: Path) -> Rows:
    connection = connect(path)
    rows = rows_of(connection)
    connection.close()
    return rows


def version_of(connection: sqlite3.Connection) -> tuple[int, int]:
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [application] = connection.execute("PRAGMA application_id").fetchone()
    return version, application


def leave(path: Path, version: int, full: Rows) -> Rows:
    """Leave a database of a version, with as much of some rows as it can hold; what it holds."""
    connection = connect(path)
    connection.execute("BEGIN")
    for number, script in MIGRATIONS[:version]:
        migrate._run(connection, script)
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute(f"PRAGMA application_id = {int.from_bytes(b'tlyd')}")
    for table, (columns, *_) in rows_of(connection).items():
        for row in projected(full[table], columns):
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", row)
    connection.execute("COMMIT")
    rows = rows_of(connection)
    connection.close()
    return rows


def projected(rows: Sequence[Row], columns: Row) -> list[Row]:
    """Some columns of rows, of which the first one names the columns."""
    places = [rows[0].index(column) for column in columns]
    return [tuple(row[place] for place in places) for row in rows[1:]]


@pytest.mark.parametrize("version", OLDER)
def test_every_table_of_an_older_version_holds_something_here(
    tmp_path: Path, full: Rows, version: int
) -> None:
    rows = leave(tmp_path / "plane.db", version, full)
    assert [] == [table for table, found in rows.items() if len(found) < 2]


@pytest.mark.parametrize("version", OLDER)
def test_a_migration_keeps_every_row_and_gives_new_columns_what_they_begin_with(
    tmp_path: Path, full: Rows, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plane.db"
    before = leave(path, version, full)
    monkeypatch.setattr(migrate, "migrations", lambda: MIGRATIONS[: version + 1])
    connection = connect(path)
    migrate.migrate(connection, "plane.db")
    after = rows_of(connection)
    assert version + 1 == version_of(connection)[0]
    connection.close()
    for table, (columns, *rows) in before.items():
        added = ADDED[version + 1].get(table, ())
        new = tuple(column for column in after[table][0] if column not in columns)
        assert sorted(rows, key=repr) == sorted(projected(after[table], columns), key=repr)
        copied = COPIED.get(version + 1, {}).get(table)
        expected = projected(after[table], copied) if copied else [added] * len(rows)
        assert expected == projected(after[table], new)
    new_tables = {table for table in after if table not in before and len(after[table]) > 1}
    assert WORKED_OUT.get(version + 1, set()) == new_tables


@pytest.mark.parametrize("version", [*OLDER, NEWEST])
def test_a_plane_tells_the_same_of_an_older_database_and_goes_on(
    tmp_path: Path, full: Rows, version: int
) -> None:
    leave(tmp_path / "plane.db", NEWEST, full)
    leave(tmp_path / "older.db", version, full)
    newest, store = SqliteStore(tmp_path / "plane.db"), SqliteStore(tmp_path / "older.db")
    assert told(newest) == told(store)
    writer = Writer(BOB)
    writer.write(record(5, key="once", at_us=utc(2026, 1, 10)), record(7, name="globex"))
    assert (2, 0) == (writer.push(store).watermark, writer.push(store).added)
    writer.write(record(1))
    assert (3, 1) == (writer.push(store, 2).watermark, 1)
    revisions = []
    for database in (newest, store):
        applied = apply.apply(database, Desired(remove=("acme",)), utc(2026, 2, 2))
        revisions.append(applied.revision)
    assert 1 == len(set(revisions))
    newest.close()
    store.close()


def told(store: SqliteStore) -> object:
    """What does not depend on timelines and rollover, of which the first versions knew nothing."""
    with store.read() as transaction:
        names = ("acme", "globex", "gone")
        companies = {
            name: (stored.company, stored.snapshot.version)
            for name, stored in transaction.companies(names).items()
        }
        changes = [
            (change.id, change.revision, change.snapshot is None)
            for change in transaction.company_changes(0, "", 10, INT64_MAX)[0]
        ]
        lines = [transaction.lines(LineFilter(name), None, 100) for name in names]
        sums = transaction.usage_sums(LineFilter(), True, True, 100)
        incarnations = [
            (
                transaction.incarnation(incarnation),
                transaction.chains(incarnation, 0, 99),
                transaction.tallies(incarnation),
            )
            for incarnation in (ALICE, BOB)
        ]
        uses = transaction.key_uses([("acme", "once"), ("globex", "once")])
        totals = [
            (total.counter, total.total, total.own, total.version)
            for total in transaction.unended_totals("acme", None, utc(2026, 1, 10), ALICE, 10)
        ]
        state = transaction.state(), transaction.catalog()
    assert lines[0]
    assert totals
    return companies, changes, lines, sums, incarnations, uses, totals, state


@pytest.mark.parametrize("undone", [False, True], ids=["still open", "undone by SQLite"])
@pytest.mark.parametrize("version", [0, *OLDER])
def test_a_migration_that_fails_at_any_statement_leaves_the_version_before(
    tmp_path: Path, full: Rows, version: int, undone: bool
) -> None:
    path, fuse = tmp_path / "plane.db", Fuse()
    before = leave(path, version, full)
    connection = connect(path)
    failing = failing_connection(connection, fuse, undoes=undone)
    was, done = version_of(connection), []
    for moment in count():
        if not fails_at(
            moment,
            fuse,
            lambda: migrate.migrate(failing, "plane.db"),
            sqlite3.OperationalError,
            "disk I/O error",
        ):
            break
        done.append(version_of(connection)[0] == NEWEST)
        if not done[-1]:
            assert (was, before) == (version_of(connection), rows_of(connection))
        assert not connection.in_transaction
    assert NEWEST == version_of(connection)[0]
    assert moment > 2 * (NEWEST - version)
    # Of the commit nobody knows; from then on there is nothing to be done but to look.
    assert sorted(done) == done
    connection.close()


@pytest.mark.parametrize("ahead", [1, 96])
def test_a_newer_version_is_refused_by_name_and_left_as_it_is(tmp_path: Path, ahead: int) -> None:
    path = tmp_path / "plane.db"
    live(path)
    connection = connect(path)
    connection.execute(f"PRAGMA user_version = {NEWEST + ahead}")
    connection.close()
    before, files = path.read_bytes(), set(tmp_path.iterdir())
    with pytest.raises(StoreRefused) as refused:
        SqliteStore(path)
    assert (
        f"{path}: its schema has version {NEWEST + ahead}, this program knows up to {NEWEST}; "
        "a newer tallyd wrote it"
    ) == str(refused.value)
    assert before == path.read_bytes()
    assert files == set(tmp_path.iterdir())


@pytest.mark.parametrize("version", [0, *OLDER])
def test_a_database_that_another_has_just_migrated_is_taken_as_it_is(
    tmp_path: Path, full: Rows, version: int
) -> None:
    path = tmp_path / "plane.db"
    leave(path, version, full)
    stores = [SqliteStore(path), SqliteStore(path)]
    with stores[0].read() as one, stores[1].read() as other:
        assert one.state() == other.state()
    for store in stores:
        store.close()
