"""Whether a control plane that has nothing yet would take all that files say: how large it is.

One that has as much already takes it again, which nobody knows without asking it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from sidecar.domain.bounds import COMPANIES_APPLIED_MAX
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.size import catalog_size_problems
from sidecar.domain.company.size import company_size_problems
from sidecar.domain.validation import RuleProblem, count_problems, field_path_text
from sidecar.shared.catalog_file.load import CatalogFile
from sidecar.shared.catalog_file.problems import NOWHERE, CatalogFileError, FileProblem

_TOLD_MAX: Final = 1000


def require_size(content: CatalogFile) -> None:
    """Raise `CatalogFileError` with all that is too large to be applied."""
    problems = [_placed(content, found) for found in islice(_found(content), _TOLD_MAX)]
    if problems:
        raise CatalogFileError(content.source, problems)


def _found(content: CatalogFile) -> Iterator[RuleProblem]:
    if content.has_catalog:
        yield from catalog_size_problems(content.catalog, Catalog())
    yield from count_problems(("companies",), content.companies, COMPANIES_APPLIED_MAX)
    for at, company in enumerate(content.companies):
        for _, message in company_size_problems(company, None):
            yield RuleProblem(("companies", at), message)


def _placed(content: CatalogFile, found: RuleProblem) -> FileProblem:
    path = field_path_text(found.path)
    return content.placed(path, found.message) or FileProblem(NOWHERE, path, found.message)
