"""What a catalog and companies must fulfil before they are taken: one place, for every source.

The rules look at values in the order in which they were given and name what is wrong by its path,
with the field names of the API: `("plans", 3, "entitlements", 0, "limits", 1, "amount")`. So an
API can report a field and a file loader a line. What passes is then brought into canonical form,
in which equal things compare equal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

from sidecar.domain import bounds
from sidecar.domain.catalog.add_on_rules import add_on_problems
from sidecar.domain.catalog.change_rules import increments_problems, no_changes_problems
from sidecar.domain.catalog.dimensions import (
    UsedDimensions,
    dimensions_names,
    dimensions_problems,
)
from sidecar.domain.catalog.grant_rules import grant_names, grant_problems, grant_references
from sidecar.domain.catalog.kind_rules import (
    costs_references,
    feature_kind_problems,
    packs_problems,
)
from sidecar.domain.catalog.model import (
    AddOn,
    Catalog,
    EntitlementGrant,
    FailAction,
    FailPolicy,
    Feature,
    FeatureKind,
    Plan,
)
from sidecar.domain.catalog.pack_rules import pack_problems
from sidecar.domain.catalog.sold_with import sold_with
from sidecar.domain.catalog.term_rules import terms_problems, terms_references
from sidecar.domain.company.model import Company, Override
from sidecar.domain.company.rules import (
    company_names,
    company_problems,
    company_references,
    sold_apart_problems,
)
from sidecar.domain.entitlement.counted_limits import CountedLimits
from sidecar.domain.entitlement.override_targets import never_targeted_problems
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.nearest import lacks
from sidecar.domain.validation import (
    RuleProblem,
    below,
    count_problems,
    duration_problems,
    identifier_problems,
    new_name_problems,
    number_problems,
    repeated_problems,
    text_problems,
)

_ALLOW, _DENY = FailAction.ALLOW, FailAction.DENY
_WITHOUT_SNAPSHOT: Final = (_DENY, _ALLOW, FailAction.DEFAULT_PLAN)
_WHEN_STALE: Final = (FailAction.KEEP, _DENY, _ALLOW)
_WITH_A_FULL_OUTBOX: Final = (_DENY, _ALLOW)
_WITHOUT_LEASE: Final = (_DENY, _ALLOW)


def problems(catalog: Catalog, companies: Iterable[Company] = ()) -> Iterator[RuleProblem]:
    """Yield everything that is wrong with a catalog and with companies that are to use it.

    Paths start with `features`, `plans`, `add_ons`, `default_plan` or `companies`.
    """
    yield from catalog_problems(catalog)
    yield from catalog_names(catalog)
    yield from catalog_references(catalog)
    yield from CountedLimits(catalog).problems()
    yield from add_on_problems(catalog)
    yield from companies_problems(companies, catalog)


def companies_problems(companies: Iterable[Company], catalog: Catalog) -> Iterator[RuleProblem]:
    """Yield what is wrong with companies that are to use a catalog, which is taken as it is."""
    kinds = {feature.key: feature.kind for feature in catalog.features}
    plans = {plan.key for plan in catalog.plans}
    add_ons = sold_with(catalog)
    counted, used, index = CountedLimits(catalog), UsedDimensions(catalog), _Index(catalog)
    companies = list(companies)
    ids: set[str] = set()
    given = {company.id for company in companies}
    for at, company in enumerate(companies):
        yield from below(("companies", at), company_problems(company))
        yield from below(("companies", at), company_names(company))
        yield from below(("companies", at), company_references(company, plans, kinds, add_ons))
        yield from below(("companies", at), sold_apart_problems(company, add_ons))
        for problems_of in (counted.override_problems, used.problems):
            found = overrides_problems(company.overrides, problems_of)
            yield from below(("companies", at), found)
        yield from below(("companies", at), index.untargeted(company))
        if company.id in ids:
            yield RuleProblem(("companies", at, "id"), f"{company.id!r} is here twice")
        ids.add(company.id)
        if company.renamed_from:
            yield from below(("companies", at, "renamed_from"), _former_problems(company, given))
            given.add(company.renamed_from)


def _former_problems(company: Company, given: Container[str]) -> Iterator[RuleProblem]:
    """Yield why a company cannot have had an id. `given`: those that are taken."""
    if company.renamed_from != company.id and company.renamed_from in given:
        message = f"{company.renamed_from!r} is here, too: say a company once, by its new id"
        yield RuleProblem((), message)


class _Index:
    """A catalog arranged for look-ups, once it is needed."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._index: CatalogIndex | None = None

    def untargeted(self, company: Company) -> Iterator[RuleProblem]:
        """Yield what overrides change that is not granted; those granted by a call were checked."""
        for at, override in enumerate(company.overrides):
            if override.entitlement.is_change and not override.entitlement.id:
                self._index = self._index or CatalogIndex(self._catalog, 1)
                yield from never_targeted_problems(company, at, self._index)


