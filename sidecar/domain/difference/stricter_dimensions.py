"""Declarations of dimensions that refuse what callers of a feature may have sent until now.

A first declaration refuses all that it does not name; a later one is stricter where it requires
more, names less, or has fewer values. What is new and optional refuses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sidecar.domain.catalog.model import Catalog, Dimension, Feature
from sidecar.domain.validation import RuleProblem

_NAMES_TOLD_MAX: Final = 5


def stricter_dimensions(before: Catalog, after: Catalog) -> Iterator[RuleProblem]:
    """Yield the features that refuse more than before, with what callers get and what to do first.

    In the order of the second catalog, of which paths are.
    """
    held = {feature.key: feature for feature in before.features}
    for at, feature in enumerate(after.features):
        was = held.get(feature.key)
        if was is None or was.kind is not feature.kind:
            continue
        if refused := list(_refused(was, feature)):
            message = (
                f"a request for {feature.key!r} that {', or '.join(refused)} is refused from now "
                "on (INVALID_ARGUMENT), and so is RecordUsage of what has already happened, which "
                'is then not recorded: first set dimension_problems = "warn" on the sidecars, '
                "until tallyd_dimension_problems_total counts none of it any more"
            )
            yield RuleProblem(("features", at), message)


def _refused(before: Feature, after: Feature) -> Iterator[str]:
    """Say which requests are refused that were not before."""
    if after.dimensions is None:
        return
    any_name = before.dimensions is None
    held = {dimension.name: dimension for dimension in before.dimensions or ()}
    declared = {dimension.name: dimension for dimension in after.dimensions}
    required = {name for name, dimension in declared.items() if dimension.required}
    if lacking := required - {name for name, dimension in held.items() if dimension.required}:
        yield f"lacks {_names(lacking)}"
    if any_name:
        yield (
            f"brings a dimension other than {_names(declared)}" if declared else "brings dimensions"
        )
    elif gone := held.keys() - declared.keys():
        yield f"brings {_names(gone)}"
    for name in sorted(declared):
        was = held.get(name, Dimension(name)) if any_name else held.get(name)
        if was is not None and _has_fewer_values(was, declared[name]):
            yield f"brings a {name!r} other than {_names(declared[name].values)}"


def _has_fewer_values(before: Dimension, after: Dimension) -> bool:
    if not after.values:
        return False
    return not before.values or not set(before.values) <= set(after.values)


def _names(names: Iterable[str]) -> str:
    ordered = sorted(names)
    told = " or ".join(map(repr, ordered[:_NAMES_TOLD_MAX]))
    return f"{told} or {len(ordered) - _NAMES_TOLD_MAX} more" if ordered[_NAMES_TOLD_MAX:] else told
