"""What a plan says of subscriptions to it: their trial, and what follows a late payment."""

from __future__ import annotations

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.catalog.plan_terms import Grace, Trial
from sidecar.domain.company.model import SubscriptionStatus
from sidecar.domain.errors import InvalidInput
from sidecar.shared.convert._checks import below, member
from sidecar.shared.convert.times import duration, duration_us


def trial_to_message(trial: Trial) -> catalog_pb2.Trial:
    """Turn a plan's trial into a message."""
    ended = SubscriptionStatus.ACTIVE if trial.becomes_active else SubscriptionStatus.ENDED
    return catalog_pb2.Trial(
        length=duration(trial.length_us),
        end_status=catalog_pb2.SubscriptionStatus.ValueType(ended),
        end_plan=trial.end_plan,
    )


def trial_from_message(message: catalog_pb2.Trial, field: str) -> Trial:
    """Read a plan's trial. Its bounds are checked with those of its plan."""
    ended = SubscriptionStatus.ENDED
    path = below(field, "end_status")
    status = member(SubscriptionStatus, message.end_status, path, ended)
    if status not in (SubscriptionStatus.ACTIVE, ended):
        raise InvalidInput(path, f"must be ACTIVE or ENDED, is {status.name}")
    length_us = duration_us(message.length, below(field, "length"))
    return Trial(length_us, status is SubscriptionStatus.ACTIVE, message.end_plan)


def grace_to_message(grace: Grace) -> catalog_pb2.Grace:
    """Turn what follows a late payment into a message."""
    length_us = grace.length_us
    return catalog_pb2.Grace(
        length=None if length_us is None else duration(length_us), end_plan=grace.end_plan
    )


def grace_from_message(message: catalog_pb2.Grace, field: str) -> Grace:
    """Read what follows a late payment. Its bounds are checked with those of its plan."""
    length_us = None
    if message.HasField("length"):
        length_us = duration_us(message.length, below(field, "length"))
    return Grace(length_us, message.end_plan)
