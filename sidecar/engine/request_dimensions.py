"""Requests are held to the dimensions that their features declare, or let pass with a warning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sidecar.directory.directory import Directory
from sidecar.domain.catalog.dimensions import taken_by_none
from sidecar.domain.limits.requests import Check


def _nobody(feature: str, fault: str) -> None:
    """Nobody counts."""


class RequestDimensions:
    """Runs on the thread that owns the store.

    `let_pass`: what departs is not refused but warned of, for the time until all callers declare
    what they send. `counted` is told the feature, which the catalog has, and the fault of each that
    departs.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        let_pass: bool = False,
        counted: Callable[[str, str], None] = _nobody,
    ) -> None:
        self._directory = directory
        self._let_pass = let_pass
        self._counted = counted

    def require(self, check: Check) -> str:
        """What is wrong with a request's dimensions, for people; empty if nothing is.

        Raises `InvalidInput`, with the dimension as the field, unless it is let pass.
        """
        index = self._directory.index
        declared = None if index is None else index.dimensions.get(check.feature)
        if declared is None or declared.accept(check.dimensions):
            return ""
        problem = declared.problem(check.dimensions)
        assert problem is not None, "what is not accepted has a reason"
        self._counted(check.feature, problem.fault.value)
        error = problem.error()
        if self._let_pass:
            return str(error)
        raise error

    def require_watched(self, features: Iterable[str], dimensions: Mapping[str, str]) -> None:
        """Raise `InvalidInput` for a dimension that none of the features takes, which are watched.

        Not where one of them declares nothing, as it takes any, nor where nobody is refused.
        """
        index = self._directory.index
        if index is None or self._let_pass or not dimensions:
            return
        counted = [
            feature
            for feature in features
            if feature in index.features and index.features[feature].kind.is_counted
        ]
        declared = [index.dimensions[each] for each in counted if each in index.dimensions]
        if not counted or len(declared) < len(counted):
            return
        problem = taken_by_none(dimensions, declared)
        if problem is not None:
            raise problem.error()
