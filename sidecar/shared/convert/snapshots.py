"""Companies' timelines, as sidecars get them: read, in the form of today and in that of before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeVar

from google.protobuf.message import Message

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.bounds import BEGINNING_US, COMPANY_NAMES_MAX, CREDIT_GRANTS_MAX, FOREVER_US
from sidecar.domain.catalog.grant_rules import grant_problems
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.company.credit_grants import (
    credit_grant_problems,
    credit_grants_problems,
    in_burn_order,
)
from sidecar.domain.company.model import (
    AddOnSpan,
    AddOnSubscription,
    CompanyGrant,
    CompanySnapshot,
    OverrideSpan,
    Phase,
    Span,
    SubscriptionStatus,
)
from sidecar.domain.company.rules import add_on_problems, add_ons_problems
from sidecar.domain.company.spans import (
    SpanBuilder,
    arranged,
    joined_phases,
    key_of,
)
from sidecar.domain.company.timeline import PHASES_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.slices import Slices, whole
from sidecar.domain.time.zones import load_zone
from sidecar.domain.validation import RuleProblem, count_problems, identifier_problems
from sidecar.domain.validation import below as located
from sidecar.shared.convert._checks import below, member, refuse_any
from sidecar.shared.convert.credit_grants import credit_grant_from_message
from sidecar.shared.convert.grants import grant_from_message
from sidecar.shared.convert.subscriptions import (
    add_on_from_message,
    add_ons_from_messages,
)
from sidecar.shared.convert.times import (
    optional_instant,
)

SPANS_MAX: Final = 20_000
"""Most spans of a kind that are read: more than companies may have, and had in older planes."""

C = TypeVar("C", AddOnSubscription, EntitlementGrant)


def snapshot_from_message(message: catalog_pb2.CompanySnapshot, field: str) -> CompanySnapshot:
    """Read a company's snapshot, of either form."""
    return whole(snapshot_in_slices(message, field))


def snapshot_in_slices(message: catalog_pb2.CompanySnapshot, field: str) -> Slices[CompanySnapshot]:
    """Read a company's snapshot in slices, of either form."""
    refuse_any(identifier_problems(("company",), message.company), field)
    if message.version < 1:
        raise InvalidInput(below(field, "version"), "must be at least 1")
    refuse_any(_count_problems(message), field)
    phases: list[Phase] = []
    add_ons: SpanBuilder[AddOnSubscription] = SpanBuilder()
    overrides: SpanBuilder[EntitlementGrant] = SpanBuilder()
    grants: dict[bytes, EntitlementGrant] = {}  # those of before are repeated again and again
    for at, segment in enumerate(message.segments):
        path = below(field, f"segments[{at}]")
        phase = _phase(message, segment, field, path)
        expected_us = phases[-1].until_us if phases else BEGINNING_US
        refuse_any(_phase_problems(phase, expected_us), path)
        phases.append(phase)
        held = add_ons_from_messages(segment.add_ons)
        refuse_any(located(("add_ons",), add_ons_problems(held)), path)
        add_ons.add(phase.from_us, held)
        overrides.add(phase.from_us, (yield from _grants(segment.overrides, path, grants)))
        yield
    if phases[-1].until_us != FOREVER_US:
        last = f"segments[{len(phases) - 1}].until"
        raise InvalidInput(below(field, last), "must be absent at the end")
    add_on_spans = yield from _add_on_spans(message.add_on_spans, below(field, "add_on_spans"))
    override_spans = yield from _override_spans(
        message.override_spans, below(field, "override_spans")
    )
    credit_grants = yield from _credit_grants(message.credit_grants, field)
    return CompanySnapshot(
        message.company,
        message.version,
        tuple(joined_phases(phases)),
        _without_overlap((*add_ons.spans(), *add_on_spans), below(field, "add_on_spans")),
        _without_overlap((*overrides.spans(), *override_spans), below(field, "override_spans")),
        tuple(message.names),
        credit_grants,
    )


def _times(message: Message, field: str) -> tuple[int, int]:
    from_us = optional_instant(message, "from", field)
    until_us = optional_instant(message, "until", field)
    return (
        BEGINNING_US if from_us is None else from_us,
        FOREVER_US if until_us is None else until_us,
    )


def _phase(
    snapshot: catalog_pb2.CompanySnapshot,
    message: catalog_pb2.Segment,
    whole_field: str,
    field: str,
) -> Phase:
    """Read a stretch of a timeline; status 0 is that of a company without a subscription.

    Time zone and anchor are the snapshot's, for segments that have no time zone: those of an older
    control plane. One that has a time zone stands for itself, also where it has no anchor.
    """
    from_us, until_us = _times(message, field)
    anchor_us = optional_instant(message, "anchor", field)
    if not message.time_zone and anchor_us is None:
        anchor_us = optional_instant(snapshot, "anchor", whole_field)
    status = member(
        SubscriptionStatus, message.status, below(field, "status"), SubscriptionStatus.NONE
    )
    return Phase(
        from_us,
        until_us,
        status,
        message.after_trial,
        message.past_grace,
        message.plan,
        message.time_zone or snapshot.time_zone or "UTC",
        anchor_us,
        message.generation,
        message.anchored_generation,
        message.plan_version,
        message.after_grace,
    )


