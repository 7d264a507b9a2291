"""Companies, and what sidecars get of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.catalog.grant_rules import grant_problems
from sidecar.domain.company.model import (
    Company,
    CompanySnapshot,
    Override,
    Segment,
    SubscriptionStatus,
)
from sidecar.domain.company.rules import add_ons_problems, company_problems
from sidecar.domain.company.timeline import SEGMENTS_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.slices import Slices, whole
from sidecar.domain.validation import RuleProblem, identifier_problems
from sidecar.domain.validation import below as located
from sidecar.shared.convert._checks import below, each, member, refuse_any, refuse_any_in_slices
from sidecar.shared.convert.catalog import grant_from_message, grant_to_message
from sidecar.shared.convert.subscriptions import (
    add_ons_from_messages,
    add_ons_to_messages,
    subscription_from_message,
    subscription_to_message,
)
from sidecar.shared.convert.times import (
    optional_instant,
    optional_timestamp,
    timestamp,
    timestamp_or_none,
)


def company_to_message(company: Company) -> catalog_pb2.Company:
    """Turn a company into a message."""
    subscription = company.subscription
    return catalog_pb2.Company(
        id=company.id,
        name=company.name,
        time_zone=company.time_zone,
        subscription=None if subscription is None else subscription_to_message(subscription),
        overrides=map(override_to_message, company.overrides),
    )


def company_from_message(message: catalog_pb2.Company, field: str) -> Company:
    """Read a company. Whether its plan and features exist is left to `domain.catalog.rules`."""
    subscription = None
    if message.HasField("subscription"):
        path = below(field, "subscription")
        subscription = subscription_from_message(message.subscription, path)
    company = Company(
        id=message.id,
        name=message.name,
        time_zone=message.time_zone or "UTC",
        subscription=subscription,
        overrides=tuple(
            override_from_message(override, below(field, f"overrides[{at}]"))
            for at, override in enumerate(message.overrides)
        ),
    )
    refuse_any(company_problems(company), field)
    return company


def override_to_message(override: Override) -> catalog_pb2.Override:
    """Turn an override into a message."""
    expires_us = override.expires_us
    return catalog_pb2.Override(
        entitlement=grant_to_message(override.entitlement),
        expires_at=None if expires_us == FOREVER_US else timestamp(expires_us),
    )


def override_from_message(message: catalog_pb2.Override, field: str) -> Override:
    """Read an override."""
    expires_us = optional_instant(message, "expires_at", field)
    grant = grant_from_message(message.entitlement, below(field, "entitlement"))
    return Override(grant, FOREVER_US if expires_us is None else expires_us)


def snapshot_to_message(snapshot: CompanySnapshot) -> catalog_pb2.CompanySnapshot:
    """Turn a company's snapshot into a message.

    Time zone and anchor are those of the last segment, for sidecars that know no others.
    """
    last = snapshot.segments[-1]
    return catalog_pb2.CompanySnapshot(
        company=snapshot.company,
        version=snapshot.version,
        time_zone=last.time_zone,
        anchor=optional_timestamp(last.anchor_us),
        segments=map(segment_to_message, snapshot.segments),
    )


def snapshot_from_message(message: catalog_pb2.CompanySnapshot, field: str) -> CompanySnapshot:
    """Read a company's snapshot."""
    return whole(_snapshot(message, field))


def snapshots_in_slices(
    messages: Sequence[catalog_pb2.CompanySnapshot], field: str
) -> Slices[tuple[CompanySnapshot, ...]]:
    """Read companies' snapshots in slices; `field` is that which holds them all."""
    found = []
    for at, message in enumerate(messages):
        found.append((yield from _snapshot(message, f"{field}[{at}]")))
    return tuple(found)


def segment_to_message(segment: Segment) -> catalog_pb2.Segment:
    """Turn a stretch of a timeline into a message."""
    message = catalog_pb2.Segment(
        until=timestamp_or_none(segment.until_us),
        status=catalog_pb2.SubscriptionStatus.ValueType(segment.status),
        after_trial=segment.after_trial,
        plan=segment.plan,
        overrides=map(grant_to_message, segment.overrides),
        past_grace=segment.past_grace,
        add_ons=add_ons_to_messages(segment.add_ons),
        time_zone=segment.time_zone,
        anchor=optional_timestamp(segment.anchor_us),
        generation=segment.generation,
        anchored_generation=segment.anchored_generation,
    )
    if segment.from_us != BEGINNING_US:
        getattr(message, "from").CopyFrom(timestamp(segment.from_us))  # a keyword in Python
    return message


