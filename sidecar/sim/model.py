"""What a scenario says. Values only; times in microseconds, quantities in the features' units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import Company, Override
from sidecar.domain.company.subscription_changes import NOW, OnPlanned, SubscriptionChange, When
from sidecar.domain.credits.grants import CreditGrant
from sidecar.domain.levels.changes import LevelAction
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.requests import NO_ATTRIBUTES
from sidecar.domain.time.units import DAY_US
from sidecar.shared.catalog_file.problems import FilePosition, Path

STEPS_MAX: Final = 1_000
CHECKS_MAX: Final = 100_000
"""Most checks and reports that a scenario plays, those that come again counted each."""
SPAN_US_MAX: Final = 5 * 366 * DAY_US
CUSTOMER: Final = "customer"
"""Id of a company that the scenario itself describes."""

Expected: TypeAlias = "str | int | bool | None"


class SubscriptionStep(msgspec.Struct, frozen=True):
    """A change of the subscription, as `tallyd subscription` makes it. `told`: it, in words.

    `until_us`: of what it says when it ends. `on_planned`: what becomes of what was planned before.
    """

    change: SubscriptionChange
    told: str
    when: When = NOW
    until_us: int | None = None
    on_planned: OnPlanned = OnPlanned.ASK


class OverridesStep(msgspec.Struct, frozen=True):
    """The company's own entitlements: those to have, and features that have none any more."""

    overrides: tuple[Override, ...]
    removed: tuple[str, ...] = ()


class GrantStep(msgspec.Struct, frozen=True):
    """An override is granted, as `tallyd grant` does it."""

    override: Override


class RevokeStep(msgspec.Struct, frozen=True):
    """The override that was granted under an id is taken back."""

    id: str


class CatalogStep(msgspec.Struct, frozen=True):
    """Another catalog is applied, as a whole."""

    catalog: Catalog


class UsageStep(msgspec.Struct, frozen=True):
    """Usage: once, or `every_us` up to `until_us`, exclusive. RECORD_ONLY reports what happened."""

    feature: str
    quantity: int = 1
    dimensions: Mapping[str, str] = NO_ATTRIBUTES
    mode: GrantMode = GrantMode.ALL_OR_NOTHING
    every_us: int | None = None
    until_us: int = 0


class GrantCreditsStep(msgspec.Struct, frozen=True):
    """Credits are granted, as `tallyd credits grant` does it. An empty id: one is made."""

    feature: str
    grant: CreditGrant


class VoidCreditsStep(msgspec.Struct, frozen=True):
    """What is left of the grant of credits with an id is taken back."""

    id: str


class SeatStep(msgspec.Struct, frozen=True):
    """A holder asks for a seat, or gives it back (`is_release`)."""

    feature: str
    holder: str
    is_release: bool = False


class LevelStep(msgspec.Struct, frozen=True):
    """What is in use of a level changes, as by `tallyd level`. `item`: empty for none.

    `amount`: by how much, or what it is set to. `ttl_us`: `None` where it is not said.
    """

    feature: str
    action: LevelAction
    amount: int
    item: str = ""
    ttl_us: int | None = None
    dimensions: Mapping[str, str] = NO_ATTRIBUTES


KindStep: TypeAlias = GrantCreditsStep | VoidCreditsStep | SeatStep | LevelStep
"""Steps about credits, seats and levels."""
Action: TypeAlias = (
    SubscriptionStep | OverridesStep | GrantStep | RevokeStep | CatalogStep | UsageStep | KindStep
)


class ExpectedValue(msgspec.Struct, frozen=True):
    """What is to be the case of what `path` leads to, such as `limits`, `monthly`, `used`."""

    path: tuple[str, ...]
    value: Expected
    at: FilePosition


class Expectation(msgspec.Struct, frozen=True):
    """What is to be the case. With a feature it is asked whether a quantity would be allowed.

    Of credits, seats and levels nothing is asked: only a step beside it has an answer.
    """

    values: tuple[ExpectedValue, ...]
    feature: str = ""
    quantity: int = 1
    dimensions: Mapping[str, str] = NO_ATTRIBUTES


class ScenarioStep(msgspec.Struct, frozen=True):
    """Something that happens at an instant, and what is to be the case behind it.

    `refused`: the rules are to refuse it. `path` and `at`: its place in the file.
    """

    at_us: int
    path: Path
    at: FilePosition
    action: Action | None = None
    expect: Expectation | None = None
    refused: bool = False


class Scenario(msgspec.Struct, frozen=True):
    """A catalog, a company, and what happens in [starts_us, ends_us]; steps are in order.

    `warnings`: what of its catalogs is likely not meant so, each with its place.
    """

    source: str
    catalog: Catalog
    company: Company
    starts_us: int
    ends_us: int
    steps: tuple[ScenarioStep, ...]
    name: str = ""
    warnings: tuple[str, ...] = ()
