"""What a company's own overrides make of what plan and add-ons grant of one feature.

Rules
- First come those that replace everything, of which the last by id has the say; then amounts that
  are set, a later id after an earlier one; then what is added. So what is added is on top whatever
  was granted first, and one that ends takes away what it gave, and nothing else.
- What an override does not name stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from sidecar.domain.catalog.model import EntitlementGrant


def in_order(overrides: Iterable[EntitlementGrant]) -> Iterator[EntitlementGrant]:
    """Overrides of a feature, sorted by id, in the order of merging.

    One that both sets and adds comes twice, each time with its part.
    """
    changes = []
    for override in overrides:
        if override.is_change:
            changes.append(override)
        else:
            yield override
    for adds in (False, True):
        for override in changes:
            part = _part(override, adds=adds)
            if part.is_change:
                yield part


def _part(override: EntitlementGrant, *, adds: bool) -> EntitlementGrant:
    limits = tuple(change for change in override.limit_changes if change.adds is adds)
    rates = tuple(change for change in override.rate_changes if change.adds is adds)
    overdraft = override.overdraft_change
    return msgspec.structs.replace(
        override,
        limit_changes=limits,
        rate_changes=rates,
        overdraft_change=overdraft if overdraft is not None and overdraft.adds is adds else None,
    )
