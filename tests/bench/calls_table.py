"""The table of calls: who answers, how calls come and who calls; and ratios to the yardsticks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.bench.calls import CALLERS, CHECK_SIDE, ECHO_SIDE, GO_SIDE, OTHER_CHECK_SIDE, ROUTES
from tests.bench.columns import columns
from tests.bench.figures import Section
from tests.bench.load import Route

_SIDES: Final = {
    ECHO_SIDE: "echo (E)",
    GO_SIDE: "Go echo (G)",
    CHECK_SIDE: "check",
    OTHER_CHECK_SIDE: "check by grpcio",
}
_FIGURES: Final = {
    "CPU us": ("cpu_us_per_call", 1),
    "p50 us": ("p50_us", 0),
    "p99 us": ("p99_us", 0),
    "calls/s": ("calls_per_s", 0),
    "CPU/E": ("cpu_ratio", 2),
    "p50/E": ("p50_ratio", 2),
    "calls/E": ("calls_ratio", 2),
    "CPU/G": ("go_cpu_ratio", 2),
    "p50/G": ("go_p50_ratio", 2),
    "calls/G": ("go_calls_ratio", 2),
    "driver us": ("driver_cpu_us_per_call", 1),
}
"""By heading: the key of a figure, and its decimals."""


def calls_table(sections: Mapping[str, Section]) -> str:
    """Medians of the calls that were measured, in columns; empty if none were.

    The driver's own CPU time a call is there to show that it had time left.
    """
    rows = list(_rows(sections))
    headings = ("route", "callers", "who answers", *_FIGURES)
    return columns([headings, *rows], headings[:3]) if rows else ""


def _rows(sections: Mapping[str, Section]) -> Iterator[tuple[str, ...]]:
    for route_name, route in ROUTES.items():
        for callers_name, callers in CALLERS.items():
            for side, label in _SIDES.items():
                section = sections.get(side + route_name + callers_name)
                if section is not None:
                    shape = f"{callers.connections}x{callers.in_flight}"
                    cells = (_cell(section, *figure) for figure in _FIGURES.values())
                    yield (_label(route), shape, label, *cells)


def _label(route: Route) -> str:
    return ("TCP" if route.tcp else "Unix socket") + (", deadlines" if route.deadline else "")


def _cell(section: Section, key: str, decimals: int) -> str:
    value = section.get(key)
    return f"{value:,.{decimals}f}" if isinstance(value, float) else ""
