"""Whether a database is sound: looked at when it is opened, since SQLite believes what it reads.

A damaged page is found by SQLite only where it is read, and what is not read goes on being served;
so a database that is damaged somewhere is refused as a whole, before anything is answered from it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Final

import structlog

from sidecar.control.errors import StoreRefused

LOOK_S_MAX: Final = 10.0
"""A database that takes longer is served without: a start must not depend on its size."""
_STEPS_BETWEEN_LOOKS: Final = 100_000
_PROBLEMS_MAX: Final = 3
_PRIMARY_CODE: Final = 0xFF

log = structlog.get_logger(__name__)


def require_sound(
    connection: sqlite3.Connection, name: str, now_s: Callable[[], float] = time.monotonic
) -> None:
    """Go through a database; raises `StoreRefused`, and `sqlite3.Error` where it cannot be read."""
    stop_s = now_s() + LOOK_S_MAX
    connection.set_progress_handler(lambda: now_s() >= stop_s, _STEPS_BETWEEN_LOOKS)
    try:
        found = connection.execute(f"PRAGMA quick_check({_PROBLEMS_MAX})").fetchall()
    except sqlite3.Error as error:
        if is_damage(error):
            raise damaged(name, str(error)) from error
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        log.warning("control.database_not_looked_through", database=name, seconds=LOOK_S_MAX)
        return
    finally:
        connection.set_progress_handler(None, 0)
    if found != [("ok",)]:
        raise damaged(name, "; ".join(" ".join(problem.split()) for (problem,) in found))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that what is in the file is not what was written there."""
    code = getattr(error, "sqlite_errorcode", None)  # none where Python itself has raised it
    return code is not None and code & _PRIMARY_CODE == sqlite3.SQLITE_CORRUPT


def damaged(name: str, problem: str) -> StoreRefused:
    """Why a database is refused."""
    return StoreRefused(
        f"{name}: is damaged ({problem}); restore it from a backup: sidecars then send what they "
        "still have of what it lacks"
    )
