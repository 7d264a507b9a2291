"""Modules that are compiled once, whatever the environment says.

Where no bytecode is kept, each of the thousands of daemons and commands that tests start compiles
all of the program anew: half of what a start costs.
"""

from __future__ import annotations

import os
import sys
from typing import Final

_DONT: Final = "PYTHONDONTWRITEBYTECODE"


def keep_bytecode() -> None:
    """Keep it, in this process and in those that it starts."""
    os.environ.pop(_DONT, None)
    sys.dont_write_bytecode = False
