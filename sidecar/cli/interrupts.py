"""What Ctrl-C does at each instant of a command, so that none of them shows a traceback.

While modules are imported and on the way out it ends the process at once: there is nothing to put
in order. In between it is a `KeyboardInterrupt`, for commands that have something to put in order.
What the interpreter does before our first line, some milliseconds, is not in our hands.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Final

INTERRUPTED: Final = 130
"""Exit status; that of `ExitCode.INTERRUPTED`, which takes an import."""


def end_at_once() -> None:
    """Let Ctrl-C end the process from now on, unless it is ignored or somebody else's business."""
    if _in_main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
        sys.unraisablehook = _end_if_interrupted


def raise_in_commands() -> None:
    """Let it be a `KeyboardInterrupt` again."""
    if _in_main_thread() and signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _in_main_thread() -> bool:
    """Whether this thread may say what a signal does; others run commands in tests alone."""
    return threading.current_thread() is threading.main_thread()


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def _end_if_interrupted(unraisable: Any) -> None:
    """End where it was raised in a callback or a finaliser, which Python would only report."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        _end(signal.SIGINT, None)
    sys.__unraisablehook__(unraisable)
