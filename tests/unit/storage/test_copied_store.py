"""Copies of stores, and stores that were put back: each goes on under a life of its own."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import lmdb
import pytest
from msgspec.structs import replace

from sidecar.domain.leases.model import LeaseResult, LeaseStatus, LeaseWish
from sidecar.domain.limits.counters import CounterName
from sidecar.storage import keys
from sidecar.storage.folder_marks import FolderMarks
from sidecar.storage.leases import Leases
from sidecar.storage.store import Store
from sidecar.storage.store_place import place_of
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.processes import ROOT
from tests.support.small_disks import NoSmallDisk, small_image
from tests.support.stores import MONTHLY, STORE_BYTES_MAX, count_in, counter_key_of, open_now

MONTH: Final = CounterName("acme", "calls", MONTHLY)
CHILD: Final = (sys.executable, "-m", "tests.support.store_child")
PRESERVING: Final = "cp -a {kept}/. {folder}"
PUT_BACK: Final = (PRESERVING, "cp -r {kept}/. {folder}", "tar -cC {kept} . | tar -xC {folder}")
"""Ways to put a folder's contents back. The last takes other inodes, the others those there are."""


@contextmanager
def opened_in(folder: Path) -> Iterator[Store]:
    opened = open_now(folder)
    try:
        yield opened.store
    finally:
        opened.close()


def lease_of(store: Store) -> int | None:
    """Up to where may be counted on the monthly counter; `None` without a lease."""
    counter = store.transact(lambda transaction: transaction.counter(counter_key_of(MONTHLY)))
    return None if counter is None or counter.lease is None else counter.lease.granted


def used(store: Store) -> int:
    counter = store.transact(lambda transaction: transaction.counter(counter_key_of(MONTHLY)))
    return 0 if counter is None else counter.used


def lease(store: Store, granted: int) -> None:
    leases = Leases(store)
    (asked,) = leases.request([LeaseWish(MONTH, 1, granted)])
    granted_us = MONTHLY.window.end_us
    result = LeaseResult(asked.number, LeaseStatus.GRANTED, granted, granted_us, amount=100)
    assert 1 == leases.take(store.incarnation.id, [(MONTH, result, granted)])


def live(folder: Path) -> str:
    """A life with a lease and three records; closed in order."""
    with opened_in(folder) as store:
        lease(store, 30)
        for _ in range(3):
            store.transact(lambda transaction: count_in(transaction, 1))
        return store.incarnation.id


def kill(folder: Path) -> None:
    killed = subprocess.run([*CHILD, "kill", folder, "2"], check=False, timeout=HANG_SECONDS_MAX)
    assert -9 == killed.returncode


