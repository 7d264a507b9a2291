"""The table at the end: figure by figure, with its target and whether it was met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tests.bench.columns import columns
from tests.bench.figures import Section


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a figure should keep."""

    bound: float
    at_most: bool = True

    def met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    section: str
    key: str
    label: str
    unit: str
    decimals: int = 1
    target: Target | None = None


def _of_checks(route: str, label: str) -> tuple[Figure, ...]:
    name = f"check{route}"
    return (
        Figure(f"{name}_1x1", "cpu_ratio", f"b  {label}, 1x1: CPU a call", "x", 2, Target(0.25)),
        Figure(name, "cpu_ratio", f"b  {label}, 8x1: CPU a call", "x", 2, Target(0.25)),
        Figure(f"{name}_8x8", "cpu_ratio", f"b  {label}, 8x8: CPU a call", "x", 2, Target(0.2)),
        Figure(f"{name}_1x1", "p50_ratio", f"b  {label}, 1x1: p50", "x", 2, Target(0.4)),
        Figure(
            f"{name}_8x8",
            "calls_ratio",
            f"b  {label}, 8x8: calls",
            "x",
            2,
            Target(5, at_most=False),
        ),
    )


def _of_changes(kind: str, sidecar: str, label: str) -> tuple[Figure, ...]:
    name = f"{kind}_{sidecar}"
    return (
        Figure("change", f"{name}_p50_ms", f"{label}: p50", "ms", 1),
        Figure("change", f"{name}_p99_ms", f"{label}: p99", "ms", 1, Target(1_000)),
    )


def _of_first_calls(key: str, label: str, unit: str, target: Target | None = None) -> Figure:
    return Figure("first_calls", key, f"k  {label}", unit, 1, target)


_FIRST_CALLS: Final = (
    _of_first_calls("calls_ratio", "first calls, 8x8 over 1x1: calls", "x", Target(5, False)),
    _of_first_calls("counters_per_message", "the same, 8x8: counters a message", ""),
    _of_first_calls("p50_us", "the same, 1x1: p50", "us"),
    _of_first_calls("together_p99_us", "the same, 8x8: p99", "us"),
    _of_first_calls("cpu_us_per_call", "the same, 1x1: CPU a call", "us"),
    _of_first_calls("together_cpu_us_per_call", "the same, 8x8: CPU a call", "us"),
    _of_first_calls("plane_cpu_us_per_counter", "the same, 8x8: CPU at the plane", "us"),
    _of_first_calls(
        "plane_calls_ratio", "plane alone, 8x8 over 1x1: messages", "x", Target(3, False)
    ),
)

