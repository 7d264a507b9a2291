"""How many limits a usage may count on: a record names them all, so there is a bound.

Usage counts on the limits of the company's entitlement, and on those limits of other plans and
add-ons that have no dimensions (`CatalogIndex.also_counted`). The bound is on what can come of any
plan with any add-ons, and of any override: what is sold is refused before usage would be left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from typing import Final

from sidecar.domain.bounds import LIMITS_MAX
from sidecar.domain.catalog.canonical import canonical_scope, canonical_window
from sidecar.domain.catalog.model import Catalog, EntitlementGrant, Limit, RateLimit
from sidecar.domain.catalog.versions import all_versions
from sidecar.domain.validation import RuleProblem, below

_NONE: Final[frozenset[Hashable]] = frozenset()


class CountedLimits:
    """What usage of each feature may count on, whatever a company has bought of a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._company_wide: dict[str, set[Hashable]] = defaultdict(set)
        self._of_add_ons: dict[str, Counter[Hashable]] = defaultdict(Counter)
        self._rates_of_add_ons: dict[str, Counter[Hashable]] = defaultdict(Counter)
        for plan in all_versions(catalog):
            for grant in plan.entitlements:
                self._company_wide[grant.feature] |= _company_wide(grant)
        for add_on in catalog.add_ons:
            for given in add_on.entitlements:
                grant = given.grant
                self._company_wide[grant.feature] |= _company_wide(grant)
                # Of two add-ons that count the same thing the second raises the first's limits.
                self._of_add_ons[grant.feature] |= Counter(map(_kind, _counted(grant)))
                self._rates_of_add_ons[grant.feature] |= Counter(map(_rate_kind, grant.rates))

    def problems(self) -> Iterator[RuleProblem]:
        """Yield plans and add-ons whose usage might count on more limits than a record names."""
        for name in ("plans", "plan_versions"):
            for at, plan in enumerate(getattr(self._catalog, name)):
                for index, grant in enumerate(plan.entitlements):
                    path = (name, at, "entitlements", index)
                    yield from below(path, self._problems_with_add_ons(grant))
        for at, add_on in enumerate(self._catalog.add_ons):
            for index, given in enumerate(add_on.entitlements):
                nothing = EntitlementGrant(given.grant.feature)
                below_it = ("add_ons", at, "entitlements", index, "entitlement")
                yield from below(below_it, self._problems_with_add_ons(nothing))

    def override_problems(self, override: EntitlementGrant) -> Iterator[RuleProblem]:
        """Yield that usage by an override, which stands alone, might count on too many."""
        if override.is_change:
            return
        kinds = frozenset(map(_kind, _counted(override)))
        others = self._company_wide.get(override.feature, _NONE)
        yield from _too_many("limits", len(_counted(override)), len(others - kinds))

    def grown_since(self, before: CountedLimits) -> set[str]:
        """Features whose usage counts on more than before."""
        return {
            feature
            for feature, kinds in self._company_wide.items()
            if not kinds <= before._company_wide.get(feature, _NONE)
        }

    def _problems_with_add_ons(self, grant: EntitlementGrant) -> Iterator[RuleProblem]:
        """The same of what a plan grants, with every add-on there is on top of it."""
        bought = self._of_add_ons.get(grant.feature, Counter())
        own = frozenset(map(_kind, _counted(grant)))
        others = self._company_wide.get(grant.feature, _NONE) - own - bought.keys()
        beside = sum(number for kind, number in bought.items() if kind not in own)
        yield from _too_many("limits", len(_counted(grant)), beside + len(others))
        rates = self._rates_of_add_ons.get(grant.feature, Counter())
        measured = frozenset(map(_rate_kind, grant.rates))
        beside = sum(number for kind, number in rates.items() if kind not in measured)
        yield from _too_many("rates", len(grant.rates), beside)


def _too_many(name: str, own: int, others: int) -> Iterator[RuleProblem]:
    if own <= LIMITS_MAX < own + others:  # a grant that has too many by itself is told elsewhere
        message = (
            f"usage would count on {own + others} {name}, those of other plans and add-ons "
            f"included; at most are {LIMITS_MAX}"
        )
        yield RuleProblem((name,), message)


def _company_wide(grant: EntitlementGrant) -> set[Hashable]:
    return {_kind(limit) for limit in _counted(grant) if not limit.scope.dimensions}


def _counted(grant: EntitlementGrant) -> list[Limit]:
    return [limit for limit in grant.limits if limit.is_counted]


def _kind(limit: Limit) -> Hashable:
    """What a limit counts: of those that count the same, one is counted on."""
    return canonical_window(limit.window), canonical_scope(limit.scope)


def _rate_kind(rate: RateLimit) -> Hashable:
    return canonical_scope(rate.scope), rate.rate.period_us
