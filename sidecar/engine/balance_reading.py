"""Which balances a request draws on, and what is told of one."""

from __future__ import annotations

from typing import Final

from sidecar.directory.balances import BalanceSource
from sidecar.directory.resolved import ResolvedCompany, ResolvedFeature
from sidecar.domain.credits.costs import price_for, price_of_report
from sidecar.domain.credits.prices import Price
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.requests import Check
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.engine.admission import Admission
from sidecar.engine.balance_usage import BalanceUsage
from sidecar.engine.plane_status import PlaneStatus
from sidecar.storage.transaction import Transaction

_FREE: Final = Price(0)


def balances_of(
    transaction: Transaction,
    admission: Admission,
    feature: ResolvedFeature,
    check: Check,
    now_us: int,
    status: PlaneStatus,
    *,
    leased: bool = True,
) -> list[BalanceUsage]:
    """The balances that usage of a feature draws on; none for most features.

    `leased`: by what is leased here, where leases are in use; else by what is known of the whole.
    Raises `InvalidInput` where no price fits, unless it has happened: then the dearest does.
    """
    if not feature.entitlement.feature.costs:
        return []
    company = admission.company
    assert company is not None
    # Where the default plan stands in for a company of which nothing is known, nothing is leased.
    stands_in = company.is_default and bool(admission.basis.fallback)
    has_leases = leased and status.leases and not stands_in
    find_price = price_of_report if has_happened(admission) else price_for
    return [
        BalanceUsage(
            transaction,
            company,
            each.credits,
            find_price(each.table, check.dimensions),
            check.event_time_us,
            now_us,
            status.lease_book if has_leases else None,
            authority=status.authority,
        )
        for each in feature.entitlement.feature.costs
    ]


def usage_of_balance(
    transaction: Transaction,
    company: ResolvedCompany,
    feature: str,
    at_us: int,
    now_us: int,
    *,
    authority: bool,
) -> list[tuple[BalanceSource, QuotaUsage]]:
    """The sources of a credits feature's balance at an instant, with what is used of them."""
    balance = BalanceUsage(
        transaction, company, feature, _FREE, at_us, now_us, None, authority=authority
    )
    return balance.sources()


def debt_of(transaction: Transaction, company: ResolvedCompany, feature: str) -> int:
    """What a credits feature's balance owes, also where it may not, in micro-credits."""
    resolved = company.feature(feature)
    if resolved is None or resolved.balance is None:
        return 0
    counter = transaction.counter(resolved.balance.debt_key)
    return 0 if counter is None else max(0, counter.used)


def has_happened(admission: Admission) -> bool:
    """Whether a request is burned whatever there is: it is a report, or a fail policy allows."""
    return admission.mode is GrantMode.RECORD_ONLY
