"""Which window holds an instant, for a company whose time zone or billing anchor may have changed.

Rules
- A window is laid out by the time zone and the anchor in force at the instant.
- A window that is running when the time zone changes ends when it was going to end, as answers had
  said; the window after it starts there, and ends by the new zone.
- Where less than half of the new zone's window is left by then, the one after goes on to the end of
  the next. Else a month's allowance would come a second time, for a few hours, and what rolled over
  would be lost at their end.
- A moved anchor and a reset start windows anew at once; their counters are of another generation.
- Without a subscription (an override alone) a billing cycle starts at the Unix epoch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from sidecar.domain.company.model import Segment
from sidecar.domain.time.windows import Alignment, Window, WindowSpec, WindowUnit, window_at

_WITHOUT_ZONE = (WindowUnit.LIFETIME, WindowUnit.MINUTE, WindowUnit.HOUR)


def company_window(segments: Sequence[Segment], spec: WindowSpec, at_us: int) -> Window:
    """The window of a limit that holds an instant, by a company's timeline."""
    at = 0
    if len(segments) > 1:
        at = max(0, bisect_right(segments, at_us, key=lambda segment: segment.from_us) - 1)
    if at == 0 or spec.unit in _WITHOUT_ZONE:
        return _plain_window(segments[at], spec, at_us)
    zones = _zones(segments, at, spec)
    window = _plain_window(zones[0], spec, min(at_us, zones[0].until_us - 1))
    for segment in zones[1:]:
        last_us = min(at_us, segment.until_us - 1)
        if last_us >= window.end_us:
            window = _later_window(segment, spec, window.end_us, last_us)
    return window


def generation_of(segment: Segment, spec: WindowSpec) -> int:
    """The generation of counters that usage on a window belongs to, in a segment."""
    anchored = spec.alignment is Alignment.ANCHORED and spec.unit is not WindowUnit.LIFETIME
    return segment.anchored_generation if anchored else segment.generation


def _zones(segments: Sequence[Segment], at: int, spec: WindowSpec) -> list[Segment]:
    """The time zones of a generation up to a segment: of each stretch in one its last segment."""
    generation = generation_of(segments[at], spec)
    zones = [segments[at]]
    while at and generation_of(segments[at - 1], spec) == generation:
        at -= 1
        if segments[at].time_zone != zones[-1].time_zone:
            zones.append(segments[at])
    zones.reverse()
    return zones


def _plain_window(segment: Segment, spec: WindowSpec, at_us: int) -> Window:
    return window_at(spec, at_us, time_zone=segment.time_zone, anchor_us=segment.anchor_us or 0)


def _later_window(segment: Segment, spec: WindowSpec, start_us: int, at_us: int) -> Window:
    """The window of an instant where the first one in a segment's time zone starts late."""
    first = _plain_window(segment, spec, start_us)
    end_us = first.end_us
    if 2 * (end_us - start_us) < end_us - first.start_us:
        end_us = _plain_window(segment, spec, end_us).end_us
    return Window(start_us, end_us) if at_us < end_us else _plain_window(segment, spec, at_us)
