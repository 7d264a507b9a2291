"""What a catalog and companies must fulfil before they are taken: one place, for every source.

The rules look at values in the order in which they were given and name what is wrong by its path,
with the field names of the API: `("plans", 3, "entitlements", 0, "limits", 1, "amount")`. So an
API can report a field and a file loader a line. What passes is then brought into canonical form,
in which equal things compare equal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from sidecar.domain import bounds
from sidecar.domain._zones import load_zone
from sidecar.domain.catalog import (
    Catalog,
    Company,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Override,
    Plan,
    Scope,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.windows import (
    END_INSTANT_US,
    FIRST_INSTANT_US,
    Alignment,
    WindowUnit,
)

Path: TypeAlias = tuple[str | int, ...]


class Problem(NamedTuple):
    """Something that is wrong, and where."""

    path: Path
    message: str


_AFTER_TRIAL: Final = (SubscriptionStatus.ACTIVE, SubscriptionStatus.ENDED)


def path_text(path: Path) -> str:
    """Write a path as `plans[3].entitlements[0].feature`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def problems(catalog: Catalog, companies: Iterable[Company] = ()) -> Iterator[Problem]:
    """Yield everything that is wrong with a catalog and with companies that are to use it.

    Paths start with `features`, `plans` or `companies`.
    """
    yield from catalog_problems(catalog)
    kinds = {feature.key: feature.kind for feature in catalog.features}
    for at, plan in enumerate(catalog.plans):
        yield from _below(("plans", at), plan_references(plan, kinds))
    yield from companies_problems(companies, catalog)


def companies_problems(companies: Iterable[Company], catalog: Catalog) -> Iterator[Problem]:
    """Yield what is wrong with companies that are to use a catalog, which is taken as it is."""
    kinds = {feature.key: feature.kind for feature in catalog.features}
    plans = {plan.key for plan in catalog.plans}
    ids: set[str] = set()
    for at, company in enumerate(companies):
        yield from _below(("companies", at), company_problems(company))
        yield from _below(("companies", at), company_references(company, plans, kinds))
        if company.id in ids:
            yield Problem(("companies", at, "id"), f"{company.id!r} is here twice")
        ids.add(company.id)


def catalog_problems(catalog: Catalog) -> Iterator[Problem]:
    """Yield what is wrong with features and plans, each looked at by itself."""
    yield from _at_most(("features",), catalog.features, bounds.FEATURES_MAX)
    yield from _at_most(("plans",), catalog.plans, bounds.PLANS_MAX)
    for at, feature in enumerate(catalog.features):
        yield from _below(("features", at), feature_problems(feature))
    for at, plan in enumerate(catalog.plans):
        yield from _below(("plans", at), plan_problems(plan))
    yield from _repeated("features", "key", [feature.key for feature in catalog.features])
    yield from _repeated("plans", "key", [plan.key for plan in catalog.plans])


def feature_problems(feature: Feature) -> Iterator[Problem]:
    """Yield what is wrong with a feature by itself."""
    yield from identifier_problems(("key",), feature.key)
    yield from _bytes_at_most(("name",), feature.name, bounds.NAME_BYTES_MAX)
    yield from _bytes_at_most(("unit",), feature.unit, bounds.UNIT_BYTES_MAX)


def plan_problems(plan: Plan) -> Iterator[Problem]:
    """Yield what is wrong with a plan by itself."""
    yield from identifier_problems(("key",), plan.key)
    yield from _bytes_at_most(("name",), plan.name, bounds.NAME_BYTES_MAX)
    for at, grant in enumerate(plan.entitlements):
        yield from _below(("entitlements", at), grant_problems(grant))
    features = [grant.feature for grant in plan.entitlements]
    yield from _repeated("entitlements", "feature", features)


def plan_references(plan: Plan, kinds: Mapping[str, FeatureKind]) -> Iterator[Problem]:
    """Yield what of a plan does not fit the features of the catalog."""
    for at, grant in enumerate(plan.entitlements):
        yield from _below(("entitlements", at), _grant_references(grant, kinds))


