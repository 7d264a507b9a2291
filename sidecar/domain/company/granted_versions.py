"""The versions of plans that companies are granted, where those that they have are kept no more.

Rules
- A version that is kept no more is not taken out of companies: what stands for it (`versions`) does
  so without a change of theirs. Told and compared is the version that is granted.
- A move to a version that is granted already is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from sidecar.domain.bounds import PLAN_VERSION_NEWEST
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.held_plans import bought_at
from sidecar.domain.company.model import Company, CompanySnapshot, Subscription
from sidecar.domain.company.scheduled import replaced
from sidecar.domain.company.spans import joined_phases

_replace = msgspec.structs.replace


class GrantedVersions:
    """Says which version of a plan stands for another, by a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        kept: dict[str, list[int]] = defaultdict(list)
        for plan in (*catalog.plan_versions, *catalog.plans):
            kept[plan.key].append(plan.version)
        self._kept: Mapping[str, Sequence[int]] = kept

    def of(self, plan: str, version: int) -> int:
        """The version that is granted to those who have one of a plan."""
        if version == PLAN_VERSION_NEWEST:
            return version
        return min((kept for kept in self._kept.get(plan, ()) if kept >= version), default=version)

    def of_company(self, company: Company) -> Company:
        """A company with the versions that it is granted."""
        if company.subscription is None:
            return company
        return _replace(company, subscription=self._of_subscription(company.subscription))

    def of_snapshot(self, snapshot: CompanySnapshot, now_us: int) -> CompanySnapshot:
        """A timeline with the versions that are granted from an instant on."""
        past = [phase for phase in snapshot.phases if phase.until_us <= now_us]
        to_come = [
            _replace(phase, plan_version=self.of(phase.plan, phase.plan_version))
            for phase in snapshot.phases[len(past) :]
        ]
        return _replace(snapshot, phases=(*past, *joined_phases(to_come)))

    def _of_subscription(self, subscription: Subscription) -> Subscription:
        subscription = _replace(
            subscription, plan_version=self.of(subscription.plan, subscription.plan_version)
        )
        # From the last to the first: positions of those before stay.
        for position in reversed(range(len(subscription.changes))):
            change = subscription.changes[position]
            if not change.plan_version:
                continue
            # What is bought just before it, by the versions that are granted.
            before = bought_at(
                _replace(subscription, changes=subscription.changes[:position]), change.at_us
            )
            version = self.of(change.plan or before.plan, change.plan_version)
            if not change.plan and version == self.of(before.plan, before.plan_version):
                version = 0
            subscription = replaced(subscription, position, _replace(change, plan_version=version))
        return subscription