def _snapshot(message: catalog_pb2.CompanySnapshot, field: str) -> Slices[CompanySnapshot]:
    if message.version < 1:
        raise InvalidInput(below(field, "version"), "must be at least 1")
    time_zone = message.time_zone or "UTC"
    anchor_us = optional_instant(message, "anchor", field)
    segments = []
    for at, segment in enumerate(message.segments):
        path = below(field, f"segments[{at}]")
        segments.append((yield from _segment(segment, path, time_zone, anchor_us)))
    refuse_any(identifier_problems(("company",), message.company), field)
    yield from refuse_any_in_slices(_timeline_checks(segments), field)
    return CompanySnapshot(message.company, message.version, tuple(segments))


def _segment(
    message: catalog_pb2.Segment, field: str, time_zone: str, anchor_us: int | None
) -> Slices[Segment]:
    """Read a stretch of a timeline; status 0 is that of a company without a subscription.

    Time zone and anchor are the snapshot's, for segments that have no time zone: those of an older
    control plane. One that has a time zone stands for itself, also where it has no anchor.
    """
    from_us = optional_instant(message, "from", field)
    until_us = optional_instant(message, "until", field)
    own_anchor_us = optional_instant(message, "anchor", field)
    if message.time_zone or own_anchor_us is not None:
        anchor_us = own_anchor_us
    status = member(
        SubscriptionStatus, message.status, below(field, "status"), SubscriptionStatus.NONE
    )
    add_ons = add_ons_from_messages(message.add_ons)
    overrides = yield from each(message.overrides, grant_from_message, below(field, "overrides"))
    return Segment(
        from_us=BEGINNING_US if from_us is None else from_us,
        until_us=FOREVER_US if until_us is None else until_us,
        status=status,
        after_trial=message.after_trial,
        past_grace=message.past_grace,
        plan=message.plan,
        add_ons=add_ons,
        overrides=overrides,
        time_zone=message.time_zone or time_zone,
        anchor_us=anchor_us,
        generation=message.generation,
        anchored_generation=message.anchored_generation,
    )


def _timeline_checks(segments: Sequence[Segment]) -> Iterator[Iterator[RuleProblem]]:
    """What may be wrong with a timeline, one thing after the other."""
    if not 1 <= len(segments) <= SEGMENTS_MAX:
        message = f"must be 1 to {SEGMENTS_MAX}, is {len(segments)}"
        yield iter([RuleProblem(("segments",), message)])
        return
    yield _end_problems(segments)
    expected_us = BEGINNING_US
    for at, segment in enumerate(segments):
        path = ("segments", at)
        yield located(path, _span_problems(segment, expected_us))
        expected_us = segment.until_us
        for check in _segment_checks(segment):
            yield located(path, check)


def _end_problems(segments: Sequence[Segment]) -> Iterator[RuleProblem]:
    if segments[-1].until_us != FOREVER_US:
        yield RuleProblem(("segments", len(segments) - 1, "until"), "must be absent at the end")


def _span_problems(segment: Segment, expected_us: int) -> Iterator[RuleProblem]:
    if segment.from_us != expected_us:
        yield RuleProblem(("from",), "must be where the segment before ends")
    if segment.until_us <= segment.from_us:
        yield RuleProblem(("until",), "must be after from")


def _segment_checks(segment: Segment) -> Iterator[Iterator[RuleProblem]]:
    yield located(("add_ons",), add_ons_problems(segment.add_ons))
    yield _generation_problems(segment)
    for at, grant in enumerate(segment.overrides):
        yield located(("overrides", at), grant_problems(grant))


def _generation_problems(segment: Segment) -> Iterator[RuleProblem]:
    for name in ("generation", "anchored_generation"):
        if getattr(segment, name) < 0:
            yield RuleProblem((name,), "must not be negative")
