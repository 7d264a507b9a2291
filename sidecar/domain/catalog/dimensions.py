"""The dimensions that features declare, and what they are held to.

Rules
- A feature that declares nothing takes any dimensions, as features did before there was a way to.
- One that does takes those alone: a request that brings another one, lacks a required one, or has
  a value that is none of those that there are, is refused. A limit that counts by a dimension does
  not apply to requests without it, so a misspelt one would be a way around the limit.
- An empty value of a required dimension is as good as none: it is what a caller sends who has
  nobody to name, and all of those would share one counter.
- Limits count by declared dimensions and fix declared values. By an optional one: requests without
  it are not held to the limit.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from sidecar.domain import bounds
from sidecar.domain.catalog.amounts_rules import value_names
from sidecar.domain.catalog.model import (
    Catalog,
    Dimension,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Scope,
)
from sidecar.domain.errors import InvalidInput
from sidecar.domain.nearest import did_you_mean
from sidecar.domain.validation import (
    RuleProblem,
    below,
    count_problems,
    name_problems,
    new_name_problems,
    repeated_problems,
)

_NO_VALUE: Final[frozenset[str]] = frozenset()
_NAMES_TOLD_MAX: Final = 5


class DimensionFault(enum.Enum):
    """What is wrong with a request's dimensions; the values are labels of metrics."""

    UNDECLARED = "undeclared"
    UNKNOWN_VALUE = "unknown_value"
    MISSING = "missing"


class DimensionProblem(NamedTuple):
    """What is wrong with a dimension of a request."""

    fault: DimensionFault
    name: str
    message: str

    def error(self) -> InvalidInput:
        """The same as an error that names the field."""
        return InvalidInput(f"dimensions[{self.name}]", self.message)


class DeclaredDimensions:
    """The dimensions of one feature, arranged so that requests are soon held to them."""

    __slots__ = ("_required", "_values")

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self._required = {each.name for each in dimensions if each.required}
        self._values = {
            each.name: frozenset(each.values) if each.values else None for each in dimensions
        }

    def accept(self, dimensions: Mapping[str, str]) -> bool:
        """Whether a request may carry these, and lacks none."""
        for name in self._required:
            if not dimensions.get(name):
                return False
        values = self._values
        for name, value in dimensions.items():
            known = values.get(name, _NO_VALUE)
            if known is not None and value not in known:
                return False
        return True

    @property
    def names(self) -> Collection[str]:
        """The names of all."""
        return self._values.keys()

    def values_of(self, name: str) -> Collection[str]:
        """The values that one may have; none where any will do, or it is not declared."""
        return self._values.get(name) or _NO_VALUE

    def takes(self, name: str, value: str) -> bool:
        """Whether a request may carry this one."""
        known = self._values.get(name, _NO_VALUE)
        if known is None:
            return bool(value) or name not in self._required
        return value in known

    def problem(self, dimensions: Mapping[str, str]) -> DimensionProblem | None:
        """What is wrong with those of a request: the first by kind, then by name."""
        for name in sorted(dimensions.keys() - self._values.keys()):
            message = "the feature declares no such dimension" + did_you_mean(name, self._values)
            return DimensionProblem(DimensionFault.UNDECLARED, name, message)
        lacking = {name for name in self._required if not dimensions.get(name)}
        for name in sorted(dimensions.keys() - lacking):
            known, value = self._values[name], dimensions[name]
            if known is not None and value not in known:
                message = f"{value!r} is none of its values{did_you_mean(value, sorted(known))}"
                return DimensionProblem(DimensionFault.UNKNOWN_VALUE, name, message)
        for name in sorted(lacking):
            empty = " (an empty value is none)" if name in dimensions else ""
            message = f"must be set, the feature requires it{empty}"
            return DimensionProblem(DimensionFault.MISSING, name, message)
        return None


def taken_by_none(
    dimensions: Mapping[str, str], watched: Sequence[DeclaredDimensions]
) -> DimensionProblem | None:
    """What of dimensions none of several features takes; the first by name."""
    for name in sorted(dimensions):
        value = dimensions[name]
        if any(each.takes(name, value) for each in watched):
            continue
        values = {known for each in watched for known in each.values_of(name)}
        if not any(name in each.names for each in watched):
            names = {known for each in watched for known in each.names}
            message = "no feature that is watched declares it" + did_you_mean(name, sorted(names))
            return DimensionProblem(DimensionFault.UNDECLARED, name, message)
        if not value:
            message = "must have a value: a feature that is watched requires it"
            return DimensionProblem(DimensionFault.MISSING, name, message)
        message = f"{value!r} is none of its values{did_you_mean(value, sorted(values))}"
        return DimensionProblem(DimensionFault.UNKNOWN_VALUE, name, message)
    return None


def declared_dimensions(catalog: Catalog) -> dict[str, DeclaredDimensions]:
    """Those of each feature that declares any, or that there are none."""
    return {
        feature.key: DeclaredDimensions(feature.dimensions)
        for feature in catalog.features
        if feature.dimensions is not None
    }