def _grants(
    messages: Sequence[catalog_pb2.EntitlementGrant],
    field: str,
    known: dict[bytes, EntitlementGrant],
) -> Slices[list[EntitlementGrant]]:
    found = []
    for at, message in enumerate(messages):
        data = message.SerializeToString(deterministic=True)
        grant = known.get(data)
        if grant is None:
            grant = known[data] = yield from _grant(message, below(field, f"overrides[{at}]"))
        found.append(grant)
        yield
    return found


def _grant(message: catalog_pb2.EntitlementGrant, field: str) -> Slices[EntitlementGrant]:
    """Read a grant; a slice for each of its limits, which are most of the work."""
    grant = grant_from_message(message, field)
    refuse_any(grant_problems(grant), field)
    for _ in range(1 + len(grant.limits) + len(grant.rates)):
        yield
    return grant


def _add_on_spans(messages: Sequence[catalog_pb2.AddOnSpan], field: str) -> Slices[list[AddOnSpan]]:
    found = []
    for at, message in enumerate(messages):
        path = f"{field}[{at}]"
        add_on = add_on_from_message(message.add_on)
        refuse_any(add_on_problems(add_on), below(path, "add_on"))
        found.append(_span(add_on, message, path))
        yield
    return found


def _override_spans(
    messages: Sequence[catalog_pb2.OverrideSpan], field: str
) -> Slices[list[OverrideSpan]]:
    found = []
    for at, message in enumerate(messages):
        path = f"{field}[{at}]"
        grant = yield from _grant(message.entitlement, below(path, "entitlement"))
        found.append(_span(grant, message, path))
    return found


def _credit_grants(
    messages: Sequence[catalog_pb2.CreditGrant], field: str
) -> Slices[tuple[CompanyGrant, ...]]:
    found = []
    for at, message in enumerate(messages):
        path = below(field, f"credit_grants[{at}]")
        grant = credit_grant_from_message(message, path)
        refuse_any(credit_grant_problems(grant), path)
        found.append(grant)
        yield
    refuse_any(located(("credit_grants",), credit_grants_problems(found)), field)
    return in_burn_order(found)


def _span(content: C, message: Message, field: str) -> Span[C]:
    from_us, until_us = _times(message, field)
    if not BEGINNING_US <= from_us < until_us:
        raise InvalidInput(below(field, "until"), "must be after from")
    return Span(content, from_us, until_us)


def _without_overlap(spans: Sequence[Span[C]], field: str) -> tuple[Span[C], ...]:
    """The spans in their order; `InvalidInput` where two of one key are in force at once."""
    found = arranged(spans)
    for earlier, later in pairwise(found):
        key = key_of(later.content)
        if key == key_of(earlier.content) and later.from_us < earlier.until_us:
            raise InvalidInput(field, f"{key!r} is in force twice at once")
    return found


def _count_problems(message: catalog_pb2.CompanySnapshot) -> Iterator[RuleProblem]:
    yield from count_problems(("names",), message.names, COMPANY_NAMES_MAX)
    for at, name in enumerate(message.names):
        yield from identifier_problems(("names", at), name)
    count = len(message.segments)
    if not 1 <= count <= PHASES_MAX:
        yield RuleProblem(("segments",), f"must be 1 to {PHASES_MAX}, is {count}")
    for name, most in (
        ("add_on_spans", SPANS_MAX),
        ("override_spans", SPANS_MAX),
        ("credit_grants", CREDIT_GRANTS_MAX),
    ):
        count = len(getattr(message, name))
        if count > most:
            yield RuleProblem((name,), f"must be at most {most}, is {count}")


def _phase_problems(phase: Phase, expected_us: int) -> Iterator[RuleProblem]:
    if phase.from_us != expected_us:
        yield RuleProblem(("from",), "must be where the segment before ends")
    if phase.until_us <= phase.from_us:
        yield RuleProblem(("until",), "must be after from")
    if phase.plan:
        yield from identifier_problems(("plan",), phase.plan)
    try:
        load_zone(phase.time_zone)
    except ValueError:
        yield RuleProblem(("time_zone",), f"unknown time zone {phase.time_zone!r}")
    for name in ("generation", "anchored_generation", "plan_version"):
        if getattr(phase, name) < 0:
            yield RuleProblem((name,), "must not be negative")
