"""Opening a store's folder: one owner, files that verify, and what the last owner left behind."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lmdb
import pytest

from sidecar.domain.slices import whole
from sidecar.storage import keys
from sidecar.storage.codec import STORE_FORMAT, StoreFormatError
from sidecar.storage.lmdb_engine import StoreInUse
from sidecar.storage.outbox import Outbox
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction
from sidecar.storage.verification import problem_in_metas
from sidecar.sync.records import UsageRecordReader
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.stores import (
    MONTHLY,
    STORE_BYTES_MAX,
    chain_of,
    count_in,
    counter_key_of,
    open_now,
    record_of,
)

PAGE_BYTES = 4096

NEWER_FORMAT: Final = b"%d" % (STORE_FORMAT + 1)


@contextmanager
def opened_in(folder: Path) -> Iterator[Store]:
    opened = open_now(folder)
    try:
        yield opened.store
    finally:
        opened.close()


def count(store: Store, times: int = 1) -> None:
    for _ in range(times):
        store.transact(lambda transaction: count_in(transaction, 1))


def used(store: Store) -> int:
    counter = store.transact(lambda t: t.counter(counter_key_of(MONTHLY)))
    return 0 if counter is None else counter.used


def put_format(store: Store, number: bytes) -> None:
    def work(transaction: Transaction) -> None:
        assert transaction.kv is not None
        transaction.kv.put(keys.META_FORMAT, number)

    store.transact(work)


def child(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tests.support.store_child", *map(str, arguments)]


def lose_power(folder: Path) -> None:
    """As if the process had not closed the store, and the machine was started again since."""
    (folder / "in-use").write_text("another boot\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "store"


def test_a_folder_is_made_with_a_store_in_it(folder: Path) -> None:
    with opened_in(folder) as store:
        assert 36 == len(store.incarnation.id)
        assert {"owner.lock", "in-use", "identity", "seal-1", "data.mdb"} == set(names(folder))
    assert {"owner.lock", "not-in-use", "identity", "seal-2", "data.mdb"} == set(names(folder))


def test_closed_in_order_and_opened_again_it_goes_on(folder: Path) -> None:
    with opened_in(folder) as store:
        count(store, 3)
        incarnation, head = store.incarnation.id, store.head
    with opened_in(folder) as store:
        assert (incarnation, head, 3) == (store.incarnation.id, store.head, used(store))


def test_a_killed_process_loses_nothing(folder: Path) -> None:
    killed = subprocess.run(child("kill", folder, 257), check=False, timeout=HANG_SECONDS_MAX)
    assert -9 == killed.returncode
    with opened_in(folder) as store:
        assert (257, 257, 257) == (used(store), store.head.sequence, store.waiting_records())
        assert chain_of(*[record_of(1)] * 257) == store.head.chain
        assert 1 == len(store.incarnations)


def test_a_second_owner_is_refused_while_the_first_lives(folder: Path) -> None:
    with subprocess.Popen(
        child("hold", folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        assert "open\n" == owner.stdout.readline()
        with pytest.raises(StoreInUse, match=f"in use by another process.*{owner.pid}"):
            open_now(folder)
        owner.stdin.close()
        assert 0 == owner.wait(timeout=HANG_SECONDS_MAX)
    with opened_in(folder) as store:
        count(store)


def test_a_second_opening_in_one_process_is_refused_too(folder: Path) -> None:
    with opened_in(folder) as store:
        count(store)
        with pytest.raises(StoreInUse):
            open_now(folder)
        count(store)
        assert 2 == used(store)


def test_a_store_of_a_newer_format_is_refused_and_left_as_it_is(folder: Path) -> None:
    with opened_in(folder) as store:
        count(store)
        put_format(store, NEWER_FORMAT)
    before = (folder / "data.mdb").read_bytes()
    with pytest.raises(StoreFormatError, match=rf"format {int(NEWER_FORMAT)}, written by a newer"):
        open_now(folder)
    assert before == (folder / "data.mdb").read_bytes()
    assert [] == damaged(folder)


def test_after_a_refusal_the_folder_is_free_again(folder: Path) -> None:
    with opened_in(folder) as store:
        put_format(store, NEWER_FORMAT)
    for _ in range(2):
        with pytest.raises(StoreFormatError):
            open_now(folder)


def test_after_a_loss_of_power_a_new_life_begins_and_the_outbox_is_still_sent(
    folder: Path,
) -> None:
    with opened_in(folder) as store:
        count(store, 3)
        first = store.incarnation.id
    lose_power(folder)
    with opened_in(folder) as store:
        assert [first] == [incarnation.id for incarnation in store.incarnations[:-1]]
        assert (3, 3, 0) == (used(store), store.waiting_records(), store.head.sequence)
        run = whole(Outbox(store, UsageRecordReader()).next_run(10, 1 << 20))
        assert run is not None
        assert (first, 3) == (run.incarnation, len(run.records))


def test_an_opening_that_fails_does_not_hide_a_loss_of_power(folder: Path) -> None:
    """Such as that of an older program, which is then replaced by the right one."""
    with opened_in(folder) as store:
        count(store)
        first = store.incarnation.id
        put_format(store, NEWER_FORMAT)
    lose_power(folder)
    with pytest.raises(StoreFormatError):
        open_now(folder)
    with lmdb.open(str(folder), lib_version=0) as env, env.begin(write=True) as transaction:
        transaction.put(keys.META_FORMAT, b"1")
    with opened_in(folder) as store:
        assert first != store.incarnation.id


def test_a_kill_without_a_loss_of_power_keeps_the_life(folder: Path) -> None:
    subprocess.run(child("kill", folder, 1), check=False, timeout=HANG_SECONDS_MAX)
    assert "in-use" in names(folder)
    with opened_in(folder) as store:
        assert 1 == len(store.incarnations)
        assert 1 == store.head.sequence


def scribble(data: Path) -> None:
    """Overwrite everything."""
    data.write_bytes(b"\xa5" * data.stat().st_size)


def scribble_over_the_tree(data: Path) -> None:
    """Overwrite everything behind the two meta pages."""
    content = data.read_bytes()
    rest = len(content) - 2 * PAGE_BYTES
    data.write_bytes(content[: 2 * PAGE_BYTES] + b"\xa5" * rest)


@pytest.mark.parametrize("damage", [scribble, scribble_over_the_tree])
@pytest.mark.parametrize("powerless", [True, False], ids=["power lost", "same boot"])
def test_a_damaged_store_is_set_aside_and_a_new_one_begins(
    folder: Path, damage: Callable[[Path], None], powerless: bool
) -> None:
    with opened_in(folder) as store:
        count(store, 50)
        first = store.incarnation.id
    damage(folder / "data.mdb")
    broken = (folder / "data.mdb").read_bytes()
    if powerless:
        lose_power(folder)
    with opened_in(folder) as store:
        assert first != store.incarnation.id
        assert (0, 0) == (used(store), store.head.sequence)
        count(store)
    (aside,) = damaged(folder)
    assert broken == (aside / "data.mdb").read_bytes()
    with opened_in(folder) as store:
        assert 1 == used(store)


@pytest.mark.parametrize("powerless", [True, False], ids=["power lost", "same boot"])
@pytest.mark.parametrize("pages", [1, 2, 3, 5])
def test_a_store_cut_short_is_set_aside(folder: Path, pages: int, powerless: bool) -> None:
    with opened_in(folder) as store:
        count(store, 50)
    content = (folder / "data.mdb").read_bytes()
    (folder / "data.mdb").write_bytes(content[: pages * PAGE_BYTES])
    if powerless:
        lose_power(folder)
    with opened_in(folder) as store:
        assert 0 == used(store)
    assert 1 == len(damaged(folder))


def test_a_store_without_its_unused_end_goes_on(folder: Path) -> None:
    with opened_in(folder) as store:
        count(store, 50)
    with lmdb.open(str(folder), lib_version=0, lock=False) as env:
        end = (env.info()["last_pgno"] + 1) * PAGE_BYTES
    with open(folder / "data.mdb", "r+b") as opened:
        opened.truncate(end)
    with opened_in(folder) as store:
        count(store)
        assert 51 == used(store)
    assert [] == damaged(folder)


def test_a_last_page_that_was_never_written_is_no_damage(folder: Path) -> None:
    """LMDB writes none that a transaction took and gave back. The file then seems cut short."""
    put_file_with_a_page_given_back(folder)
    data = folder / "data.mdb"
    assert problem_in_metas(data)
    with opened_in(folder) as store:
        count(store)
        assert 1 == used(store)
    assert not problem_in_metas(data)
    assert [] == damaged(folder)


def put_file_with_a_page_given_back(folder: Path) -> None:
    """Make a store whose last page in use is free, and lies behind the end of the file."""
    folder.mkdir(parents=True)
    sizes = random.Random(88)
    with lmdb.open(str(folder), map_size=STORE_BYTES_MAX, lib_version=0, lock=False) as env:
        with env.begin(write=True) as transaction:
            for number in range(60):
                transaction.put(b"%06d" % number, b"x" * sizes.randrange(10, 900))
        for first, last in (24, 24), (8, 16), (27, 59):
            with env.begin(write=True) as transaction:
                for number in range(first, last + 1):
                    transaction.delete(b"%06d" % number)


def test_two_damaged_stores_in_a_row_are_both_kept(folder: Path) -> None:
    for _ in range(2):
        with opened_in(folder) as store:
            count(store, 2)
        scribble(folder / "data.mdb")
    with opened_in(folder):
        pass
    assert 2 == len(damaged(folder))


def test_a_path_that_is_a_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        open_now(tmp_path / "file")


def test_a_full_disk_is_a_clear_error_and_loses_nothing(folder: Path) -> None:
    with opened_in(folder):
        pass
    filled = subprocess.run(
        child("fill", folder, 512 << 10),
        check=False,
        timeout=HANG_SECONDS_MAX,
        capture_output=True,
        text=True,
    )
    assert (0, "") == (filled.returncode, filled.stderr)
    error, before, after = filled.stdout.splitlines()
    assert error in ("ERROR Exhausted STORE_FULL", "ERROR Unavailable STORE_FAILED")
    assert int(before) > 100
    assert int(before) + 1 == int(after)
    with opened_in(folder) as store:
        assert (int(after), int(after)) == (used(store), store.waiting_records())
        assert chain_of(*[record_of(1)] * int(after)) == store.head.chain
        count(store)


def test_what_is_set_aside_again_and_again_does_not_fill_the_disk(folder: Path) -> None:
    first: list[Path] = []
    for _ in range(6):
        with opened_in(folder) as store:
            count(store)
        (folder / "data.mdb").write_bytes(b"junk" * 9000)
        with opened_in(folder) as store:
            assert 0 == store.waiting_records()
        first = first or damaged(folder)
    assert 4 == len(damaged(folder))
    assert first[0] not in damaged(folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def damaged(folder: Path) -> list[Path]:
    return sorted(folder.glob("damaged-*"))
