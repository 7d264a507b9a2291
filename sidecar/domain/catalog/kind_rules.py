"""What features of a kind may have, and what may be granted of them.

Rules
- METERED: limits and rates, and what usage costs: it draws on balances of CREDITS features.
- CREDITS: a limit is a grant for each of its windows, so it has an amount and is HARD, exact and
  company-wide. Of one window there is one: two would have one counter. A balance on which nothing
  is granted by itself has a limit of 0: without any it would read as unlimited.
- SEATS: limits are of holders, company-wide: those that there are now (LIFETIME), or the distinct
  ones in each window.
- LEVEL: limits are of what is in use now (LEVEL, which no other kind has), in any scope.
- Seats and levels are not used up: nothing of them rolls over, and there are no packs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sidecar.domain import bounds
from sidecar.domain.catalog.canonical import canonical_window
from sidecar.domain.catalog.kinds import COSTS_MAX, LIMIT_PRIORITY_MAX, FeatureCost, Swaps
from sidecar.domain.catalog.model import (
    Across,
    Catalog,
    Enforcement,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
)
from sidecar.domain.credits.costs import cost_table_problems
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.credits.priced_dimensions import priced_dimension_problems
from sidecar.domain.nearest import lacks
from sidecar.domain.time.windows import UNENDING, WindowSpec, WindowUnit
from sidecar.domain.validation import (
    Path,
    RuleProblem,
    below,
    count_problems,
    duration_problems,
    identifier_problems,
    number_problems,
    repeated_problems,
)

_CREDITS, _SEATS, _LEVEL = FeatureKind.CREDITS, FeatureKind.SEATS, FeatureKind.LEVEL
_ENFORCED: Final = {
    _CREDITS: (Enforcement.HARD,),
    _SEATS: (Enforcement.HARD, Enforcement.SOFT, Enforcement.SHADOW),
    _LEVEL: (Enforcement.HARD, Enforcement.SOFT, Enforcement.SHADOW),
}
_COMPANY_WIDE: Final = {
    _CREDITS: "a balance is the company's: CREDITS have no each, no when and no amounts",
    _SEATS: "seats are the company's: SEATS have no each, no when and no amounts",
}


def feature_kind_problems(feature: Feature) -> Iterator[RuleProblem]:
    """Yield what a feature has that is not of its kind, or out of its bounds."""
    kind = feature.kind
    if feature.costs and kind is not FeatureKind.METERED:
        message = f"only METERED features have costs, {feature.key!r} is {kind.name}"
        yield RuleProblem(("costs",), message)
    yield from count_problems(("costs",), feature.costs, COSTS_MAX)
    for at, cost in enumerate(feature.costs):
        yield from below(("costs", at), _cost_problems(cost, feature))
    keys = [cost.credits for cost in feature.costs]
    yield from repeated_problems(("costs",), ("credits",), keys)
    for name, held in (("ttl_max", feature.ttl_max_us), ("billing", feature.billing)):
        if held is not None and kind is not _LEVEL:
            message = f"only LEVEL features have it, {feature.key!r} is {kind.name}"
            yield RuleProblem((name,), message)
    if feature.ttl_max_us is not None:
        shortest_us, longest_us = bounds.LEVEL_TTL_US_MIN, bounds.LEVEL_TTL_US_MAX
        yield from duration_problems(("ttl_max",), feature.ttl_max_us, shortest_us, longest_us)
    if feature.billing is not None:
        yield from _window_problems(("billing", "window"), feature.billing.window)


def costs_references(feature: Feature, kinds: Mapping[str, FeatureKind]) -> Iterator[RuleProblem]:
    """Yield which of a feature's costs are in no credits of the catalog."""
    for at, cost in enumerate(feature.costs):
        kind = kinds.get(cost.credits)
        if kind is None:
            yield RuleProblem(("costs", at, "credits"), lacks("feature", cost.credits, kinds))
        elif kind is not _CREDITS:
            message = f"costs are in CREDITS, {cost.credits!r} is {kind.name}"
            yield RuleProblem(("costs", at, "credits"), message)


def grant_numbers_problems(grant: EntitlementGrant) -> Iterator[RuleProblem]:
    """Yield what of a grant, that features of one kind have, is out of its bounds."""
    yield from number_problems(("overdraft",), grant.overdraft, 0, bounds.INT64_MAX)
    yield from _low_balance_problems(grant.low_balance)
    for at, limit in enumerate(grant.limits):
        path = ("limits", at)
        yield from number_problems((*path, "priority"), limit.priority, 0, LIMIT_PRIORITY_MAX)
        if limit.swaps is not None:
            yield from below((*path, "swaps"), _swaps_problems(limit.swaps))


def grant_kind_problems(grant: EntitlementGrant, kind: FeatureKind) -> Iterator[RuleProblem]:
    """Yield what of a grant is not of its feature's kind."""
    is_metered = kind is FeatureKind.METERED
    for name, held, fits in (
        ("limits", grant.limits or grant.limit_changes, kind.has_limits),
        ("rates", grant.rates or grant.rate_changes, is_metered),
        ("overdraft", grant.overdraft or grant.overdraft_change, kind is _CREDITS),
        ("low_balance", grant.low_balance, kind is _CREDITS),
    ):
        if held and not fits:
            yield RuleProblem((name,), _misfit(name, grant.feature, kind))
    if kind.has_limits:
        for at, limit in enumerate(grant.limits):
            yield from below(("limits", at), _of_one_kind_problems(limit, kind))
            if not is_metered:
                yield from below(("limits", at), _limit_problems(limit, kind))
    if kind is _CREDITS:
        yield from _credits_problems(grant)


