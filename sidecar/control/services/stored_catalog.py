"""What is odd about a catalog that an earlier version took, and would not be taken now."""

from __future__ import annotations

from itertools import islice
from typing import Final

from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.add_on_rules import add_on_problems
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.entitlement.counted_limits import CountedLimits
from sidecar.domain.validation import RuleProblem, below

_TOLD_MAX: Final = 10


def uncounted(store: PlaneStore) -> list[RuleProblem]:
    """Where the catalog counts on more than usage names; the first."""
    return list(islice(below(("catalog",), CountedLimits(_stored(store)).problems()), _TOLD_MAX))


def lowering(store: PlaneStore) -> list[RuleProblem]:
    """Where with the catalog buying more may be less; the first."""
    return list(islice(below(("catalog",), add_on_problems(_stored(store))), _TOLD_MAX))


def _stored(store: PlaneStore) -> Catalog:
    with store.read() as transaction:
        stored = transaction.catalog()
    return Catalog() if stored is None else stored.catalog