def overrides_problems(
    overrides: Iterable[Override],
    problems_of: Callable[[EntitlementGrant], Iterator[RuleProblem]],
) -> Iterator[RuleProblem]:
    """Yield what is wrong with what a company's overrides grant, by a rule."""
    for at, override in enumerate(overrides):
        yield from below(("overrides", at, "entitlement"), problems_of(override.entitlement))


def catalog_problems(catalog: Catalog) -> Iterator[RuleProblem]:
    """Yield what is wrong with features, plans and add-ons, each looked at by itself."""
    return chain.from_iterable(catalog_checks(catalog))


def catalog_checks(catalog: Catalog) -> Iterator[Iterator[RuleProblem]]:
    """Yield the same in small parts, for whoever has other things to do in between."""
    yield count_problems(("features",), catalog.features, bounds.FEATURES_MAX)
    yield count_problems(("plans",), catalog.plans, bounds.PLANS_MAX)
    yield count_problems(("add_ons",), catalog.add_ons, bounds.ADD_ONS_MAX)
    if catalog.default_plan:
        yield identifier_problems(("default_plan",), catalog.default_plan)
    for at, feature in enumerate(catalog.features):
        yield below(("features", at), _feature_problems(feature))
    for at, plan in enumerate(catalog.plans):
        for check in _plan_checks(plan):
            yield below(("plans", at), check)
    for at, add_on in enumerate(catalog.add_ons):
        for check in _add_on_checks(add_on):
            yield below(("add_ons", at), check)
    for at, plan in enumerate(catalog.plan_versions):
        for check in _plan_checks(plan):
            yield below(("plan_versions", at), check)
    key = ("key",)
    yield repeated_problems(("features",), key, [feature.key for feature in catalog.features])
    yield repeated_problems(("plans",), key, [plan.key for plan in catalog.plans])
    yield repeated_problems(("add_ons",), key, [add_on.key for add_on in catalog.add_ons])


def catalog_names(catalog: Catalog) -> Iterator[RuleProblem]:
    """Yield what of a catalog may be there, but not be given as a name any more."""
    for at, feature in enumerate(catalog.features):
        yield from new_name_problems(("features", at, "key"), feature.key)
        yield from below(("features", at), dimensions_names(feature))
    for at, plan in enumerate(catalog.plans):
        yield from new_name_problems(("plans", at, "key"), plan.key)
        for index, grant in enumerate(plan.entitlements):
            yield from below(("plans", at, "entitlements", index), grant_names(grant))
    for at, add_on in enumerate(catalog.add_ons):
        yield from new_name_problems(("add_ons", at, "key"), add_on.key)
        for index, given in enumerate(add_on.entitlements):
            path = ("add_ons", at, "entitlements", index, "entitlement")
            yield from below(path, grant_names(given.grant))


def catalog_references(catalog: Catalog) -> Iterator[RuleProblem]:
    """Yield what within a catalog refers to something that it lacks."""
    kinds = {feature.key: feature.kind for feature in catalog.features}
    for at, feature in enumerate(catalog.features):
        by_default_plan = feature.fail_policy.no_snapshot is FailAction.DEFAULT_PLAN
        if by_default_plan and not catalog.default_plan:
            path = ("features", at, "fail_policy", "no_snapshot")
            yield RuleProblem(path, "DEFAULT_PLAN needs a default plan of the catalog")
        yield from below(("features", at), costs_references(feature, kinds))
    used = UsedDimensions(catalog)
    plans = {plan.key for plan in catalog.plans}
    for at, plan in enumerate(catalog.plans):
        yield from below(("plans", at), _plan_references(plan, kinds, used))
        yield from below(("plans", at), terms_references(plan, plans))
    for at, add_on in enumerate(catalog.add_ons):
        yield from below(("add_ons", at), _add_on_references(add_on, kinds, used))
        for index, plan_key in enumerate(add_on.plans):
            if plan_key not in plans:
                message = lacks("plan", plan_key, plans)
                yield RuleProblem(("add_ons", at, "plans", index), message)
    if catalog.default_plan and catalog.default_plan not in plans:
        yield RuleProblem(("default_plan",), lacks("plan", catalog.default_plan, plans))


