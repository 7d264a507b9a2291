"""Limits as they are for values of their dimension that have an amount of their own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from sidecar.domain.catalog.model import Limit


@lru_cache(maxsize=1024)  # by limit of the catalog: companies have the same few
def limits_by_value(limit: Limit) -> Mapping[tuple[str, ...], Limit]:
    """The limit for each value with an amount of its own: the same but for that."""
    return {
        (value,): msgspec.structs.replace(limit, amount=amount, amounts=())
        for value, amount in limit.amounts
    }


def limit_of_values(limit: Limit, values: tuple[str, ...]) -> Limit:
    """The limit that holds for values of its dimensions."""
    return limits_by_value(limit).get(values, limit) if limit.amounts else limit
