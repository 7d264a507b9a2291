"""Two processes on one database, as two planes are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.values import LineFilter
from tests.support.processes import ROOT
from tests.support.seeds import rounds
from tests.unit.control.support import ALICE, BOB, CAROL, key_of, set_up, used


class Child:
    """A process that answers lines by lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._into, self._out = process.stdin, process.stdout

    def tell(self, line: str = "") -> None:
        self._into.write(f"{line}\n")
        self._into.flush()

    def said(self) -> str:
        return self._out.readline().strip()

    def ask(self, line: str) -> str:
        self.tell(line)
        return self.said()


@contextmanager
def child(mode: str, path: Path, *arguments: object) -> Iterator[Child]:
    command = [sys.executable, "-m", "tests.support.plane_child", mode, str(path)]
    command += map(str, arguments)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Child(process)
        except BaseException:
            process.kill()
            raise
    assert 0 == process.returncode


def test_what_one_process_has_taken_the_other_goes_on_from(tmp_path: Path) -> None:
    path = tmp_path / "plane.db"
    with child("serve", path) as one, child("serve", path) as other:
        assert ["open", "open"] == [one.said(), other.said()]
        asked = [
            (one, "push 1 3", "3 3"),
            (other, "push 5 6", "gap 4"),
            (other, "push 2 5", "5 2"),
            (one, "push 1 5", "5 0"),
            (one, "push 6 9", "9 4"),
            (other, "push 8 20", "20 11"),
        ]
        answers = [answer for *_, answer in asked]
        assert answers == [process.ask(line) for process, line, _ in asked]
    store = SqliteStore(path)
    assert sum(range(1, 21)) == used(store)
    with store.read() as transaction:
        known = transaction.incarnation(ALICE)
        assert list(range(1, 21)) == list(transaction.chains(ALICE, 1, 99))
    assert known is not None
    assert (20, False) == (known.watermark, known.fenced)
    store.close()


def test_a_watch_at_one_process_tells_what_the_other_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "plane.db"
    store = SqliteStore(path)
    set_up(store, "acme")
    store.close()
    with child("serve", path) as one, child("serve", path) as other:
        assert ["open", "open"] == [one.said(), other.said()]
        assert "1 acme" == other.ask("watch 0")
        assert ["2", "3"] == [one.ask("add globex"), other.ask("add hooli")]
        assert ["3 globex hooli", "3 hooli"] == [other.ask("watch 1"), one.ask("watch 2")]


@pytest.mark.parametrize(("count", "seed"), rounds(60, 51, slow=1_000, seeds=(151, 152)))
def test_processes_that_open_and_push_at_once_count_each_key_once(
    tmp_path: Path, count: int, seed: int
) -> None:
    """The file is new to all of them."""
    path = tmp_path / "plane.db"
    names = (ALICE, BOB, CAROL)
    with (
        child("push", path, ALICE, count, seed) as one,
        child("push", path, BOB, count, seed) as two,
        child("push", path, CAROL, count, seed) as three,
    ):
        children = (one, two, three)
        assert ["open"] * 3 == [process.said() for process in children]
        for process in children:
            process.tell()
        assert [str(count)] * 3 == [process.said() for process in children]
    store = SqliteStore(path)
    with store.read() as transaction:
        lines = transaction.lines(LineFilter("acme"), None, 10 * count)
        (state,) = transaction.counters([key_of()])
        known = [transaction.incarnation(name) for name in names]
    assert (3 * count, count) == (len(lines), sum(not line.duplicate_of for line in lines))
    assert (3 * count, 3 * count) == (state.total, sum(state.parts.values()))
    assert [count] * 3 == [one.watermark for one in known if one]
    store.close()
