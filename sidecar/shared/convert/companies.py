"""Companies, as they are applied."""

from __future__ import annotations

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.company.model import Company, Override
from sidecar.domain.company.rules import company_problems
from sidecar.shared.convert._checks import below, refuse_any
from sidecar.shared.convert.grants import grant_from_message, grant_to_message
from sidecar.shared.convert.subscriptions import subscription_from_message, subscription_to_message
from sidecar.shared.convert.times import optional_instant, optional_timestamp, timestamp


def company_to_message(company: Company) -> catalog_pb2.Company:
    """Turn a company into a message."""
    subscription = company.subscription
    return catalog_pb2.Company(
        id=company.id,
        name=company.name,
        time_zone=company.time_zone,
        subscription=None if subscription is None else subscription_to_message(subscription),
        overrides=map(override_to_message, company.overrides),
        renamed_from=company.renamed_from,
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
        renamed_from=message.renamed_from,
    )
    refuse_any(company_problems(company), field)
    return company


def override_to_message(override: Override) -> catalog_pb2.Override:
    """Turn an override into a message."""
    expires_us = override.expires_us
    return catalog_pb2.Override(
        entitlement=grant_to_message(override.entitlement),
        expires_at=None if expires_us == FOREVER_US else timestamp(expires_us),
        reason=override.reason,
        granted_at=optional_timestamp(override.granted_us),
    )


def override_from_message(message: catalog_pb2.Override, field: str) -> Override:
    """Read an override."""
    expires_us = optional_instant(message, "expires_at", field)
    grant = grant_from_message(message.entitlement, below(field, "entitlement"))
    return Override(
        grant,
        FOREVER_US if expires_us is None else expires_us,
        message.reason,
        optional_instant(message, "granted_at", field),
    )
