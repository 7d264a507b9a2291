"""Overrides that name a limit or a rate which their company is not granted any more.

Rules
- Such an override does nothing. It is told where it did something before, now or once planned
  changes are in force, and as long as it is in force.
- What is unlimited has no limits to name, and nothing is lost by that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sidecar.domain.company.held_plans import bought_at
from sidecar.domain.company.model import Company
from sidecar.domain.difference.recounting import what_it_counts
from sidecar.domain.entitlement.override_targets import without_changes
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement


class StrandedChange(NamedTuple):
    """A change that an override makes of something that is not there any more.

    `what`: limit or rate. `plan`: what the company has then, empty for none. `counts_now`: the
    name of the one limit that counts what this one did, empty where there is none.
    """

    feature: str
    what: str
    name: str
    plan: str
    counts_now: str


def stranded_changes(
    before: Company, sold_before: CatalogIndex, after: Company, sold: CatalogIndex, now_us: int
) -> Iterator[StrandedChange]:
    """Yield what overrides of a company lose by a change of it, or of what is sold."""
    instants = [now_us, *(at_us for at_us in _turns(after) if at_us > now_us)]
    for override in after.overrides:
        grant = override.entitlement
        if not grant.is_change or grant.feature not in sold.features:
            continue
        named = [("limit", change.limit) for change in grant.limit_changes]
        named += [("rate", change.rate) for change in grant.rate_changes]
        for at_us in instants:
            if at_us >= override.expires_us or not named:
                break
            was = without_changes(before, grant.feature, sold_before, at_us)
            now = without_changes(after, grant.feature, sold, at_us)
            for what, name in list(named):
                if _has(was, what, name) and not _has(now, what, name):
                    named.remove((what, name))
                    plan = _plan_at(after, at_us)
                    yield StrandedChange(grant.feature, what, name, plan, _same(was, now, name))


def _turns(company: Company) -> list[int]:
    """When the company's plan or add-ons change by themselves."""
    subscription = company.subscription
    if subscription is None:
        return []
    turns = [change.at_us for change in subscription.changes]
    if subscription.trial_ends_us is not None:
        turns.append(subscription.trial_ends_us)
    return sorted(turns)


def _plan_at(company: Company, at_us: int) -> str:
    subscription = company.subscription
    return "" if subscription is None else bought_at(subscription, at_us).plan


def _has(entitlement: Entitlement | None, what: str, name: str) -> bool:
    if entitlement is None or not entitlement.granted:
        return False
    parts = entitlement.limits if what == "limit" else entitlement.rates
    return not parts or any(part.id == name for part in parts)


def _same(before: Entitlement | None, after: Entitlement | None, name: str) -> str:
    """The one limit that is new, and counts what the one of this name counted."""
    if before is None or after is None:
        return ""
    known = {limit.id for limit in before.limits}
    counted = [what_it_counts(limit) for limit in before.limits if limit.id == name]
    new = [limit for limit in after.limits if limit.id not in known]
    same = [limit.id for limit in new if what_it_counts(limit) in counted]
    return same[0] if len(same) == 1 else ""
