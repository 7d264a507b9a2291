"""Whether what an override changes is there: judged by what is granted when it is granted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sidecar.domain.bounds import BEGINNING_US
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.company.held_plans import HeldPlan, bought_at
from sidecar.domain.company.model import Company, Segment, SubscriptionStatus
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from sidecar.domain.nearest import did_you_mean
from sidecar.domain.validation import RuleProblem, below

_NAMES_TOLD_MAX: Final = 5


def untargeted_problems(
    company: Company, at: int, index: CatalogIndex, at_us: int
) -> Iterator[RuleProblem]:
    """Yield what override number `at` of a company changes that it is not granted at an instant.

    What another override grants in place of the plan counts as well.
    """
    grant = company.overrides[at].entitlement
    if not grant.is_change or grant.feature not in index.features:
        return
    entitlement = without_changes(company, grant.feature, index, at_us)
    yield from below(("overrides", at, "entitlement"), _problems(grant, entitlement))


def never_targeted_problems(
    company: Company, at: int, index: CatalogIndex
) -> Iterator[RuleProblem]:
    """The same of what is granted neither now nor once planned changes are in force."""
    changes = () if company.subscription is None else company.subscription.changes
    found: list[RuleProblem] = []
    for at_us in (BEGINNING_US, *(change.at_us for change in changes)):
        problems = list(untargeted_problems(company, at, index, at_us))
        if not problems:
            return
        found = found or problems
    yield from found


def without_changes(
    company: Company, feature: str, index: CatalogIndex, at_us: int
) -> Entitlement | None:
    """What a company is granted of a feature at an instant, but for overrides that change it."""
    subscription = company.subscription
    bought = HeldPlan("") if subscription is None else bought_at(subscription, at_us)
    replacing = tuple(
        override.entitlement
        for override in company.overrides
        if override.entitlement.feature == feature
        and not override.entitlement.is_change
        and override.expires_us > at_us
    )
    segment = Segment(
        status=SubscriptionStatus.ACTIVE,
        plan=bought.plan,
        plan_version=bought.plan_version,
        add_ons=bought.add_ons,
        overrides=replacing,
    )
    return index.resolve(segment, feature)


def _problems(grant: EntitlementGrant, entitlement: Entitlement | None) -> Iterator[RuleProblem]:
    granted = entitlement is not None and entitlement.granted
    limits = [limit.id for limit in entitlement.limits] if entitlement is not None else []
    rates = [rate.id for rate in entitlement.rates] if entitlement is not None else []
    for number, change in enumerate(grant.limit_changes):
        if change.limit not in limits:
            message = _missing("limit", change.limit, limits, grant.feature, granted=granted)
            yield RuleProblem(("limit_changes", number), message)
    for number, rate_change in enumerate(grant.rate_changes):
        if rate_change.rate not in rates:
            message = _missing("rate", rate_change.rate, rates, grant.feature, granted=granted)
            yield RuleProblem(("rate_changes", number), message)
    if grant.overdraft_change is not None and not granted:
        message = f"{grant.feature!r} is not granted, so there is no overdraft to change"
        yield RuleProblem(("overdraft_change",), message)


def _missing(what: str, name: str, names: Sequence[str], feature: str, *, granted: bool) -> str:
    if not granted:
        return f"{feature!r} is not granted, so there is no {what} {name!r} to change"
    if not names:
        return f"{feature!r} has no {what}s to change: it is unlimited in that"
    told = ", ".join(map(repr, names[:_NAMES_TOLD_MAX]))
    more = ", ..." if len(names) > _NAMES_TOLD_MAX else ""
    meant = did_you_mean(name, names)
    others = "" if meant and len(names) == 1 else f", but {told}{more}"
    return f"there is no {what} {name!r} of {feature!r} to change{others}{meant}"