def _feature_problems(feature: Feature) -> Iterator[RuleProblem]:
    yield from identifier_problems(("key",), feature.key)
    yield from text_problems(("name",), feature.name, bounds.NAME_BYTES_MAX)
    yield from text_problems(("unit",), feature.unit, bounds.UNIT_BYTES_MAX)
    yield from below(("fail_policy",), _fail_policy_problems(feature.fail_policy))
    yield from dimensions_problems(feature)
    yield from feature_kind_problems(feature)


def _fail_policy_problems(policy: FailPolicy) -> Iterator[RuleProblem]:
    yield from _action_problems("no_snapshot", policy.no_snapshot, _WITHOUT_SNAPSHOT)
    yield from _action_problems("stale", policy.stale, _WHEN_STALE)
    yield from _action_problems("outbox_full", policy.outbox_full, _WITH_A_FULL_OUTBOX)
    yield from _action_problems("no_lease", policy.no_lease, _WITHOUT_LEASE)
    stale_after_us = policy.stale_after_us
    if stale_after_us is None:
        if policy.stale is not FailAction.KEEP:
            yield RuleProblem(("stale_after",), f"must be set, {policy.stale.name} needs a time")
    else:
        shortest_us, longest_us = bounds.STALE_AFTER_US_MIN, bounds.STALE_AFTER_US_MAX
        yield from duration_problems(("stale_after",), stale_after_us, shortest_us, longest_us)


def _action_problems(
    name: str, action: FailAction, allowed: Collection[FailAction]
) -> Iterator[RuleProblem]:
    if action not in allowed:
        names = ", ".join(each.name for each in allowed)
        yield RuleProblem((name,), f"must be one of {names}; is {action.name}")


def _plan_checks(plan: Plan) -> Iterator[Iterator[RuleProblem]]:
    yield identifier_problems(("key",), plan.key)
    yield text_problems(("name",), plan.name, bounds.NAME_BYTES_MAX)
    for at, grant in enumerate(plan.entitlements):
        yield below(("entitlements", at), grant_problems(grant))
        yield below(("entitlements", at), no_changes_problems(grant))
    features = [grant.feature for grant in plan.entitlements]
    yield repeated_problems(("entitlements",), ("feature",), features)
    yield terms_problems(plan)


def _plan_references(
    plan: Plan, kinds: Mapping[str, FeatureKind], used: UsedDimensions
) -> Iterator[RuleProblem]:
    for at, grant in enumerate(plan.entitlements):
        yield from below(("entitlements", at), grant_references(grant, kinds))
        yield from below(("entitlements", at), used.problems(grant))


def _add_on_checks(add_on: AddOn) -> Iterator[Iterator[RuleProblem]]:
    yield identifier_problems(("key",), add_on.key)
    yield text_problems(("name",), add_on.name, bounds.NAME_BYTES_MAX)
    rank_max = bounds.ADD_ON_RANK_MAX
    yield number_problems(("rank",), add_on.rank, -rank_max, rank_max)
    for at, given in enumerate(add_on.entitlements):
        path = ("entitlements", at, "entitlement")
        yield below(path, grant_problems(given.grant))
        yield below(path, increments_problems(given.grant, given.merge))
    features = [given.grant.feature for given in add_on.entitlements]
    yield repeated_problems(("entitlements",), ("entitlement", "feature"), features)
    yield pack_problems(add_on)
    yield count_problems(("plans",), add_on.plans, bounds.ADD_ON_PLANS_MAX)
    yield repeated_problems(("plans",), (), add_on.plans)


def _add_on_references(
    add_on: AddOn, kinds: Mapping[str, FeatureKind], used: UsedDimensions
) -> Iterator[RuleProblem]:
    if add_on.once:
        yield from packs_problems([given.grant.feature for given in add_on.entitlements], kinds)
    for at, given in enumerate(add_on.entitlements):
        path = ("entitlements", at, "entitlement")
        yield from below(path, grant_references(given.grant, kinds))
        yield from below(path, used.problems(given.grant))
