"""The one-off grants of credits that a company's snapshot has: their order, and their bounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sidecar.domain.company.model import CompanyGrant
from sidecar.domain.credits.grants import burn_order, require_grant
from sidecar.domain.errors import InvalidInput
from sidecar.domain.validation import (
    RuleProblem,
    identifier_problems,
    repeated_problems,
)


def in_burn_order(grants: Iterable[CompanyGrant]) -> tuple[CompanyGrant, ...]:
    """The grants by feature, and those of one in the order in which they burn."""
    return tuple(sorted(grants, key=lambda each: (each.feature, burn_order(each.grant))))


def credit_grants_problems(grants: Sequence[CompanyGrant]) -> Iterator[RuleProblem]:
    """Yield which grants of a company have the id of another."""
    yield from repeated_problems((), ("id",), [each.grant.id for each in grants])


def credit_grant_problems(given: CompanyGrant) -> Iterator[RuleProblem]:
    """Yield what is wrong with one grant."""
    yield from identifier_problems(("feature",), given.feature)
    try:
        require_grant(given.grant)
    except InvalidInput as error:
        yield RuleProblem((error.field.removeprefix("grant."),), error.message)