def dimensions_problems(feature: Feature) -> Iterator[RuleProblem]:
    """Yield what is wrong with what a feature declares, by itself."""
    if feature.dimensions is None:
        return
    if feature.kind not in (FeatureKind.METERED, FeatureKind.LEVEL):
        message = (
            f"only METERED and LEVEL features have dimensions, {feature.key!r} is "
            f"{feature.kind.name}"
        )
        yield RuleProblem(("dimensions",), message)
    path = ("dimensions", "dimensions")
    yield from count_problems(path, feature.dimensions, bounds.DIMENSIONS_MAX)
    for at, dimension in enumerate(feature.dimensions):
        values = dimension.values
        name_max, value_max = bounds.DIMENSION_KEY_BYTES_MAX, bounds.DIMENSION_VALUE_BYTES_MAX
        yield from name_problems((*path, at, "name"), dimension.name, name_max)
        yield from count_problems((*path, at, "values"), values, bounds.DIMENSION_VALUES_MAX)
        for place, value in enumerate(values):
            yield from name_problems((*path, at, "values", place), value, value_max)
        yield from repeated_problems((*path, at, "values"), (), values)
    yield from repeated_problems(path, ("name",), [each.name for each in feature.dimensions])


def dimensions_names(feature: Feature) -> Iterator[RuleProblem]:
    """Yield what of a declaration may be there, but not be given as a name any more."""
    for at, dimension in enumerate(feature.dimensions or ()):
        path = ("dimensions", "dimensions", at)
        yield from new_name_problems((*path, "name"), dimension.name)
        for place, value in enumerate(dimension.values):
            yield from value_names((*path, "values", place), value)


def undeclared_dimensions(catalog: Catalog) -> Iterator[RuleProblem]:
    """Yield features that declare nothing though limits and rates go by dimensions."""
    used: dict[str, set[str]] = {}
    grants = [grant for plan in catalog.plans for grant in plan.entitlements]
    grants += [given.grant for add_on in catalog.add_ons for given in add_on.entitlements]
    for grant in grants:
        scopes = [limit.scope for limit in grant.limits] + [rate.scope for rate in grant.rates]
        for scope in scopes:
            names = used.setdefault(grant.feature, set())
            names.update(scope.dimensions, [name for name, _ in scope.match])
    for at, feature in enumerate(catalog.features):
        names = used.get(feature.key, set())
        if feature.dimensions is None and names:
            told = ", ".join(sorted(names)[:_NAMES_TOLD_MAX])
            message = (
                f"limits go by {told}, and dimensions are not declared: a request that lacks or "
                "misspells one is not held to them"
            )
            yield RuleProblem(("features", at), message)


class UsedDimensions:
    """Holds what is granted to the dimensions that a catalog's features declare."""

    def __init__(self, catalog: Catalog) -> None:
        self._declared: dict[str, dict[str, Dimension]] = {
            feature.key: {dimension.name: dimension for dimension in feature.dimensions}
            for feature in catalog.features
            if feature.dimensions is not None
        }

    def problems(self, grant: EntitlementGrant) -> Iterator[RuleProblem]:
        """Yield limits and rates of a grant that count by what its feature does not declare."""
        declared = self._declared.get(grant.feature)
        if declared is None:
            return
        for at, limit in enumerate(grant.limits):
            found = _scope_problems(limit.scope, declared)
            yield from below(("limits", at, "scope"), found)
            found = _amounts_problems(limit.scope, [value for value, _ in limit.amounts], declared)
            yield from below(("limits", at, "amounts"), found)
        for at, rate in enumerate(grant.rates):
            yield from below(("rates", at, "scope"), _scope_problems(rate.scope, declared))

    def changed_since(self, before: UsedDimensions) -> set[str]:
        """Features that declare something else than before."""
        return {
            feature
            for feature, declared in self._declared.items()
            if before._declared.get(feature) != declared
        }


def _scope_problems(scope: Scope, declared: Mapping[str, Dimension]) -> Iterator[RuleProblem]:
    for at, name in enumerate(scope.dimensions):
        if name not in declared:
            yield RuleProblem(("dimensions", at), _undeclared(name, declared))
    for name, value in scope.match:
        if name not in declared:
            yield RuleProblem(("match", name), _undeclared(name, declared))
        elif not _is_possible(value, declared[name]):
            yield RuleProblem(("match", name), _no_value(value, declared[name]))


def _amounts_problems(
    scope: Scope, values: Iterable[str], declared: Mapping[str, Dimension]
) -> Iterator[RuleProblem]:
    dimension = declared.get(scope.dimensions[0]) if scope.dimensions else None
    if dimension is None:
        return
    for at, value in enumerate(values):
        if not _is_possible(value, dimension):
            yield RuleProblem((at, "value"), _no_value(value, dimension))


def _is_possible(value: str, dimension: Dimension) -> bool:
    if dimension.values:
        return value in dimension.values
    return bool(value) or not dimension.required


def _undeclared(name: str, declared: Mapping[str, Dimension]) -> str:
    return f"the feature declares no dimension {name!r}{did_you_mean(name, declared)}"


def _no_value(value: str, dimension: Dimension) -> str:
    if not value and dimension.required:
        return f"the feature requires {dimension.name}, and an empty value is none"
    text = f"the feature declares no value {value!r} of {dimension.name}"
    return text + did_you_mean(value, dimension.values)
