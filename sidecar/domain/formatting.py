"""Values of the domain as short texts for people."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.domain.catalog.model import Rate, Rollover
from sidecar.domain.company.model import AddOnSubscription
from sidecar.domain.credits.prices import Price
from sidecar.domain.time.units import UNIT_US, datetime_of_instant
from sidecar.domain.time.windows import UNENDING, WindowSpec


def instant_text(instant_us: int) -> str:
    """An instant in RFC 3339, with as many digits of a second as there are."""
    return datetime_of_instant(instant_us).replace(tzinfo=None).isoformat() + "Z"


def duration_text(length_us: int) -> str:
    """A length of time in the largest unit that leaves no rest, such as `90s`, `1h` or `250ms`."""
    unit, unit_us = next(unit for unit in UNIT_US.items() if length_us % unit[1] == 0)
    return f"{length_us // unit_us}{unit}"


def window_text(window: WindowSpec) -> str:
    """A window layout, such as `3 MONTH ANCHORED` or `WEEK CALENDAR from weekday 6`."""
    if window.unit in UNENDING:
        return window.unit.name
    text = f"{period_text(window)} {window.alignment.name}"
    return f"{text} from weekday {window.first_weekday}" if window.first_weekday else text


def period_text(window: WindowSpec) -> str:
    """The length of a window, such as `3 MONTH`."""
    return f"{window.interval} {window.unit.name}" if window.interval > 1 else window.unit.name


def amount_text(amount: int | None) -> str:
    """A ceiling in the feature's unit, or `unlimited`."""
    return "unlimited" if amount is None else str(amount)


def rate_text(rate: Rate) -> str:
    """A rate, such as `10 per 1s, burst 20`."""
    return f"{rate.count} per {duration_text(rate.period_us)}, burst {rate.burst}"


def price_text(price: Price) -> str:
    """A price in micro-credits, such as `2`, `1 per 500` units, or `free`."""
    if not price.micro_credits:
        return "free"
    return f"{price.micro_credits} per {price.per}" if price.per > 1 else str(price.micro_credits)


def rollover_text(rollover: Rollover) -> str:
    """What carries over, such as `for 3 windows, at most 500 and 50%`."""
    text = "for 1 window" if rollover.windows == 1 else f"for {rollover.windows} windows"
    most = [] if rollover.amount_max is None else [str(rollover.amount_max)]
    most += [] if rollover.percent_max is None else [f"{rollover.percent_max}%"]
    text = f"{text}, at most {' and '.join(most)}" if most else text
    return text if rollover.while_paused else f"{text}, none while paused"


def add_ons_text(add_ons: Iterable[AddOnSubscription]) -> str:
    """Add-ons with their quantities, such as `seats x 5, storage x 1`; `none` for none."""
    return ", ".join(f"{held.add_on} x {held.quantity}" for held in add_ons) or "none"
