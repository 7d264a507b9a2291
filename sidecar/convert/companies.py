"""Companies, and what sidecars get of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.convert._checks import below, member, refuse_any
from sidecar.convert.catalog import grant_from_message, grant_to_message
from sidecar.convert.times import instant, timestamp, timestamp_or_none
from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.catalog import (
    Company,
    CompanySnapshot,
    Override,
    Segment,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.catalog_rules import (
    Problem,
    company_problems,
    grant_problems,
    identifier_problems,
)
from sidecar.domain.errors import InvalidInput

SEGMENTS_MAX: Final = 1_003
"""A cut for each override's expiry, for a trial's end and a cancellation, and what is before."""


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
    """Read a company. Whether its plan and features exist is left to `catalog_rules`."""
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


def subscription_to_message(subscription: Subscription) -> catalog_pb2.Subscription:
    """Turn a subscription into a message."""
    return catalog_pb2.Subscription(
        plan=subscription.plan,
        anchor=timestamp(subscription.anchor_us),
        trial_ends_at=_optional(subscription.trial_ends_us),
        trial_end_status=catalog_pb2.SubscriptionStatus.ValueType(subscription.trial_end_status),
        cancel_at=_optional(subscription.cancel_us),
    )


def subscription_from_message(message: catalog_pb2.Subscription, field: str) -> Subscription:
    """Read a subscription."""
    if not message.HasField("anchor"):
        raise InvalidInput(below(field, "anchor"), "must be set")
    status = SubscriptionStatus.ENDED
    if message.trial_end_status:
        path = below(field, "trial_end_status")
        status = member(SubscriptionStatus, message.trial_end_status, path)
    trial_ends_us = cancel_us = None
    if message.HasField("trial_ends_at"):
        trial_ends_us = instant(message.trial_ends_at, below(field, "trial_ends_at"))
    if message.HasField("cancel_at"):
        cancel_us = instant(message.cancel_at, below(field, "cancel_at"))
    return Subscription(
        plan=message.plan,
        anchor_us=instant(message.anchor, below(field, "anchor")),
        trial_ends_us=trial_ends_us,
        trial_end_status=status,
        cancel_us=cancel_us,
    )


def override_to_message(override: Override) -> catalog_pb2.Override:
    """Turn an override into a message."""
    expires_us = override.expires_us
    return catalog_pb2.Override(
        entitlement=grant_to_message(override.entitlement),
        expires_at=None if expires_us == FOREVER_US else timestamp(expires_us),
    )


def override_from_message(message: catalog_pb2.Override, field: str) -> Override:
    """Read an override."""
    expires_us = FOREVER_US
    if message.HasField("expires_at"):
        expires_us = instant(message.expires_at, below(field, "expires_at"))
    grant = grant_from_message(message.entitlement, below(field, "entitlement"))
    return Override(grant, expires_us)


def snapshot_to_message(snapshot: CompanySnapshot) -> catalog_pb2.CompanySnapshot:
    """Turn a company's snapshot into a message."""
    return catalog_pb2.CompanySnapshot(
        company=snapshot.company,
        version=snapshot.version,
        time_zone=snapshot.time_zone,
        anchor=_optional(snapshot.anchor_us),
        segments=map(segment_to_message, snapshot.segments),
    )


def snapshot_from_message(message: catalog_pb2.CompanySnapshot, field: str) -> CompanySnapshot:
    """Read a company's snapshot."""
    if message.version < 1:
        raise InvalidInput(below(field, "version"), "must be at least 1")
    anchor_us = None
    if message.HasField("anchor"):
        anchor_us = instant(message.anchor, below(field, "anchor"))
    segments = tuple(
        segment_from_message(segment, below(field, f"segments[{at}]"))
        for at, segment in enumerate(message.segments)
    )
    refuse_any(identifier_problems(("company",), message.company), field)
    refuse_any(_timeline_problems(segments), field)
    time_zone = message.time_zone or "UTC"
    return CompanySnapshot(message.company, message.version, time_zone, anchor_us, segments)


def segment_to_message(segment: Segment) -> catalog_pb2.Segment:
    """Turn a stretch of a timeline into a message."""
    message = catalog_pb2.Segment(
        until=timestamp_or_none(segment.until_us),
        status=catalog_pb2.SubscriptionStatus.ValueType(segment.status),
        after_trial=segment.after_trial,
        plan=segment.plan,
        overrides=map(grant_to_message, segment.overrides),
    )
    if segment.from_us != BEGINNING_US:
        getattr(message, "from").CopyFrom(timestamp(segment.from_us))  # a keyword in Python
    return message


def segment_from_message(message: catalog_pb2.Segment, field: str) -> Segment:
    """Read a stretch of a timeline; status 0 is that of a company without a subscription."""
    from_us, until_us = BEGINNING_US, FOREVER_US
    if message.HasField("from"):
        from_us = instant(getattr(message, "from"), below(field, "from"))
    if message.HasField("until"):
        until_us = instant(message.until, below(field, "until"))
    status = SubscriptionStatus.NONE
    if message.status:
        status = member(SubscriptionStatus, message.status, below(field, "status"))
    return Segment(
        from_us=from_us,
        until_us=until_us,
        status=status,
        after_trial=message.after_trial,
        plan=message.plan,
        overrides=tuple(
            grant_from_message(grant, below(field, f"overrides[{at}]"))
            for at, grant in enumerate(message.overrides)
        ),
    )


def _timeline_problems(segments: tuple[Segment, ...]) -> Iterator[Problem]:
    if not 1 <= len(segments) <= SEGMENTS_MAX:
        message = f"must be 1 to {SEGMENTS_MAX}, is {len(segments)}"
        yield Problem(("segments",), message)
        return
    if segments[-1].until_us != FOREVER_US:
        yield Problem(("segments", len(segments) - 1, "until"), "must be absent at the end")
    expected_us = BEGINNING_US
    for at, segment in enumerate(segments):
        if segment.from_us != expected_us:
            yield Problem(("segments", at, "from"), "must be where the segment before ends")
        if segment.until_us <= segment.from_us:
            yield Problem(("segments", at, "until"), "must be after from")
        expected_us = segment.until_us
        for number, grant in enumerate(segment.overrides):
            for problem in grant_problems(grant):
                path = ("segments", at, "overrides", number, *problem.path)
                yield Problem(path, problem.message)


def _optional(instant_us: int | None) -> Timestamp | None:
    return None if instant_us is None else timestamp(instant_us)
