"""A company's timeline: what is already known to change, and when.

A sidecar that holds a timeline switches segments on time, with no network.

A timeline is phases, in which the subscription stays as it is, and spans, of add-ons and overrides
(`spans`). What holds at an instant is a segment, made of them when it is asked for: so a timeline
is as large as what was bought, and changing it costs no more, however many segments there are.

Rules
- Canceled goes before ended, an ended trial before a pause, a pause before a late payment, and that
  before a trial that is running.
- A planned change holds from its instant on (`held_plans`). Of anchor moves the last one counts.
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

from sidecar.domain.bounds import (
    BEGINNING_US,
    EVENT_PAST_US_MAX,
    FOREVER_US,
    PLAN_VERSION_NEWEST,
)
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.company.held_plans import held_at
from sidecar.domain.company.model import (
    AddOnSpan,
    AddOnSubscription,
    Company,
    CompanySnapshot,
    OverrideSpan,
    Phase,
    Segment,
    Span,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.spans import (
    SpanBuilder,
    arranged,
    continued,
    joined_phases,
    key_of,
    segment_of,
    stretch_at,
    without_oldest,
)
from sidecar.domain.time.units import DAY_US

_OVER: Final = (SubscriptionStatus.CANCELED, SubscriptionStatus.ENDED)
HISTORY_US: Final = EVENT_PAST_US_MAX + DAY_US
"""How long what was in force is kept."""
PHASES_MAX: Final = 1_003
"""Most phases of a timeline; past it the oldest history is forgotten."""


class _Onset(msgspec.Struct, frozen=True):
    """Where a compiled timeline begins, and the generations there."""

    at_us: int = BEGINNING_US
    generation: int = 0
    anchored_generation: int = 0


def compile_snapshot(company: Company, version: int) -> CompanySnapshot:
    """Turn what was applied of a company into what sidecars decide by, as of a revision."""
    onset = _Onset()
    return CompanySnapshot(
        company.id,
        version,
        tuple(_phases(company, onset)),
        _add_on_spans(company, onset.at_us),
        _override_spans(company, onset.at_us),
    )


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
    before = phase_at(held, now_us)
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
    horizon_us = now_us - HISTORY_US
    phases = joined_phases([*_until(held.phases, now_us), *_phases(company, onset)])
    phases = _remembered(phases, horizon_us)[-PHASES_MAX:]
    phases[0] = msgspec.structs.replace(phases[0], from_us=BEGINNING_US)
    add_ons, overrides = without_oldest(
        continued(held.add_ons, _add_on_spans(company, now_us), now_us, horizon_us),
        continued(held.overrides, _override_spans(company, now_us), now_us, horizon_us),
        now_us,
    )
    kept = held.names, held.credit_grants
    return CompanySnapshot(company.id, version, tuple(phases), add_ons, overrides, *kept)


def default_snapshot(company: str, plan: str, version: int) -> CompanySnapshot:
    """What decides for a company that is unknown, where the catalog has a default plan."""
    active = Phase(status=SubscriptionStatus.ACTIVE, plan=plan, plan_version=PLAN_VERSION_NEWEST)
    return CompanySnapshot(company, version, (active,))


def phase_at(snapshot: CompanySnapshot, at_us: int) -> Phase:
    """The phase that holds an instant; the first one for instants before the Unix epoch."""
    phases = snapshot.phases
    if len(phases) == 1:
        return phases[0]
    return phases[max(0, bisect_right(phases, at_us, key=lambda phase: phase.from_us) - 1)]


def segment_at(snapshot: CompanySnapshot, at_us: int) -> Segment:
    """The segment that holds an instant; the first one for instants before the Unix epoch."""
    at_us = max(BEGINNING_US, at_us)
    phase = phase_at(snapshot, at_us)
    return segment_of(phase, *stretch_at(snapshot, phase, at_us))


def anchor_at(subscription: Subscription | None, at_us: int) -> int | None:
    """The billing anchor at an instant; `None` without a subscription."""
    if subscription is None:
        return None
    moves = [move for move in _anchor_moves(subscription) if move <= at_us]
    return max(moves) if moves else subscription.anchor_us


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


def _phases(company: Company, onset: _Onset) -> list[Phase]:
    """The phases from the onset on."""
    subscription = company.subscription
    cuts = set() if subscription is None else _subscription_cuts(subscription)
    starts = [onset.at_us, *sorted(cut for cut in cuts if onset.at_us < cut < FOREVER_US)]
    ends = [*starts[1:], FOREVER_US]
    return joined_phases(
        _phase(company, onset, start, end) for start, end in zip(starts, ends, strict=True)
    )


def _phase(company: Company, onset: _Onset, from_us: int, until_us: int) -> Phase:
    subscription = company.subscription
    if subscription is None:
        return Phase(
            from_us,
            until_us,
            time_zone=company.time_zone,
            generation=onset.generation,
            anchored_generation=onset.anchored_generation,
        )
    status, after_trial, past_grace = _status_at(subscription, from_us)
    held = held_at(subscription, from_us)
    resets = list(_resets(subscription))
    fresh_starts = [*resets, *_anchor_moves(subscription)]
    return Phase(
        from_us,
        until_us,
        status,
        after_trial or (held.after_trial and status not in _OVER),
        past_grace,
        held.plan,
        company.time_zone,
        anchor_at(subscription, from_us),
        _generation_at(from_us, onset.generation, resets),
        _generation_at(from_us, onset.anchored_generation, fresh_starts),
        held.plan_version,
        held.after_grace and status not in _OVER,
    )


def _add_on_spans(company: Company, since_us: int) -> tuple[AddOnSpan, ...]:
    """When each add-on is held, so many times, from an instant on."""
    subscription = company.subscription
    if subscription is None:
        return ()
    builder: SpanBuilder[AddOnSubscription] = SpanBuilder()
    for at_us in [
        since_us,
        *sorted(at for at in _subscription_cuts(subscription) if at > since_us),
    ]:
        builder.add(at_us, held_at(subscription, at_us).add_ons)
    return builder.spans()


def _override_spans(company: Company, since_us: int) -> tuple[OverrideSpan, ...]:
    """When each override is in force, from an instant on; of several of a name the first."""
    spans: list[Span[EntitlementGrant]] = []
    covered: dict[tuple[str, str], int] = {}
    for override in company.overrides:
        key = key_of(override.entitlement)
        from_us = covered.get(key, since_us)
        if from_us < override.expires_us:
            spans.append(Span(override.entitlement, from_us, override.expires_us))
            covered[key] = override.expires_us
    return arranged(spans)


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
    follows = subscription.trial_end_status
    if trial_over and follows is SubscriptionStatus.ENDED and not subscription.trial_end_plan:
        return SubscriptionStatus.ENDED, True, False
    pause, past_due = subscription.pause, subscription.past_due
    if pause is not None and reached(pause.from_us) and not reached(pause.until_us):
        return SubscriptionStatus.PAUSED, False, False
    if past_due is not None and reached(past_due.from_us):
        past_grace = reached(past_due.grace_ends_us)
        if past_grace and past_due.grace_end_plan:
            return SubscriptionStatus.ACTIVE, False, False
        return SubscriptionStatus.PAST_DUE, False, past_grace
    if subscription.trial_ends_us is not None and not trial_over:
        return SubscriptionStatus.TRIALING, False, False
    return SubscriptionStatus.ACTIVE, False, False


def _until(phases: Sequence[Phase], now_us: int) -> list[Phase]:
    """What was in force before now."""
    return [
        msgspec.structs.replace(phase, until_us=min(phase.until_us, now_us))
        for phase in phases
        if phase.from_us < now_us
    ]


def _remembered(phases: Sequence[Phase], horizon_us: int) -> list[Phase]:
    """The phases without those that end at the horizon or before it.

    As long as the counters of a generation go on, what names them stays: where the generation
    began, and the time zones since then, since a year is longer than the history. What is left out
    is covered by the phase after it.
    """
    kept = [phases[-1]]
    generation = phases[-1].generation
    for phase in reversed(phases[:-1]):
        later = kept[-1]
        if phase.until_us > horizon_us:
            kept.append(phase)
            generation = phase.generation
        elif later.generation == generation and _naming(phase) != _naming(later):
            kept.append(phase)
        else:
            kept[-1] = msgspec.structs.replace(later, from_us=phase.from_us)
    kept.reverse()
    return kept


def _naming(phase: Phase) -> tuple[str, int, int]:
    return phase.time_zone, phase.generation, phase.anchored_generation
