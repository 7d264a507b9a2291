"""The world of a scenario does what the plane does."""

from __future__ import annotations

from pathlib import Path

import sidecar.control.rpc

PLAYED = {"debt_task", "filling_task", "plan_task", "rollover_task", "unused_credits_task"}
"""Work of the plane in the background that `World.settle` does, too."""
OF_LEASES = {"lease_task"}
"""Scenarios have one sidecar, which is the authority: nothing is leased."""


def test_what_the_plane_does_in_the_background_is_played() -> None:
    folder = Path(sidecar.control.rpc.__file__).parent
    tasks = {file.stem for file in folder.glob("*_task.py")}

    assert PLAYED | OF_LEASES == tasks, "do it in World.settle and World.next_due, and name it here"