def company_problems(company: Company) -> Iterator[Problem]:
    """Yield what is wrong with a company by itself."""
    yield from identifier_problems(("id",), company.id)
    yield from _bytes_at_most(("name",), company.name, bounds.NAME_BYTES_MAX)
    try:
        load_zone(company.time_zone)
    except ValueError:
        yield Problem(("time_zone",), f"unknown time zone {company.time_zone!r}")
    if company.subscription is not None:
        yield from _below(("subscription",), _subscription_problems(company.subscription))
    yield from _at_most(("overrides",), company.overrides, bounds.OVERRIDES_MAX)
    anchored = company.subscription is not None
    seen: set[str] = set()
    for at, override in enumerate(company.overrides):
        yield from _below(("overrides", at), _override_problems(override, anchored))
        feature = override.entitlement.feature
        if feature in seen:
            message = f"a second override of feature {feature!r} would be in force"
            yield Problem(("overrides", at, "entitlement", "feature"), message)
        seen.add(feature)


def company_references(
    company: Company, plans: Collection[str], kinds: Mapping[str, FeatureKind]
) -> Iterator[Problem]:
    """Yield what of a company does not fit the plans and features of the catalog."""
    subscription = company.subscription
    if subscription is not None and subscription.plan not in plans:
        message = f"the catalog has no plan {subscription.plan!r}"
        yield Problem(("subscription", "plan"), message)
    for at, override in enumerate(company.overrides):
        path = ("overrides", at, "entitlement")
        yield from _below(path, _grant_references(override.entitlement, kinds))


def grant_problems(grant: EntitlementGrant) -> Iterator[Problem]:
    """Yield what is wrong with a grant by itself."""
    yield from identifier_problems(("feature",), grant.feature)
    maximum = bounds.CONFIG_VALUE_BYTES_MAX
    yield from _bytes_at_most(("config_value",), grant.config_value, maximum)
    yield from _at_most(("limits",), grant.limits, bounds.LIMITS_MAX)
    for at, limit in enumerate(grant.limits):
        yield from _below(("limits", at), limit_problems(limit))
    yield from _repeated("limits", "id", [limit.id for limit in grant.limits])


def limit_problems(limit: Limit) -> Iterator[Problem]:
    """Yield what is wrong with a limit by itself."""
    yield from identifier_problems(("id",), limit.id)
    if limit.amount is not None and not 0 <= limit.amount <= bounds.INT64_MAX:
        yield Problem(("amount",), f"must be 0 to {bounds.INT64_MAX}, is {limit.amount}")
    window = limit.window
    weekly = window.unit is WindowUnit.WEEK and window.alignment is Alignment.CALENDAR
    if window.first_weekday and not weekly:
        yield Problem(("window", "first_weekday"), "only a CALENDAR WEEK has a first weekday")
    yield from _below(("scope",), _scope_problems(limit.scope))
    yield from _percents_problems(limit.warning_percents)


def identifier_problems(path: Path, text: str) -> Iterator[Problem]:
    """Yield what keeps a text from being an identifier: 1 to 128 bytes of printable UTF-8."""
    yield from _name_problems(path, text, bounds.IDENTIFIER_BYTES_MAX)


def _grant_references(
    grant: EntitlementGrant, kinds: Mapping[str, FeatureKind]
) -> Iterator[Problem]:
    kind = kinds.get(grant.feature)
    if kind is None:
        yield Problem(("feature",), f"the catalog has no feature {grant.feature!r}")
    elif grant.limits and kind is not FeatureKind.METERED:
        message = f"only METERED features have limits, {grant.feature!r} is {kind.name}"
        yield Problem(("limits",), message)


def _override_problems(override: Override, anchored: bool) -> Iterator[Problem]:
    grant = override.entitlement
    yield from _below(("entitlement",), grant_problems(grant))
    if override.expires_us != bounds.FOREVER_US:
        yield from _instant_problems(("expires_at",), override.expires_us)
    for at, limit in enumerate(grant.limits):
        if limit.window.alignment is Alignment.ANCHORED and not anchored:
            path = ("entitlement", "limits", at, "window", "alignment")
            yield Problem(path, "ANCHORED needs a subscription, whose anchor windows start from")


