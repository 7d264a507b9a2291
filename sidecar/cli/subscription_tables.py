"""A subscription and its timeline, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sidecar.api.control.v1 import control_pb2
from sidecar.cli import output
from sidecar.cli.describe import plan_cause, plan_text, status_name
from sidecar.cli.output import NOTHING, Cell, Painted
from sidecar.cli.times import local_time, until
from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.company.held_plans import version_moves
from sidecar.domain.company.model import CompanySnapshot, Segment, Subscription, SubscriptionStatus
from sidecar.domain.company.period_end import billing_period
from sidecar.domain.company.planned import planned_of
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.entitlement.proration import PRORATION
from sidecar.domain.time.windows import Window
from sidecar.shared.api_json import instant_of, json_of_message
from sidecar.shared.convert.companies import company_from_message
from sidecar.shared.convert.snapshots import snapshot_from_message
from sidecar.shared.convert.times import timestamp

_COLOURS: Final = {
    SubscriptionStatus.TRIALING: "cyan",
    SubscriptionStatus.ACTIVE: "green",
    SubscriptionStatus.PAST_DUE: "yellow",
    SubscriptionStatus.PAUSED: "yellow",
    SubscriptionStatus.CANCELED: "red",
    SubscriptionStatus.ENDED: "red",
}

_COMING_MAX: Final = 20
"""Most stretches of a timeline, the present one included, that are shown without being asked."""
_FEATURES_TOLD_MAX: Final = 3


def print_change(
    answer: control_pb2.ChangeSubscriptionResponse,
    told: str,
    at_once: bool,
    now_us: int,
    *,
    is_end: bool = False,
    already: str = "",
    before: control_pb2.GetCompanyResponse | None = None,
) -> None:
    """Print what changed, when it takes effect, what denies all the same, and the timeline.

    `is_end`: it is meant to deny. `already`: what is the case where that changes nothing. `before`:
    nothing was changed, and this is how it is.
    """
    snapshot = snapshot_from_message(answer.snapshot, "snapshot")
    then = segment_at(snapshot, max(now_us, instant_of(answer.effective_at)))
    effect = "now" if at_once else until(instant_of(answer.effective_at), now_us)
    change = f"{answer.company.id}: {told}; takes effect {effect}"
    if answer.unchanged:
        so = f"is so already: {_held(then)}" if at_once else f"will be so already, {effect}"
        change = f"{answer.company.id}: nothing changed, {already or f'it {so}'}"
    if before is None:
        output.print_text(f"{change}; revision {answer.revision}")
    else:
        output.print_line("dry run, nothing was changed; would be:")
        output.print_text(change)
    for title, planned in (("kept", answer.kept), ("dropped", answer.dropped)):
        for each in planned:
            output.print_text(f"{title}: {_planned_text(each, now_us)}")
    for note in answer.notes:
        output.print_text(f"note: {note}")
    for still in () if is_end else _still(then):
        output.print_line(still)
    output.print_line()
    if before is not None and not answer.unchanged:
        output.print_line("as it is:")
        print_timeline(snapshot_from_message(before.snapshot, "snapshot"), now_us)
        output.print_line()
        output.print_line("as it would be:")
    print_timeline(snapshot, now_us)


def print_company(
    answer: control_pb2.GetCompanyResponse, now_us: int, *, history: bool = False
) -> None:
    """Print a company's subscription as it is now, and the timeline; with `history` all of it."""
    snapshot = snapshot_from_message(answer.snapshot, "snapshot")
    present = segment_at(snapshot, now_us)
    facts: list[tuple[str, Cell]] = [
        ("company", answer.company.id),
        *_other_ids(snapshot),
        ("status", _status(present)),
        ("plan", plan_text(present.plan, present.plan_version) or NOTHING),
        ("add-ons", _add_ons(present)),
        ("time zone", present.time_zone),
    ]
    if present.anchor_us is not None:
        facts.append(("anchor", local_time(present.anchor_us)))
    period = _period(answer, now_us)
    if period is not None:
        ends = until(period.end_us, now_us)
        facts.append(("billing period", f"since {local_time(period.start_us)}, ends {ends}"))
    facts += [("planned", text) for text in _planned_texts(answer, now_us)]
    subscription = company_from_message(answer.company, "company").subscription
    facts += [("moves", text) for text in _version_texts(subscription, now_us)]
    output.print_facts(facts)
    output.print_line()
    print_timeline(snapshot, now_us, history=history)


def _other_ids(snapshot: CompanySnapshot) -> list[tuple[str, Cell]]:
    """The ids that a company had, and is found by still."""
    others = [name for name in (snapshot.company, *snapshot.names) if name != snapshot.called]
    return [("also called", ", ".join(dict.fromkeys(others)))] if others else []


def json_of_company(answer: control_pb2.GetCompanyResponse, now_us: int) -> dict[str, object]:
    """Return the same for scripts: what the plane answered, and what holds now."""
    present = segment_at(snapshot_from_message(answer.snapshot, "snapshot"), now_us)
    period = _period(answer, now_us)
    return {
        **json_of_message(answer),
        "now": {
            "status": present.status.name if present.status else None,
            "plan": present.plan,
            "add_ons": {
                add_on_subscription.add_on: add_on_subscription.quantity
                for add_on_subscription in present.add_ons
            },
            "anchor": None if present.anchor_us is None else _json_time(present.anchor_us),
            "billing_period": None
            if period is None
            else {"start": _json_time(period.start_us), "end": _json_time(period.end_us)},
        },
    }


