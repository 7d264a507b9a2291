"""What a grant must fulfil: its limits, rates and rollover."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sidecar.domain import bounds
from sidecar.domain.catalog.amounts_rules import amounts_problems, value_names
from sidecar.domain.catalog.change_rules import changes_problems
from sidecar.domain.catalog.kind_rules import grant_kind_problems, grant_numbers_problems
from sidecar.domain.catalog.model import (
    Across,
    Enforcement,
    EntitlementGrant,
    FeatureKind,
    Limit,
    Rate,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.nearest import lacks
from sidecar.domain.time.windows import UNENDING, Alignment, WindowUnit
from sidecar.domain.validation import (
    RuleProblem,
    below,
    count_problems,
    duration_problems,
    identifier_problems,
    name_problems,
    new_name_problems,
    number_problems,
    repeated_problems,
    text_problems,
)

_OF_RATES: Final = (Enforcement.HARD, Enforcement.SHADOW)


def grant_problems(grant: EntitlementGrant) -> Iterator[RuleProblem]:
    """Yield what is wrong with a grant by itself."""
    yield from identifier_problems(("feature",), grant.feature)
    yield from text_problems(("config_value",), grant.config_value, bounds.CONFIG_VALUE_BYTES_MAX)
    yield from count_problems(("limits",), grant.limits, bounds.LIMITS_MAX)
    for at, limit in enumerate(grant.limits):
        yield from below(("limits", at), limit_problems(limit))
    yield from repeated_problems(("limits",), ("id",), [limit.id for limit in grant.limits])
    yield from count_problems(("rates",), grant.rates, bounds.LIMITS_MAX)
    for at, rate in enumerate(grant.rates):
        yield from below(("rates", at), rate_limit_problems(rate))
    yield from repeated_problems(("rates",), ("id",), [rate.id for rate in grant.rates])
    limits = {limit.id for limit in grant.limits}
    for at, rate in enumerate(grant.rates):
        if rate.id in limits:
            yield RuleProblem(("rates", at, "id"), f"a limit is named {rate.id!r} already")
    yield from grant_numbers_problems(grant)
    yield from changes_problems(grant)


def grant_names(grant: EntitlementGrant) -> Iterator[RuleProblem]:
    """Yield what of a grant may be there, but not be given as a name any more."""
    for at, limit in enumerate(grant.limits):
        yield from new_name_problems(("limits", at, "id"), limit.id)
        yield from below(("limits", at, "scope"), _scope_names(limit.scope))
        for value, _ in limit.amounts:
            yield from value_names(("limits", at, "amounts", value), value)
    for at, rate in enumerate(grant.rates):
        yield from new_name_problems(("rates", at, "id"), rate.id)
        yield from below(("rates", at, "scope"), _scope_names(rate.scope))


def grant_references(
    grant: EntitlementGrant, kinds: Mapping[str, FeatureKind]
) -> Iterator[RuleProblem]:
    """Yield what of a grant does not fit the features of the catalog."""
    kind = kinds.get(grant.feature)
    if kind is None:
        yield RuleProblem(("feature",), lacks("feature", grant.feature, kinds))
    else:
        yield from grant_kind_problems(grant, kind)


def limit_problems(limit: Limit) -> Iterator[RuleProblem]:
    """Yield what is wrong with a limit by itself."""
    yield from identifier_problems(("id",), limit.id)
    if limit.amount is not None:
        yield from number_problems(("amount",), limit.amount, 0, bounds.INT64_MAX)
    window = limit.window
    weekly = window.unit is WindowUnit.WEEK and window.alignment is Alignment.CALENDAR
    if window.first_weekday and not weekly:
        yield RuleProblem(("window", "first_weekday"), "only a CALENDAR WEEK has a first weekday")
    if window.unit is WindowUnit.REQUEST and window.alignment is Alignment.ANCHORED:
        yield RuleProblem(
            ("window", "alignment"), "each request stands by itself, and has no cycle"
        )
    yield from below(("scope",), _scope_problems(limit.scope))
    yield from _percents_problems(limit.warning_percents)
    yield from below(("amounts",), amounts_problems(limit))
    yield from _throttle_problems(limit)
    yield from _across_problems(limit)
    if limit.rollover is not None:
        yield from below(("rollover",), _rollover_problems(limit.rollover, limit))


def rate_limit_problems(rate: RateLimit) -> Iterator[RuleProblem]:
    """Yield what is wrong with a short-term limit by itself."""
    yield from identifier_problems(("id",), rate.id)
    yield from below(("rate",), rate_problems(rate.rate))
    if rate.enforcement not in _OF_RATES:
        yield RuleProblem(("enforcement",), f"must be HARD or SHADOW, is {rate.enforcement.name}")
    yield from below(("scope",), _scope_problems(rate.scope))


def rate_problems(rate: Rate) -> Iterator[RuleProblem]:
    """Yield what is wrong with a rate."""
    shortest_us, longest_us = bounds.RATE_PERIOD_US_MIN, bounds.RATE_PERIOD_US_MAX
    yield from duration_problems(("period",), rate.period_us, shortest_us, longest_us)
    period_us = min(longest_us, max(shortest_us, rate.period_us))
    for name, quantity in (("count", rate.count), ("burst", rate.burst)):
        yield from number_problems((name,), quantity, 1, bounds.RATE_PRODUCT_MAX // period_us)


def _throttle_problems(limit: Limit) -> Iterator[RuleProblem]:
    if limit.throttle is not None:
        yield from below(("throttle",), rate_problems(limit.throttle))
    if limit.enforcement is not Enforcement.THROTTLE:
        if limit.throttle is not None:
            message = f"only THROTTLE has a rate past the amount, this is {limit.enforcement.name}"
            yield RuleProblem(("throttle",), message)
        return
    if not limit.is_counted:
        message = "THROTTLE needs a window, REQUEST is none; say HARD, SOFT or SHADOW"
        yield RuleProblem(("enforcement",), message)
    if limit.throttle is None:
        yield RuleProblem(("throttle",), "must be set, THROTTLE needs the rate past the amount")
    if limit.amount is None:
        yield RuleProblem(("amount",), "THROTTLE needs an amount past which it begins")


def _across_problems(limit: Limit) -> Iterator[RuleProblem]:
    if limit.across is not Across.EXACT:
        yield from named_across_problems(limit)


def named_across_problems(limit: Limit) -> Iterator[RuleProblem]:
    """Yield why nothing can be said of how exactly a limit holds over all sidecars."""
    if limit.enforcement is not Enforcement.HARD:
        message = f"only HARD limits hold over all sidecars, this is {limit.enforcement.name}"
        yield RuleProblem(("across",), message)
    elif not limit.is_counted:
        message = "needs a window; REQUEST is none, and holds everywhere by itself"
        yield RuleProblem(("across",), message)


def _rollover_problems(rollover: Rollover, limit: Limit) -> Iterator[RuleProblem]:
    if limit.amount is None:
        yield RuleProblem((), "needs an amount of which something can be left")
    if limit.window.unit in UNENDING:
        message = f"needs windows that end, {limit.window.unit.name} does not"
        yield RuleProblem((), message)
    if limit.scope.dimensions:
        yield RuleProblem((), "is not for limits with a counter for each value of a dimension")
    windows_max = bounds.ROLLOVER_WINDOWS_MAX
    yield from number_problems(("windows",), rollover.windows, 1, windows_max)
    if rollover.amount_max is not None:
        yield from number_problems(("max_amount",), rollover.amount_max, 0, bounds.INT64_MAX)
    if rollover.percent_max is not None:
        percent_max = bounds.ROLLOVER_PERCENT_MAX
        yield from number_problems(("max_percent",), rollover.percent_max, 0, percent_max)


def _scope_problems(scope: Scope) -> Iterator[RuleProblem]:
    yield from count_problems(("dimensions",), scope.dimensions, bounds.DIMENSIONS_MAX)
    yield from count_problems(("match",), {name for name, _ in scope.match}, bounds.DIMENSIONS_MAX)
    yield from count_problems(("match",), scope.match, bounds.MATCH_VALUES_MAX)
    for at, name in enumerate(scope.dimensions):
        yield from name_problems(("dimensions", at), name, bounds.DIMENSION_KEY_BYTES_MAX)
        if name in scope.dimensions[:at]:
            yield RuleProblem(("dimensions", at), f"{name!r} is here twice")
    for at, (name, value) in enumerate(scope.match):
        path = ("match", name)
        yield from name_problems(path, name, bounds.DIMENSION_KEY_BYTES_MAX)
        yield from text_problems(path, value, bounds.DIMENSION_VALUE_BYTES_MAX)
        if (name, value) in scope.match[:at]:
            yield RuleProblem(path, f"{value!r} is here twice")
        if name in scope.dimensions:
            yield RuleProblem(path, f"{name!r} cannot be fixed and a dimension at once")


def _scope_names(scope: Scope) -> Iterator[RuleProblem]:
    for at, dimension in enumerate(scope.dimensions):
        yield from new_name_problems(("dimensions", at), dimension)
    for name, value in scope.match:
        yield from new_name_problems(("match", name), name)
        yield from value_names(("match", name), value)


def _percents_problems(percents: tuple[int, ...]) -> Iterator[RuleProblem]:
    path = ("warning_percents",)
    if not percents:
        yield RuleProblem(path, "must not be empty; leave it out for the default")
    yield from count_problems(path, percents, bounds.WARNING_PERCENTS_MAX)
    for at, percent in enumerate(percents):
        yield from number_problems((*path, at), percent, 1, bounds.WARNING_PERCENT_MAX)
        if at and percent <= percents[at - 1]:
            yield RuleProblem((*path, at), f"must be above {percents[at - 1]}, is {percent}")
