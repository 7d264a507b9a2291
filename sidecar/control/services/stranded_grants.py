"""Grants of credits whose feature goes, or is no more one of credits: nothing can burn them."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.control.storage.port import ReadTransaction
from sidecar.domain.catalog.model import Catalog, FeatureKind
from sidecar.domain.validation import RuleProblem


def stranded_grant_warnings(
    transaction: ReadTransaction, before: Catalog, after: Catalog
) -> Iterator[RuleProblem]:
    """Yield features of credits that a catalog has no more, of which companies have grants."""
    gone = _credits(before) - _credits(after)
    if not gone:
        return
    told = transaction.told_credit_features()
    for feature in sorted(gone & told.keys()):
        count = told[feature]
        grants = "a grant of its credits" if count == 1 else f"{count} grants of its credits"
        message = f"{feature!r} is no feature of credits any more: nothing burns {grants}"
        yield RuleProblem(("features",), message)


def _credits(catalog: Catalog) -> set[str]:
    return {each.key for each in catalog.features if each.kind is FeatureKind.CREDITS}
