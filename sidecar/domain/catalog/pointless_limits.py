"""Which limits can never be reached, since another one of the same grant is reached before.

All limits apply, so a second one never lifts the first. What is compared: of all usage that counts
on a limit, how much a HARD limit that this usage counts on, too, lets pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sidecar.domain.catalog.model import Enforcement, Limit, Rollover, Scope
from sidecar.domain.formatting import amount_text
from sidecar.domain.time.windows import UNENDING, WindowSpec, WindowUnit
from sidecar.domain.validation import RuleProblem

_MONTHS: Final = {WindowUnit.MONTH: 1, WindowUnit.QUARTER: 3, WindowUnit.YEAR: 12}
_HOUR: Final = 60
_DAY: Final = 24 * _HOUR
_SHIFT: Final = 2 * _HOUR
"""By so much a window may be shorter or longer where clocks are set forward or back."""
_MINUTES_LEAST: Final = {
    WindowUnit.MINUTE: 1,
    WindowUnit.HOUR: _HOUR,
    WindowUnit.DAY: _DAY - _SHIFT,
    WindowUnit.WEEK: 7 * _DAY - _SHIFT,
    WindowUnit.MONTH: 28 * _DAY - _SHIFT,
    WindowUnit.QUARTER: 90 * _DAY - _SHIFT,
    WindowUnit.YEAR: 365 * _DAY - _SHIFT,
}
_MINUTES_MOST: Final = {
    WindowUnit.MINUTE: 1,
    WindowUnit.HOUR: _HOUR,
    WindowUnit.DAY: _DAY + _SHIFT,
    WindowUnit.WEEK: 7 * _DAY + _SHIFT,
    WindowUnit.MONTH: 31 * _DAY + _SHIFT,
    WindowUnit.QUARTER: 92 * _DAY + _SHIFT,
    WindowUnit.YEAR: 366 * _DAY + _SHIFT,
}


def pointless_limits(limits: Sequence[Limit]) -> Iterator[RuleProblem]:
    """Yield limits of a grant that another one makes pointless, each once."""
    binding = [
        (at, limit, most)
        for at, limit in enumerate(limits)
        if limit.enforcement is Enforcement.HARD and (most := most_of(limit)) is not None
    ]
    for at, limit in enumerate(limits):
        for other_at, other, most in binding:
            if other_at == at or not _reached_first(other, most, limit):
                continue
            mutual = limit.enforcement is Enforcement.HARD and (own := most_of(limit)) is not None
            if mutual and other_at > at and _reached_first(limit, own or 0, other):
                continue  # they are the same; the later one is told
            yield RuleProblem((at,), _message(limit, other))
            break


def _reached_first(other: Limit, most: int, limit: Limit) -> bool:
    """Whether a HARD limit that lets `most` pass is always reached before another limit is."""
    if not (other.is_counted and limit.is_counted):
        return False
    least = least_of(limit)
    if least is None:  # only counted, unless it looks like an exemption
        return bool(limit.scope.match) and limit.scope != other.scope and _covers(other, limit)
    if least < most:
        return False
    windows = _windows_of(other.window, limit.window)
    return windows is not None and least >= most * windows and _covers(other, limit)


def most_of(limit: Limit) -> int | None:
    """Most that a limit lets pass in a window, with what rolled over; `None` for no bound."""
    amounts = [limit.amount, *(amount for _, amount in limit.amounts)]
    known = [amount for amount in amounts if amount is not None]
    if len(known) < len(amounts):
        return None
    most = max(known)
    return most + (0 if limit.rollover is None else _carried_most(most, limit.rollover))


def _carried_most(amount: int, rollover: Rollover) -> int:
    bounds = [amount * rollover.windows]
    if rollover.amount_max is not None:
        bounds.append(rollover.amount_max)
    if rollover.percent_max is not None:
        bounds.append(amount * rollover.percent_max // 100)
    return min(bounds)


def least_of(limit: Limit) -> int | None:
    """Least at which a limit is reached; `None` where it never is."""
    amounts = [limit.amount, *(amount for _, amount in limit.amounts)]
    return min((amount for amount in amounts if amount is not None), default=None)


def _covers(other: Limit, limit: Limit) -> bool:
    """Whether all usage that counts on a limit counts on one counter of another, too."""
    wide, narrow = other.scope, limit.scope
    fixed = dict(narrow.match)
    if len(fixed) < len(narrow.match) or not set(wide.match) <= set(narrow.match):
        return False  # of several values each may have a counter of its own
    return all(name in narrow.dimensions or name in fixed for name in wide.dimensions)


def _windows_of(wide: WindowSpec, narrow: WindowSpec) -> int | None:
    """How many windows of one layout a window of another touches at most; `None`: no bound."""
    if wide == narrow or wide.unit in UNENDING:
        return 1
    if narrow.unit in UNENDING:
        return None
    if _within(wide, narrow):
        return 1
    shortest = _MINUTES_LEAST[wide.unit] * wide.interval
    longest = _MINUTES_MOST[narrow.unit] * narrow.interval
    return 1 - -longest // shortest


def _within(wide: WindowSpec, narrow: WindowSpec) -> bool:
    """Whether each window of the narrow layout lies in one of the wide."""
    if wide.alignment is not narrow.alignment:
        return False
    months, narrow_months = _MONTHS.get(wide.unit), _MONTHS.get(narrow.unit)
    if months is not None and narrow_months is not None:
        return months * wide.interval % (narrow_months * narrow.interval) == 0
    if narrow.unit is WindowUnit.DAY and narrow.interval == 1:
        return months is not None or wide.unit in (WindowUnit.DAY, WindowUnit.WEEK)
    same = wide.unit is narrow.unit and wide.first_weekday == narrow.first_weekday
    return same and wide.interval % narrow.interval == 0


def _message(limit: Limit, other: Limit) -> str:
    by = f"limit {other.id!r} ({amount_text(other.amount)})"
    if least_of(limit) is not None:
        return f"is never reached: {by} denies before, since all limits apply"
    message = f"lifts nothing: {by} denies all the same, since all limits apply"
    value = _value_of(limit.scope, other.scope)
    if value is None:
        return message
    return f"{message}; write amounts: {{{value}: {amount_text(limit.amount)}}} in {other.id!r}"


def _value_of(exempt: Scope, scope: Scope) -> str | None:
    """The value that is exempt of the only dimension of a scope; `None` where it is another."""
    fixed = [value for name, value in exempt.match if (name,) == scope.dimensions]
    return fixed[0] if len(fixed) == len(exempt.match) == 1 and not scope.match else None
