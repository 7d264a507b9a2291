"""What of a state that is applied is taken, and is likely not meant so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sidecar.control.services.recounting import override_recounting_warnings, recounting_warnings
from sidecar.control.storage.port import ReadTransaction
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.warnings import warnings
from sidecar.domain.company.model import Company
from sidecar.domain.difference.stricter_dimensions import stricter_dimensions
from sidecar.domain.validation import RuleProblem, below


def apply_warnings(
    transaction: ReadTransaction,
    before: Catalog,
    catalog: Catalog | None,
    companies: Sequence[Company],
    held: Sequence[Company],
) -> Iterator[RuleProblem]:
    """Yield them; what costs money comes first. Paths are of what is given.

    `before`: the catalog in force; `held`: companies that change, as they are stored.
    """
    if catalog is not None:
        yield from below(("catalog",), stricter_dimensions(before, catalog))
        yield from below(("catalog",), recounting_warnings(transaction, before, catalog))
    yield from override_recounting_warnings(companies, held)
    if catalog is not None:
        yield from below(("catalog",), warnings(catalog))
