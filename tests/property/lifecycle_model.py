"""A subscription's life as a table: a line for every hour, which says what holds then.

A change rewrites the lines from its hour on, and never one that is past. What is meant for the end
of a period is kept as such, and written anew after every change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from sidecar.domain.company.model import SubscriptionStatus
from sidecar.domain.company.subscription_changes import (
    CancelSubscription,
    ChangePlan,
    DropPlannedChanges,
    EndTrial,
    MarkPaid,
    MarkPastDue,
    PauseSubscription,
    RenewSubscription,
    ResetUsage,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
)
from sidecar.domain.time.units import HOUR_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.support.build import MIDNIGHT_US

Status = SubscriptionStatus

HOURS: Final = 150
DAY_HOURS: Final = 24
ADD_ONS: Final = ("gb", "seat")
DAILY: Final = WindowSpec(WindowUnit.DAY, 1, Alignment.ANCHORED)


def instant(hour: int) -> int:
    return MIDNIGHT_US + hour * HOUR_US


def hour_of(instant_us: int) -> int:
    return (instant_us - MIDNIGHT_US) // HOUR_US


def line(value: Any) -> list[Any]:
    return [value] * HOURS


@dataclass
class Mark:
    """Something that happens at an hour. `at_end`: it is meant for the end of a period."""

    at: int
    value: Any
    at_end: bool


@dataclass
class Model:
    """What holds in each hour; `resets` and `moves` are the hours at which counters start anew."""

    now: int = 0
    canceled: list[bool] = field(default_factory=lambda: line(False))
    ended: list[bool] = field(default_factory=lambda: line(False))
    trialing: list[bool] = field(default_factory=lambda: line(False))
    tried: list[bool] = field(default_factory=lambda: line(False))
    paused: list[bool] = field(default_factory=lambda: line(False))
    late: list[bool] = field(default_factory=lambda: line(False))
    grace_over: list[bool] = field(default_factory=lambda: line(False))
    plans: list[Mark] = field(default_factory=lambda: [Mark(-1, "basic", False)])
    held: dict[str, list[Mark]] = field(default_factory=lambda: {key: [] for key in ADD_ONS})
    resets: list[Mark] = field(default_factory=list)
    moves: list[Mark] = field(default_factory=list)
    cancel_at_end: bool = False
    pause: tuple[int, int | None] | None = None
    pause_moves: bool = False
    pause_starts_at_end: bool = False
    pause_ends_at_end: bool = False

    def set(self, lines: list[bool], since: int, until: int | None, value: bool) -> None:
        end = HOURS if until is None else max(until, since)
        lines[since:end] = [value] * (end - since)

    def anchor(self, hour: int, *, with_intents: bool = True) -> int:
        moves = [move.at for move in self.moves if with_intents or not move.at_end]
        if self.pause is not None and self.pause_moves and self.pause[1] is not None:
            meant = self.pause_starts_at_end or self.pause_ends_at_end
            moves += [self.pause[1]] * (with_intents or not meant)
        return max([0, *(move for move in moves if move <= hour)])

    def period_end(self, hour: int | None = None) -> int:
        """Go from hour to hour, until one at which a period begins and nothing else was meant.

        A trial that runs is a period.
        """
        hour = self.now if hour is None else hour
        if self.trialing[hour]:
            return self.trialing.index(False, hour)
        anchor = self.anchor(hour, with_intents=False)
        while True:
            hour += 1
            moved = self.anchor(hour, with_intents=False)
            if (hour - anchor) % DAY_HOURS == 0:
                return hour
            anchor = moved

    def plan(self, hour: int) -> str:
        """The last that was said for the latest hour; one meant for a period's end goes last."""
        latest = max(mark.at for mark in self.plans if mark.at <= hour)
        found = [mark for mark in self.plans if mark.at == latest]
        return str(max(enumerate(found), key=lambda each: (each[1].at_end, each[0]))[1].value)

    def quantity(self, key: str, hour: int) -> int:
        marks = [mark for mark in self.held[key] if mark.at <= hour]
        return max(marks, key=lambda mark: (mark.at, mark.at_end)).value if marks else 0

    def hold(self, key: str, at: int, quantity: int, at_end: bool) -> None:
        """From an hour on, up to one at which something else is said."""
        if self.quantity(key, at) == quantity:
            return
        kept = [mark for mark in self.held[key] if mark.at != at or (at_end and not mark.at_end)]
        kept.append(Mark(at, quantity, at_end))
        kept.sort(key=lambda mark: (mark.at, mark.at_end))
        self.held[key] = []
        before = 0
        for mark in kept:
            if mark.value != before:
                self.held[key].append(mark)
                before = mark.value

    def status(self, hour: int) -> tuple[Status, bool, bool]:
        if self.canceled[hour]:
            return Status.CANCELED, False, False
        if self.ended[hour]:
            return Status.ENDED, False, False
        if self.tried[hour]:
            return Status.ENDED, True, False
        if self.paused[hour]:
            return Status.PAUSED, False, False
        if self.late[hour]:
            return Status.PAST_DUE, False, self.grace_over[hour]
        return (Status.TRIALING if self.trialing[hour] else Status.ACTIVE), False, False

    @property
    def over(self) -> bool:
        return self.canceled[self.now] or self.ended[self.now] or self.tried[self.now]

    def settle(self) -> None:
        """What was meant for a period's end that has come, has happened."""
        for marks in (self.plans, self.resets, self.moves, *self.held.values()):
            for mark in [mark for mark in marks if mark.at_end and mark.at <= self.now]:
                marks.remove(mark)  # so that what was said for the same hour comes before it
                marks.append(Mark(mark.at, mark.value, False))
        for key, marks in self.held.items():
            self.held[key] = sorted(
                {mark.at: mark for mark in marks if not mark.at_end}.values(),
                key=lambda mark: mark.at,
            ) + [mark for mark in marks if mark.at_end]
        self.cancel_at_end &= not self.canceled[self.now]
        if self.pause is not None:
            start, until = self.pause
            self.pause_starts_at_end &= start > self.now
            if until is not None and until <= self.now:
                self.moves += [Mark(until, None, False)] * self.pause_moves
                self.drop_pause()

    def drop_pause(self) -> None:
        self.pause, self.pause_moves = None, False
        self.pause_starts_at_end = self.pause_ends_at_end = False

    def follow(self) -> None:
        """What is meant for the end of a period is written there."""
        end, now = self.period_end(), self.now
        for marks in (self.plans, self.resets, self.moves):
            for mark in marks:
                if mark.at_end and mark.at > now:
                    mark.at = end
        for key, marks in self.held.items():
            for mark in [mark for mark in marks if mark.at_end and mark.at != end]:
                self.held[key].remove(mark)
                self.hold(key, end, mark.value, True)
        if self.cancel_at_end:
            self.set(self.canceled, now, None, False)
            self.set(self.canceled, end, None, True)
        if self.pause is not None:
            start, until = self.pause
            start = end if self.pause_starts_at_end else start
            if self.pause_ends_at_end:
                until = self.period_end(max(start, now))
            self.pause = start, until
            if until is not None and until <= start:
                self.drop_pause()
            self.write_pause()

    def write_pause(self) -> None:
        self.set(self.paused, self.now, None, False)
        if self.pause is not None:
            start, until = self.pause
            self.set(self.paused, max(self.now, start), until, True)

    def take(self, change: SubscriptionChange, at: int, at_end: bool) -> bool:
        """Change the table; whether that is possible."""
        self.settle()
        possible = self.change(change, at, at_end)
        self.settle()
        self.follow()
        return possible

    def change(self, change: SubscriptionChange, at: int, at_end: bool) -> bool:  # noqa: C901
        now = self.now
        needs_life = not isinstance(change, RenewSubscription | MarkPaid | DropPlannedChanges)
        if self.over and needs_life and not getattr(change, "renews", False):
            return False
        match change:
            case ChangePlan(plan, resets, moves, renews):
                if renews and at > now:
                    return False
                if renews and self.over:
                    self.renew(None)
                self.plans = [
                    mark for mark in self.plans if (mark.at, mark.at_end) != (at, at_end)
                ] + [Mark(at, plan, at_end)]
                self.resets += [Mark(at, None, at_end)] * resets
                self.moves += [Mark(at, None, at_end)] * moves
            case SetAddOn(key, quantity):
                self.hold(key, at, quantity, at_end)
            case ResetUsage():
                self.resets.append(Mark(at, None, at_end))
            case PauseSubscription(until_us, moves):
                until = None if until_us is None else hour_of(until_us)
                if self.paused[now] or (moves if until is None else until <= at):
                    return False
                self.pause, self.pause_moves = (at, until), moves
                self.pause_starts_at_end, self.pause_ends_at_end = at_end, False
                self.write_pause()
            case ResumeSubscription(moves):
                if self.pause is None or (self.pause[0] > now and self.pause[0] >= at):
                    return False
                self.pause = self.pause[0], at
                self.pause_moves |= moves
                self.pause_ends_at_end = at_end
                self.write_pause()
            case CancelSubscription():
                self.set(self.canceled, now, None, False)
                self.set(self.canceled, at, None, True)
                self.cancel_at_end = at_end
            case RenewSubscription(ends_us, moves):
                self.renew(None if ends_us is None else hour_of(ends_us))
                self.moves += [Mark(at, None, False)] * moves
            case EndTrial():
                if not self.trialing[now]:
                    return False
                self.end_trial()
            case MarkPastDue(grace_ends_us):
                self.set(self.late, now, None, True)
                self.set(self.grace_over, now, None, False)
                if grace_ends_us is not None:
                    self.set(self.grace_over, max(now, hour_of(grace_ends_us)), None, True)
            case MarkPaid():
                if not self.late[now]:
                    return False
                self.set(self.late, now, None, False)
            case DropPlannedChanges():
                self.drop_planned()
        return True

    def renew(self, until: int | None) -> None:
        self.set(self.canceled, self.now, None, False)
        self.cancel_at_end = False
        self.set(self.ended, self.now, None, False)
        if until is not None:
            self.set(self.ended, until, None, True)
        if not self.trialing[self.now]:
            self.end_trial()

    def end_trial(self) -> None:
        self.set(self.trialing, self.now, None, False)
        self.set(self.tried, self.now, None, False)

    def drop_planned(self) -> None:
        now = self.now
        self.plans = [mark for mark in self.plans if mark.at <= now]
        self.held = {key: [m for m in marks if m.at <= now] for key, marks in self.held.items()}
        self.resets = [mark for mark in self.resets if mark.at <= now]
        self.moves = [mark for mark in self.moves if mark.at <= now]
        if not self.canceled[now]:
            self.set(self.canceled, now, None, False)
        self.cancel_at_end = False
        if self.pause is not None and self.pause[0] > now:
            self.drop_pause()
            self.write_pause()
