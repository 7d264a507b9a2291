"""Says what of a catalog sidecars of an earlier version are told less of, while there are some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sidecar.domain.catalog.model import Catalog
from sidecar.domain.entitlement.earlier_readers import told_less
from sidecar.domain.validation import RuleProblem

NODES_SHOWN_MAX: Final = 5
_REASONS_SHOWN_MAX: Final = 5


def told_less_warnings(catalog: Catalog | None, nodes: Sequence[str]) -> Iterator[RuleProblem]:
    """Yield that such sidecars are to be updated first, where the catalog has such words.

    `nodes`: theirs, one for each that is connected or was heard within the last hour.
    """
    if catalog is None or not nodes:
        return
    found = list(told_less(catalog))
    if not found:
        return
    less = _some(found, _REASONS_SHOWN_MAX, "; ")
    named = _some(sorted({repr(node) for node in nodes if node}), NODES_SHOWN_MAX, ", ")
    where = f" (on {named})" if named else ""
    many = "1 sidecar" if len(nodes) == 1 else f"{len(nodes):,} sidecars"
    verb = "goes" if len(nodes) == 1 else "go"
    message = (
        f"{many} of an earlier version{where} {verb} by less of this: {less}. Update them first"
    )
    yield RuleProblem((), message)


def _some(texts: Sequence[str], most: int, between: str) -> str:
    """The first of them, and how many more there are."""
    more = len(texts) - most
    shown = between.join(texts[:most])
    return f"{shown}{between}and {more:,} more" if more > 0 else shown
