"""What the control service answers to a state that is applied. Runs in a worker thread."""

from __future__ import annotations

from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.control.rpc.request_validation import require_count
from sidecar.control.rules.ownership import FieldConflict, TakeOver, path_text
from sidecar.control.services import apply
from sidecar.control.services.earlier_sidecars import EarlierSidecars, earlier_sidecars_warnings
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.bounds import COMPANIES_APPLIED_MAX
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.catalog.warnings import WARNINGS_MAX
from sidecar.domain.company.field_values import FIELD_NAMES
from sidecar.domain.difference.changes import Change
from sidecar.domain.difference.field_values import value_text
from sidecar.domain.errors import InvalidInput
from sidecar.domain.nearest import did_you_mean
from sidecar.domain.text import KNOWN_NAMES
from sidecar.domain.validation import field_path_text
from sidecar.shared.convert.catalog import catalog_from_message
from sidecar.shared.convert.companies import company_from_message
from sidecar.shared.convert.times import timestamp

FIELD_CHANGES_MAX: Final = 100
TAKE_OVER_MAX: Final = 1_000
_NONE_EARLIER: Final = EarlierSidecars()


def apply_state(
    store: PlaneStore,
    request: control_pb2.ApplyRequest,
    now_us: int,
    earlier: EarlierSidecars = _NONE_EARLIER,
) -> control_pb2.ApplyResponse:
    """Answer to Apply. `earlier`: the sidecars of earlier versions."""
    require_count("companies", len(request.companies), 0, COMPANIES_APPLIED_MAX)
    require_count("remove_companies", len(request.remove_companies), 0, COMPANIES_APPLIED_MAX)
    for at, company in enumerate(request.remove_companies):
        KNOWN_NAMES.require_identifier(f"remove_companies[{at}]", company)
    catalog = None
    if request.HasField("catalog"):
        catalog = catalog_from_message(request.catalog, "catalog")
    desired = apply.Desired(
        catalog=catalog,
        companies=tuple(
            company_from_message(company, f"companies[{at}]")
            for at, company in enumerate(request.companies)
        ),
        remove=tuple(request.remove_companies),
        prune=request.prune_companies,
        take_over=_take_over(request),
        refuse_conflicts=request.refuse_conflicts,
    )
    if request.dry_run:
        applied = apply.preview(store, desired, now_us)
    else:
        applied = apply.apply(store, desired, now_us)
    warnings = [*earlier_sidecars_warnings(catalog, earlier), *applied.warnings]
    return control_pb2.ApplyResponse(
        revision=applied.revision,
        changes=map(_change, applied.changes),
        changed=applied.changed,
        unchanged=applied.unchanged,
        warnings=[
            control_pb2.Warning(field=field_path_text(path), message=message)
            for path, message in warnings[:WARNINGS_MAX]
        ],
        conflicts=map(_conflict, applied.conflicts),
        conflicted=applied.conflicted,
        refused=applied.refused,
    )


def _take_over(request: control_pb2.ApplyRequest) -> TakeOver:
    require_count("take_over", len(request.take_over), 0, TAKE_OVER_MAX)
    given = {company.id for company in request.companies}
    companies, fields = set(), set()
    for at, named in enumerate(request.take_over):
        if named.company and named.company not in given and not request.prune_companies:
            message = f"{named.company!r} is not given{did_you_mean(named.company, given)}"
            raise InvalidInput(f"take_over[{at}].company", message)
        if named.field:
            if not named.company:
                raise InvalidInput(f"take_over[{at}].company", "must be set, since field is")
            word = named.field.partition(".")[0]
            if word not in FIELD_NAMES:
                message = f"a company has no field {word!r}{did_you_mean(word, FIELD_NAMES)}"
                raise InvalidInput(f"take_over[{at}].field", message)
            fields.add((named.company, named.field))
        elif named.company:
            companies.add(named.company)
    everything = any(not named.company for named in request.take_over)
    return TakeOver(everything, frozenset(companies), frozenset(fields))


def _conflict(conflict: FieldConflict) -> control_pb2.Conflict:
    given, in_force = conflict.given, conflict.in_force
    return control_pb2.Conflict(
        company=conflict.company,
        field=path_text(conflict.path),
        given=None if given is None else value_text(given),
        in_force=None if in_force is None else value_text(in_force),
        owner=control_pb2.Owner.ValueType(conflict.owner.owner),
        since=timestamp(conflict.owner.since_us),
        call=conflict.owner.call,
    )


def _change(change: Change) -> control_pb2.Change:
    return control_pb2.Change(
        kind=change.kind,
        key=change.key,
        action=control_pb2.ChangeAction.ValueType(change.action),
        fields=[
            control_pb2.FieldChange(path=field.path, before=field.before, after=field.after)
            for field in change.fields[:FIELD_CHANGES_MAX]
        ],
        existing=None if change.existing is None else _existing(*change.existing),
    )


def _existing(existing: ExistingCompanies, companies: int) -> control_pb2.ExistingCompanies:
    return control_pb2.ExistingCompanies(
        change=catalog_pb2.ExistingCompanies.ValueType(existing), companies=companies
    )
