"""A company's timeline: what is already known to change, and when.

A sidecar that holds a timeline switches segments on time, with no network.
"""

from __future__ import annotations

from bisect import bisect_right

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.catalog import (
    Company,
    CompanySnapshot,
    EntitlementGrant,
    Segment,
    Subscription,
    SubscriptionStatus,
)


def compile_snapshot(company: Company, version: int) -> CompanySnapshot:
    """Turn what was applied of a company into what sidecars decide by, as of a revision."""
    subscription = company.subscription
    cuts = {override.expires_us for override in company.overrides}
    if subscription is not None:
        cuts |= {subscription.trial_ends_us or 0, subscription.cancel_us or 0}
    starts = [BEGINNING_US, *sorted(cut for cut in cuts if BEGINNING_US < cut < FOREVER_US)]
    ends = [*starts[1:], FOREVER_US]
    return CompanySnapshot(
        company=company.id,
        version=version,
        time_zone=company.time_zone,
        anchor_us=None if subscription is None else subscription.anchor_us,
        segments=tuple(
            _segment(company, start, end) for start, end in zip(starts, ends, strict=True)
        ),
    )


def segment_at(snapshot: CompanySnapshot, at_us: int) -> Segment:
    """The segment that holds an instant."""
    segments = snapshot.segments
    if len(segments) == 1:
        return segments[0]
    return segments[bisect_right(segments, at_us, key=lambda segment: segment.from_us) - 1]


def _segment(company: Company, from_us: int, until_us: int) -> Segment:
    status, after_trial = _status_at(company.subscription, from_us)
    in_force: dict[str, EntitlementGrant] = {}
    for override in company.overrides:
        if from_us < override.expires_us:
            in_force.setdefault(override.entitlement.feature, override.entitlement)
    return Segment(
        from_us=from_us,
        until_us=until_us,
        status=status,
        after_trial=after_trial,
        plan="" if company.subscription is None else company.subscription.plan,
        overrides=tuple(in_force[feature] for feature in sorted(in_force)),
    )


def _status_at(subscription: Subscription | None, at_us: int) -> tuple[SubscriptionStatus, bool]:
    """Status at an instant, and whether it is what a trial ended in."""
    if subscription is None:
        return SubscriptionStatus.NONE, False
    if subscription.cancel_us is not None and at_us >= subscription.cancel_us:
        return SubscriptionStatus.CANCELED, False
    if subscription.trial_ends_us is None:
        return SubscriptionStatus.ACTIVE, False
    if at_us < subscription.trial_ends_us:
        return SubscriptionStatus.TRIALING, False
    ended = subscription.trial_end_status is SubscriptionStatus.ENDED
    return subscription.trial_end_status, ended
