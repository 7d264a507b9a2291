"""(a) echoes and (b) checks: what a call costs, side by side.

A section is named after who answers, how calls come, and who calls: `check_tcp_deadline_8x8`. Those
of the usual route, the Unix socket without deadlines, and of the usual eight callers have no word
for that: `check`. Everything that is compared was measured in the same round.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.bench.building import LeftOut
from tests.bench.figures import Section, pair_differences, pair_ratios, summary, turn_order
from tests.bench.load import EIGHT, ONE, SIXTY_FOUR, UNIX, Callers, Route
from tests.bench.servers import Server
from tests.bench.traffic import CHECK, ECHO, Rpc, Traffic
from tests.bench.workbench import Workbench

ECHO_SIDE: Final = "echo"
GO_SIDE: Final = "go_echo"
CHECK_SIDE: Final = "check"
OTHER_CHECK_SIDE: Final = "check_grpcio"

ROUTES: Final[Mapping[str, Route]] = {
    "": UNIX,
    "_deadline": Route(deadline=True),
    "_tcp": Route(tcp=True),
    "_tcp_deadline": Route(tcp=True, deadline=True),
}
CALLERS: Final[Mapping[str, Callers]] = {"_1x1": ONE, "": EIGHT, "_8x8": SIXTY_FOUR}

_RATIOS: Final = {
    "cpu_ratio": "cpu_us_per_call",
    "p50_ratio": "p50_us",
    "calls_ratio": "calls_per_s",
}

_Rounds: TypeAlias = defaultdict[str, dict[str, list[float]]]
"""By section and figure."""


@dataclass(frozen=True, slots=True)
class _Side:
    """Who answers. `routes`: how it is called."""

    name: str
    server: Server
    rpc: Rpc
    routes: Mapping[str, Route]


def measure_calls(bench: Workbench) -> dict[str, Section]:
    """A section for every side, route and number of callers."""
    return _Calls(bench).measure()


class _Calls:
    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._rounds: _Rounds = defaultdict(lambda: defaultdict(list))

    def measure(self) -> dict[str, Section]:
        with ExitStack() as stack:
            sides = list(self._sides(stack))
            for turn in self._bench.turns("calls"):
                self._measure_round(sides, turn)
        return {
            side.name + route + callers: self._section(side.name, route + callers)
            for side in sides
            for route in side.routes
            for callers in CALLERS
        }

    def _sides(self, stack: ExitStack) -> Iterator[_Side]:
        bench = self._bench
        yield _Side(ECHO_SIDE, stack.enter_context(bench.echo()), ECHO, ROUTES)
        try:
            yield _Side(GO_SIDE, stack.enter_context(bench.go_echo()), ECHO, ROUTES)
        except LeftOut as reason:
            bench.leave_out(GO_SIDE, str(reason))
        usual = stack.enter_context(bench.standalone(tcp=True))
        yield _Side(CHECK_SIDE, usual, CHECK, ROUTES)
        if bench.has_transports:
            other = stack.enter_context(bench.standalone(transport="grpcio"))
            yield _Side(OTHER_CHECK_SIDE, other, CHECK, {"": UNIX})
        else:
            bench.leave_out(OTHER_CHECK_SIDE, "this sidecar has one transport, that of `check`")

    def _measure_round(self, sides: list[_Side], turn: int) -> None:
        for route_name, route in ROUTES.items():
            for callers_name, callers in CALLERS.items():
                for side in turn_order(sides, turn):
                    if route_name in side.routes and self._is_due(side, route, turn):
                        name = side.name + route_name + callers_name
                        self._measure(name, side, callers, route)

    def _is_due(self, side: _Side, route: Route, turn: int) -> bool:
        is_usual = route is UNIX and side.name != OTHER_CHECK_SIDE
        return is_usual or turn < self._bench.sizes.variant_rounds

    def _measure(self, section: str, side: _Side, callers: Callers, route: Route) -> None:
        bench, rounds = self._bench, self._rounds[section]
        calls = bench.sizes.lone_calls if callers is ONE else bench.sizes.parallel_calls
        checks = Traffic(bench.sizes.companies).checks
        load = bench.load(side.server, side.rpc, checks, callers, calls, route)
        for figure in load.__slots__:
            rounds[figure].append(getattr(load, figure))

    def _section(self, side: str, kind: str) -> Section:
        """Figures of a side, and what they are of the yardsticks'."""
        rounds = self._rounds[side + kind]
        more: dict[str, list[float]] = {}
        if side != ECHO_SIDE:
            more |= self._ratios(rounds, ECHO_SIDE + kind, "")
        if side not in (ECHO_SIDE, GO_SIDE):
            more |= self._ratios(rounds, GO_SIDE + kind, "go_")
            spent_us = rounds["cpu_us_per_call"]
            echo_us = self._rounds[ECHO_SIDE + kind]["cpu_us_per_call"]
            more["cpu_us_over_echo"] = pair_differences(spent_us, echo_us[: len(spent_us)])
        return summary({**rounds, **more})

    def _ratios(
        self, rounds: Mapping[str, list[float]], yardstick: str, prefix: str
    ) -> dict[str, list[float]]:
        """Ratios to a yardstick, if it was measured; it may have more rounds, and not fewer."""
        others = self._rounds.get(yardstick)
        if others is None:
            return {}
        return {
            prefix + ratio: pair_ratios(rounds[figure], others[figure][: len(rounds[figure])])
            for ratio, figure in _RATIOS.items()
        }
