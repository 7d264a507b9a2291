"""Stores that are damaged, gone or in doubt: looked through, set aside, and reported as lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lmdb
import pytest

from sidecar.storage import codec, keys
from sidecar.storage.answer_codec import encode_answer
from sidecar.storage.codec import Tally
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.folder_marks import LOSSES_MAX
from sidecar.storage.quarantine import quarantined
from sidecar.storage.record_check import FACTS
from sidecar.storage.snapshots import SnapshotChanges, Snapshots
from sidecar.storage.store_handle import StoreHandle, open_folder
from sidecar.storage.watch_position import WatchPosition
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.build import NOW_US, catalog, catalog_snapshot, limit, metered
from tests.support.stores import MONTHLY, STORE_BYTES_MAX, count_in, counter_key_of, open_now

CONTENT: Final = catalog({"basic": [metered("calls", limit())]})
ANSWER_KEY: Final = keys.answers_of(1) + bytes(16)
ANSWER: Final = encode_answer(bytes(16), b"answer, of life-1-7", 1, 7, len("life-1-7"))
JUNK: Final = b"\xff\xfejunk"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@contextmanager
def opened_in(folder: Path) -> Iterator[StoreHandle]:
    opened = open_now(folder)
    try:
        yield opened
    finally:
        opened.close()


def fill(opened: StoreHandle, count: int = 3) -> str:
    """Put one of each kind, and count; the incarnation."""
    store = opened.store
    for _ in range(count):
        store.transact(lambda transaction: count_in(transaction, 1))
    store.transact(lambda t: t.keyspace.put(ANSWER_KEY, ANSWER))
    store.transact(
        lambda t: t.keyspace.put(keys.tally_key(1, "calls"), codec.encode_tally(Tally(1, 1)))
    )
    changes = SnapshotChanges(catalog_snapshot(CONTENT, 9), position=WatchPosition("epoch", 9))
    Snapshots(store).apply(changes)
    return store.incarnation.id


def kill_while_open(folder: Path, times: int = 1) -> None:
    for _ in range(times):
        killed = subprocess.run(
            [sys.executable, "-m", "tests.support.store_child", "kill", str(folder), "1"],
            check=False,
            timeout=HANG_SECONDS_MAX,
        )
        assert -9 == killed.returncode


def put(folder: Path, key: bytes, data: bytes) -> None:
    """Write over a record, as nobody does who knows what it is."""
    env = lmdb.open(str(folder), lib_version=0, lock=False, map_size=STORE_BYTES_MAX)
    with env, env.begin(write=True) as transaction:
        transaction.put(key, data)


def in_quarantine(opened: StoreHandle) -> dict[str, int]:
    return dict(opened.store.transact(lambda transaction: quarantined(transaction.keyspace)))


def aside(folder: Path) -> list[Path]:
    return sorted(folder.glob("damaged-*"))


RECORDS: Final = {
    "counter": counter_key_of(MONTHLY),
    "stored answer": ANSWER_KEY,
    "part of the catalog": keys.catalog_part_key(1, 1),
    "fact of the store": keys.META_POSITION,
}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_damaged_record_is_set_aside_at_the_start_after_it_was_met(
    folder: Path, kind: str
) -> None:
    with opened_in(folder) as opened:
        incarnation = fill(opened)
    put(folder, RECORDS[kind], JUNK)
    opened = open_now(folder)
    opened.store.end(StoreDamaged("damage in the store: met by a call"))
    opened.close()
    with opened_in(folder) as opened:
        assert 1 == in_quarantine(opened)[kind]
        # Without its counter it cannot be told what of the plane's total it counted itself.
        begins_anew = kind == "counter"
        assert (incarnation != opened.store.incarnation.id) == begins_anew
        assert 3 == opened.store.waiting_records()
        assert () == opened.losses
        assert opened.store.transact(lambda t: t.keyspace.get(RECORDS[kind])) is None
    assert [] == aside(folder)


@pytest.mark.parametrize(
    "key", [keys.catalog_part_key(1, 1), keys.META_CATALOG, keys.META_POSITION], ids=str
)
def test_where_a_part_of_what_the_plane_gave_is_damaged_it_is_followed_from_the_start(
    folder: Path, key: bytes
) -> None:
    with opened_in(folder) as opened:
        fill(opened)
    put(folder, key, JUNK)
    kill_while_open(folder, 2)
    with opened_in(folder) as opened:
        snapshots = Snapshots(opened.store)
        assert WatchPosition() == snapshots.position()
        assert (snapshots.catalog() is None) == (key != keys.META_POSITION)


def test_every_fact_of_the_store_has_its_reader() -> None:
    """One without would end every process that reads it, and never be found."""
    facts = {value for name, value in vars(keys).items() if name.startswith("META_")}
    elsewhere = {
        keys.META_FORMAT,
        keys.META_INCARNATIONS,
        keys.META_PROBE,  # written, never read
        keys.META_QUARANTINE,
    }
    assert facts - elsewhere - {keys.META_NAME, keys.META_TALLY} == set(FACTS)


def test_a_step_that_meets_damage_ends_the_store_and_the_next_start_mends_it(
    folder: Path,
) -> None:
    with opened_in(folder) as opened:
        fill(opened)
    put(folder, counter_key_of(MONTHLY), JUNK)
    opened = open_now(folder)
    with pytest.raises(StoreDamaged, match="a counter"):
        opened.store.transact(lambda transaction: count_in(transaction, 1))
    assert 3 == opened.store.head.sequence
    opened.close()
    assert "in-doubt" in os.listdir(folder)
    with opened_in(folder) as opened:
        assert {"counter": 1} == in_quarantine(opened)
        opened.store.transact(lambda transaction: count_in(transaction, 1))
    assert not {"in-doubt", "in-use"} & set(os.listdir(folder))


def test_a_start_that_meets_damage_leaves_the_store_in_doubt(folder: Path) -> None:
    with opened_in(folder) as opened:
        fill(opened)
    put(folder, keys.META_STAGED, JUNK)
    opened = open_now(folder)
    with pytest.raises(StoreDamaged), opened.watched():
        Snapshots(opened.store)
    with opened_in(folder) as opened:
        Snapshots(opened.store)
        assert {"fact of the store": 1} == in_quarantine(opened)


def empty(data: Path) -> None:
    data.write_bytes(b"")


def remove(data: Path) -> None:
    data.unlink()


def halve(data: Path) -> None:
    os.truncate(data, 5 * 4096)


def zero_the_tree(data: Path) -> None:
    content = bytearray(data.read_bytes())
    content[2 * 4096 :] = bytes(len(content) - 2 * 4096)
    data.write_bytes(content)


def spoil_a_meta_page(number: int) -> Callable[[Path], None]:
    def spoil(data: Path) -> None:
        with open(data, "r+b") as opened:
            opened.seek(number * 4096 + 16)
            opened.write(b"\xa5" * 8)

    return spoil


def spoil_the_size_of_pages(data: Path) -> None:
    with open(data, "r+b") as opened:
        opened.seek(40)
        opened.write(b"\xff\xff\xff\x7f")


LOSSES: Final[dict[str, tuple[Callable[[Path], None], str]]] = {
    "empty": (empty, "its file is empty"),
    "removed": (remove, "its file is not there"),
    "cut": (halve, "its file is damaged: it ends at byte 20480"),
    "cut within the first page": (lambda data: os.truncate(data, 50), "within its first page"),
    "cut to one page": (lambda data: os.truncate(data, 4096), "within its second page"),
    "first meta page": (spoil_a_meta_page(0), "one of its meta pages is none"),
    "second meta page": (spoil_a_meta_page(1), "one of its meta pages is none"),
    "size of pages": (spoil_the_size_of_pages, "it says that it has pages of 2147483647 bytes"),
}


@pytest.mark.parametrize("sync_commits", [False, True], ids=["mapped", "disk"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_store_that_is_gone_is_a_loss_that_is_remembered(
    folder: Path, name: str, sync_commits: bool
) -> None:
    damage, reason = LOSSES[name]
    bounds = {"max_bytes": STORE_BYTES_MAX, "outbox_records_max": 1_000}
    opened = open_folder(folder, sync_commits=sync_commits, **bounds)
    incarnation = fill(opened, 50)
    opened.store.transact(lambda transaction: None)
    opened.close()
    damage(folder / "data.mdb")
    for _ in range(2):
        opened = open_folder(folder, sync_commits=sync_commits, **bounds)
        (loss,) = opened.losses
        assert (incarnation, 50, 0) == (
            loss.incarnation,
            loss.last_sequence,
            loss.acknowledged_sequence,
        )
        assert reason in loss.reason
        assert loss.noticed_us > NOW_US
        assert incarnation != opened.store.incarnation.id
        opened.close()


def test_a_tree_of_zeros_is_a_loss_at_once(folder: Path) -> None:
    with opened_in(folder) as opened:
        fill(opened, 50)
    zero_the_tree(folder / "data.mdb")
    with opened_in(folder) as opened:
        assert 1 == len(opened.losses)


@pytest.mark.parametrize("name", ["empty", "removed", "cut", "first meta page"])
def test_a_loss_is_noted_once_also_where_no_other_store_could_begin(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened_in(folder) as opened:
        incarnation = fill(opened, 50)
    LOSSES[name][0](folder / "data.mdb")

    def fails(*_: object, **__: object) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patched:
        patched.setattr("sidecar.storage.store_handle.open_engine", fails)
        for _ in range(2):
            with pytest.raises(OSError, match="no room"):
                open_now(folder)
    with opened_in(folder) as opened:
        assert [incarnation] == [loss.incarnation for loss in opened.losses]


def test_a_first_start_is_no_loss(folder: Path) -> None:
    with opened_in(folder) as opened:
        assert () == opened.losses


def test_a_store_that_was_never_opened_before_is_no_loss(folder: Path) -> None:
    folder.mkdir()
    empty(folder / "data.mdb")
    with opened_in(folder) as opened:
        assert () == opened.losses


def test_a_store_without_its_identity_is_a_loss_of_nobody_known(folder: Path) -> None:
    with opened_in(folder) as opened:
        fill(opened)
    (folder / "identity").unlink()
    empty(folder / "data.mdb")
    with opened_in(folder) as opened:
        assert [""] == [loss.incarnation for loss in opened.losses]


@pytest.mark.parametrize("name", ["identity", "ends", "in-use"])
def test_a_damaged_mark_is_no_obstacle(folder: Path, name: str) -> None:
    with opened_in(folder) as opened:
        incarnation = fill(opened)
    (folder / name).write_bytes(JUNK)
    with opened_in(folder) as opened:
        assert incarnation in [known.id for known in opened.store.incarnations]
        assert () == opened.losses


def test_losses_are_bounded(folder: Path) -> None:
    for _ in range(LOSSES_MAX + 3):
        with opened_in(folder) as opened:
            last = opened.store.incarnation.id
        remove(folder / "data.mdb")
    with opened_in(folder) as opened:
        assert LOSSES_MAX == len(opened.losses)
        assert last == opened.losses[-1].incarnation


@pytest.mark.parametrize(("kills", "looked"), [(0, 0), (1, 0), (2, 1), (3, 0), (4, 1)])
def test_after_two_ends_in_quick_succession_the_whole_store_is_looked_through(
    folder: Path, kills: int, looked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And after two more again."""
    with opened_in(folder) as opened:
        fill(opened)
    kill_while_open(folder, kills)
    looks: list[Path] = []

    def verifies(data: Path) -> bool:
        looks.append(data)
        return True

    monkeypatch.setattr("sidecar.storage.store_handle.verifies", verifies)
    with opened_in(folder) as opened:
        assert looked == len(looks)
        assert 3 + kills == opened.store.head.sequence


