"""The companies of a state that is applied, beside those that are stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final

import msgspec

from sidecar.control.rules.ownership import (
    FieldConflict,
    Merged,
    TakeOver,
    kept_from_pruning,
    merged,
)
from sidecar.control.services.names import Called
from sidecar.control.services.plan_terms import PlanTerms, with_trial_of_plane
from sidecar.control.services.ways_out import of_given, told_together
from sidecar.control.storage.plan_values import PlanMove
from sidecar.control.storage.port import ReadTransaction
from sidecar.control.storage.values import StoredCompany
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.rules import companies_problems
from sidecar.domain.company.model import Company
from sidecar.domain.difference.changes import Change, company_change, created_change
from sidecar.domain.errors import InvalidInput
from sidecar.domain.validation import RuleProblem, field_path_text

PAGE: Final = 500
"""Companies that are read at once."""


class GivenCompany(msgspec.Struct, frozen=True):
    """A company that is given, what it becomes with what the API owns of it, and what is stored.

    `said`: as it is given; `given`: with what the plane sets where nothing is said. `is_mixed`: the
    API owns something of it that is not as given.
    """

    said: Company
    given: Company
    merged: Merged
    held: StoredCompany | None
    is_mixed: bool

    @property
    def company(self) -> Company:
        """As it is from then on."""
        return self.merged.company

    @property
    def before(self) -> Company | None:
        """As it was, `None` for a new one."""
        return None if self.held is None else self.held.company

    @property
    def reowned(self) -> StoredCompany | None:
        """What to store of a company that stays as it is, but changes hands."""
        held, owners = self.held, self.merged.owners
        if held is None or held.owners == owners:
            return None
        return msgspec.structs.replace(held, owners=owners)


class CompanySteps(msgspec.Struct, frozen=True):
    """What has to be done with companies that are given, in the order of their ids.

    `put`: those to store; `reowned`: those that stay as they are, but change hands.
    """

    put: list[GivenCompany] = []
    reowned: list[StoredCompany] = []
    changes: list[Change] = []
    conflicts: list[FieldConflict] = []


def company_steps(
    transaction: ReadTransaction,
    given: Mapping[str, Company],
    catalog: Catalog,
    take_over: TakeOver,
    moves: Sequence[PlanMove],
    now_us: int,
) -> CompanySteps:
    """Compare companies that are given, and fit the catalog, with those that are stored.

    Raises `InvalidInput` where one breaks a rule together with what the API owns of it.
    """
    steps = CompanySteps()
    both: list[Company] = []
    terms = PlanTerms({plan.key: plan for plan in catalog.plans}, moves)
    for each in _given_companies(transaction, given, terms, take_over, now_us):
        steps.conflicts.extend(each.merged.conflicts)
        change = company_change(each.before, each.company)
        if change is not None and each.held is None:
            change = created_change(each.said, each.given)
        if change is not None:
            steps.changes.append(change)
            steps.put.append(each)
        elif each.reowned is not None:
            steps.reowned.append(each.reowned)
        if each.is_mixed:
            both.append(each.company)
    _refuse_problems(transaction, both, catalog, list(given))
    return steps


def _given_companies(
    transaction: ReadTransaction,
    given: Mapping[str, Company],
    terms: PlanTerms,
    take_over: TakeOver,
    now_us: int,
) -> Iterator[GivenCompany]:
    ids = iter(sorted(given))
    while page := list(islice(ids, PAGE)):
        stored = transaction.companies(page)
        gone = transaction.tombstones(company for company in page if company not in stored)
        for company in page:
            held, said = stored.get(company), given[company]
            filled = terms.filled(said, held, now_us, gone=gone.get(company))
            joined = merged(held, filled, take_over, now_us)
            whole = with_trial_of_plane(joined, said, held, now_us)
            whole = terms.versioned(whole, held, now_us)
            yield GivenCompany(said, filled, whole, held, joined.company != filled)


def _refuse_problems(
    transaction: ReadTransaction,
    companies: Sequence[Company],
    catalog: Catalog,
    given: Sequence[str],
) -> None:
    found = companies_problems(companies, catalog)
    first = next(found, None)
    if first is None:
        return
    called = Called(transaction, (company.id for company in companies))
    shown = [msgspec.structs.replace(each, id=called(each.id)) for each in companies]
    told = told_together(_with_ways_out(shown, chain([first], found)))
    company = companies[int(first.path[1])].id
    raise InvalidInput(f"companies[{given.index(company)}]", told)


def _with_ways_out(
    companies: Sequence[Company], found: Iterable[RuleProblem]
) -> Iterator[tuple[str, str]]:
    for (_, at, *path), message in found:
        company, where = companies[int(at)], field_path_text(tuple(path))
        text = f"company {company.id!r}, with what the API changed of it ({where}): {message}"
        yield text, of_given(company, tuple(path))


def to_prune(
    transaction: ReadTransaction, given: Collection[str], take_over: TakeOver
) -> tuple[list[str], list[FieldConflict]]:
    """Ids of companies that are not given, and why others of them stay."""
    remove: list[str] = []
    kept: list[FieldConflict] = []
    after = ""
    while page := transaction.companies_after(after, PAGE):
        for stored in page:
            if stored.company.id in given:
                continue
            conflict = kept_from_pruning(stored, take_over)
            if conflict is None:
                remove.append(stored.company.id)
            else:
                kept.append(conflict)
        after = page[-1].company.id
    return remove, kept