def _low_balance_problems(thresholds: Sequence[int]) -> Iterator[RuleProblem]:
    path = ("low_balance",)
    yield from count_problems(path, thresholds, bounds.LOW_BALANCES_MAX)
    for at, threshold in enumerate(thresholds):
        yield from number_problems((*path, at), threshold, 0, bounds.INT64_MAX)
        if at and threshold >= thresholds[at - 1]:
            yield RuleProblem((*path, at), f"must be below {thresholds[at - 1]}, is {threshold}")


def _misfit(name: str, feature: str, kind: FeatureKind) -> str:
    having = {"overdraft": "CREDITS", "low_balance": "CREDITS", "rates": "METERED"}.get(
        name, "METERED, CREDITS, SEATS and LEVEL"
    )
    return f"only {having} features have {name}, {feature!r} is {kind.name}"


def _of_one_kind_problems(limit: Limit, kind: FeatureKind) -> Iterator[RuleProblem]:
    """Yield what a limit says that limits of another kind say."""
    is_usual = limit.credit_kind is GrantKind.PROMOTIONAL
    for name, is_said, of in (
        ("priority", limit.priority != 0, _CREDITS),
        ("credit_kind", not is_usual, _CREDITS),
        ("swaps", limit.swaps is not None, _SEATS),
    ):
        if is_said and kind is not of:
            yield RuleProblem((name,), f"only limits of {of.name} have it, this is {kind.name}")
    if limit.window.unit is WindowUnit.LEVEL and kind is not _LEVEL:
        message = f"of what is in use now, which {kind.name} is not; say a window"
        yield RuleProblem(("window", "unit"), message)


def _limit_problems(limit: Limit, kind: FeatureKind) -> Iterator[RuleProblem]:
    unit, allowed = limit.window.unit, _ENFORCED[kind]
    if limit.enforcement not in allowed:
        names = ", ".join(each.name for each in allowed)
        message = f"of {kind.name} it is one of {names}, not {limit.enforcement.name}"
        yield RuleProblem(("enforcement",), message)
    if limit.across is not Across.EXACT:
        yield RuleProblem(("across",), f"limits of {kind.name} hold exactly over all sidecars")
    if unit is WindowUnit.REQUEST:
        yield RuleProblem(("window", "unit"), f"{kind.name} has no limits for single requests")
    elif kind is _LEVEL and unit is not WindowUnit.LEVEL:
        message = f"a level is what is in use now, which begins anew with no {unit.name}: lifetime"
        yield RuleProblem(("window", "unit"), message)
    if kind in _COMPANY_WIDE:
        for name in ("dimensions", "match"):
            if getattr(limit.scope, name):
                yield RuleProblem(("scope", name), _COMPANY_WIDE[kind])
    if kind is not _CREDITS and limit.rollover is not None:
        yield RuleProblem(("rollover",), f"nothing of {kind.name} is used up, or left over")


def _credits_problems(grant: EntitlementGrant) -> Iterator[RuleProblem]:
    if not grant.limits and not grant.is_change:
        message = (
            "CREDITS need a limit, of amount 0 (per lifetime) where nothing is granted by itself"
        )
        yield RuleProblem(("limits",), message)
    unlimited = "of CREDITS it is what is granted in each window, which is never unlimited"
    seen: dict[WindowSpec, str] = {}
    for at, limit in enumerate(grant.limits):
        if limit.amount is None:
            yield RuleProblem(("limits", at, "amount"), unlimited)
        other = seen.setdefault(canonical_window(limit.window), limit.id)
        if other != limit.id:
            message = f"{other!r} grants credits in the same windows: grant the sum in one of them"
            yield RuleProblem(("limits", at, "window", "unit"), message)
    for at, change in enumerate(grant.limit_changes):
        if change.amount is None:
            yield RuleProblem(("limit_changes", at, "amount"), unlimited)


def kind_changes_problems(catalog: Catalog, before: Catalog) -> Iterator[RuleProblem]:
    """Yield features with limits that are of another such kind than before.

    What was counted of one would be taken for the other's: calls for credits that were burned.
    """
    kinds = {feature.key: feature.kind for feature in before.features}
    for at, feature in enumerate(catalog.features):
        was = kinds.get(feature.key, feature.kind)
        if was is not feature.kind and was.has_limits and feature.kind.has_limits:
            message = (
                f"{feature.key!r} is {was.name}, and what was counted of it is not "
                f"{feature.kind.name}: give the new feature another key"
            )
            yield RuleProblem(("features", at, "kind"), message)


def _cost_problems(cost: FeatureCost, feature: Feature) -> Iterator[RuleProblem]:
    yield from identifier_problems(("credits",), cost.credits)
    yield from cost_table_problems((), cost.table)
    yield from priced_dimension_problems((), cost.table, feature.dimensions)


def _swaps_problems(swaps: Swaps) -> Iterator[RuleProblem]:
    yield from number_problems(("amount",), swaps.amount, 0, bounds.INT64_MAX)
    yield from _window_problems(("window",), swaps.window)


def _window_problems(path: Path, window: WindowSpec) -> Iterator[RuleProblem]:
    if window.unit in UNENDING:
        message = f"needs windows that end, {window.unit.name} does not"
        yield RuleProblem((*path, "unit"), message)


def packs_problems(
    features: Sequence[str], kinds: Mapping[str, FeatureKind]
) -> Iterator[RuleProblem]:
    """Yield which features of a pack are not used up, by their places in it."""
    for at, feature in enumerate(features):
        kind = kinds.get(feature)
        if kind in (_SEATS, _LEVEL):
            message = f"a pack (once) lasts until it is used up, and {kind.name} never is"
            yield RuleProblem(("entitlements", at, "entitlement", "feature"), message)
