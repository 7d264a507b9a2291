"""Which window holds an instant, for a company whose time zone or billing anchor may have changed.

Rules
- A window is laid out by the time zone and the anchor in force at the instant.
- A window that is running when the time zone changes ends when it was going to end, as answers had
  said; the window after it starts there, and ends by the new zone.
- Where less than half of the new zone's window is left by then, the one after goes on to the end of
  the next. Else a month's allowance would come a second time, for a few hours, and what rolled over
  would be lost at their end.
- A moved anchor and a reset start windows anew at once; their counters are of another generation.
  But for levels: what is in use stays in use.
- Without a subscription (an override alone) a billing cycle starts at the Unix epoch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from sidecar.domain.company.model import Phase
from sidecar.domain.credits.source_slots import is_of_balance
from sidecar.domain.limits.counters import is_anchored, is_level
from sidecar.domain.time.windows import (
    UNENDING,
    Alignment,
    Window,
    WindowSpec,
    WindowUnit,
    window_at,
)

_WITHOUT_ZONE = (*UNENDING, WindowUnit.MINUTE, WindowUnit.HOUR)


def company_window(phases: Sequence[Phase], spec: WindowSpec, at_us: int) -> Window:
    """The window of a limit that holds an instant, by a company's timeline."""
    at = 0
    if len(phases) > 1:
        at = max(0, bisect_right(phases, at_us, key=lambda phase: phase.from_us) - 1)
    if at == 0 or spec.unit in _WITHOUT_ZONE:
        return _plain_window(phases[at], spec, at_us)
    zones = _zones(phases, at, spec)
    window = _plain_window(zones[0], spec, min(at_us, zones[0].until_us - 1))
    for phase in zones[1:]:
        last_us = min(at_us, phase.until_us - 1)
        if last_us >= window.end_us:
            window = _later_window(phase, spec, window.end_us, last_us)
    return window


def generation_of(phase: Phase, spec: WindowSpec) -> int:
    """The generation of counters that usage on a window belongs to, in a phase."""
    if spec.unit is WindowUnit.LEVEL:
        return 0
    anchored = spec.alignment is Alignment.ANCHORED and spec.unit not in UNENDING
    return phase.anchored_generation if anchored else phase.generation


def generation_of_slot(phase: Phase, slot: str) -> int:
    """The same by the slot of counters; 0 for what no reset starts anew: levels, grants, debts."""
    if is_level(slot) or is_of_balance(slot):
        return 0
    return phase.anchored_generation if is_anchored(slot) else phase.generation


def _zones(phases: Sequence[Phase], at: int, spec: WindowSpec) -> list[Phase]:
    """The time zones of a generation up to a phase: of each stretch in one its last phase."""
    generation = generation_of(phases[at], spec)
    zones = [phases[at]]
    while at and generation_of(phases[at - 1], spec) == generation:
        at -= 1
        if phases[at].time_zone != zones[-1].time_zone:
            zones.append(phases[at])
    zones.reverse()
    return zones


def _plain_window(phase: Phase, spec: WindowSpec, at_us: int) -> Window:
    return window_at(spec, at_us, time_zone=phase.time_zone, anchor_us=phase.anchor_us or 0)


def _later_window(phase: Phase, spec: WindowSpec, start_us: int, at_us: int) -> Window:
    """The window of an instant where the first one in a phase's time zone starts late."""
    first = _plain_window(phase, spec, start_us)
    end_us = first.end_us
    if 2 * (end_us - start_us) < end_us - first.start_us:
        end_us = _plain_window(phase, spec, end_us).end_us
    return Window(start_us, end_us) if at_us < end_us else _plain_window(phase, spec, at_us)
