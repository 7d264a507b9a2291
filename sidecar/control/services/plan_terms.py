"""Fills companies that are given with what they take over from their plans, saying nothing of it.

Rules: `domain.company.terms`. What is filled of a subscription that begins is the plane's, and
stays as long as nobody says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from sidecar.control.rules.ownership import Merged
from sidecar.control.services.plan_moves import with_moves
from sidecar.control.services.timelines import time_of_change
from sidecar.control.storage.plan_values import PlanMove
from sidecar.control.storage.values import FieldOwner, Owner, StoredCompany, Tombstone
from sidecar.domain.catalog.model import Plan
from sidecar.domain.company.field_values import TRIAL
from sidecar.domain.company.model import Company
from sidecar.domain.company.terms import (
    begun,
    with_anchor_of,
    with_bought_versions,
    with_grace,
)
from sidecar.domain.company.timeline import phase_at

_replace = msgspec.structs.replace


class PlanTerms(msgspec.Struct, frozen=True):
    """The plans that are sold, by key, and the moves to new versions of them that are not done."""

    plans: Mapping[str, Plan]
    moves: Sequence[PlanMove]

    def filled(
        self, given: Company, held: StoredCompany | None, now_us: int, *, gone: Tombstone | None
    ) -> Company:
        """A company as it is given, with anchor, trial and grace.

        `gone`: what stays of it, if it was removed. Who comes back goes on with the billing cycle,
        so that what was used of its period stays used, and gets no trial again.
        """
        subscription = given.subscription
        if subscription is None:
            return given
        before = None if held is None else held.company.subscription
        subscription = with_grace(subscription, self.plans, before)
        if before is not None:
            subscription = with_anchor_of(subscription, before, now_us)
        else:
            if gone is not None and subscription.anchor_us is None:
                anchor_us = phase_at(gone.snapshot, now_us).anchor_us
                subscription = _replace(subscription, anchor_us=anchor_us)
            subscription = begun(subscription, self.plans, now_us, with_trial=gone is None)
        return _replace(given, subscription=subscription)

    def versioned(self, merged: Merged, held: StoredCompany | None, now_us: int) -> Merged:
        """What becomes of a company, with the versions of the plans that it buys by that."""
        company = merged.company
        if company.subscription is None or (held is not None and company == held.company):
            return merged
        before = None if held is None else held.company.subscription
        subscription = with_bought_versions(company.subscription, before, self.plans)
        company = _replace(company, subscription=subscription)
        if held is not None:
            company = with_moves(company, self.moves, time_of_change(held, now_us))
        return _replace(merged, company=company)


def with_trial_of_plane(
    merged: Merged, said: Company, held: StoredCompany | None, now_us: int
) -> Merged:
    """The same, the trial being the plane's where nobody said one. `said`: as it was given."""
    subscription = merged.company.subscription
    begins = held is None or held.company.subscription is None
    if not begins or subscription is None or subscription.trial_ends_us is None:
        return merged
    if said.subscription is not None and said.subscription.trial_ends_us is not None:
        return merged
    others = [owner for owner in merged.owners if owner.path != TRIAL]
    owners = sorted([*others, FieldOwner(TRIAL, Owner.PLANE, now_us)], key=lambda owner: owner.path)
    return _replace(merged, owners=tuple(owners))
