"""A limit of 100 a day whose rest carries over for 2 days, on a sidecar whose clock is set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sidecar.domain.catalog.model import Catalog, Limit, Rollover
from sidecar.domain.company.model import Company
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.slices import whole
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import WindowSpec
from tests.support.build import (
    DAY,
    MIDNIGHT_US,
    NOW_US,
    catalog,
    company,
    counter_ref,
    limit,
    metered,
)
from tests.support.inside import Inside

ANCHOR_US: Final = 1_767_225_600_000_000
TOMORROW_US: Final = MIDNIGHT_US + DAY_US
TWO_DAYS: Final = Rollover(2)


def rolling(
    amount: int | None = 100, rollover: Rollover | None = TWO_DAYS, window: WindowSpec = DAY
) -> Limit:
    """The limit; 100 a day, for 2 days, unless told otherwise."""
    return msgspec.structs.replace(limit("daily", amount, window=window), rollover=rollover)


ROLLING: Final = rolling()
CONTENT: Final[Catalog] = catalog(
    {
        "basic": [metered("calls", ROLLING)],
        "plain": [metered("calls", rolling(50, None))],
        "small": [metered("calls", rolling(30, Rollover(1)))],
        "free": [metered("calls", rolling(None, None))],
        "unpaused": [metered("calls", rolling(100, Rollover(2, while_paused=False)))],
    }
)


def tell(sidecar: Inside, carried: Sequence[int], used: int = 0, at_us: int = NOW_US) -> None:
    """Let the plane say what was carried into the window of an instant."""
    ref = counter_ref(ROLLING, at_us=at_us)
    version = sidecar.now_us  # grows with the clock, as the plane's does
    said = CounterTotal("acme", "calls", ref, used, used, version, tuple(carried))
    sidecar.opened.counters.hear("life-1", [said])


def told(*carried: int, content: Catalog = CONTENT, acme: Company | None = None) -> Inside:
    """A sidecar of a plane that has said what came into today's window."""
    sidecar = Inside(content, acme or company())
    tell(sidecar, carried)
    return sidecar


def use(sidecar: Inside, *quantities: int) -> None:
    """Use so much each day, and go on to the next; the clock ends at the day after the last."""
    for quantity in quantities:
        if quantity:
            assert sidecar.decide(quantity).decision.allowed
        sidecar.now_us += DAY_US


def carried(sidecar: Inside) -> int:
    """What is usable today beyond the amount."""
    report = whole(sidecar.queries.usage("acme", "calls", sidecar.now_us, sidecar.now_us))
    ((_, (usage,)),) = report.features
    assert isinstance(usage, QuotaUsage)
    return usage.carried
