"""Says what of a catalog sidecars of an earlier version do not keep, while there are some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sidecar.domain.catalog.model import Catalog
from sidecar.domain.entitlement.earlier_kinds import kinds_not_told
from sidecar.domain.entitlement.earlier_readers import told_less
from sidecar.domain.validation import RuleProblem

NODES_SHOWN_MAX: Final = 5
_REASONS_SHOWN_MAX: Final = 5
_LIMITS_SHOWN_MAX: Final = 3


class EarlierSidecars(NamedTuple):
    """Nodes of such sidecars, one for each that is connected or was heard within the last hour.

    `read_less`: those that do not read all that catalogs may say. `know_no_leases`: those that
    count on exact limits without a lease. `know_no_kinds`: those that know no credits, seats and
    levels.
    """

    read_less: Sequence[str] = ()
    know_no_leases: Sequence[str] = ()
    know_no_kinds: Sequence[str] = ()


def earlier_sidecars_warnings(
    catalog: Catalog | None, sidecars: EarlierSidecars
) -> Iterator[RuleProblem]:
    """Yield that such sidecars are to be updated first, where the catalog has what they do not."""
    if catalog is None:
        return
    if (nodes := sidecars.read_less) and (found := list(told_less(catalog))):
        less = _some(found, _REASONS_SHOWN_MAX, "; ")
        verb = "goes" if len(nodes) == 1 else "go"
        yield RuleProblem((), f"{_who(nodes)} {verb} by less of this: {less}. Update them first")
    if (nodes := sidecars.know_no_leases) and (found := list(dict.fromkeys(_exact(catalog)))):
        limits = _some(found, _LIMITS_SHOWN_MAX, ", ")
        verb = "knows" if len(nodes) == 1 else "know"
        message = (
            f"{_who(nodes)} {verb} no leases: limits that are exact ({limits}) may be passed by "
            f"what {'it lets' if len(nodes) == 1 else 'they let'} through. Update them first"
        )
        yield RuleProblem((), message)
    if (nodes := sidecars.know_no_kinds) and (found := list(kinds_not_told(catalog))):
        hidden = _some(found, _LIMITS_SHOWN_MAX, ", ")
        verb = "knows" if len(nodes) == 1 else "know"
        message = (
            f"{_who(nodes)} {verb} no credits, seats and levels, and will answer UNKNOWN_FEATURE "
            f"for {hidden}. Update them first"
        )
        yield RuleProblem((), message)


def _exact(catalog: Catalog) -> Iterator[str]:
    """Yield, for people, the limits that are counted on by leases."""
    grants = [grant for plan in catalog.plans for grant in plan.entitlements]
    grants += [given.grant for add_on in catalog.add_ons for given in add_on.entitlements]
    for grant in grants:
        for limit in grant.limits:
            if limit.is_leased:
                yield f"{limit.id!r} of {grant.feature!r}"


def _who(nodes: Sequence[str]) -> str:
    named = _some(sorted({repr(node) for node in nodes if node}), NODES_SHOWN_MAX, ", ")
    where = f" (on {named})" if named else ""
    many = "1 sidecar" if len(nodes) == 1 else f"{len(nodes):,} sidecars"
    return f"{many} of an earlier version{where}"


def _some(texts: Sequence[str], most: int, between: str) -> str:
    """The first of them, and how many more there are."""
    more = len(texts) - most
    shown = between.join(texts[:most])
    return f"{shown}{between}and {more:,} more" if more > 0 else shown
