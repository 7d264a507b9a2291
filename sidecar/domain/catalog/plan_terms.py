"""What plans say becomes of companies: after a trial, a late payment, a change. Values only."""

from __future__ import annotations

import enum

from sidecar.domain.catalog.value import Value


class ExistingCompanies(enum.IntEnum):
    """What becomes of a plan's companies when the plan changes. Numbers as in the API."""

    MOVE_NOW = 1
    KEEP = 2
    MOVE_AT_PERIOD_END = 3


class Proration(enum.IntEnum):
    """What a window of recurring credits grants in which a company changes to a plan.

    FULL: what the plan grants in a window. BY_TIME: of each plan its part of the window. NONE: what
    was granted before. Numbers as in the API.
    """

    FULL = 1
    BY_TIME = 2
    NONE = 3


class UnusedCredits(enum.IntEnum):
    """What becomes of one-off grants of credits once a subscription is over. Numbers as in the API.

    KEEP: they stay as they are, and can be spent if it is renewed. VOID_PROMOTIONAL: what is left
    of those that were not bought is void, VOID: of all.
    """

    KEEP = 1
    VOID_PROMOTIONAL = 2
    VOID = 3


class Trial(Value, frozen=True):
    """The trial that a subscription starts with.

    It is followed by `end_plan`, without add-ons, or by ENDED unless `becomes_active`.
    """

    length_us: int
    becomes_active: bool = False
    end_plan: str = ""


class Grace(Value, frozen=True):
    """What follows a late payment: after `length_us` (`None`: no end) `end_plan`, or denial."""

    length_us: int | None = None
    end_plan: str = ""
