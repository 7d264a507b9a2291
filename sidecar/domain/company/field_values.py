"""What the fields of a company hold, each with all that is planned of it. See `owned_fields`."""

from __future__ import annotations

from typing import Final, TypeAlias

from sidecar.domain.catalog.value import Value
from sidecar.domain.company.model import Override, PastDue, Pause, SubscriptionStatus
from sidecar.domain.time.windows import WindowSpec

FieldPath: TypeAlias = tuple[str, ...]

NAME: Final[FieldPath] = ("name",)
TIME_ZONE: Final[FieldPath] = ("time_zone",)
PLAN: Final[FieldPath] = ("plan",)
ANCHOR: Final[FieldPath] = ("anchor",)
BILLING_PERIOD: Final[FieldPath] = ("billing_period",)
TRIAL: Final[FieldPath] = ("trial",)
CANCEL_AT: Final[FieldPath] = ("cancel_at",)
ENDS_AT: Final[FieldPath] = ("ends_at",)
PAST_DUE: Final[FieldPath] = ("past_due",)
PAUSE: Final[FieldPath] = ("pause",)
RESETS_USAGE: Final[FieldPath] = ("resets_usage",)
ADD_ONS: Final = "add_ons"
OVERRIDES: Final = "overrides"

FIELD_NAMES: Final = (
    *(NAME + TIME_ZONE + PLAN + ANCHOR + BILLING_PERIOD + TRIAL + CANCEL_AT + ENDS_AT),
    *(PAST_DUE + PAUSE + RESETS_USAGE),
    ADD_ONS,
    OVERRIDES,
)
"""The first steps of all paths."""


class PlannedInstant(Value, frozen=True, order=True):
    """An instant for which something is planned, perhaps meant for the end of a period."""

    at_us: int
    at_period_end: bool = False


class PlannedPlan(Value, frozen=True):
    """A plan, or a version of the plan held, from an instant on, as in `ScheduledChange`."""

    when: PlannedInstant
    plan: str
    version: int = 0


class PlanField(Value, frozen=True):
    """The plan, and those that are planned."""

    plan: str
    version: int = 0
    planned: tuple[PlannedPlan, ...] = ()


class PlannedQuantity(Value, frozen=True):
    """A quantity of an add-on from an instant on; 0 is none."""

    when: PlannedInstant
    quantity: int


class AddOnField(Value, frozen=True):
    """How many of an add-on are held, 0 for none, and what is planned."""

    quantity: int = 0
    planned: tuple[PlannedQuantity, ...] = ()


class AnchorField(Value, frozen=True):
    """The billing anchor, and the instants at which it moves."""

    anchor_us: int | None
    moves: tuple[PlannedInstant, ...] = ()


class ResetsField(Value, frozen=True):
    """The instants at which usage is reset."""

    resets: tuple[PlannedInstant, ...]


class TrialField(Value, frozen=True):
    """The trial's end and what follows."""

    ends_us: int
    end_status: SubscriptionStatus
    end_plan: str


class CancelField(Value, frozen=True):
    """When the subscription is canceled."""

    cancel_us: int
    at_period_end: bool


FieldValue: TypeAlias = (
    str
    | int
    | WindowSpec
    | PlanField
    | AddOnField
    | AnchorField
    | ResetsField
    | TrialField
    | CancelField
    | PastDue
    | Pause
    | Override
)
CompanyFields: TypeAlias = dict[FieldPath, FieldValue]
