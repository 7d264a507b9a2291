"""What came of runs: of one, and of many together."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from sidecar.domain.limits.reasons import Reason
from tests.simulation.leases.calls import Told
from tests.simulation.leases.offers import offer_of_slot

if TYPE_CHECKING:
    from tests.simulation.leases.world import World

_LIMITED = frozenset({Reason.LIMIT_EXCEEDED, Reason.LEASE_UNAVAILABLE})


class Outcome(msgspec.Struct, frozen=True):
    """What came of a run. `violation`: what must not have been; empty for nothing.

    `waited`: calls for which the plane was asked. `denied`: for want of a limit or of a lease;
    `wrongly` of them though in the end there was enough. `stale_us`: how old what was known of
    others was at most. `overspend`: most that checks admitted of a counter beyond its ceiling.
    """

    seed: int
    steps: int
    violation: str = ""
    calls: int = 0
    allowed: int = 0
    waited: int = 0
    denied: int = 0
    wrongly: int = 0
    overspend: int = 0
    stale_us: int = 0


class Measured(msgspec.Struct, frozen=True):
    """A run without faults. `utilisation`: the least of a limit that was asked for in full.

    `round_trips`: the part of calls that waited for the plane, before the last hundredth of it.
    """

    name: str
    calls: int
    utilisation: float
    round_trips: float
    overspend: int


def outcome_of(world: World, seed: int, violation: str, overspend: int) -> Outcome:
    """What came of a run that is over."""
    denied = [told for told in world.told if told.reason in _LIMITED]
    used = _used(world)
    return Outcome(
        seed,
        world.timeline.steps,
        violation,
        calls=len(world.told),
        allowed=sum(told.allowed for told in world.told),
        waited=sum(told.waited for told in world.told),
        denied=len(denied),
        wrongly=sum(_was_wrong(told, used) for told in denied),
        overspend=overspend,
        stale_us=max((told.stale_us for told in world.told), default=0),
    )


def summary_of(outcomes: Iterable[Outcome], measured: Iterable[Measured]) -> tuple[str, str]:
    """What came of many runs: for people, and as one JSON object."""
    runs, measures = list(outcomes), list(measured)
    broken = [run for run in runs if run.violation]
    calls, denied = sum(run.calls for run in runs), sum(run.denied for run in runs)
    waited, wrongly = sum(run.waited for run in runs), sum(run.wrongly for run in runs)
    lines = [
        f"{each.name}: {each.calls} calls, {each.utilisation:.2%} of the limit used, "
        f"{each.round_trips:.3%} of calls with a round trip, {each.overspend} too many"
        for each in measures
    ]
    overspends = [run.overspend for run in runs] + [each.overspend for each in measures]
    stale_s = max((run.stale_us for run in runs), default=0) / 1_000_000
    lines.append(
        f"with faults: {calls} calls, {waited} waited for the plane, {denied} were denied by a "
        f"limit or for want of a lease, {wrongly} of them though in the end there was enough; what "
        f"was known of others was {stale_s:.1f} s old at most"
    )
    lines += [f"seed {run.seed}: {run.violation}" for run in broken]
    told = {
        "seeds": len(runs),
        "steps": sum(run.steps for run in runs),
        "violations": len(broken),
        "utilisation_min": min((each.utilisation for each in measures), default=None),
        "overspend_max": max(0, *overspends) if overspends else 0,
        "round_trip_share": max((each.round_trips for each in measures), default=None),
        "calls": calls,
        "calls_that_waited": waited,
        "denials": denied,
        "denials_wrong_in_hindsight": wrongly,
        "staleness_us_max": max((run.stale_us for run in runs), default=0),
    }
    return "\n".join(lines), json.dumps(told)


_Of = tuple[str, str, str, tuple[str, ...], int]
"""Company, feature, limit, values, and the start of the window."""


def _used(world: World) -> dict[_Of, int]:
    """What came to be used, by checks and reports; of several generations the most."""
    used: dict[_Of, int] = defaultdict(int)
    for name, tallied in world.book.counters.items():
        ref = name.counter
        limit = offer_of_slot(name.feature, ref.slot).limit
        of = (name.company, name.feature, limit, ref.values, ref.window.start_us)
        used[of] = max(used[of], tallied.admitted + tallied.reported)
    return used


def _was_wrong(told: Told, used: dict[_Of, int]) -> bool:
    """Whether there would have been enough for a call that was denied, in hindsight."""
    call, binding = told.call, told.binding
    if binding is None:
        return False
    of = (call.company, call.feature, binding.id, binding.values, binding.window.start_us)
    return used.get(of, 0) + call.quantity <= (binding.limit.amount or 0)
