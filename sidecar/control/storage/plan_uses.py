"""Which versions of which plans a company refers to, and when: now, before, and perhaps later."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import msgspec

from sidecar.control.storage.plan_values import PlanUse
from sidecar.control.storage.values import StoredCompany
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.company.held_plans import bought_at
from sidecar.domain.company.model import Subscription


def plan_uses(stored: StoredCompany) -> list[PlanUse]:
    """All of them, each stretch once."""
    uses: list[PlanUse] = []
    for phase in stored.snapshot.phases:
        if not phase.plan:
            continue
        use = PlanUse(phase.plan, phase.plan_version, phase.from_us, phase.until_us)
        last = uses[-1] if uses else None
        same = last is not None and (last.plan, last.version) == (use.plan, use.version)
        if last is not None and same and last.until_us == use.from_us:
            uses[-1] = PlanUse(use.plan, use.version, last.from_us, use.until_us)
        else:
            uses.append(use)
    subscription = stored.company.subscription
    if subscription is not None:
        taken = {(use.plan, use.version, use.from_us) for use in uses}
        bought = dict.fromkeys(_bought(subscription))
        uses += [use for use in bought if (use.plan, use.version, use.from_us) not in taken]
    return uses


def _bought(subscription: Subscription) -> Iterator[PlanUse]:
    """What is bought, whether in force or not, with the end of its time as both of its instants."""
    # What was bought before a trial that a plan followed comes back with a renewal.
    subscription = msgspec.structs.replace(subscription, trial_end_plan="")
    starts = [0, *(change.at_us for change in subscription.changes)]
    for start_us, end_us in pairwise([*starts, FOREVER_US]):
        held = bought_at(subscription, start_us)
        yield PlanUse(held.plan, held.plan_version, end_us, end_us)
