"""Looks up catalog and companies."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.control.services.names import Called, first_id
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.control.storage.values import StoredCompany
from sidecar.domain.catalog.model import Catalog, CatalogSnapshot
from sidecar.domain.company.granted_versions import GrantedVersions
from sidecar.domain.errors import NotFound
from sidecar.domain.nearest import did_you_mean

_NEIGHBOURS_MAX: Final = 500


def get_catalog(store: PlaneStore) -> CatalogSnapshot | None:
    """The catalog in force; `None` if none was ever applied."""
    with store.read() as transaction:
        return transaction.catalog()


def get_company(store: PlaneStore, company: str) -> StoredCompany:
    """One company; raises `NotFound`."""
    with store.read() as transaction:
        return stored_company(transaction, company)


def stored_company(transaction: ReadTransaction, company: str) -> StoredCompany:
    """The same within a transaction, by any of the company's ids."""
    id_ = first_id(transaction, company)
    stored = transaction.companies([id_]).get(id_)
    if stored is None:
        raise no_company(transaction, company)
    return stored


def get_granted_company(store: PlaneStore, company: str, now_us: int) -> StoredCompany:
    """One company with the versions of its plans that it is granted; raises `NotFound`."""
    stored, held = get_company(store, company), get_catalog(store)
    return stored if held is None else as_granted(stored, held.catalog, now_us)


def as_granted(stored: StoredCompany, catalog: Catalog, now_us: int) -> StoredCompany:
    """A company with the versions of its plans that it is granted, from an instant on."""
    versions = GrantedVersions(catalog)
    return msgspec.structs.replace(
        stored,
        company=versions.of_company(stored.company),
        snapshot=versions.of_snapshot(stored.snapshot, now_us),
    )


def no_company(transaction: ReadTransaction, company: str) -> NotFound:
    """The error for a company that is unknown; it names the one that may have been meant.

    Of many companies, those are looked at that begin in the same way, and the first of all.
    """
    known: set[str] = set()
    for beginning in ("", company[:1], company[: len(company) // 2]):
        known.update(transaction.company_ids_after(beginning, _NEIGHBOURS_MAX))
        known.update(transaction.company_names_after(beginning, _NEIGHBOURS_MAX))
    return NotFound("company", f"there is no company {company!r}{did_you_mean(company, known)}")


def company_names(store: PlaneStore, beginning: str, limit: int) -> list[str]:
    """Ids that companies are called by now and that begin so, in their order."""
    with store.read() as transaction:
        later = {beginning, *transaction.company_ids_after(beginning, limit)}
        later.update(transaction.company_names_after(beginning, limit))
        names = [name for name in later if name.startswith(beginning)]
        first = {name: first_id(transaction, name) for name in names}
        called, held = Called(transaction, first.values()), transaction.snapshots(first.values())
    return sorted(name for name, id_ in first.items() if id_ in held and called(id_) == name)[
        :limit
    ]


def list_companies(store: PlaneStore, after: str, limit: int) -> tuple[list[StoredCompany], str]:
    """Companies with greater first ids, and the one after which the next page starts, or empty."""
    with store.read() as transaction:
        found = transaction.companies_after(after, limit + 1)
    companies = found[:limit]
    return companies, companies[-1].company.id if len(found) > limit else ""
