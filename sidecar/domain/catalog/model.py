"""What is sold: features, limits, plans and add-ons.

Values only. They are `msgspec.Struct`s rather than dataclasses, since those are frozen and slotted
just the same and are built and decoded about eight times faster, which a cache miss feels.
"""

from __future__ import annotations

import enum

from sidecar.domain.catalog.kinds import FeatureCost, LevelBilling, OverdraftChange, Swaps
from sidecar.domain.catalog.plan_terms import (
    ExistingCompanies,
    Grace,
    Proration,
    Trial,
    UnusedCredits,
)
from sidecar.domain.catalog.value import Value
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.time.windows import WindowSpec, WindowUnit

DEFAULT_WARNING_PERCENTS = (50, 80, 100)


class FeatureKind(enum.IntEnum):
    """What kind of thing a feature is. Numbers as in the API."""

    BOOLEAN = 1
    CONFIG = 2
    METERED = 3
    CREDITS = 4
    SEATS = 5
    LEVEL = 6

    @property
    def has_limits(self) -> bool:
        """Whether an entitlement of it is made of limits."""
        return self >= FeatureKind.METERED

    @property
    def is_counted(self) -> bool:
        """Whether what is asked of it counts on its limits, each by itself, as it comes."""
        return self in (FeatureKind.METERED, FeatureKind.LEVEL)


class Enforcement(enum.IntEnum):
    """What happens past a limit. Numbers as in the API."""

    HARD = 1
    SOFT = 2
    SHADOW = 3
    THROTTLE = 4


class Across(enum.IntEnum):
    """How exactly a HARD limit holds over all sidecars. Numbers as in the API.

    EXACT: each sidecar spends what was leased to it. EVENTUAL: by what was heard of the others.
    """

    EXACT = 1
    EVENTUAL = 2


class Merge(enum.IntEnum):
    """How an add-on's entitlement joins what the plan grants. Numbers as in the API."""

    INCREMENT = 1
    OVERRIDE = 2


class FailAction(enum.IntEnum):
    """What decides where knowledge or room is lacking. Numbers as in the API."""

    DENY = 1
    ALLOW = 2
    DEFAULT_PLAN = 3
    KEEP = 4


class Scope(Value, frozen=True):
    """Which counter a limit counts on; empty is the company as a whole.

    `dimensions`: names whose values each have a counter of their own.
    `match`: sorted (name, value) pairs; a request must carry each name with its value, or with one
    of its values where the name is there several times.
    """

    dimensions: tuple[str, ...] = ()
    match: tuple[tuple[str, str], ...] = ()


class Rate(Value, frozen=True):
    """So much per period, evenly, with a burst; quantities in the feature's unit.

    `count` per `period_us` flow in; up to `burst` may be used at once after a rest.
    """

    count: int
    period_us: int
    burst: int


class Rollover(Value, frozen=True):
    """What is unused at a window's end carries over, for so many `windows` (1 or more).

    Most that is carried into a window: `amount_max` in the feature's unit and `percent_max` of the
    limit's amount; `None` for no such bound. `while_paused`: also from a window that ends while the
    subscription is paused.
    """

    windows: int = 1
    amount_max: int | None = None
    percent_max: int | None = None
    while_paused: bool = True


class Limit(Value, frozen=True):
    """One ceiling. `amount` is in the feature's unit, `None` for unlimited.

    `throttle`: the rate past the amount, for THROTTLE alone. `amounts`: other amounts, sorted by
    value, for values of the scope's only dimension. `packs`: what the packs that a company holds
    (`AddOn.once`) give on top, once for all windows; of what is resolved, 0 in a catalog. `across`:
    of HARD limits alone. Of CREDITS a limit is a grant for each window, in micro-credits, with a
    `priority`, 0 to 1,000, lower burns first, and a `credit_kind`. `swaps`: of SEATS alone; `None`
    for any number.
    """

    id: str
    window: WindowSpec
    amount: int | None = None
    enforcement: Enforcement = Enforcement.HARD
    scope: Scope = Scope()
    warning_percents: tuple[int, ...] = DEFAULT_WARNING_PERCENTS
    throttle: Rate | None = None
    rollover: Rollover | None = None
    amounts: tuple[tuple[str, int | None], ...] = ()
    packs: int = 0
    across: Across = Across.EXACT
    priority: int = 0
    credit_kind: GrantKind = GrantKind.PROMOTIONAL
    swaps: Swaps | None = None

    @property
    def is_leased(self) -> bool:
        """Whether sidecars count on it only what the plane has leased to them."""
        return self.is_exact and self.amount is not None and self.is_counted

    @property
    def is_exact(self) -> bool:
        """Whether what it allows, if that is an amount, is never passed over all sidecars."""
        return self.enforcement is Enforcement.HARD and self.across is Across.EXACT

    @property
    def is_counted(self) -> bool:
        """Whether usage is counted on it; one for a request looks at each by itself."""
        return self.window.unit is not WindowUnit.REQUEST


class RateLimit(Value, frozen=True):
    """A short-term ceiling, HARD or SHADOW. Its id is unique among the entitlement's limits too."""

    id: str
    rate: Rate
    enforcement: Enforcement = Enforcement.HARD
    scope: Scope = Scope()


