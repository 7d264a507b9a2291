"""What a company has of credits: its balances, and the sources that they burn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from sidecar.control.services.attribution import load_index
from sidecar.control.services.credit_grants import require_credits
from sidecar.control.services.credit_sources import BalanceLook, HeldSource
from sidecar.control.services.directory import stored_company
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.domain.catalog.model import FeatureKind
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.timeline import segment_at


class FeatureBalance(msgspec.Struct, frozen=True):
    """What a company has of a feature of credits, in micro-credits.

    `sources`: those in force in burn order, then one-off grants that come later. `debt`: what is
    owed; `overdraft`: what may be.
    """

    feature: str
    sources: Sequence[HeldSource]
    debt: int
    overdraft: int

    @property
    def left(self) -> int:
        """What can be leased of the sources in force."""
        return sum(held.account.left for held in self.sources if held.in_force)

    @property
    def leased(self) -> int:
        """What sidecars may burn still of them, or have burned and not told."""
        return sum(held.account.leased for held in self.sources if held.in_force)

    @property
    def balance(self) -> int:
        """What is left in force less what is owed.

        Of each source by itself: one of which more is used than there is takes nothing of others.
        """
        unburned = sum(held.account.unburned for held in self.sources if held.in_force)
        return unburned - self.debt

    @property
    def upcoming(self) -> int:
        """What comes into force later."""
        return sum(held.account.left + held.account.leased for held in self.sources) - (
            self.left + self.leased
        )


def get_balances(
    store: PlaneStore, company: str, feature: str, now_us: int
) -> list[FeatureBalance]:
    """A company's balances by feature; of an empty feature all that it has something of.

    Raises `NotFound` for an unknown company or feature, `InvalidInput` for a feature of another
    kind.
    """
    with store.read() as transaction:
        snapshot = stored_company(transaction, company).snapshot
        if feature:
            require_credits(transaction, feature)
        features = [feature] if feature else _features(transaction, snapshot, now_us)
        look = BalanceLook(transaction, snapshot, now_us)
        return [_balance(look, each) for each in features]


def _features(
    transaction: ReadTransaction, snapshot: CompanySnapshot, now_us: int
) -> Iterable[str]:
    """Features of credits that a company is granted, or has grants of."""
    index, segment = load_index(transaction), segment_at(snapshot, now_us)
    given = {each.feature for each in snapshot.credit_grants}
    for key, feature in sorted(index.features.items()):
        if feature.kind is FeatureKind.CREDITS:
            entitlement = index.resolve(segment, key)
            if key in given or (entitlement is not None and entitlement.granted):
                yield key


def _balance(look: BalanceLook, feature: str) -> FeatureBalance:
    sources = list(look.sources(feature))
    return FeatureBalance(feature, sources, look.debt(feature), look.overdraft(feature))
