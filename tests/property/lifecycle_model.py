"""A subscription's life as a table: a line for every hour, which says what holds then.

A change rewrites the lines from its hour on, and never one that is past.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from sidecar.domain.company.model import SubscriptionStatus
from sidecar.domain.company.subscription_changes import (
    CancelSubscription,
    ChangePlan,
    DropPlannedChanges,
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
    plans: list[tuple[int, str]] = field(default_factory=lambda: [(-1, "basic")])
    held: dict[str, list[int]] = field(default_factory=lambda: {key: line(0) for key in ADD_ONS})
    resets: list[int] = field(default_factory=list)
    moves: list[int] = field(default_factory=list)
    pause_moves: int | None = None

    def set(self, lines: list[bool], since: int, until: int | None, value: bool) -> None:
        end = HOURS if until is None else max(until, since)
        lines[since:end] = [value] * (end - since)

    def anchor(self, hour: int) -> int:
        moves = [*self.moves] if self.pause_moves is None else [*self.moves, self.pause_moves]
        return max([0, *(move for move in moves if move <= hour)])

    def period_end(self) -> int:
        anchor = self.anchor(self.now)
        return anchor + ((self.now - anchor) // DAY_HOURS + 1) * DAY_HOURS

    def plan(self, hour: int) -> str:
        """The last one that was said for the latest hour."""
        latest = max(at for at, _ in self.plans if at <= hour)
        return [plan for at, plan in self.plans if at == latest][-1]

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

    def start_anew(self, at: int, resets: bool, moves: bool) -> None:
        self.resets += [at] * resets
        self.moves += [at] * moves

    def take(self, change: SubscriptionChange, at: int) -> bool:  # noqa: C901 - one branch a kind
        """Change the table; whether that is possible."""
        now = self.now
        match change:
            case ChangePlan(plan, resets, moves):
                self.plans.append((at, plan))
                self.start_anew(at, resets, moves)
            case SetAddOn(key, quantity):
                held = self.held[key]
                before, hour = held[at], at
                while hour < HOURS and held[hour] == before:
                    held[hour] = quantity
                    hour += 1
            case ResetUsage():
                self.start_anew(at, True, False)
            case PauseSubscription(until_us, moves):
                until = None if until_us is None else hour_of(until_us)
                if self.over or self.paused[now] or (moves if until is None else until <= at):
                    return False
                self.set(self.paused, now, None, False)
                self.set(self.paused, at, until, True)
                self.keep_pause_move()
                self.pause_moves = until if moves else None
            case ResumeSubscription(moves):
                return self.resume(at, moves)
            case CancelSubscription():
                if self.over:
                    return False
                self.set(self.canceled, now, None, False)
                self.set(self.canceled, at, None, True)
            case RenewSubscription(ends_us, moves):
                self.set(self.canceled, now, None, False)
                self.set(self.ended, now, None, False)
                if ends_us is not None:
                    self.set(self.ended, hour_of(ends_us), None, True)
                if self.tried[now]:
                    self.set(self.tried, now, None, False)
                self.start_anew(at, False, moves)
            case MarkPastDue(grace_ends_us):
                if self.over:
                    return False
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

    def resume(self, at: int, moves: bool) -> bool:
        now = self.now
        if self.paused[now]:
            self.set(self.paused, now, at, True)
        elif True in self.paused[now:] and (start := self.paused.index(True, now)) < at:
            self.set(self.paused, start, at, True)
        else:
            return False
        self.set(self.paused, at, None, False)
        pause_was_to_move = self.pause_moves is not None and self.pause_moves > now
        self.keep_pause_move()
        self.pause_moves = at if moves or pause_was_to_move else None
        return True

    def keep_pause_move(self) -> None:
        """The end of a pause that is over has moved the anchor for good."""
        if self.pause_moves is not None and self.pause_moves <= self.now:
            self.moves.append(self.pause_moves)
            self.pause_moves = None

    def drop_planned(self) -> None:
        now = self.now
        self.plans = [(at, plan) for at, plan in self.plans if at <= now]
        for held in self.held.values():
            held[now:] = [held[now]] * (HOURS - now)
        self.resets = [at for at in self.resets if at <= now]
        self.moves = [at for at in self.moves if at <= now]
        if not self.canceled[now]:
            self.set(self.canceled, now, None, False)
        if not self.paused[now]:
            self.set(self.paused, now, None, False)
            self.keep_pause_move()
            self.pause_moves = None
