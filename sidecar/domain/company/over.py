"""Since when a subscription is over."""

from __future__ import annotations

from sidecar.domain.company.model import Subscription, SubscriptionStatus


def over_since(subscription: Subscription, at_us: int) -> int | None:
    """When a subscription that is over at an instant came to its end; `None` for one that is not.

    It is over once it is canceled, its term has ended, or a trial that nothing follows.
    """
    ends = [subscription.cancel_us, subscription.ends_us]
    denied = subscription.trial_end_status is SubscriptionStatus.ENDED
    if denied and not subscription.trial_end_plan:
        ends.append(subscription.trial_ends_us)
    return min((end_us for end_us in ends if end_us is not None and end_us <= at_us), default=None)
