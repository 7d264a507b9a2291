"""A machine that is kept busy while a command runs, and no longer."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.busy import main, run, spinning

POLITE: Final = 19


def children() -> set[int]:
    """Processes that this one has started and that have not been waited for."""
    task = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(map(int, task.read_text().split()))


def test_a_spinner_runs_while_the_block_lasts_and_is_gone_after_it() -> None:
    with spinning(POLITE) as pid:
        assert pid in children()
    assert pid not in children()


def test_a_command_that_fails_passes_its_status_on_and_leaves_nothing() -> None:
    before = children()
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    assert 3 == run(command, spinners=2, niceness=POLITE)
    assert before == children()


def test_a_command_comes_behind_two_dashes() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit(len(sys.argv))", "--spinners", "x"]
    assert 3 == main(["--spinners", "1", "--niceness", str(POLITE), "--", *command])


@pytest.mark.parametrize("spinners", ["-1", "65", "many"])
def test_spinners_are_bounded(spinners: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--spinners", spinners, "--", "true"])
