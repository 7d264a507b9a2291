"""What the control service answers to grants of overrides. Runs in a worker thread."""

from __future__ import annotations

from sidecar.api.control.v1 import control_pb2
from sidecar.control.services import overrides
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.bounds import FOREVER_US, NAME_BYTES_MAX
from sidecar.domain.company.model import Override
from sidecar.domain.errors import InvalidInput
from sidecar.domain.text import KNOWN_NAMES
from sidecar.shared.convert.companies import company_to_message, override_to_message
from sidecar.shared.convert.grants import grant_from_message
from sidecar.shared.convert.times import optional_instant


def grant_override(
    store: PlaneStore, request: control_pb2.GrantOverrideRequest, now_us: int
) -> control_pb2.GrantOverrideResponse:
    """Answer to GrantOverride."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    if not request.HasField("entitlement"):
        raise InvalidInput("entitlement", "must be set")
    if len(request.reason.encode()) > NAME_BYTES_MAX:
        raise InvalidInput("reason", f"must be at most {NAME_BYTES_MAX} bytes")
    grant = grant_from_message(request.entitlement, "entitlement")
    expires_us = optional_instant(request, "expires_at", "")
    override = Override(grant, FOREVER_US if expires_us is None else expires_us, request.reason)
    done = overrides.grant_override(store, company, override, now_us, dry_run=request.dry_run)
    return control_pb2.GrantOverrideResponse(
        revision=done.revision,
        override=override_to_message(done.override),
        company=company_to_message(done.company),
    )


def revoke_override(
    store: PlaneStore, request: control_pb2.RevokeOverrideRequest, now_us: int
) -> control_pb2.RevokeOverrideResponse:
    """Answer to RevokeOverride."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    id_ = KNOWN_NAMES.require_identifier("id", request.id)
    done = overrides.revoke_override(store, company, id_, now_us)
    return control_pb2.RevokeOverrideResponse(
        revision=done.revision, override=override_to_message(done.override)
    )
