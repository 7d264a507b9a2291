"""Windows that follow a counter's: the next one's counter, and whether anything is carried on."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.directory.deciding import deciding_company
from sidecar.directory.directory import Directory
from sidecar.directory.meters import Meter
from sidecar.domain.limits.counters import CounterName, CounterRef


def next_counter(directory: Directory, counter: CounterName, now_us: int) -> CounterName | None:
    """The next window's counter; `None` where no limit that is leased counts on it.

    By what holds now: where that changes with the window, the plane says so. For the store's
    thread.
    """
    ref = counter.counter
    for meter in _leased_meters(directory, counter, now_us):
        window = meter.window_elsewhere(ref.window.end_us)
        following = CounterRef(ref.slot, ref.values, window)
        return CounterName(counter.company, counter.feature, following)
    return None


def carries_on(directory: Directory, counter: CounterName, now_us: int) -> bool:
    """Whether what a window leaves is there in later ones. For the store's thread."""
    meters = _leased_meters(directory, counter, now_us)
    return any(meter.limit.rollover is not None or meter.limit.packs for meter in meters)


def _leased_meters(directory: Directory, counter: CounterName, now_us: int) -> Iterator[Meter]:
    """The meters that count on a counter of a limit that is leased, by what holds now."""
    company = deciding_company(directory, counter.company, now_us, now_us, final=True)
    feature = None if company is None else company.feature(counter.feature)
    if feature is None:
        return
    for meter in feature.meters:
        if meter.slot == counter.counter.slot and meter.limit.is_leased:
            yield meter
