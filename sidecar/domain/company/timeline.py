"""A company's timeline: what is already known to change, and when.

A sidecar that holds a timeline switches segments on time, with no network.

Rules
- Canceled goes before ended, an ended trial before a pause, a pause before a late payment, and that
  before a trial that is running.
- A planned change holds from its instant on. Of anchor moves the last one counts.
- What was in force stays: a change made now leaves the timeline before now as it was, so that
  usage that arrives late is counted as it would have been on time. That past is kept for as long as
  events may be late; of what is older, only what names counters that still go on.
- A generation is named by the instant at which its counters start: with a reset both kinds start
  anew, with another anchor those of anchored windows do. So generations only grow, one that is
  planned keeps its name whatever else changes, and none that was announced and then dropped or
  moved comes back: usage that a sidecar counted on it meanwhile stays apart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from sidecar.domain.bounds import BEGINNING_US, EVENT_PAST_US_MAX, FOREVER_US
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    CompanySnapshot,
    Segment,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.time.units import DAY_US

HISTORY_US: Final = EVENT_PAST_US_MAX + DAY_US
"""How long what was in force is kept."""
SEGMENTS_MAX: Final = 1_003
"""Most segments of a timeline; past it the oldest history is forgotten."""


class _Onset(msgspec.Struct, frozen=True):
    """Where a compiled timeline begins, and the generations there."""

    at_us: int = BEGINNING_US
    generation: int = 0
    anchored_generation: int = 0


def compile_snapshot(company: Company, version: int) -> CompanySnapshot:
    """Turn what was applied of a company into what sidecars decide by, as of a revision."""
    return CompanySnapshot(company.id, version, tuple(_compiled(company, _Onset())))


def continue_snapshot(
    held: CompanySnapshot,
    company: Company,
    version: int,
    now_us: int,
    *,
    resets_usage: bool = False,
) -> CompanySnapshot:
    """The same for a company that changes now, with what was in force before as it was.

    `now_us` is not before that of the change before. `resets_usage`: every counter starts again
    from 0, now. So does a planned reset that becomes known only after its instant.
    """
    before = segment_at(held, now_us)
    generation, anchored_generation = before.generation, before.anchored_generation
    subscription = company.subscription
    resets_now = resets_usage or any(
        generation < at_us <= now_us for at_us in _resets(subscription)
    )
    if resets_now:
        generation = _next_generation(generation, now_us)
    if resets_now or anchor_at(subscription, now_us) != before.anchor_us:
        anchored_generation = _next_generation(anchored_generation, now_us)
    onset = _Onset(now_us, generation, anchored_generation)
    segments = _joined([*_until(held.segments, now_us), *_compiled(company, onset)])
    segments = _remembered(segments, now_us - HISTORY_US)[-SEGMENTS_MAX:]
    segments[0] = msgspec.structs.replace(segments[0], from_us=BEGINNING_US)
    return CompanySnapshot(company.id, version, tuple(segments))


def default_snapshot(company: str, plan: str, version: int) -> CompanySnapshot:
    """What decides for a company that is unknown, where the catalog has a default plan."""
    return CompanySnapshot(
        company, version, (Segment(status=SubscriptionStatus.ACTIVE, plan=plan),)
    )


def segment_at(snapshot: CompanySnapshot, at_us: int) -> Segment:
    """The segment that holds an instant; the first one for instants before the Unix epoch."""
    segments = snapshot.segments
    if len(segments) == 1:
        return segments[0]
    return segments[max(0, bisect_right(segments, at_us, key=lambda segment: segment.from_us) - 1)]


def anchor_at(subscription: Subscription | None, at_us: int) -> int | None:
    """The billing anchor at an instant; `None` without a subscription."""
    if subscription is None:
        return None
    moves = [move for move in _anchor_moves(subscription) if move <= at_us]
    return max(moves) if moves else subscription.anchor_us


def plan_at(subscription: Subscription, at_us: int) -> tuple[str, tuple[AddOnSubscription, ...]]:
    """Plan and add-ons at an instant."""
    plan, add_ons = subscription.plan, subscription.add_ons
    for change in subscription.changes:
        if change.at_us <= at_us:
            plan = change.plan or plan
            add_ons = add_ons if change.add_ons is None else change.add_ons
    return plan, add_ons


def cut_instants(company: Company) -> set[int]:
    """Every instant at which something of a company is known to change."""
    cuts = {override.expires_us for override in company.overrides}
    if company.subscription is not None:
        cuts |= _subscription_cuts(company.subscription)
    return {cut for cut in cuts if BEGINNING_US < cut < FOREVER_US}


def _subscription_cuts(subscription: Subscription) -> set[int]:
    cuts = {subscription.trial_ends_us, subscription.cancel_us, subscription.ends_us}
    if subscription.pause is not None:
        cuts |= {subscription.pause.from_us, subscription.pause.until_us}
    if subscription.past_due is not None:
        cuts |= {subscription.past_due.from_us, subscription.past_due.grace_ends_us}
    cuts |= {change.at_us for change in subscription.changes}
    return {cut for cut in cuts if cut is not None}


def _resets(subscription: Subscription | None) -> Iterator[int]:
    for change in () if subscription is None else subscription.changes:
        if change.resets_usage:
            yield change.at_us


def _anchor_moves(subscription: Subscription) -> Iterator[int]:
    for change in subscription.changes:
        if change.moves_anchor:
            yield change.at_us
    pause = subscription.pause
    if pause is not None and pause.moves_anchor and pause.until_us is not None:
        yield pause.until_us


def _compiled(company: Company, onset: _Onset) -> list[Segment]:
    """The segments from the onset on."""
    starts = [onset.at_us, *sorted(cut for cut in cut_instants(company) if cut > onset.at_us)]
    ends = [*starts[1:], FOREVER_US]
    return _joined(
        [_segment(company, onset, start, end) for start, end in zip(starts, ends, strict=True)]
    )


def _segment(company: Company, onset: _Onset, from_us: int, until_us: int) -> Segment:
    in_force: dict[str, EntitlementGrant] = {}
    for override in company.overrides:
        if from_us < override.expires_us:
            in_force.setdefault(override.entitlement.feature, override.entitlement)
    overrides = tuple(in_force[feature] for feature in sorted(in_force))
    subscription = company.subscription
    if subscription is None:
        return Segment(
            from_us,
            until_us,
            overrides=overrides,
            time_zone=company.time_zone,
            generation=onset.generation,
            anchored_generation=onset.anchored_generation,
        )
    status, after_trial, past_grace = _status_at(subscription, from_us)
    plan, add_ons = plan_at(subscription, from_us)
    resets = list(_resets(subscription))
    fresh_starts = [*resets, *_anchor_moves(subscription)]
    return Segment(
        from_us=from_us,
        until_us=until_us,
        status=status,
        after_trial=after_trial,
        past_grace=past_grace,
        plan=plan,
        add_ons=add_ons,
        overrides=overrides,
        time_zone=company.time_zone,
        anchor_us=anchor_at(subscription, from_us),
        generation=_generation_at(from_us, onset.generation, resets),
        anchored_generation=_generation_at(from_us, onset.anchored_generation, fresh_starts),
    )


def _generation_at(at_us: int, before: int, fresh_starts: Iterable[int]) -> int:
    """The generation at an instant, after fresh starts that are planned."""
    return max([before, *(start_us for start_us in fresh_starts if start_us <= at_us)])


def _next_generation(before: int, now_us: int) -> int:
    """The generation of a fresh start now; a second one in the same microsecond differs, too."""
    return max(before + 1, now_us)


def _status_at(subscription: Subscription, at_us: int) -> tuple[SubscriptionStatus, bool, bool]:
    """Status at an instant, whether a trial ended in it, and whether a grace is over."""

    def reached(instant_us: int | None) -> bool:
        return instant_us is not None and instant_us <= at_us

    if reached(subscription.cancel_us):
        return SubscriptionStatus.CANCELED, False, False
    if reached(subscription.ends_us):
        return SubscriptionStatus.ENDED, False, False
    trial_over = reached(subscription.trial_ends_us)
    if trial_over and subscription.trial_end_status is SubscriptionStatus.ENDED:
        return SubscriptionStatus.ENDED, True, False
    pause, past_due = subscription.pause, subscription.past_due
    if pause is not None and reached(pause.from_us) and not reached(pause.until_us):
        return SubscriptionStatus.PAUSED, False, False
    if past_due is not None and reached(past_due.from_us):
        return SubscriptionStatus.PAST_DUE, False, reached(past_due.grace_ends_us)
    if subscription.trial_ends_us is not None and not trial_over:
        return SubscriptionStatus.TRIALING, False, False
    return SubscriptionStatus.ACTIVE, False, False


def _until(segments: Sequence[Segment], now_us: int) -> list[Segment]:
    """What was in force before now."""
    return [
        msgspec.structs.replace(segment, until_us=min(segment.until_us, now_us))
        for segment in segments
        if segment.from_us < now_us
    ]


def _remembered(segments: Sequence[Segment], horizon_us: int) -> list[Segment]:
    """The segments without those that end at the horizon or before it.

    As long as the counters of a generation go on, what names them stays: where the generation
    began, and the time zones since then, since a year is longer than the history. What is left out
    is covered by the segment after it.
    """
    kept = [segments[-1]]
    generation = segments[-1].generation
    for segment in reversed(segments[:-1]):
        later = kept[-1]
        if segment.until_us > horizon_us:
            kept.append(segment)
            generation = segment.generation
        elif later.generation == generation and _naming(segment) != _naming(later):
            kept.append(segment)
        else:
            kept[-1] = msgspec.structs.replace(later, from_us=segment.from_us)
    kept.reverse()
    return kept


def _naming(segment: Segment) -> tuple[str, int, int]:
    return segment.time_zone, segment.generation, segment.anchored_generation


def _joined(segments: Sequence[Segment]) -> list[Segment]:
    """Neighbours that say the same, made one."""
    joined: list[Segment] = []
    for segment in segments:
        if joined:
            last = joined[-1]
            whole = msgspec.structs.replace(last, until_us=segment.until_us)
            if whole == msgspec.structs.replace(segment, from_us=last.from_us):
                joined[-1] = whole
                continue
        joined.append(segment)
    return joined
