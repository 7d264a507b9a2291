"""Refuses what names nothing that could be taken over: a misspelt name would be left out silently.

A field is there to be taken where the file says it, the company has it or the API owns it, and
where any company has it; so is an add-on or a feature of the catalog, so that a file may be applied
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from sidecar.control.rules.ownership import TakeOver, owners_of, path_text
from sidecar.control.services.directory import no_company
from sidecar.control.storage.port import ReadTransaction
from sidecar.control.storage.values import StoredCompany
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.field_values import ADD_ONS, FIELD_NAMES, OVERRIDES
from sidecar.domain.company.model import Company
from sidecar.domain.company.owned_fields import fields_of
from sidecar.domain.errors import InvalidInput
from sidecar.domain.nearest import did_you_mean

FIELD: Final = "take_over"
_KEYED: Final = (ADD_ONS, OVERRIDES)


def refuse_unmatched(
    transaction: ReadTransaction,
    take_over: TakeOver,
    given: Mapping[str, Company],
    catalog: Catalog,
) -> None:
    """Refuse companies that there are not and were not, and fields that there cannot be.

    Raises `InvalidInput`, with the name that may have been meant.
    """
    named = sorted({*take_over.companies, *(company for company, _ in take_over.fields)})
    held = transaction.companies(named)
    gone = transaction.tombstones(named)
    for company in named:
        if company not in given and company not in held and company not in gone:
            raise InvalidInput(FIELD, no_company(transaction, company).message)
    for company, field in sorted(take_over.fields):
        states = (given.get(company), held.get(company))
        known = {*_of_company(*states), *_of_catalog(catalog)}
        if field not in known and (company in given or company in held):
            message = f"company {company!r} has no field {field!r}{did_you_mean(field, known)}"
            raise InvalidInput(FIELD, message)


def _of_company(given: Company | None, held: StoredCompany | None) -> Iterator[str]:
    if given is not None:
        yield from map(path_text, fields_of(given))
    if held is not None:
        yield from map(path_text, fields_of(held.company))
        yield from map(path_text, filter(None, owners_of(held)))


def _of_catalog(catalog: Catalog) -> Iterable[str]:
    yield from (name for name in FIELD_NAMES if name not in _KEYED)
    yield from (f"{ADD_ONS}.{add_on.key}" for add_on in catalog.add_ons)
    yield from (f"{OVERRIDES}.{feature.key}" for feature in catalog.features)
