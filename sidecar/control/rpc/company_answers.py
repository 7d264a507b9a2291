"""What the control service answers to questions about companies. Runs in a worker thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sidecar.api.control.v1 import control_pb2
from sidecar.control.rules.ownership import path_text
from sidecar.control.services import companies, renames
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import FieldOwner
from sidecar.domain.errors import InvalidInput
from sidecar.domain.text import KNOWN_NAMES, NEW_NAMES
from sidecar.shared.convert.companies import company_from_message, company_to_message
from sidecar.shared.convert.times import timestamp


def create_company(
    store: PlaneStore, request: control_pb2.CreateCompanyRequest, now_us: int
) -> control_pb2.CreateCompanyResponse:
    """Answer to CreateCompany."""
    if not request.HasField("company"):
        raise InvalidInput("company", "must be set")
    company = company_from_message(request.company, "company")
    for at, override in enumerate(company.overrides):
        if override.entitlement.id:
            field = f"company.overrides[{at}].entitlement.id"
            raise InvalidInput(field, "is for GrantOverride")
    done = companies.create_company(store, company, now_us, dry_run=request.dry_run)
    return control_pb2.CreateCompanyResponse(
        revision=done.revision, created=done.created, company=company_to_message(done.company)
    )


def rename_company(
    store: PlaneStore, request: control_pb2.RenameCompanyRequest
) -> control_pb2.RenameCompanyResponse:
    """Answer to RenameCompany."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    new_id = NEW_NAMES.require_identifier("new_id", request.new_id)
    done = renames.rename_company(store, company, new_id, dry_run=request.dry_run)
    return control_pb2.RenameCompanyResponse(
        revision=done.revision, renamed=done.renamed, company=company_to_message(done.company)
    )


def owner_messages(owners: Iterable[FieldOwner]) -> Iterator[control_pb2.FieldOwner]:
    """Owners of fields as messages."""
    for owner in owners:
        yield control_pb2.FieldOwner(
            field=path_text(owner.path),
            owner=control_pb2.Owner.ValueType(owner.owner),
            since=timestamp(owner.since_us),
            call=owner.call,
        )
