"""Which plans add-ons are sold with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from sidecar.domain.catalog.model import Catalog

SoldWith: TypeAlias = Mapping[str, frozenset[str]]
"""Add-ons by key: the plans that each is sold with, none for all."""


def sold_with(catalog: Catalog) -> SoldWith:
    """The add-ons of a catalog, and the plans that each is sold with."""
    return {add_on.key: frozenset(add_on.plans) for add_on in catalog.add_ons}


def narrowed(before: Catalog, after: Catalog) -> list[str]:
    """Add-ons that are no longer sold with a plan that they were sold with."""
    later = sold_with(after)
    return [
        add_on
        for add_on, plans in sold_with(before).items()
        if (now := later.get(add_on)) and not (plans and plans <= now)
    ]
