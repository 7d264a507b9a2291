"""On the path of a child process, this sends it SIGINT at an instant that a test has chosen.

TESTED_INTERRUPT is `import NAME` for when that module is looked for, or `exit` for when the
interpreter ends.
"""

import atexit
import os
import signal
import sys

KIND, _, NAME = os.environ["TESTED_INTERRUPT"].partition(" ")


def interrupt() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


class Watched:
    """Finds no module, but sees which are looked for."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Interrupt at the chosen one."""
        if name == NAME:
            interrupt()


signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
if KIND == "import":
    sys.meta_path.insert(0, Watched)
elif KIND == "exit":
    atexit.register(interrupt)