def _subscription_problems(subscription: Subscription) -> Iterator[Problem]:
    yield from identifier_problems(("plan",), subscription.plan)
    yield from _instant_problems(("anchor",), subscription.anchor_us)
    if subscription.trial_ends_us is not None:
        yield from _instant_problems(("trial_ends_at",), subscription.trial_ends_us)
    if subscription.cancel_us is not None:
        yield from _instant_problems(("cancel_at",), subscription.cancel_us)
    if subscription.trial_end_status not in _AFTER_TRIAL:
        status = subscription.trial_end_status.name
        yield Problem(("trial_end_status",), f"must be ACTIVE or ENDED, is {status}")


def _scope_problems(scope: Scope) -> Iterator[Problem]:
    yield from _at_most(("dimensions",), scope.dimensions, bounds.DIMENSIONS_MAX)
    yield from _at_most(("match",), scope.match, bounds.DIMENSIONS_MAX)
    for at, name in enumerate(scope.dimensions):
        yield from _name_problems(("dimensions", at), name, bounds.DIMENSION_KEY_BYTES_MAX)
        if name in scope.dimensions[:at]:
            yield Problem(("dimensions", at), f"{name!r} is here twice")
    for at, (name, value) in enumerate(scope.match):
        path = ("match", name)
        yield from _name_problems(path, name, bounds.DIMENSION_KEY_BYTES_MAX)
        yield from _bytes_at_most(path, value, bounds.DIMENSION_VALUE_BYTES_MAX)
        if any(name == earlier for earlier, _ in scope.match[:at]):
            yield Problem(path, f"{name!r} is here twice")
        if name in scope.dimensions:
            yield Problem(path, f"{name!r} cannot be fixed and a dimension at once")


def _percents_problems(percents: tuple[int, ...]) -> Iterator[Problem]:
    path = ("warning_percents",)
    if not percents:
        yield Problem(path, "must not be empty; leave it out for the default")
    yield from _at_most(path, percents, bounds.WARNING_PERCENTS_MAX)
    for at, percent in enumerate(percents):
        if not 1 <= percent <= bounds.WARNING_PERCENT_MAX:
            maximum = bounds.WARNING_PERCENT_MAX
            yield Problem((*path, at), f"must be 1 to {maximum}, is {percent}")
        if at and percent <= percents[at - 1]:
            yield Problem((*path, at), f"must be above {percents[at - 1]}, is {percent}")


def _name_problems(path: Path, text: str, bytes_max: int) -> Iterator[Problem]:
    if not text:
        yield Problem(path, "must not be empty")
    elif not text.isprintable():
        yield Problem(path, "must be printable")
    else:
        yield from _bytes_at_most(path, text, bytes_max)


def _bytes_at_most(path: Path, text: str, bytes_max: int) -> Iterator[Problem]:
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        yield Problem(path, "must be text that UTF-8 can carry")
    else:
        if size_bytes > bytes_max:
            yield Problem(path, f"must be at most {bytes_max} bytes, is {size_bytes}")


def _instant_problems(path: Path, instant_us: int) -> Iterator[Problem]:
    if not FIRST_INSTANT_US <= instant_us < END_INSTANT_US:
        yield Problem(path, "must lie in the years 2 to 9998")


def _at_most(path: Path, items: Collection[object], maximum: int) -> Iterator[Problem]:
    if len(items) > maximum:
        yield Problem(path, f"must be at most {maximum}, is {len(items)}")


def _repeated(collection: str, field: str, keys: list[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for at, key in enumerate(keys):
        if key in seen:
            yield Problem((collection, at, field), f"{key!r} is here twice")
        seen.add(key)


def _below(path: Path, found: Iterable[Problem]) -> Iterator[Problem]:
    for problem in found:
        yield Problem(path + problem.path, problem.message)
