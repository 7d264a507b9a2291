"""One-off grants of credits, as companies have them."""

from __future__ import annotations

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.company.model import CompanyGrant
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.shared.convert._checks import below, member
from sidecar.shared.convert.times import (
    optional_instant,
    required_instant,
    timestamp,
    timestamp_or_none,
)


def credit_grant_to_message(given: CompanyGrant) -> catalog_pb2.CreditGrant:
    """Turn a grant into a message."""
    grant = given.grant
    return catalog_pb2.CreditGrant(
        id=grant.id,
        feature=given.feature,
        amount=grant.amount,
        priority=grant.priority,
        kind=catalog_pb2.CreditKind.ValueType(grant.kind),
        effective=timestamp(grant.effective_us),
        expires=timestamp_or_none(grant.expires_us),
    )


def credit_grant_from_message(message: catalog_pb2.CreditGrant, field: str) -> CompanyGrant:
    """Read a grant. Its bounds are checked by `credit_grants_problems`."""
    expires_us = optional_instant(message, "expires", field)
    grant = CreditGrant(
        id=message.id,
        amount=message.amount,
        priority=message.priority,
        kind=member(GrantKind, message.kind, below(field, "kind")),
        effective_us=required_instant(message, "effective", field),
        expires_us=FOREVER_US if expires_us is None else expires_us,
    )
    return CompanyGrant(message.feature, grant)
