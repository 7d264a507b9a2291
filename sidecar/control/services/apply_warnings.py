"""What of a state that is applied is taken, and is likely not meant so."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sidecar.control.services.given_companies import GivenCompany
from sidecar.control.services.moved_anchors import moved_anchor_warnings
from sidecar.control.services.recounting import override_recounting_warnings, recounting_warnings
from sidecar.control.services.stranded_grants import stranded_grant_warnings
from sidecar.control.services.stranded_overrides import stranded_override_warnings
from sidecar.control.storage.port import ReadTransaction
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.version_rules import versions_warnings
from sidecar.domain.catalog.warnings import warnings
from sidecar.domain.company.model import Company
from sidecar.domain.difference.stricter_dimensions import stricter_dimensions
from sidecar.domain.validation import RuleProblem, below


def apply_warnings(
    transaction: ReadTransaction,
    catalogs: tuple[Catalog, Catalog],
    given: tuple[Catalog | None, Sequence[Company]],
    put: Sequence[GivenCompany],
    gone: Collection[str],
    now_us: int,
) -> Iterator[RuleProblem]:
    """Yield them, what changes for customers first.

    `catalogs`: the one in force and the one to be; `given`: catalog and companies as they were
    given, of which paths are; `put`: companies that change; `gone`: those that are removed.
    """
    yield from stranded_override_warnings(transaction, catalogs, given, put, gone, now_us)
    before, after = catalogs
    catalog, companies = given
    if catalog is not None:
        yield from below(("catalog",), stranded_grant_warnings(transaction, before, after))
        yield from below(("catalog",), stricter_dimensions(before, catalog))
        yield from below(("catalog",), recounting_warnings(transaction, before, catalog))
    held = [each.before for each in put if each.before is not None]
    yield from override_recounting_warnings(companies, held, after)
    yield from moved_anchor_warnings(companies, put, now_us)
    if catalog is not None:
        yield from below(("catalog",), warnings(catalog))
        yield from below(("catalog",), versions_warnings(after, before))
