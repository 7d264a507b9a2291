"""Creates companies one at a time."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.control.rules.ownership import (
    EXISTENCE,
    Merged,
    is_same,
    owners_of,
    owners_of_created,
    path_text,
)
from sidecar.control.services.names import Called, first_id
from sidecar.control.services.plan_terms import PlanTerms, with_trial_of_plane
from sidecar.control.services.timelines import prorating_of, with_timeline
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.control.storage.values import FieldOwner, Owner, StoredCompany
from sidecar.domain.catalog.canonical import canonical_company
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.rules import companies_problems
from sidecar.domain.company.field_values import ANCHOR, TRIAL
from sidecar.domain.company.model import Company
from sidecar.domain.company.owned_fields import fields_of
from sidecar.domain.company.size import company_size_problems
from sidecar.domain.errors import Conflict, InvalidInput
from sidecar.domain.validation import field_path_text

CREATE: Final = "CreateCompany"
"""The call, as owners of fields name it."""
_OF_PLANE: Final = (ANCHOR, TRIAL)
"""What the plane sets where nobody says it."""


class CreatedCompany(msgspec.Struct, frozen=True):
    """A company that is there as of a revision; `created`: by this call."""

    revision: int
    company: Company
    created: bool


def create_company(
    store: PlaneStore, company: Company, now_us: int, *, dry_run: bool = False
) -> CreatedCompany:
    """Create a company, all of which is then the API's; the same again changes nothing.

    One that was removed and comes back goes on with its usage. Raises `InvalidInput` for what
    breaks a rule or does not fit the catalog, and for one without a plan where that would take the
    default plan away; `Conflict` where one of its id is there that is not as given. What calls have
    changed since it was created is no difference.
    """
    if dry_run:
        with store.read() as reading:
            held, new, _ = _work_out(reading, company, now_us)
            return CreatedCompany(reading.state().revision, _shown(reading, new), held is None)
    with store.write() as transaction:
        held, new, owners = _work_out(transaction, company, now_us)
        if held is not None:
            return CreatedCompany(transaction.state().revision, held.shown, False)
        revision = transaction.next_revision()
        tombstone = transaction.tombstones([new.id]).get(new.id)
        stored = with_timeline(
            new, revision, now_us, tombstone, prorating_of(transaction), owners=owners
        )
        transaction.put_companies([stored])
    return CreatedCompany(revision, stored.shown, True)


def _shown(transaction: ReadTransaction, company: Company) -> Company:
    """A company with the id that it is called by; one that was removed may have another."""
    called = Called(transaction, [company.id])
    return msgspec.structs.replace(company, id=called(company.id))


def _work_out(
    transaction: ReadTransaction, company: Company, now_us: int
) -> tuple[StoredCompany | None, Company, tuple[FieldOwner, ...]]:
    """What is stored of it, the company as it is to be, and who owns its fields then."""
    company = _by_first_id(transaction, company)
    said = canonical_company(company)
    held = transaction.companies([company.id]).get(company.id)
    if held is not None:
        _refuse_another(said, held)
        return held, held.company, held.owners
    stored_catalog = transaction.catalog()
    catalog = Catalog() if stored_catalog is None else stored_catalog.catalog
    for path, message in companies_problems([said], catalog):
        raise InvalidInput(field_path_text(("company", *path[2:])), message)
    if said.subscription is None and catalog.default_plan:
        message = (
            "must be set: without a plan it is denied everything, and the default plan "
            f"{catalog.default_plan!r} is for companies that are not known; name a plan"
        )
        raise InvalidInput("company.subscription", message)
    terms = PlanTerms({plan.key: plan for plan in catalog.plans}, transaction.plan_moves())
    gone = transaction.tombstones([company.id]).get(company.id)
    new = Merged(terms.filled(said, None, now_us, gone=gone))
    new = terms.versioned(with_trial_of_plane(new, said, None, now_us), None, now_us)
    for _, message in company_size_problems(new.company, None):
        raise InvalidInput("company", message)
    created = owners_of_created(new.company, CREATE, now_us)
    derived = {owner.path: owner for owner in new.owners}
    return None, new.company, tuple(derived.get(owner.path, owner) for owner in created)


def _by_first_id(transaction: ReadTransaction, company: Company) -> Company:
    """The company by the id that is stored; it is to be given by the one that it is called by."""
    if company.renamed_from:
        raise InvalidInput("company.renamed_from", "is for Apply: rename it by RenameCompany")
    id_ = first_id(transaction, company.id)
    called = Called(transaction, [id_])(id_)
    if called != company.id:
        message = f"{company.id!r} was an id of company {called!r}, and leads there"
        raise Conflict("company.id", message, "ALREADY_EXISTS")
    return msgspec.structs.replace(company, id=id_)


def _refuse_another(said: Company, held: StoredCompany) -> None:
    """Refuse a company that is not as the one that is there was created."""
    asked, there = fields_of(said), fields_of(held.company)
    owners = owners_of(held)
    changed = {
        path for path, one in owners.items() if one.owner is Owner.API and one.call != CREATE
    }
    if EXISTENCE not in owners:
        changed = set()
    for path in sorted({*asked, *there}):
        if path in _OF_PLANE and path not in asked:
            continue
        if path in changed:
            continue
        if not is_same(asked.get(path), there.get(path)):
            name, field = held.snapshot.called, path_text(path)
            message = f"company {name!r} is there already, and its {field} is not so"
            raise Conflict("company.id", message, "ALREADY_EXISTS")
