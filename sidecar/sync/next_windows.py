"""The counter after a counter: of the same limit and values, in the window that follows."""

from __future__ import annotations

from sidecar.directory.deciding import deciding_company
from sidecar.directory.directory import Directory
from sidecar.domain.limits.counters import CounterName, CounterRef


def next_counter(directory: Directory, counter: CounterName, now_us: int) -> CounterName | None:
    """The next window's counter; `None` where no limit that is leased counts on it.

    By what holds now: where that changes with the window, the plane says so. For the store's
    thread.
    """
    company = deciding_company(directory, counter.company, now_us, now_us, final=True)
    feature = None if company is None else company.feature(counter.feature)
    if feature is None:
        return None
    ref = counter.counter
    for meter in feature.meters:
        if meter.slot == ref.slot and meter.limit.is_leased:
            window = meter.window_elsewhere(ref.window.end_us)
            following = CounterRef(ref.slot, ref.values, window)
            return CounterName(counter.company, counter.feature, following)
    return None