FIGURES: Final = (
    *_of_checks("", "check over echo"),
    *_of_checks("_deadline", "the same with deadlines"),
    *_of_checks("_tcp", "the same on TCP"),
    Figure("batch", "cpu_us_per_check", "c  batch of 100: CPU a check", "us", 1),
    Figure("batch", "cpu_ratio", "c  the same over an echo, 8x1", "x", 3, Target(0.05)),
    Figure("engine", "us_per_check", "d  engine alone: CPU a check", "us", 1),
    Figure("engine", "bare_us", "d  the bare LMDB step under it", "us", 1),
    Figure("engine", "ratio", "d  engine alone over that", "x", 2, Target(1.3)),
    Figure("growth", "ratio", "e  many counters over few: CPU a call", "x", 2, Target(1.25)),
    Figure("growth", "engine_ratio", "e  the same, engine alone", "x", 2),
    Figure("footprint", "rss_anon_mib", "f  anonymous memory", "MiB", 1, Target(65)),
    Figure("footprint", "rss_file_mib", "f  file-backed memory beside it", "MiB", 1),
    Figure("footprint", "ready_s", "f  start to first answer", "s", 2, Target(0.4)),
    Figure(
        "disk", "calls_ratio", "g  disk over process: calls, 64 callers", "x", 2, Target(0.5, False)
    ),
    Figure("limits", "ratio", "h  ten limits over one: CPU a call", "x", 2, Target(2)),
    Figure("limits", "engine_ratio", "h  the same, engine alone", "x", 2),
    Figure("limits", "rate_ratio", "h  limit and rate over limit: CPU a call", "x", 2),
    Figure("limits", "rate_engine_ratio", "h  the same, engine alone", "x", 2),
    Figure("leases", "ratio", "j  leased limit over local one: CPU a call", "x", 2, Target(1.1)),
    Figure("leases", "engine_ratio", "j  the same, engine alone", "x", 2),
    Figure("credits", "ratio", "l  burning credits over not: CPU a call", "x", 2, Target(1.4)),
    Figure("credits", "engine_ratio", "l  the same, engine alone", "x", 2, Target(1.4)),
    Figure("credits", "no_limit_ratio", "l  the same without a limit", "x", 2, Target(1.4)),
    Figure("credits", "no_limit_engine_ratio", "l  the same, engine alone", "x", 2, Target(1.4)),
    Figure("seats", "ratio", "m  a seat that is held over a check: CPU", "x", 2, Target(1)),
    Figure("seats", "lone_ratio", "m  the same, 1x1", "x", 2),
    Figure(
        "first_calls",
        "calls_ratio",
        "k  first calls, 8x8 over 1x1: calls",
        "x",
        1,
        Target(5, False),
    ),
    Figure("first_calls", "counters_per_message", "k  the same, 8x8: counters a message", "", 1),
    Figure("first_calls", "p50_us", "k  the same, 1x1: p50", "us", 0),
    Figure("first_calls", "together_p99_us", "k  the same, 8x8: p99", "us", 0),
    Figure("first_calls", "together_cpu_us_per_call", "k  the same, 8x8: CPU a call", "us", 1),
    Figure(
        "first_calls", "plane_cpu_us_per_counter", "k  the same, 8x8: CPU at the plane", "us", 1
    ),
    Figure(
        "first_calls",
        "plane_calls_ratio",
        "k  plane alone, 8x8 over 1x1: messages",
        "x",
        1,
        Target(3, False),
    ),
    *_of_changes("plan", "all", "i  plan changed to obeyed, every company held"),
    *_of_changes("plan", "on_demand", "i  the same, companies held as seen"),
    Figure("change", "plan_bytes", "i  the same, bytes to a sidecar", "", 0),
    Figure(
        "change",
        "told_p99_ms",
        "i  plan changed to told, last of 200 watches: p99",
        "ms",
        1,
        Target(1_000),
    ),
    *_of_changes("replaced", "all", "i  the same where a plan is dropped, too"),
    *_of_changes("company", "all", "i  company changed to obeyed, every company held"),
    *_of_changes("company", "on_demand", "i  the same, companies held as seen"),
    Figure("change", "company_bytes", "i  the same, bytes to a sidecar", "", 0),
)

_HEADINGS: Final = ("figure", "median", "unit", "lowest", "highest", "target", "met")
_LEFT: Final = frozenset({"figure", "unit"})  # the other columns are numbers, or short


def table(sections: Mapping[str, Section]) -> str:
    """The figures that were measured, in columns."""
    rows = [_HEADINGS, *(_row(figure, sections[figure.section]) for figure in _measured(sections))]
    return columns(rows, _LEFT)


def missed(sections: Mapping[str, Section]) -> list[Figure]:
    """The figures that were measured and missed their targets."""
    return [
        figure
        for figure in _measured(sections)
        if figure.target and not figure.target.met(_value(figure, sections[figure.section]))
    ]


def _measured(sections: Mapping[str, Section]) -> Iterator[Figure]:
    return (figure for figure in FIGURES if figure.section in sections)


def _value(figure: Figure, section: Section) -> float:
    value = section[figure.key]
    assert isinstance(value, float)
    return value


def _row(figure: Figure, section: Section) -> tuple[str, ...]:
    value = _value(figure, section)
    rounds = section["rounds"]
    assert isinstance(rounds, Mapping)
    lowest, highest = min(rounds[figure.key]), max(rounds[figure.key])
    target, met = "", ""
    if figure.target is not None:
        target, met = str(figure.target), "yes" if figure.target.met(value) else "NO"
    numbers = [f"{number:,.{figure.decimals}f}" for number in (value, lowest, highest)]
    return (figure.label, numbers[0], figure.unit, *numbers[1:], target, met)
