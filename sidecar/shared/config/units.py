"""Numbers of settings with a unit: `4GiB` where bytes are meant, `90s` where seconds are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sidecar.domain.time.units import HOUR_US, MILLISECOND_US, SECOND_US
from sidecar.shared.durations import duration_of_text

_SIZE: Final = re.compile(r"([0-9]{1,15}) ?([KMGT]i?B)", re.ASCII)
_SIZES: Final[Mapping[str, int]] = {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGT", 1)
    for suffix, base in (("iB", 1024), ("B", 1000))
}
_LENGTHS_US: Final[Mapping[str, int]] = {
    "hours": HOUR_US,
    "seconds": SECOND_US,
    "ms": MILLISECOND_US,
}


def unit_of_name(name: str) -> str:
    """The unit that a setting has in its name, where it can be said in another one, or empty."""
    return next((part for part in name.split("_") if part == "bytes" or part in _LENGTHS_US), "")


def example_of_unit(unit: str) -> str:
    """How a number can be said with a unit, such as `4GiB`; empty where it cannot."""
    return {"bytes": "4GiB", "hours": "7d", "seconds": "90s", "ms": "2s"}.get(unit, "")


def number_of_text(text: str, unit: str) -> int | None:
    """A number in `unit` that was said with another; `None` where it is not such a text.

    What does not come to a whole number of the unit is none.
    """
    if unit == "bytes":
        found = _SIZE.fullmatch(text)
        return int(found[1]) * _SIZES[found[2]] if found else None
    if unit not in _LENGTHS_US:
        return None
    try:
        whole, rest = divmod(duration_of_text(text), _LENGTHS_US[unit])
    except ValueError:
        return None
    return None if rest else whole
