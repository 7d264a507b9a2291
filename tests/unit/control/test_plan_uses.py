"""Which company has which version of a plan, as the store knows it without reading companies."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore, codec
from sidecar.control.storage.sqlite.migrate import migrations
from sidecar.control.storage.values import StoredCompany
from sidecar.domain.company.model import (
    Company,
    PastDue,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.time.units import DAY_US
from tests.unit.control.support import NOW_US

LATER_US: Final = NOW_US + DAY_US
BEFORE: Final = 10
"""The last schema that knew no versions."""


def stored(name: str, subscription: Subscription | None) -> StoredCompany:
    company = Company(name, subscription=subscription)
    return StoredCompany(company, compile_snapshot(company, 1), NOW_US)


def put(store: PlaneStore, *companies: StoredCompany) -> None:
    with store.write() as transaction:
        transaction.put_companies(companies)


def referred(store: PlaneStore, plan: str, version: int, since_us: int) -> bool:
    with store.read() as transaction:
        return transaction.refers_to_version(plan, version - 1, version, since_us)


def counted(store: PlaneStore, plan: str, now_us: int = NOW_US) -> int:
    with store.read() as transaction:
        return transaction.companies_on_plan(plan, now_us)


def test_companies_are_counted_by_the_plan_that_they_have_now(store: PlaneStore) -> None:
    leaving = Subscription("pro", NOW_US, changes=(ScheduledChange(LATER_US, "free"),))
    put(store, stored("a", leaving), stored("b", Subscription("pro", NOW_US)), stored("c", None))
    assert (counted(store, "pro"), counted(store, "free")) == (2, 0)
    assert (counted(store, "pro", LATER_US), counted(store, "free", LATER_US)) == (1, 1)
    put(store, stored("b", Subscription("free", NOW_US)))
    with store.write() as transaction:
        transaction.remove_companies(["a"], 2)
    assert (counted(store, "pro"), counted(store, "free")) == (0, 1)


def test_companies_are_found_by_version_in_the_order_of_their_ids(store: PlaneStore) -> None:
    put(store, *(stored(name, Subscription("pro", 0, plan_version=1)) for name in "dacb"))
    put(store, stored("new", Subscription("pro", 0, plan_version=2)))
    with store.read() as transaction:
        first = transaction.companies_before_version("pro", 2, NOW_US, "", 3)
        rest = transaction.companies_before_version("pro", 2, NOW_US, first[-1], 3)
        assert (first, rest) == (["a", "b", "c"], ["d"])
        assert transaction.companies_before_version("pro", 1, NOW_US, "", 3) == []


def test_what_is_bought_is_referred_to_while_another_plan_is_in_force(store: PlaneStore) -> None:
    late = Subscription("pro", 0, plan_version=1, past_due=PastDue(0, 1, "free"))
    tried = Subscription("max", 0, plan_version=1, trial_ends_us=1, trial_end_plan="free")
    put(store, stored("late", late), stored("tried", tried))
    assert (counted(store, "pro"), counted(store, "max"), counted(store, "free")) == (0, 0, 2)
    assert referred(store, "pro", 1, LATER_US)
    assert referred(store, "max", 1, LATER_US)


def test_a_version_that_is_moved_from_is_referred_to_until_then(store: PlaneStore) -> None:
    move = ScheduledChange(LATER_US, plan_version=2, at_period_end=True)
    put(store, stored("a", Subscription("pro", 0, plan_version=1, changes=(move,))))
    assert referred(store, "pro", 1, LATER_US - 1)
    assert not referred(store, "pro", 1, LATER_US)
    assert referred(store, "pro", 2, LATER_US)


def test_a_database_of_before_knows_who_has_which_plan(tmp_path: Path) -> None:
    path = tmp_path / "plane.db"
    changes = (ScheduledChange(LATER_US, "free"),)
    leaving = stored("a", Subscription("pro", 0, changes=changes))
    rows = [
        ("a", 1, codec.document(leaving.company), codec.timeline_column(leaving.snapshot)),
        ("b", 1, codec.document(leaving.company), old_timeline(leaving)),
        ("c", 1, codec.document(leaving.company), None),
        ("gone", 1, None, codec.timeline_column(leaving.snapshot)),
        ("none", 1, codec.document(Company("none")), None),
        ("torn", 1, b'{"id":"torn",', b"{"),
    ]
    connection = sqlite3.connect(path)
    for _, script in migrations()[:BEFORE]:
        connection.executescript(script)
    connection.execute(f"PRAGMA application_id = {int.from_bytes(b'tlyd')}")
    connection.execute(f"PRAGMA user_version = {BEFORE}")
    connection.executemany(
        "INSERT INTO company (company, revision, document, timeline) VALUES (?, ?, ?, ?)", rows
    )
    connection.commit()
    connection.close()
    store = SqliteStore(path)
    assert counted(store, "pro") == 3
    assert (counted(store, "free"), counted(store, "free", LATER_US)) == (0, 2)
    assert referred(store, "free", 0, LATER_US)
    with store.read() as transaction:
        assert transaction.companies_before_version("pro", 1, NOW_US, "", 9) == ["a", "b", "c"]
    store.close()


def old_timeline(of: StoredCompany) -> bytes:
    """A timeline as schema 4 wrote it: a list of segments."""
    return msgspec.json.encode(list(segments_of(of.snapshot)))
