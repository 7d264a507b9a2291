"""To whom it is sold: companies, their subscriptions, and the timelines that sidecars decide by.

Values only, like those of `domain.catalog`.
"""

from __future__ import annotations

import enum
from typing import Generic, TypeAlias, TypeVar

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.catalog.value import Value
from sidecar.domain.credits.grants import CreditGrant
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit

T = TypeVar("T")

MONTHLY = WindowSpec(WindowUnit.MONTH, 1, Alignment.ANCHORED)


class SubscriptionStatus(enum.IntEnum):
    """State of a subscription. Numbers as in the API; 0 stands for "no subscription"."""

    NONE = 0
    TRIALING = 1
    ACTIVE = 2
    PAST_DUE = 3
    PAUSED = 4
    CANCELED = 5
    ENDED = 6


class Override(Value, frozen=True):
    """A company's own entitlement. It is in force until `expires_us`, exclusive.

    `reason` is for people; `granted_us`: when it was granted by a call of its own.
    """

    entitlement: EntitlementGrant
    expires_us: int = FOREVER_US
    reason: str = ""
    granted_us: int | None = None


class AddOnSubscription(Value, frozen=True):
    """An add-on that a subscription holds, so many times."""

    add_on: str
    quantity: int = 1


class PastDue(Value, frozen=True):
    """A payment is late since `from_us`, with a grace until `grace_ends_us` (`None`: for ever).

    The grace is followed by `grace_end_plan`, without add-ons, or by denial.
    """

    from_us: int
    grace_ends_us: int | None = None
    grace_end_plan: str = ""


class Pause(Value, frozen=True):
    """Paused in [from_us, until_us); `None`: no end is known.

    `moves_anchor`: the billing cycle starts anew at the end of the pause. `starts_at_period_end`,
    `ends_at_period_end`: they are meant for the end of a billing period, and move with it.
    """

    from_us: int
    until_us: int | None = None
    moves_anchor: bool = False
    starts_at_period_end: bool = False
    ends_at_period_end: bool = False


class ScheduledChange(Value, frozen=True):
    """A change of the subscription at `at_us`.

    `plan`: empty leaves it; `add_ons`: `None` leaves them. `resets_usage`: every counter starts
    again from 0. `moves_anchor`: the billing cycle starts anew. `plan_version`: that which was
    sold when it was planned; without a plan, the plan that is held moves to it. `at_period_end`:
    it is meant for the end of a billing period, and moves with it.
    """

    at_us: int
    plan: str = ""
    add_ons: tuple[AddOnSubscription, ...] | None = None
    resets_usage: bool = False
    moves_anchor: bool = False
    plan_version: int = 0
    at_period_end: bool = False


class Subscription(Value, frozen=True):
    """What a company has bought. Times in microseconds; `None`: not planned.

    `trial_end_status` (ACTIVE or ENDED) follows the trial. `cancel_us`: it is canceled then.
    `ends_us`: its term ends then, unless it is renewed. `add_ons` are sorted by key, `changes` by
    time, of one instant that for a period's end comes last; each change holds from then on,
    whatever the fields before say. `billing_period` is ANCHORED. `anchor_us`: `None` where
    that is left to the plane, which sets the start of the subscription. `plan_version`: that which
    was bought. `cancel_at_period_end`: `cancel_us` is meant
    for the end of a billing period, and moves with it. `trial_end_plan`: follows the trial, ACTIVE
    and without add-ons; empty for none.
    """

    plan: str
    anchor_us: int | None = None
    trial_ends_us: int | None = None
    trial_end_status: SubscriptionStatus = SubscriptionStatus.ENDED
    cancel_us: int | None = None
    add_ons: tuple[AddOnSubscription, ...] = ()
    ends_us: int | None = None
    past_due: PastDue | None = None
    pause: Pause | None = None
    changes: tuple[ScheduledChange, ...] = ()
    billing_period: WindowSpec = MONTHLY
    plan_version: int = 0
    cancel_at_period_end: bool = False
    trial_end_plan: str = ""


class Company(Value, frozen=True):
    """A customer account that pays, as it was applied.

    `renamed_from`: of one that is given, the id that it had before; nothing keeps it.
    """

    id: str
    name: str = ""
    time_zone: str = "UTC"
    subscription: Subscription | None = None
    overrides: tuple[Override, ...] = ()
    renamed_from: str = ""


class Phase(Value, frozen=True):
    """A stretch [from_us, until_us) of a timeline in which a subscription stays as it is.

    Add-ons and overrides come and go by themselves, see `Span`. `after_trial`: the status, or
    the plan, is what a trial ended in; `after_grace`: the plan is what a grace ended in.
    `past_grace`: PAST_DUE beyond its grace. Counters of ANCHORED windows belong to
    `anchored_generation`, all others to `generation`; each grows when those counters start anew.
    """

    from_us: int = BEGINNING_US
    until_us: int = FOREVER_US
    status: SubscriptionStatus = SubscriptionStatus.NONE
    after_trial: bool = False
    past_grace: bool = False
    plan: str = ""
    time_zone: str = "UTC"
    anchor_us: int | None = None
    generation: int = 0
    anchored_generation: int = 0
    plan_version: int = 0
    after_grace: bool = False


class Segment(Phase, frozen=True):
    """A stretch of a company's timeline in which nothing at all changes, with all that holds."""

    add_ons: tuple[AddOnSubscription, ...] = ()
    overrides: tuple[EntitlementGrant, ...] = ()


class Span(Value, Generic[T], frozen=True):
    """Something that is in force in [from_us, until_us): an override's grant, or an add-on."""

    content: T
    from_us: int = BEGINNING_US
    until_us: int = FOREVER_US


AddOnSpan: TypeAlias = Span[AddOnSubscription]
OverrideSpan: TypeAlias = Span[EntitlementGrant]


class CompanyGrant(Value, frozen=True):
    """A one-off grant of credits that a company has, on the balance of a CREDITS feature."""

    feature: str
    grant: CreditGrant


class CompanySnapshot(Value, frozen=True):
    """All that is needed, beside the catalog, to decide for one company: its timeline.

    `version` is the control plane's revision. `phases` are contiguous and ascending, from
    BEGINNING_US to FOREVER_US. Add-ons and overrides are named once, each with when it is in force,
    in the order of their keys and times: those of one key do not overlap. So a timeline is as large
    as what was bought, whatever number of segments comes of it.

    `company` is the first id that the company had; all that is counted is kept under it. `names`:
    the ids that it was renamed to, each once, the last one last. `credit_grants`: those that are
    not voided and have not been over for 36 days, sorted by feature and burn order; at most 1,000.
    """

    company: str
    version: int
    phases: tuple[Phase, ...] = (Phase(),)
    add_ons: tuple[AddOnSpan, ...] = ()
    overrides: tuple[OverrideSpan, ...] = ()
    names: tuple[str, ...] = ()
    credit_grants: tuple[CompanyGrant, ...] = ()

    @property
    def called(self) -> str:
        """The id that people and applications use now."""
        return self.names[-1] if self.names else self.company

    @property
    def weight(self) -> int:
        """How much there is of it: phases, spans and grants of credits."""
        spans = len(self.add_ons) + len(self.overrides)
        return len(self.phases) + spans + len(self.credit_grants)
