"""What may be asked to change of a subscription, and when. See `subscription_lifecycle`."""

from __future__ import annotations

import enum
from typing import ClassVar, TypeAlias

from sidecar.domain.catalog.value import Value


class ChangeTime(enum.IntEnum):
    """When a change takes effect. Numbers as in the API."""

    NOW = 1
    PERIOD_END = 2
    AT = 3


class When(Value, frozen=True):
    """When a change takes effect; `at_us` is for AT alone."""

    time: ChangeTime = ChangeTime.NOW
    at_us: int = 0


class Effect(Value, frozen=True):
    """When a change takes effect. `at_period_end`: it is meant for the end of a period."""

    at_us: int
    now_us: int
    at_period_end: bool = False


class OnPlanned(enum.IntEnum):
    """What becomes of what was planned before and a change touches. Numbers as in the API."""

    ASK = 0
    KEEP = 1
    DROP = 2


NOW = When()
PERIOD_END = When(ChangeTime.PERIOD_END)


class _Change(Value, frozen=True):
    """`field`: its name in requests. `can_be_planned`: it may take effect later than now."""

    field: ClassVar[str]
    can_be_planned: ClassVar[bool] = False


class ChangePlan(_Change, frozen=True):
    """Another plan. Counters stay, unless usage is reset.

    `renews`: a subscription that is over is renewed with it.
    `plan_version`: that which is sold.
    """

    field = "plan"
    can_be_planned = True

    plan: str
    resets_usage: bool = False
    moves_anchor: bool = False
    renews: bool = False
    plan_version: int = 0


class SetAddOn(_Change, frozen=True):
    """Holds an add-on so many times from then on; 0 is not at all."""

    field = "add_on"
    can_be_planned = True

    add_on: str
    quantity: int = 1


class PauseSubscription(_Change, frozen=True):
    """A pause, until an instant (at which the anchor may move) or until it is resumed."""

    field = "pause"
    can_be_planned = True

    until_us: int | None = None
    moves_anchor: bool = False


class ResumeSubscription(_Change, frozen=True):
    """The end of a pause."""

    field = "resume"
    can_be_planned = True

    moves_anchor: bool = False


class CancelSubscription(_Change, frozen=True):
    """A cancellation."""

    field = "cancel"
    can_be_planned = True


class RenewSubscription(_Change, frozen=True):
    """It goes on, until an instant or by itself. A trial that runs goes on, too."""

    field = "renew"

    ends_us: int | None = None
    moves_anchor: bool = False


class ExtendTrial(_Change, frozen=True):
    """A trial that ends later, or one that has ended and goes on."""

    field = "extend_trial"

    until_us: int


class EndTrial(_Change, frozen=True):
    """A trial that runs is over: what was bought is paid for."""

    field = "end_trial"


class MarkPastDue(_Change, frozen=True):
    """A payment is late; the grace (`None`: without end) is followed by a plan, or by denial."""

    field = "past_due"

    grace_ends_us: int | None = None
    grace_end_plan: str = ""


class MarkPaid(_Change, frozen=True):
    """The late payment has come."""

    field = "paid"


class ResetUsage(_Change, frozen=True):
    """Every counter starts again from 0."""

    field = "reset_usage"
    can_be_planned = True


class DropPlannedChanges(_Change, frozen=True):
    """No more plans for the future, or none that do this in this second.

    `whats`: what they do, as `PlannedChange` says it, or its first words; none is whatever it is.
    """

    field = "drop_planned"

    whats: tuple[str, ...] = ()
    at_us: int | None = None


ChangeForNow: TypeAlias = (
    RenewSubscription | ExtendTrial | EndTrial | MarkPastDue | MarkPaid | DropPlannedChanges
)
"""What cannot be planned."""
SubscriptionChange: TypeAlias = (
    ChangePlan
    | SetAddOn
    | PauseSubscription
    | ResumeSubscription
    | CancelSubscription
    | ResetUsage
    | ChangeForNow
)
