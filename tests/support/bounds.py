"""The bounds that end a hang. None of them is a measurement, and no test comes near one."""

from __future__ import annotations

from typing import Final

HANG_SECONDS_MAX: Final = 180.0
"""For one condition, one call, one process to start or to end, however busy the machine is.

Below the timeout of a whole test (pyproject.toml), so that a failure says what was waited for.
"""

RUN_SECONDS_MAX: Final = 480.0
"""For a program that starts others and does much, such as the demo on a recorded trace."""
