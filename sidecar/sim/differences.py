"""What became different between two instants, told: subscription, limits, windows that ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from sidecar.domain.catalog.model import FeatureKind, Limit
from sidecar.domain.credits.sources import OVERDRAFT
from sidecar.domain.limits.usage import QuotaUsage, overage, remaining
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import LIFETIME_WINDOW
from sidecar.sim.billing import PeriodBook
from sidecar.sim.present import LimitKey, Present, UsageKey
from sidecar.sim.told import PlayLog, ceiling_text, held_text, moment_text, number_text, status_text

LONG_WINDOW_US: Final = 6 * DAY_US
"""Windows that last longer are told each; shorter ones by the billing period."""


_FALLING: Final = (FeatureKind.SEATS, FeatureKind.LEVEL)


class Differences:
    """Tells what became different. `all_windows`: of short windows, too."""

    def __init__(
        self, log: PlayLog, periods: PeriodBook, zone: ZoneInfo, *, all_windows: bool
    ) -> None:
        self._log = log
        self._periods = periods
        self._zone = zone
        self._all_windows = all_windows

    def tell(self, before: Present, after: Present) -> None:
        """Tell it, in order: windows that ended, subscription, what may be done, and billing."""
        self._tell_windows(before, after)
        self._periods.observe(after)
        self._tell_subscription(before, after)
        self._tell_limits(before, after)

    def tell_open(self, present: Present) -> None:
        """Tell of the windows that are running when the play ends."""
        for key, usage in present.usages.items():
            length_us = usage.window.end_us - usage.window.start_us
            if usage.values or (length_us < LONG_WINDOW_US and not self._all_windows):
                continue
            feature, limit, _ = key
            left = remaining(usage)
            told = _used_text(feature, usage)
            if usage.resets_us is not None:
                told += f", resets {moment_text(self._zone, usage.resets_us)}"
            self._log.tell(
                present.at_us,
                "open",
                told,
                feature=feature,
                limit=limit,
                used=usage.used,
                amount=usage.amount,
                carried_in=usage.carried,
                remaining=left,
                overage=overage(usage),
            )

    def _tell_windows(self, before: Present, after: Present) -> None:
        apart: dict[LimitKey, list[QuotaUsage]] = defaultdict(list)
        for key, usage in before.usages.items():
            now = after.usages.get(key)
            if _is_owed(before, key):
                self._tell_owed(key[0], usage.used, 0 if now is None else now.used, after)
                continue
            if not _has_ended(usage, now, after, falls=before.kinds.get(key[0]) in _FALLING):
                continue
            if _is_grant(before, key):
                self._tell_expired(key, usage, after)
                continue
            self._periods.note_window(key[0], usage)
            length_us = usage.window.end_us - usage.window.start_us
            if length_us < LONG_WINDOW_US and not self._all_windows:
                continue
            if usage.values:
                apart[key[0], key[1]].append(usage)
            else:
                self._tell_window(key, usage, now, after)
        for limit_key, usages in apart.items():
            self._tell_windows_apart(limit_key, usages, after)

    def _tell_window(
        self, key: UsageKey, usage: QuotaUsage, now: QuotaUsage | None, after: Present
    ) -> None:
        feature, limit, _ = key
        left, over = remaining(usage), overage(usage)
        told = f"{feature} {limit}: used {number_text(usage.used)} of {_allowance(usage)}"
        told += (
            f", {number_text(over)} over"
            if over
            else ""
            if left is None
            else f", {number_text(left)} left"
        )
        carried = None
        if usage.limit.rollover is not None:
            carried = 0 if now is None else now.carried
            told += f", {number_text(carried)} carried on"
        if usage.window.end_us > after.at_us:
            told += f"; its window was to end {moment_text(self._zone, usage.window.end_us)}"
        self._log.tell(
            after.at_us,
            "reset",
            told,
            feature=feature,
            limit=limit,
            window_start_us=usage.window.start_us,
            window_end_us=usage.window.end_us,
            used=usage.used,
            amount=usage.amount,
            carried_in=usage.carried,
            remaining=left,
            overage=over,
            carried_on=carried,
        )

    def _tell_expired(self, key: UsageKey, usage: QuotaUsage, after: Present) -> None:
        """Of a grant of credits that is over."""
        feature, grant, _ = key
        left = remaining(usage)
        told = f"{_used_text(feature, usage)}, {number_text(left or 0)} expired"
        self._log.tell(
            after.at_us,
            "expires",
            told,
            feature=feature,
            grant=grant,
            used=usage.used,
            expired=left,
        )

    def _tell_owed(self, feature: str, was: int, owed: int, after: Present) -> None:
        """Of credits that were owed, where some are repaid."""
        if owed < was:
            told = (
                f"{feature}: {number_text(was - owed)} of what was owed, {number_text(owed)} left"
            )
            self._log.tell(
                after.at_us, "repaid", told, feature=feature, repaid=was - owed, owed=owed
            )

    def _tell_windows_apart(self, key: LimitKey, usages: list[QuotaUsage], after: Present) -> None:
        """Of a limit with dimensions: all its counters in one sentence."""
        feature, limit = key
        most = max(usage.used for usage in usages)
        each = " and ".join(usages[0].limit.scope.dimensions)
        told = f"{feature} {limit}, each {each}: {number_text(len(usages))} used"
        told += f", the most {number_text(most)} of {_allowance(usages[0])}"
        self._log.tell(
            after.at_us,
            "reset",
            told,
            feature=feature,
            limit=limit,
            counters=len(usages),
            most_used=most,
            overage=sum(map(overage, usages)),
        )

    def _tell_subscription(self, before: Present, after: Present) -> None:
        was, now = before.segment, after.segment
        told = []
        if status_text(was) != status_text(now):
            told.append(status_text(now))
        if (was.plan, was.add_ons) != (now.plan, now.add_ons):
            told.append(held_text(now.plan, now.add_ons))
        if was.anchor_us != now.anchor_us and after.period is not None:
            end = moment_text(self._zone, after.period.end_us)
            told.append(f"new billing cycle, its period ends {end}")
        if was.generation != now.generation:
            told.append("every counter starts again from 0")
        if not told:
            return
        self._log.tell(
            after.at_us,
            "becomes",
            "; ".join(told),
            status=now.status.name,
            plan=now.plan,
            add_ons={held.add_on: held.quantity for held in now.add_ons},
        )

    def _tell_limits(self, before: Present, after: Present) -> None:
        if before.is_over and after.is_over:
            return
        for text in (*self._differing(before, after), *self._new_grants(before, after)):
            self._log.tell(after.at_us, "may use", text)

    def _differing(self, before: Present, after: Present) -> Iterator[str]:
        for key in sorted({*before.values, *after.values}):
            was, value = before.values.get(key), after.values.get(key)
            if was != value and (value is not None or not _has_limits(after, key)):
                yield f"{key}: {value or 'no more'}"
        for feature, name in sorted({*before.limits, *after.limits}):
            limit = after.limits.get((feature, name))
            old = before.limits.get((feature, name))
            if limit == old:
                continue
            if limit is None:
                told = f"{feature} {name}: no more"
                last = before.usages.get((feature, name, ()))
                yield told + (f"; used {number_text(last.used)}" if last and last.used else "")
                continue
            told = f"{feature} {name}: {ceiling_text(limit)}"
            if old is not None and ceiling_text(old) != ceiling_text(limit):
                told += f", was {ceiling_text(old)}"
            elif old is not None:
                told += ", with other terms"
            usage = after.usages.get((feature, name, ()))
            if isinstance(limit, Limit) and usage is not None and (usage.used or usage.carried):
                told += f"; used {number_text(usage.used)}"
                told += f", {number_text(usage.carried)} carried in" if usage.carried else ""
            yield told

    def _new_grants(self, before: Present, after: Present) -> Iterator[str]:
        for key in sorted({*after.usages} - {*before.usages}):
            usage = after.usages[key]
            if _is_grant(after, key):
                told = f"{key[0]} {key[1]}: {_allowance(usage)}"
                if usage.window.end_us != LIFETIME_WINDOW.end_us:
                    told += f" until {moment_text(self._zone, usage.window.end_us)}"
                yield told


def _has_limits(present: Present, feature: str) -> bool:
    return any(key[0] == feature for key in present.limits)


def _has_ended(usage: QuotaUsage, now: QuotaUsage | None, after: Present, *, falls: bool) -> bool:
    """Whether a window is over, or its counter starts anew. `falls`: usage does so by itself."""
    if usage.window.end_us <= after.at_us:
        return True
    if now is None:
        return False
    return now.window != usage.window or (now.used < usage.used and not falls)


def _is_owed(present: Present, key: UsageKey) -> bool:
    """Whether it is what a balance of credits owes."""
    return present.kinds.get(key[0]) is FeatureKind.CREDITS and key[1] == OVERDRAFT


def _is_grant(present: Present, key: UsageKey) -> bool:
    """Whether it is what was burned of a one-off grant of credits."""
    feature, name, _ = key
    is_credits = present.kinds.get(feature) is FeatureKind.CREDITS
    return is_credits and (feature, name) not in present.limits and name != OVERDRAFT


def _used_text(feature: str, usage: QuotaUsage) -> str:
    return f"{feature} {usage.id}: used {number_text(usage.used)} of {_allowance(usage)}"


def _allowance(usage: QuotaUsage) -> str:
    if usage.amount is None:
        return "unlimited"
    amount = number_text(usage.amount)
    return f"{amount} + {number_text(usage.carried)} carried in" if usage.carried else amount
