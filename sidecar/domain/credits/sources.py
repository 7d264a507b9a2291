"""What a balance of credits burns from at an instant, in burn order: sidecar and plane agree on it.

A source is a counter with a ceiling, in micro-credits, and what is said of counters of limits
(leases, totals, late usage, restored planes) is true of it as it stands.

Rules
- Each limit of the credits feature is a source, in its window: its counter is the limit's.
- Each one-off grant is one, in `[effective, expires)`: its slot is its id.
- The overdraft is the last one, without end: what is used of it is the balance's debt.
- Sources burn in `burn_order`, a window's end standing for the expiry. Of limits that would share a
  counter the first alone is one: what the counter has left cannot burn twice.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import Catalog, Limit
from sidecar.domain.catalog.versions import all_versions
from sidecar.domain.company.model import Company, CompanySnapshot, Phase
from sidecar.domain.credits.grants import CreditGrant, burn_order
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER, counter_of_grant
from sidecar.domain.entitlement.resolve import Entitlement
from sidecar.domain.limits.counters import CounterRef, slot_of
from sidecar.domain.time.company_windows import company_window, generation_of
from sidecar.domain.time.windows import Window, WindowSpec, WindowUnit

_EVER: Final = WindowSpec(WindowUnit.LIFETIME)
OVERDRAFT: Final = "overdraft"
"""Name of the source that is the overdraft."""


class CreditSource(msgspec.Struct, frozen=True):
    """What a balance burns from: a counter, and what may be burned of it.

    `limit`: its `id` is the source's name, its `amount` what there is but for what was carried in,
    `None` for any amount. `by_limit`: it is a limit of the feature, and its window is followed by
    others.
    """

    limit: Limit
    counter: CounterRef
    by_limit: bool = False


class CreditSources(msgspec.Struct, frozen=True):
    """Sources in burn order, as they are in `[from_us, until_us)`, as far as the segment lasts."""

    sources: tuple[CreditSource, ...]
    from_us: int
    until_us: int


def grant_source(grant: CreditGrant) -> CreditSource:
    """A one-off grant as a source."""
    limit = Limit(grant.id, _EVER, grant.amount, priority=grant.priority, credit_kind=grant.kind)
    return CreditSource(limit, counter_of_grant(grant))


def overdraft_limit(overdraft: int) -> Limit:
    """What may be owed, in micro-credits, as a limit on the counter of what is."""
    return Limit(OVERDRAFT, _EVER, overdraft)


def source_names(catalog: Catalog, company: Company, feature: str) -> set[str]:
    """What sources of a balance are called that are no one-off grants, whatever plan is held.

    Answers tell parts of a cost by these names, so no one-off grant is called so.
    """
    sold = [grant for plan in all_versions(catalog) for grant in plan.entitlements]
    sold += [each.grant for add_on in catalog.add_ons for each in add_on.entitlements]
    sold += [given.entitlement for given in company.overrides]
    names = {limit.id for grant in sold if grant.feature == feature for limit in grant.limits}
    return names | {OVERDRAFT}


def grants_of(snapshot: CompanySnapshot, feature: str) -> list[CreditGrant]:
    """A company's one-off grants on the balance of a credits feature."""
    return [each.grant for each in snapshot.credit_grants if each.feature == feature]


def sources_at(
    snapshot: CompanySnapshot, phase: Phase, entitlement: Entitlement, at_us: int
) -> CreditSources:
    """The sources of a balance at an instant.

    `phase`, `entitlement`: those of the company and its credits feature then. What the subscription
    says of the feature for now is left aside: usage burns all the same where it has happened.
    """
    from_us, until_us = phase.from_us, phase.until_us
    found: list[tuple[CreditGrant, CreditSource]] = []
    slots: set[str] = set()
    for limit in entitlement.limits if entitlement.granted else ():
        slot = slot_of(limit, generation_of(phase, limit.window))
        if not limit.is_counted or slot in slots:
            continue
        slots.add(slot)
        window = company_window(snapshot.phases, limit.window, at_us)
        from_us, until_us = max(from_us, window.start_us), min(until_us, window.end_us)
        ordered = _as_grant(limit, window)
        found.append((ordered, CreditSource(limit, CounterRef(slot, (), window), by_limit=True)))
    for grant in grants_of(snapshot, entitlement.feature.key):
        if grant.effective_us > at_us:
            until_us = min(until_us, grant.effective_us)
        elif grant.expires_us <= at_us:
            from_us = max(from_us, grant.expires_us)
        else:
            from_us, until_us = max(from_us, grant.effective_us), min(until_us, grant.expires_us)
            found.append((grant, grant_source(grant)))
    found.sort(key=lambda each: burn_order(each[0]))
    sources = [source for _, source in found]
    if entitlement.granted and entitlement.overdraft:
        sources.append(CreditSource(overdraft_limit(entitlement.overdraft), OVERDRAFT_COUNTER))
    return CreditSources(tuple(sources), from_us, until_us)


def _as_grant(limit: Limit, window: Window) -> CreditGrant:
    """What a limit grants for a window, as its place in the burn order has it."""
    expires_us = FOREVER_US if window.never_ends else window.end_us
    amount = limit.amount or 0
    return CreditGrant(
        limit.id, amount, limit.priority, limit.credit_kind, window.start_us, expires_us
    )
