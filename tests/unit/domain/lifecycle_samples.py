"""Subscriptions to change, and instants to change them at."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sidecar.domain.company.model import (
    AddOnSubscription,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.subscription_changes import ChangeTime, When
from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.support.build import MIDNIGHT_US, NOW_US

ACTIVE, ENDED = SubscriptionStatus.ACTIVE, SubscriptionStatus.ENDED
ANCHOR_US: Final = MIDNIGHT_US - 40 * DAY_US  # 3 February 2026
PERIOD_END_US: Final = MIDNIGHT_US + 19 * DAY_US  # 3 April 2026
SOON_US: Final = NOW_US + HOUR_US
LATER_US: Final = NOW_US + DAY_US
PAST_US: Final = NOW_US - DAY_US
PAID: Final = Subscription("basic", ANCHOR_US)
SEAT: Final = AddOnSubscription("seat", 2)
GB: Final = AddOnSubscription("gb", 1)


def at(instant_us: int) -> When:
    return When(ChangeTime.AT, instant_us)


def sub(**fields: Any) -> Subscription:
    """A paid subscription but for some fields."""
    return msgspec.structs.replace(PAID, **fields)


def planned(*changes: ScheduledChange) -> Subscription:
    return sub(changes=changes)


TRIAL: Final = sub(trial_ends_us=SOON_US, trial_end_status=ACTIVE)
PAUSED: Final = sub(pause=Pause(PAST_US))
SCHEDULED_SEAT: Final = planned(ScheduledChange(LATER_US, add_ons=(SEAT,)))