def note(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what the folder tells of its store."""
    identity = json.loads((folder / "identity").read_text())
    change(identity)
    (folder / "identity").write_text(json.dumps(identity))


def require_new_life(store: Store, left: str, counted: int) -> None:
    """As after a loss of power: what waits is sent, nothing of a lease is spent."""
    assert [left] == [known.id for known in store.incarnations[:-1]]
    assert (counted, counted, None) == (used(store), store.waiting_records(), lease_of(store))
    (entry,), _ = Leases(store).page(b"", 10)
    assert (left, 30) == (entry.incarnation, entry.granted)


@pytest.mark.parametrize("ends_in", ["closed", "killed"])
def test_a_copy_takes_a_new_life_and_the_original_goes_on(tmp_path: Path, ends_in: str) -> None:
    original, copy, counted = tmp_path / "original", tmp_path / "copy", 3
    life = live(original)
    if ends_in == "killed":
        kill(original)
        counted = 5
    shutil.copytree(original, copy)
    with opened_in(copy) as copied, opened_in(original) as store:
        assert life == store.incarnation.id
        assert (30, counted) == (lease_of(store), used(store))
        require_new_life(copied, life, counted)
        taken = copied.incarnation.id
    with opened_in(copy) as copied:
        assert taken == copied.incarnation.id


def test_a_file_that_was_copied_by_itself_takes_a_new_life(tmp_path: Path) -> None:
    life = live(tmp_path / "original")
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "original" / "data.mdb", tmp_path / "copy")
    with opened_in(tmp_path / "copy") as store:
        require_new_life(store, life, 3)


def test_a_file_that_was_put_back_in_its_place_takes_a_new_life(tmp_path: Path) -> None:
    folder, kept = tmp_path / "store", tmp_path / "kept"
    life = live(folder)
    shutil.copy(folder / "data.mdb", kept)
    with opened_in(folder) as store:
        Leases(store).request([LeaseWish(MONTH, 0, 0)])
    inode = (folder / "data.mdb").stat().st_ino
    shutil.copy(kept, folder / "data.mdb")
    assert inode == (folder / "data.mdb").stat().st_ino
    with opened_in(folder) as store:
        require_new_life(store, life, 3)


def end(folder: Path, ends_in: str) -> None:
    """Count twice in another opening, which ends so."""
    if ends_in == "killed":
        kill(folder)
        return
    with opened_in(folder) as store:
        for _ in range(2):
            store.transact(lambda transaction: count_in(transaction, 1))


def put_back(command: str, kept: Path, folder: Path) -> None:
    subprocess.run(command.format(kept=kept, folder=folder), shell=True, check=True)


def put_back_what_differs(kept: Path, folder: Path) -> None:
    """As a tool does that writes in place, and trusts sizes and times of files."""
    for path in kept.iterdir():
        place, facts = folder / path.name, path.stat()
        if place.exists():
            there = place.stat()
            if (there.st_size, there.st_mtime_ns) == (facts.st_size, facts.st_mtime_ns):
                continue
        shutil.copyfile(path, place)
        os.utime(place, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    for path in folder.iterdir():
        if not (kept / path.name).exists():
            path.unlink()


@pytest.mark.parametrize("ends_in", ["closed", "killed"])
@pytest.mark.parametrize("left", ["closed", "killed"])
@pytest.mark.parametrize("command", [*PUT_BACK, ""], ids=["cp -a", "cp -r", "tar", "differing"])
def test_a_folder_that_was_put_back_in_its_place_takes_a_new_life(
    tmp_path: Path, command: str, left: str, ends_in: str
) -> None:
    folder, kept = tmp_path / "store", tmp_path / "kept"
    life = live(folder)
    end(folder, left)
    put_back("cp -a {folder} {kept}", kept, folder)
    end(folder, ends_in)
    if command:
        put_back(command, kept, folder)
    else:
        put_back_what_differs(kept, folder)
    with opened_in(folder) as store:
        require_new_life(store, life, 5)
        taken = store.incarnation.id
    with opened_in(folder) as store:
        assert taken == store.incarnation.id


def test_a_folder_that_was_put_back_takes_a_new_life_even_if_nothing_was_counted_since(
    tmp_path: Path,
) -> None:
    folder, kept = tmp_path / "store", tmp_path / "kept"
    life = live(folder)
    kill(folder)
    put_back("cp -a {folder} {kept}", kept, folder)
    put_back(PRESERVING, kept, folder)
    with opened_in(folder) as store:
        require_new_life(store, life, 5)


@pytest.mark.parametrize("ends_in", ["closed", "killed"])
@pytest.mark.parametrize("left", ["closed", "killed"])
def test_a_file_alone_that_was_put_back_from_before_an_opening_takes_a_new_life(
    tmp_path: Path, left: str, ends_in: str
) -> None:
    folder, kept = tmp_path / "store", tmp_path / "kept"
    life = live(folder)
    end(folder, left)
    shutil.copy(folder / "data.mdb", kept)
    with opened_in(folder):
        pass
    end(folder, ends_in)
    shutil.copy(kept, folder / "data.mdb")
    with opened_in(folder) as store:
        require_new_life(store, life, 5)


def write_nothing(path: Path, data: bytes) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_on_a_full_disk_a_store_goes_on_as_it_was_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = live(tmp_path)
    for _ in range(3):
        with monkeypatch.context() as full:
            full.setattr("sidecar.storage.folder_marks._write", write_nothing)
            with opened_in(tmp_path) as store:
                assert (life, 30) == (store.incarnation.id, lease_of(store))
        with opened_in(tmp_path) as store:
            assert (life, 30) == (store.incarnation.id, lease_of(store))


@pytest.mark.parametrize("step", ["with_new_seal", "_write", "remove_other_seals"])
def test_an_owner_that_ends_while_it_notes_its_place_is_followed_as_if_it_had_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        pass

    def end_there(*_: object) -> None:
        raise Killed

    life = live(tmp_path)
    for _ in range(3):
        marks, place = FolderMarks(tmp_path), place_of(tmp_path / "data.mdb")
        noted = replace(marks.identity(), place=place)
        with monkeypatch.context() as killed:
            killed.setattr(f"sidecar.storage.folder_marks.{step}", end_there)
            with pytest.raises(Killed):
                marks.put_identity(noted)
        with opened_in(tmp_path) as store:
            assert (life, 30) == (store.incarnation.id, lease_of(store))


@pytest.mark.parametrize("ends_in", ["closed", "killed"])
def test_a_store_that_is_opened_again_goes_on_whatever_its_files_may_be_written_by(
    tmp_path: Path, ends_in: str
) -> None:
    life = live(tmp_path)
    for opening in range(4):
        for name in ("identity", "in-use", "not-in-use", "data.mdb", "owner.lock"):
            with suppress(FileNotFoundError):
                (tmp_path / name).chmod(0o444 if opening % 2 else 0o666)
        end(tmp_path, ends_in)
    with opened_in(tmp_path) as store:
        assert (life, 30, 11) == (store.incarnation.id, lease_of(store), used(store))


def test_a_store_of_before_there_were_seals_goes_on(tmp_path: Path) -> None:
    life = live(tmp_path)
    for name in ("seal", "sealed_ns"):
        note(tmp_path, lambda identity, name=name: identity["place"].pop(name))  # type: ignore[misc]
    for seal in tmp_path.glob("seal-*"):
        seal.unlink()
    for _ in range(2):
        with opened_in(tmp_path) as store:
            assert (life, 30) == (store.incarnation.id, lease_of(store))
            assert 1 == len([*tmp_path.glob("seal-*")])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda place: place.update(boot="another"), id="another boot or machine"),
        pytest.param(lambda place: place.update(device=place["device"] + 1), id="another volume"),
        pytest.param(lambda place: place.update(inode=place["inode"] + 1), id="another file"),
    ],
)
def test_a_closed_store_that_is_elsewhere_takes_a_new_life(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    life = live(tmp_path)
    note(tmp_path, lambda identity: change(identity["place"]))
    with opened_in(tmp_path) as store:
        require_new_life(store, life, 3)


def test_where_nobody_can_tell_where_it_was_a_store_takes_a_new_life(tmp_path: Path) -> None:
    life = live(tmp_path)
    (tmp_path / "identity").write_text("no identity")
    with opened_in(tmp_path) as store:
        require_new_life(store, life, 3)


def test_a_store_of_the_version_before_which_noted_no_place_goes_on(tmp_path: Path) -> None:
    life = live(tmp_path)
    note(tmp_path, lambda identity: identity.pop("place"))
    env = lmdb.open(str(tmp_path), lib_version=0, lock=False, map_size=STORE_BYTES_MAX)
    with env, env.begin(write=True) as transaction:
        transaction.put(keys.META_FORMAT, b"7")
    for _ in range(2):
        with opened_in(tmp_path) as store:
            assert (life, 3) == (store.incarnation.id, used(store))


def test_a_folder_that_was_moved_is_no_copy(tmp_path: Path) -> None:
    life = live(tmp_path / "here")
    kill(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    with opened_in(tmp_path / "there") as store:
        assert (life, 30, 5) == (store.incarnation.id, lease_of(store), used(store))


def test_of_a_volume_and_its_copy_at_most_one_goes_on_as_it_was(tmp_path: Path) -> None:
    try:
        volume = small_image("ext4", tmp_path)
    except NoSmallDisk as error:
        pytest.skip(str(error))
    copy, one, other = tmp_path / "copy.img", tmp_path / "one", tmp_path / "other"
    for place in (one, other):
        place.mkdir()
    assert 137 == mounted({one: volume}, f"{' '.join(CHILD)} kill {one}/store 3")[0]
    shutil.copy(volume, copy)
    say = " && ".join(f"{' '.join(CHILD)} life {place}/store" for place in (one, other))
    ended, said = mounted({one: volume, other: copy}, say)
    lives = [line.split() for line in said.splitlines()]
    assert (0, 2, ["3", "3"]) == (ended, len(lives), [waiting for _, waiting in lives])
    assert lives[0][0] != lives[1][0]


def mounted(images: dict[Path, Path], command: str) -> tuple[int, str]:
    """How a command ends with images mounted on folders, and what it says."""
    mounts = [f"mount -o loop {image} {place}" for place, image in images.items()]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", " && ".join([*mounts, command])],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=HANG_SECONDS_MAX,
    )
    return done.returncode, done.stdout