def print_timeline(snapshot: CompanySnapshot, now_us: int, *, history: bool = False) -> None:
    """Print what is in force and what will be; with `history` what was, too, and all of it."""
    segments = list(segments_of(snapshot))
    past = 0 if history else sum(segment.until_us <= now_us for segment in segments)
    until = len(segments) if history else past + _COMING_MAX
    before = segments[past - 1] if past else None
    rows = list(_rows(segments[past:until], before, now_us))
    output.print_table(("from", "until", "status", "plan", "add-ons", "note"), rows, tight=True)
    left_out = ((past, "before"), (len(segments[until:]), "after"))
    told = [f"{output.number(count)} more {when} that" for count, when in left_out if count]
    if told:
        show = f"tallyd subscription show {output.printable(snapshot.company)} --history"
        output.print_text(f"{' and '.join(told)}: {show}")


def _planned_texts(answer: control_pb2.GetCompanyResponse, now_us: int) -> Iterator[str]:
    """Name what is planned, as `drop-planned` takes it."""
    subscription = company_from_message(answer.company, "company").subscription
    for planned in () if subscription is None else planned_of(subscription, now_us):
        meant = "at the period end, " if planned.at_period_end else ""
        yield f"{planned.what}, {meant}{until(planned.at_us, now_us)}"


def _version_texts(subscription: Subscription | None, now_us: int) -> Iterator[str]:
    """Say which versions of the plan come by themselves, which no call plans or drops."""
    for move in () if subscription is None else version_moves(subscription.changes):
        if move.at_us > now_us:
            meant = "at the period end, " if move.at_period_end else ""
            when = until(move.at_us, now_us)
            yield f"version {move.plan_version} of the plan, {meant}{when}, as the catalog says"


def _planned_text(planned: control_pb2.PlannedChange, now_us: int) -> str:
    meant = "at the period end, " if planned.at_period_end else ""
    return f"{planned.what}, {meant}{until(instant_of(planned.at), now_us)}"


def _causes(segment: Segment) -> Iterator[str]:
    """Why status and plan are what they are, where nobody changed them."""
    over = segment.status in (SubscriptionStatus.CANCELED, SubscriptionStatus.ENDED)
    cause = plan_cause(after_trial=segment.after_trial, after_grace=segment.after_grace)
    if segment.after_trial and over:
        yield "trial is over"
    elif cause:
        yield f"{segment.plan} {cause}"
    if segment.past_grace:
        yield "grace is over"


def _still(segment: Segment) -> Iterator[str]:
    """What denies by then all the same, and what ends it."""
    if segment.status is SubscriptionStatus.PAUSED:
        yield "It is paused then, and metered features are denied until it is resumed."
    if segment.past_grace:
        yield "A payment is late beyond its grace then, and all is denied until it is paid."
    if segment.status in (SubscriptionStatus.CANCELED, SubscriptionStatus.ENDED):
        yield "It is over then, and all is denied until it is renewed."


def _rows(segments: Iterable[Segment], before: Segment | None, now_us: int) -> Iterator[list[Cell]]:
    """Rows of a timeline. `before`: what was in force before the first."""
    for segment in segments:
        from_us, until_us = segment.from_us, segment.until_us
        yield [
            NOTHING if from_us == BEGINNING_US else local_time(from_us),
            NOTHING if until_us == FOREVER_US else local_time(until_us),
            _status(segment),
            segment.plan or NOTHING,
            _add_ons(segment),
            ", ".join(_notes(before, segment, now_us)),
        ]
        before = segment


def _notes(before: Segment | None, segment: Segment, now_us: int) -> Iterator[str]:
    if segment.from_us <= now_us < segment.until_us:
        yield "now"
    yield from _causes(segment)
    if before is None:
        return
    if before.plan == segment.plan and before.plan_version != segment.plan_version:
        yield f"version {segment.plan_version} of the plan"
    if before.generation != segment.generation:
        yield "usage reset"
    if before.anchor_us != segment.anchor_us:
        yield "new billing cycle"
    if before.time_zone != segment.time_zone:
        yield f"time zone {segment.time_zone}"
    changed = set(before.overrides) ^ set(segment.overrides)
    if own := [override for override in changed if override.id != PRORATION]:
        yield f"overrides of {_features(own)}"
    if prorated := [override for override in changed if override.id == PRORATION]:
        ends = not any(override.id == PRORATION for override in segment.overrides)
        yield f"{'end of the ' if ends else ''}proration of {_features(prorated)}"


def _features(overrides: Iterable[EntitlementGrant]) -> str:
    """The features that overrides are of."""
    features = sorted({override.feature for override in overrides})
    more = ", ..." if len(features) > _FEATURES_TOLD_MAX else ""
    return ", ".join(features[:_FEATURES_TOLD_MAX]) + more


def _status(segment: Segment) -> Cell:
    name = status_name(segment.status)
    colour = _COLOURS.get(segment.status)
    return Painted(name, colour) if colour else name


def _held(segment: Segment) -> str:
    plan = plan_text(segment.plan, segment.plan_version)
    held = f"{status_name(segment.status)} on plan {plan}"
    return f"{held}, add-ons {_add_ons(segment)}" if segment.add_ons else held


def _add_ons(segment: Segment) -> str:
    held = [
        f"{add_on_subscription.add_on} x {add_on_subscription.quantity}"
        for add_on_subscription in segment.add_ons
    ]
    return ", ".join(held) or NOTHING


def _period(answer: control_pb2.GetCompanyResponse, now_us: int) -> Window | None:
    company = company_from_message(answer.company, "company")
    if company.subscription is None:
        return None
    return billing_period(company.subscription, now_us, company.time_zone)


def _json_time(instant_us: int) -> str:
    return timestamp(instant_us).ToJsonString()
