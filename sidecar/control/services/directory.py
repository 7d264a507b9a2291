"""Looks up catalog and companies."""

from __future__ import annotations

from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import StoredCompany
from sidecar.domain.catalog.model import CatalogSnapshot
from sidecar.domain.company.model import Company
from sidecar.domain.errors import NotFound


def get_catalog(store: PlaneStore) -> CatalogSnapshot | None:
    """The catalog in force; `None` if none was ever applied."""
    with store.read() as transaction:
        return transaction.catalog()


def get_company(store: PlaneStore, company: str) -> StoredCompany:
    """One company; raises `NotFound`."""
    with store.read() as transaction:
        stored = transaction.companies([company]).get(company)
    if stored is None:
        raise NotFound("company", f"there is no company {company!r}")
    return stored


def list_companies(store: PlaneStore, after: str, limit: int) -> tuple[list[Company], str]:
    """Companies with greater ids, and the id after which the next page starts, or empty."""
    with store.read() as transaction:
        found = transaction.companies_after(after, limit + 1)
    companies = [stored.company for stored in found[:limit]]
    return companies, companies[-1].id if len(found) > limit else ""
