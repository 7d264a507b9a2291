"""What follows a trial and a late payment, as plans say it. Values only."""

from __future__ import annotations

from sidecar.domain.catalog.value import Value


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
