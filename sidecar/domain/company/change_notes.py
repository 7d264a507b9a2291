"""What else there is to know of a change of a subscription, in words."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.domain.company.held_plans import bought_at, falls_back, held_at, version_moves
from sidecar.domain.company.model import Subscription
from sidecar.domain.company.subscription_changes import (
    ChangePlan,
    DropPlannedChanges,
    SetAddOn,
    SubscriptionChange,
)
from sidecar.domain.company.trials import trial_notes
from sidecar.domain.formatting import instant_text


def change_notes(
    before: Subscription,
    change: SubscriptionChange,
    after: Subscription,
    at_us: int,
    now_us: int,
) -> Iterator[str]:
    """What to know of trial, late payment and versions. `at_us`: when the change takes effect."""
    yield from trial_notes(before, change, after, at_us, now_us)
    yield from _held_notes(before, change, after, at_us)
    if isinstance(change, DropPlannedChanges):
        yield from _version_notes(after, now_us)


def _version_notes(after: Subscription, now_us: int) -> Iterator[str]:
    """What nobody planned by a call, and no call drops."""
    for move in version_moves(after.changes):
        if move.at_us > now_us:
            yield (
                f"version {move.plan_version} of the plan comes at {instant_text(move.at_us)} all"
                " the same: the catalog moves every company to it"
            )


def _held_notes(
    before: Subscription, change: SubscriptionChange, after: Subscription, at_us: int
) -> Iterator[str]:
    """What a purchase has to do with a plan that followed a trial or a grace, in words."""
    if not isinstance(change, (ChangePlan, SetAddOn)):
        return
    held = held_at(after, at_us)
    if held.after_grace:
        yield (
            f"plan {held.plan} is in force since the grace ended: what is bought comes into force"
            " once the payment has come (`paid`)"
        )
    lost = before.add_ons if falls_back(before, at_us) and not falls_back(after, at_us) else ()
    left = {each.add_on for each in bought_at(after, at_us).add_ons}
    names = [each.add_on for each in lost if each.add_on not in left]
    if names:
        yield (
            f"add-ons of the trial are not bought with it: {', '.join(names)}; a renewal brings"
            " back all that the trial had"
        )