def test_ends_that_are_long_ago_do_not_follow_each_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened_in(folder) as opened:
        fill(opened)
    kill_while_open(folder, 2)
    monkeypatch.setattr("sidecar.storage.folder_marks.SUCCESSION_SECONDS", 0.0)
    monkeypatch.setattr("sidecar.storage.store_handle.verifies", lambda _: pytest.fail("looked"))
    with opened_in(folder):
        pass


def test_looking_that_ended_its_owner_is_not_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened_in(folder) as opened:
        fill(opened)
    kill_while_open(folder, 2)
    (folder / "ends").write_text((folder / "ends").read_text().replace("false", "true"))
    monkeypatch.setattr("sidecar.storage.store_handle.verifies", lambda _: pytest.fail("looked"))
    with opened_in(folder) as opened:
        assert 5 == opened.store.head.sequence


def test_a_store_that_ends_its_owners_again_and_again_is_set_aside(folder: Path) -> None:
    """Whatever it is: it was looked through, and nothing was found."""
    with opened_in(folder) as opened:
        incarnation = fill(opened)
    for _ in range(10):
        opened = open_now(folder)
        if opened.losses:
            break
        opened.store.end(StoreDamaged("damage in the store: of a kind that nobody finds"))
        opened.close()
    assert [incarnation] == [loss.incarnation for loss in opened.losses]
    assert "again and again" in opened.losses[0].reason
    opened.close()
    assert 1 == len(aside(folder))


def test_a_store_whose_writes_failed_again_and_again_is_kept(folder: Path) -> None:
    with opened_in(folder) as opened:
        fill(opened)
        head = opened.store.head
    for _ in range(10):
        opened = open_now(folder)
        error = opened.store._as_domain_error(lmdb.PanicError("Update of meta page failed"))
        assert error is opened.store.ended_by
        opened.close()
    with opened_in(folder) as opened:
        assert head == opened.store.head
    assert [] == aside(folder)
