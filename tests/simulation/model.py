"""What a company may do, told by its history: an independent model of the rules.

It keeps everything that happened and works out the answer to each question anew, without segments,
counters, slots or generations. Quantities in the features' units, times in microseconds.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

MONTHLY_CALLS: Final = {"free": 60, "pro": 200, "team": 600}
USER_CALLS: Final = {"pro": 10}
MONTHLY_TOKENS: Final = {"free": 500, "pro": 2_000}
DAILY_EXPORTS: Final = {"free": 2, "pro": 3, "team": 10}
ROLLS_OVER: Final = {"pro": (2, 4), "team": (1, 5)}
"""Windows that an unused export lasts, and the most that is carried."""
PACK_CALLS: Final = 40
PACE: Final = (30, 3_600_000_000, 6)
"""The team plan's calls: so many in a period of so many microseconds, and the burst."""


class Verdict(NamedTuple):
    """What an answer must say. `limits`: usage before, and the ceiling, by the limit's name."""

    reason: str
    limits: dict[str, tuple[int, int | None]]

    @property
    def allowed(self) -> bool:
        return self.reason == "ALLOWED"


class Use(NamedTuple):
    """Something that was counted."""

    at_us: int
    feature: str
    quantity: int
    user: str


@dataclass
class Account:
    """One company and all that ever happened to it; lists of (from when, what), by time."""

    zone: ZoneInfo
    anchors: list[int]
    plans: list[tuple[int, str]]
    packs: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    trial: tuple[int, bool] | None = None
    """When it ends, and whether a paid subscription follows."""
    late: list[tuple[int, int, int]] = field(default_factory=list)
    """Late payments: since when, end of the grace, when paid."""
    pauses: list[tuple[int, int]] = field(default_factory=list)
    gone: list[tuple[int, int]] = field(default_factory=list)
    """Canceled from when to when."""
    resets: list[int] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    arrival_us: Fraction = Fraction(0)
    """Theoretical arrival time of the next call, by the pace."""

    def ask(self, now_us: int, feature: str, quantity: int, user: str) -> Verdict:
        """The answer to a check, now."""
        reason = self._plane_status(now_us, feature)
        if reason != "ALLOWED" or feature == "sso":
            return Verdict(reason, {})
        limits = self._limits(now_us, feature, user)
        hard = [limits[name] for name in limits if feature != "tokens"]
        if any(used + quantity > most for used, most in hard if most is not None):
            return Verdict("LIMIT_EXCEEDED", limits)
        if feature == "calls" and self._plan(now_us) == "team":
            count, period_us, burst = PACE
            if quantity > burst or self._ahead(now_us) > Fraction(
                (burst - quantity) * period_us, count
            ):
                return Verdict("RATE_LIMITED", limits)
        return Verdict("ALLOWED", limits)

    def count(self, now_us: int, feature: str, quantity: int, user: str) -> None:
        """It was allowed, and has happened."""
        self.uses.append(Use(now_us, feature, quantity, user))
        if feature == "calls" and self._plan(now_us) == "team":
            count, period_us, _ = PACE
            self.arrival_us = now_us + self._ahead(now_us) + Fraction(quantity * period_us, count)

    def usage(self, now_us: int) -> dict[tuple[str, str], int]:
        """Usage by feature and limit, of limits without dimensions."""
        found = {}
        for feature in ("calls", "tokens", "exports"):
            for name, (used, _) in self._limits(now_us, feature, "").items():
                found[feature, name] = used
        return found

    def is_over(self, at_us: int) -> bool:
        """Whether the subscription has come to its end."""
        ended = self.trial is not None and at_us >= self.trial[0] and not self.trial[1]
        return ended or any(since <= at_us < until for since, until in self.gone)

    def period_end(self, at_us: int) -> int:
        """When the billing month ends that holds an instant."""
        return min(start for start in self._months(at_us) if start > at_us)

    def _ahead(self, now_us: int) -> Fraction:
        return max(Fraction(0), self.arrival_us - now_us)

    def _plan(self, at_us: int) -> str:
        return [plan for since, plan in self.plans if since <= at_us][-1]

    def _plane_status(self, now_us: int, feature: str) -> str:
        if any(since <= now_us < until for since, until in self.gone):
            return "SUBSCRIPTION_CANCELED"
        if self.is_over(now_us):
            return "TRIAL_ENDED"
        paused = any(since <= now_us < until for since, until in self.pauses)
        # A paused subscription denies what is metered; whether a payment is late does not matter.
        if paused:
            if feature != "sso":
                return "SUBSCRIPTION_PAUSED"
        elif any(grace <= now_us < paid for _, grace, paid in self.late):
            return "SUBSCRIPTION_PAST_DUE"
        if feature == "sso" and self._plan(now_us) == "free":
            return "NOT_ENTITLED"
        return "ALLOWED"

    def _limits(self, now_us: int, feature: str, user: str) -> dict[str, tuple[int, int | None]]:
        plan = self._plan(now_us)
        today_us = self._midnight(self._local(now_us))
        limits: dict[str, tuple[int, int | None]] = {}
        if feature == "tokens" and plan in MONTHLY_TOKENS:
            month_us = self._midnight(self._local(now_us).replace(day=1))
            limits["monthly"] = (self._used(now_us, feature, month_us), MONTHLY_TOKENS[plan])
        if feature == "exports":
            most = DAILY_EXPORTS[plan]
            if plan in ROLLS_OVER:
                most += sum(self._carried(now_us))
            limits["daily"] = (self._used(now_us, feature, today_us), most)
        if feature == "calls":
            packs = [quantity for since, quantity in self.packs if since <= now_us][-1]
            period_us = max(start for start in self._months(now_us) if start <= now_us)
            period_us = max(period_us, *[move for move in self.anchors[1:] if move <= now_us], 0)
            most = MONTHLY_CALLS[plan] + packs * PACK_CALLS
            limits["monthly"] = (self._used(now_us, feature, period_us), most)
            if plan in USER_CALLS and user:
                limits["per_user"] = (
                    self._used(now_us, feature, today_us, user),
                    USER_CALLS[plan],
                )
        return limits

    def _used(self, now_us: int, feature: str, since_us: int, user: str = "") -> int:
        """What was used since an instant, or since the last reset."""
        since_us = max([since_us, *(reset for reset in self.resets if reset <= now_us)])
        return sum(
            use.quantity
            for use in self.uses
            if use.feature == feature
            and since_us <= use.at_us <= now_us
            and (not user or use.user == user)
        )

    def _carried(self, now_us: int) -> list[int]:
        """Unused exports of earlier days that may be used today, the youngest first.

        One pass over the days since the company came. A reset lets the day start anew, with all
        that was carried into it.
        """
        day = self._local(self.plans[0][0])
        carried: list[int] = []
        while (end_us := self._midnight(day + timedelta(days=1))) <= now_us:
            plan = self._plan(end_us - 1)
            if plan not in ROLLS_OVER or self.is_over(end_us - 1):
                carried = []
            else:
                used = self._used(end_us - 1, "exports", self._midnight(day))
                carried = _left(plan, carried, used)
            day += timedelta(days=1)
        return carried

    def _months(self, at_us: int) -> list[int]:
        """Starts of billing months around an instant, by the anchor in force then."""
        anchor = self._wall([move for move in self.anchors if move <= at_us][-1])
        starts = []
        for step in range(-30, 31):
            month = anchor.year * 12 + anchor.month - 1 + step
            year, number = month // 12, month % 12 + 1
            day = min(anchor.day, monthrange(year, number)[1])
            wall = anchor.replace(year=year, month=number, day=day)
            starts.append(_micros(wall.replace(tzinfo=self.zone)))
        return starts

    def _wall(self, at_us: int) -> datetime:
        return (_EPOCH + timedelta(microseconds=at_us)).astimezone(self.zone).replace(tzinfo=None)

    def _local(self, at_us: int) -> datetime:
        return self._wall(at_us).replace(hour=0, minute=0, second=0, microsecond=0)

    def _midnight(self, day: datetime) -> int:
        return _micros(day.replace(tzinfo=self.zone))


def _left(plan: str, carried: list[int], used: int) -> list[int]:
    """What a day leaves, unit by unit: the oldest was used first, and too much is lost oldest."""
    windows, most = ROLLS_OVER[plan]
    units = [age for age, amount in enumerate(carried, start=1) for _ in range(amount)]
    units += [0] * DAILY_EXPORTS[plan]
    units.sort(reverse=True)
    kept = sorted(age + 1 for age in units[used:])
    kept = [age for age in kept if age <= windows][:most]
    return [kept.count(age) for age in range(1, windows + 1)]


def _micros(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
