"""Grants companies something of their own, and takes it back: one override at a time."""

from __future__ import annotations

import msgspec

from sidecar.control.rules.ownership import owners_after_call
from sidecar.control.services.directory import stored_company
from sidecar.control.services.new_ids import new_id
from sidecar.control.services.timelines import prorating_of, time_of_change, with_timeline
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.control.storage.values import StoredCompany
from sidecar.domain.bounds import OVERRIDES_MAX
from sidecar.domain.catalog.canonical import canonical_company
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.rules import companies_problems
from sidecar.domain.company.model import Company, Override
from sidecar.domain.company.size import company_size_problems
from sidecar.domain.company.timeline import HISTORY_US
from sidecar.domain.entitlement.override_targets import untargeted_problems
from sidecar.domain.entitlement.proration import PRORATION, Prorating
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.errors import Conflict, FailedPrecondition, InvalidInput, NotFound
from sidecar.domain.validation import field_path_text


class GrantedOverride(msgspec.Struct, frozen=True):
    """An override, the company with it or without it, and the revision since which it is so."""

    revision: int
    override: Override
    company: Company


def grant_override(
    store: PlaneStore, company: str, override: Override, now_us: int, *, dry_run: bool = False
) -> GrantedOverride:
    """Grant an override from now on. One that is there already changes nothing.

    Its id is made where it has none. Raises `NotFound` for an unknown company, `Conflict` where
    another override has the id, `InvalidInput` for what breaks a rule of overrides and for what
    changes something that the company is not granted, and `FailedPrecondition` where it has too
    many.
    """
    if override.expires_us <= now_us:
        raise InvalidInput("expires_at", "must be in the future")
    if dry_run:
        with store.read() as reading:
            stored, after = _granting(reading, company, override, now_us)
            revision = reading.state().revision
        return GrantedOverride(revision, after or override, stored.shown)
    with store.write() as transaction:
        stored, granted = _granting(transaction, company, override, now_us)
        if granted is None:
            same = _of_id(stored.company, override.entitlement.id)
            return GrantedOverride(transaction.state().revision, same or override, stored.shown)
        revision = transaction.next_revision()
        overrides = (*_kept(stored.company, now_us), granted)
        new = _with(stored, overrides, "GrantOverride", revision, now_us, prorating_of(transaction))
        transaction.put_companies([new])
    return GrantedOverride(revision, granted, new.shown)


def revoke_override(store: PlaneStore, company: str, id_: str, now_us: int) -> GrantedOverride:
    """Take an override back from now on.

    Raises `NotFound` for an unknown company, and where no override was granted under the id.
    """
    with store.write() as transaction:
        stored = stored_company(transaction, company)
        override = _of_id(stored.company, id_)
        if override is None:
            raise NotFound("id", f"company {company!r} was granted no override {id_!r}")
        others = tuple(each for each in stored.company.overrides if each != override)
        revision = transaction.next_revision()
        new = _with(stored, others, "RevokeOverride", revision, now_us, prorating_of(transaction))
        transaction.put_companies([new])
    return GrantedOverride(revision, override, new.shown)


def _granting(
    transaction: ReadTransaction, company: str, override: Override, now_us: int
) -> tuple[StoredCompany, Override | None]:
    """The company as stored, and the override as it is to be; `None` where it is there already."""
    if override.entitlement.id == PRORATION:
        raise InvalidInput("entitlement.id", f"{PRORATION!r} is what changes of plans are called")
    stored = stored_company(transaction, company)
    same = _of_id(stored.company, override.entitlement.id)
    if same is not None:
        if msgspec.structs.replace(same, granted_us=None) == override:
            return stored, None
        message = f"another override was granted under the id {override.entitlement.id!r}"
        raise Conflict("entitlement.id", message)
    taken = {each.entitlement.id for each in stored.company.overrides}
    id_ = override.entitlement.id or new_id(now_us, taken.__contains__)
    entitlement = msgspec.structs.replace(override.entitlement, id=id_)
    granted = msgspec.structs.replace(override, entitlement=entitlement, granted_us=now_us)
    after = (*_kept(stored.company, now_us), granted)
    if len(after) > OVERRIDES_MAX:
        message = f"company {company!r} has {OVERRIDES_MAX} overrides, revoke some"
        raise FailedPrecondition("company", message)
    stored_catalog = transaction.catalog()
    catalog = Catalog() if stored_catalog is None else stored_catalog.catalog
    _refuse_problems(stored.company, granted, after, catalog, now_us)
    return stored, granted


def _refuse_problems(
    company: Company,
    granted: Override,
    after: tuple[Override, ...],
    catalog: Catalog,
    now_us: int,
) -> None:
    """Refuse what is wrong with the override; what else is odd about the company was there."""
    at = len(after) - 1
    changed = msgspec.structs.replace(company, overrides=after)
    for path, message in companies_problems([changed], catalog):
        if path[2:4] == ("overrides", at):
            raise InvalidInput(field_path_text(path[4:]), message)
        if path[2:] == ("overrides",):
            raise FailedPrecondition("company", message)
    for path, message in untargeted_problems(changed, at, CatalogIndex(catalog, 1), now_us):
        raise InvalidInput(field_path_text(path[2:]), message)
    for _, message in company_size_problems(changed, company):
        raise FailedPrecondition("company", message)


def _with(
    stored: StoredCompany,
    overrides: tuple[Override, ...],
    call: str,
    revision: int,
    now_us: int,
    prorating: Prorating,
) -> StoredCompany:
    after = canonical_company(msgspec.structs.replace(stored.company, overrides=overrides))
    at_us = time_of_change(stored, now_us)
    owners = owners_after_call(stored, after, call, at_us)
    return with_timeline(after, revision, at_us, stored, prorating, owners=owners)


def _kept(company: Company, now_us: int) -> tuple[Override, ...]:
    """The overrides without those granted by calls that ended long ago."""
    return tuple(
        override
        for override in company.overrides
        if not override.entitlement.id or override.expires_us > now_us - HISTORY_US
    )


def _of_id(company: Company, id_: str) -> Override | None:
    found = (each for each in company.overrides if id_ and each.entitlement.id == id_)
    return next(found, None)