class FailPolicy(Value, frozen=True):
    """What decides about a feature where the sidecar lacks knowledge or room.

    `no_snapshot`: DENY, ALLOW or DEFAULT_PLAN, where nothing is known of the company. `stale`:
    KEEP, DENY or ALLOW, once the control plane was not heard for `stale_after_us` (`None`: never).
    `outbox_full`: DENY or ALLOW. `no_lease`: DENY or ALLOW, where an exact limit has no lease here
    and the plane cannot be asked.
    """

    no_snapshot: FailAction = FailAction.DENY
    stale: FailAction = FailAction.KEEP
    stale_after_us: int | None = None
    outbox_full: FailAction = FailAction.DENY
    no_lease: FailAction = FailAction.DENY


class Dimension(Value, frozen=True):
    """A named attribute of requests; `values` are all that there are, none for any."""

    name: str
    required: bool = False
    values: tuple[str, ...] = ()


class Feature(Value, frozen=True):
    """Something that the product sells.

    `dimensions`: those that requests may carry, sorted by name; `None` where that is not declared.
    `costs`: of METERED alone, sorted by `credits`. Of LEVEL alone: `ttl_max_us`, the longest time
    to live of what is in use (`None`: it need not have any), and `billing`, `None` for none.
    """

    key: str
    kind: FeatureKind
    name: str = ""
    unit: str = ""
    fail_policy: FailPolicy = FailPolicy()
    dimensions: tuple[Dimension, ...] | None = None
    costs: tuple[FeatureCost, ...] = ()
    ttl_max_us: int | None = None
    billing: LevelBilling | None = None


class LimitChange(Value, frozen=True):
    """A change of one limit that is granted already, by its name; window and scope stay.

    `amount` in the feature's unit, `None` for unlimited; `adds`: on top of what there is.
    """

    limit: str
    amount: int | None
    adds: bool = False


class RateChange(Value, frozen=True):
    """A change of one rate that is granted already, by its name; period and scope stay.

    `adds`: count and burst go on top of what there is.
    """

    rate: str
    count: int
    burst: int
    adds: bool = False


class EntitlementGrant(Value, frozen=True):
    """What one source (a plan, an add-on, an override) grants of one feature.

    `enabled` is for BOOLEAN, `config_value` for CONFIG, `limits` for all other features, `rates`
    for METERED ones, for CREDITS `overdraft`, micro-credits that may be owed, and `low_balance`, at
    which balances, the highest first, it is told that little is left. Changes are of add-ons and
    overrides: a grant with any changes what is granted already, and has nothing whole of its own.
    `id` tells overrides of one feature apart.
    """

    feature: str
    enabled: bool = False
    config_value: str = ""
    limits: tuple[Limit, ...] = ()
    rates: tuple[RateLimit, ...] = ()
    limit_changes: tuple[LimitChange, ...] = ()
    rate_changes: tuple[RateChange, ...] = ()
    id: str = ""
    overdraft: int = 0
    overdraft_change: OverdraftChange | None = None
    low_balance: tuple[int, ...] = ()

    @property
    def is_change(self) -> bool:
        """Whether it changes what is granted already, and leaves the rest."""
        return bool(self.limit_changes or self.rate_changes or self.overdraft_change)


class Plan(Value, frozen=True):
    """A named set of entitlements, at most one for each feature, sorted by feature.

    `version` grows with every change of what it grants; the first is 0.
    """

    key: str
    name: str = ""
    entitlements: tuple[EntitlementGrant, ...] = ()
    version: int = 0
    existing: ExistingCompanies = ExistingCompanies.MOVE_NOW
    trial: Trial | None = None
    grace: Grace | None = None
    unused_credits: UnusedCredits = UnusedCredits.KEEP
    proration: Proration = Proration.FULL


class AddOnEntitlement(Value, frozen=True):
    """What an add-on grants of one feature, and how it joins what the plan grants."""

    grant: EntitlementGrant
    merge: Merge = Merge.INCREMENT


class AddOn(Value, frozen=True):
    """Something that is bought beside a plan. Of two, the one with the higher rank has the say.

    `plans`: those that it is sold with, sorted; none for all. `once`: a pack, whose amounts are
    given once and last until they are used.
    """

    key: str
    name: str = ""
    rank: int = 0
    entitlements: tuple[AddOnEntitlement, ...] = ()
    plans: tuple[str, ...] = ()
    once: bool = False


class Catalog(Value, frozen=True):
    """Everything that is sold: features, plans and add-ons, each sorted by key.

    `default_plan`: key of the plan for companies that are unknown; empty for none. `plan_versions`:
    earlier versions of plans that companies still have, sorted by key and version; each stands for
    all versions up to its own that no other stands for.
    """

    features: tuple[Feature, ...] = ()
    plans: tuple[Plan, ...] = ()
    add_ons: tuple[AddOn, ...] = ()
    default_plan: str = ""
    plan_versions: tuple[Plan, ...] = ()


class CatalogSnapshot(Value, frozen=True):
    """The catalog as of a revision of the control plane."""

    version: int
    catalog: Catalog
