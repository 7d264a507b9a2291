"""The walk of a check: which Python functions run for it, how often, and where they stand.

A frame is a function that begins, or a coroutine that goes on. What background tasks do is left
out, even where they do it for every check that was made: it is reached by way of functions that run
less often.
"""

from __future__ import annotations

import pstats
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.bench.servers import ROOT

_OURS: Final = ROOT / "sidecar"
_Place: TypeAlias = tuple[str, int, str]
"""File, line and function, as `pstats` has them."""
_LEAST: Final = 0.95
"""Frames a check; what runs less often is not on everyone's way."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A function on the way. `file`: below `sidecar/`; empty for one of a library.

    `frames`: a check. `within_s`: seconds that were spent in it and below.
    """

    file: str
    function: str
    frames: float
    within_s: float


def stops(profile: Path, checks: int) -> list[Stop]:
    """Where checks come by, from a cProfile output of so many."""
    statistics: Any = pstats.Stats(str(profile))
    places: Mapping[_Place, tuple[Any, ...]] = statistics.stats
    return [
        Stop(_ours(place[0]), place[2], round(calls / checks, 1), places[place][3])
        for place, calls in _on_the_way(places, _LEAST * checks).items()
        if place[0] != "~"  # which is what C functions have
    ]


def _on_the_way(places: Mapping[_Place, tuple[Any, ...]], least: float) -> dict[_Place, float]:
    """Calls of the functions that run so often by way of none that does not."""
    calls = {place: float(entry[1]) for place, entry in places.items()}
    while True:
        kept = {place for place, count in calls.items() if count >= least}
        if len(kept) == len(calls):
            return calls
        calls = {
            place: places[place][1]
            - sum(edge[0] for caller, edge in places[place][4].items() if caller not in kept)
            for place in kept
        }


def told(found: Sequence[Stop]) -> str:
    """The walk as text: its length, and its stops file by file, from the outside in."""
    files: defaultdict[str, list[Stop]] = defaultdict(list)
    for stop in sorted(found, key=lambda stop: -stop.within_s):
        files[stop.file].append(stop)
    others = files.pop("", [])
    ours = sum(stop.frames for file in files.values() for stop in file)
    rooms = {file.partition("/")[0] for file in files if "/" in file}
    length = f"{ours:.0f} Python frames a check, in {len(files)} files of {len(rooms)} rooms"
    lines = [f"{length}; {_frames(others):.0f} more in libraries"]
    for file, there in files.items():
        names = ", ".join(_named(stop) for stop in there)
        lines.append(f"  {file}: {names}")
    if others:
        lines.append(f"  libraries: {', '.join(_named(stop) for stop in others)}")
    return "\n".join(lines)


def _ours(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(_OURS)) if path.is_relative_to(_OURS) else ""


def _frames(found: Sequence[Stop]) -> float:
    return sum(stop.frames for stop in found)


def _named(stop: Stop) -> str:
    return stop.function if stop.frames == 1 else f"{stop.function} x{stop.frames:g}"
