"""What becomes of one-off grants of credits once a subscription is over, as its plan says.

What is void then is voided in the background, soon after, and in any case before a company changes:
so a renewal brings nothing back. Meanwhile nothing burns, since all is denied. What was granted
after the end stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from sidecar.control.services.credit_grants import close_grants, put_told
from sidecar.control.storage.credit_values import StoredGrant
from sidecar.control.storage.lease_values import HOLDERS_MAX
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.control.storage.values import CounterKey, StoredCompany
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.plan_terms import UnusedCredits
from sidecar.domain.company.held_plans import held_at
from sidecar.domain.company.over import over_since
from sidecar.domain.credits.grants import GrantKind

COMPANIES_AT_ONCE: Final = 50
_REASON: Final = "the subscription is over"


class KeptUnusedTerms:
    """What plans say of unused credits, kept from one transaction to the next while it is so.

    Not for threads side by side.
    """

    def __init__(self) -> None:
        self._version = -1
        self._by_plan: dict[str, UnusedCredits] = {}

    def by_plan(self, transaction: ReadTransaction) -> dict[str, UnusedCredits]:
        """Of the plans by which something is void."""
        version = transaction.catalog_version()
        if version != self._version:
            stored = transaction.catalog()
            self._by_plan = _by_plan(Catalog() if stored is None else stored.catalog)
            self._version = version
        return self._by_plan


def companies_with_unused(
    store: PlaneStore, kept: KeptUnusedTerms, after: str, now_us: int
) -> tuple[list[str], str]:
    """Companies behind an id that have credits which are void by now, and the last looked at.

    At most as many are looked at as is good at once; an empty id where these were all.
    """
    with store.read() as transaction:
        by_plan = kept.by_plan(transaction)
        if not by_plan:
            return [], ""
        ids = transaction.companies_with_credit_grants(after, COMPANIES_AT_ONCE)
        found = transaction.companies(ids)
        unused = [
            id_ for id_ in ids if id_ in found and _unused(transaction, found[id_], by_plan, now_us)
        ]
    return unused, ids[-1] if len(ids) == COMPANIES_AT_ONCE else ""


def void_unused(
    store: PlaneStore, kept: KeptUnusedTerms, companies: Sequence[str], now_us: int
) -> tuple[int, Sequence[tuple[str, CounterKey]]]:
    """Void what companies have of unused credits: how many grants, and who holds leases of them."""
    holders: list[tuple[str, CounterKey]] = []
    voided = 0
    with store.write() as transaction:
        by_plan = kept.by_plan(transaction)
        for company in transaction.companies(companies).values():
            grants = _unused(transaction, company, by_plan, now_us)
            if not grants:
                continue
            voided += len(grants)
            close_grants(transaction, grants, _REASON, now_us)
            put_told(transaction, company, transaction.next_revision())
            for grant in grants:
                leases = transaction.granted_leases(grant.key, HOLDERS_MAX)
                holders += [(each.lease.incarnation, each.lease.key) for each in leases]
    return voided, holders


def with_unused_voided(
    transaction: WriteTransaction, company: StoredCompany, catalog: Catalog, now_us: int
) -> StoredCompany:
    """A company that is about to change, without what it may not take along; that is void now.

    The timeline is the caller's to store.
    """
    if not company.snapshot.credit_grants:
        return company
    grants = _unused(transaction, company, _by_plan(catalog), now_us)
    if not grants:
        return company
    close_grants(transaction, grants, _REASON, now_us)
    gone = {grant.grant.id for grant in grants}
    told = tuple(each for each in company.snapshot.credit_grants if each.grant.id not in gone)
    return replace(company, snapshot=replace(company.snapshot, credit_grants=told))


def _unused(
    transaction: ReadTransaction,
    company: StoredCompany,
    by_plan: dict[str, UnusedCredits],
    now_us: int,
) -> list[StoredGrant]:
    """The grants of a company that are void since its subscription is over."""
    subscription = company.company.subscription
    over_us = None if subscription is None else over_since(subscription, now_us)
    if subscription is None or over_us is None:
        return []
    becomes = by_plan.get(held_at(subscription, over_us - 1).plan, UnusedCredits.KEEP)
    if becomes is UnusedCredits.KEEP:
        return []
    return [
        each
        for each in transaction.told_credit_grants(company.company.id)
        if each.granted_us <= over_us
        and not each.is_over(now_us)
        and (becomes is UnusedCredits.VOID or each.grant.kind is GrantKind.PROMOTIONAL)
    ]


def _by_plan(catalog: Catalog) -> dict[str, UnusedCredits]:
    return {
        plan.key: plan.unused_credits
        for plan in catalog.plans
        if plan.unused_credits is not UnusedCredits.KEEP
    }
