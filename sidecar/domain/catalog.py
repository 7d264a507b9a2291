"""What is sold, to whom: features, plans, companies, and the snapshots that sidecars decide by.

Values only. They are `msgspec.Struct`s rather than dataclasses, since those are frozen and slotted
just the same and are built and decoded about eight times faster, which a cache miss feels.
"""

from __future__ import annotations

import enum

import msgspec

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.windows import WindowSpec

DEFAULT_WARNING_PERCENTS = (50, 80, 100)


class FeatureKind(enum.IntEnum):
    """What kind of thing a feature is. Numbers as in the API."""

    BOOLEAN = 1
    CONFIG = 2
    METERED = 3


class Enforcement(enum.IntEnum):
    """What happens past a limit. Numbers as in the API."""

    HARD = 1
    SOFT = 2
    SHADOW = 3


class SubscriptionStatus(enum.IntEnum):
    """State of a subscription. Numbers as in the API; 0 stands for "no subscription"."""

    NONE = 0
    TRIALING = 1
    ACTIVE = 2
    PAST_DUE = 3
    PAUSED = 4
    CANCELED = 5
    ENDED = 6


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of the values in this module: compared and hashed by content."""


class Scope(Value, frozen=True):
    """Which counter a limit counts on; empty is the company as a whole.

    `dimensions`: names whose values each have a counter of their own.
    `match`: (name, value) pairs, sorted by name, all of which a request must carry.
    """

    dimensions: tuple[str, ...] = ()
    match: tuple[tuple[str, str], ...] = ()


class Limit(Value, frozen=True):
    """One ceiling. `amount` is in the feature's unit, `None` for unlimited."""

    id: str
    window: WindowSpec
    amount: int | None = None
    enforcement: Enforcement = Enforcement.HARD
    scope: Scope = Scope()
    warning_percents: tuple[int, ...] = DEFAULT_WARNING_PERCENTS


class Feature(Value, frozen=True):
    """Something that the product sells."""

    key: str
    kind: FeatureKind
    name: str = ""
    unit: str = ""


class EntitlementGrant(Value, frozen=True):
    """What one source (a plan, an override) grants of one feature.

    `enabled` is for BOOLEAN, `config_value` for CONFIG, `limits` for METERED features.
    """

    feature: str
    enabled: bool = False
    config_value: str = ""
    limits: tuple[Limit, ...] = ()


class Plan(Value, frozen=True):
    """A named set of entitlements, at most one for each feature, sorted by feature."""

    key: str
    name: str = ""
    entitlements: tuple[EntitlementGrant, ...] = ()


class Catalog(Value, frozen=True):
    """Everything that is sold: features and plans, each sorted by key."""

    features: tuple[Feature, ...] = ()
    plans: tuple[Plan, ...] = ()


class Override(Value, frozen=True):
    """A company's own entitlement. It is in force until `expires_us`, exclusive."""

    entitlement: EntitlementGrant
    expires_us: int = FOREVER_US


class Subscription(Value, frozen=True):
    """What a company has bought. Times in microseconds; `None`: not planned.

    `trial_end_status` (ACTIVE or ENDED) is the status that follows the trial.
    """

    plan: str
    anchor_us: int
    trial_ends_us: int | None = None
    trial_end_status: SubscriptionStatus = SubscriptionStatus.ENDED
    cancel_us: int | None = None


class Company(Value, frozen=True):
    """A customer account that pays, as it was applied."""

    id: str
    name: str = ""
    time_zone: str = "UTC"
    subscription: Subscription | None = None
    overrides: tuple[Override, ...] = ()


class Segment(Value, frozen=True):
    """A stretch [from_us, until_us) of a company's timeline in which nothing changes."""

    from_us: int = BEGINNING_US
    until_us: int = FOREVER_US
    status: SubscriptionStatus = SubscriptionStatus.NONE
    after_trial: bool = False
    plan: str = ""
    overrides: tuple[EntitlementGrant, ...] = ()


class CompanySnapshot(Value, frozen=True):
    """All that is needed, beside the catalog, to decide for one company.

    `version` is the control plane's revision. `segments` are contiguous and ascending, from
    BEGINNING_US to FOREVER_US.
    """

    company: str
    version: int
    time_zone: str = "UTC"
    anchor_us: int | None = None
    segments: tuple[Segment, ...] = (Segment(),)


class CatalogSnapshot(Value, frozen=True):
    """The catalog as of a revision of the control plane."""

    version: int
    catalog: Catalog
