"""Brings catalog and companies to a given state: all in one transaction, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final

import msgspec

from sidecar.control.rules.ownership import FieldConflict, TakeOver
from sidecar.control.services.apply_warnings import apply_warnings
from sidecar.control.services.filling_walk import want_filled
from sidecar.control.services.given_companies import GivenCompany, company_steps, to_prune
from sidecar.control.services.given_names import (
    GivenNames,
    given_names,
    told_changes,
    told_conflicts,
)
from sidecar.control.services.orphans import refuse_orphans
from sidecar.control.services.plan_moves import decide_moves, with_existing
from sidecar.control.services.take_overs import refuse_unmatched
from sidecar.control.services.timelines import with_timeline
from sidecar.control.services.unused_credits import with_unused_voided
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.control.storage.values import StoredCompany
from sidecar.domain.catalog.canonical import canonical_catalog, canonical_company
from sidecar.domain.catalog.kind_rules import kind_changes_problems
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.rules import companies_problems, problems
from sidecar.domain.catalog.size import catalog_size_problems
from sidecar.domain.catalog.version_rules import versions_problems
from sidecar.domain.catalog.versions import with_versions
from sidecar.domain.catalog.warnings import WARNINGS_MAX
from sidecar.domain.company.model import Company
from sidecar.domain.company.size import company_size_problems
from sidecar.domain.difference.changes import Change, ChangeAction, catalog_changes
from sidecar.domain.entitlement.proration import Prorating
from sidecar.domain.errors import InvalidInput
from sidecar.domain.validation import RuleProblem, field_path_text

CHANGES_MAX: Final = 1_000
CONFLICTS_MAX: Final = 1_000


class Desired(msgspec.Struct, frozen=True):
    """The state to reach. `catalog` of `None` leaves the catalog as it is.

    Companies that are neither given nor removed stay, unless `prune` says otherwise. Of what the
    API owns, `take_over` is taken; the rest of it stays. `refuse_conflicts`: where any of the rest
    is in conflict, nothing changes at all.
    """

    catalog: Catalog | None = None
    companies: tuple[Company, ...] = ()
    remove: tuple[str, ...] = ()
    prune: bool = False
    take_over: TakeOver = TakeOver()
    refuse_conflicts: bool = False


class Applied(msgspec.Struct, frozen=True):
    """What came of it. `changes` are at most 1,000; `changed` and `unchanged` count objects.

    `warnings`: what of it was taken and is likely not meant so; the first 100. `conflicts` are at
    most 1,000 of `conflicted`; `refused`: nothing was changed because of them.
    """

    revision: int
    changes: tuple[Change, ...]
    changed: int
    unchanged: int
    warnings: tuple[RuleProblem, ...] = ()
    conflicts: tuple[FieldConflict, ...] = ()
    conflicted: int = 0
    refused: bool = False


class _Steps(msgspec.Struct, frozen=True):
    """What has to be done to get from the stored state to the desired one.

    `put`: companies to store; `reowned`: those that stay as they are, but change hands;
    `objects`: how many are given.
    """

    catalog: Catalog | None
    given: GivenNames
    put: list[GivenCompany]
    reowned: list[StoredCompany]
    remove: list[str]
    changes: list[Change]
    objects: int
    warnings: tuple[RuleProblem, ...]
    conflicts: list[FieldConflict]
    refused: bool

    def applied(self, revision: int) -> Applied:
        changed = sum(
            change.action is not ChangeAction.REMOVED and change.kind != "catalog"
            for change in self.changes
        )
        unchanged = self.objects - changed
        return Applied(
            revision,
            tuple(self.changes[:CHANGES_MAX]),
            len(self.changes),
            unchanged,
            self.warnings,
            tuple(self.conflicts[:CONFLICTS_MAX]),
            len(self.conflicts),
            self.refused,
        )


def apply(store: PlaneStore, desired: Desired, now_us: int) -> Applied:
    """Reach the desired state. Where it is reached already, the revision stays as it is.

    A company that is given in the state in which it is stored keeps its timeline; one that differs
    changes from now on. What the API owns of it stays, unless that is taken over: see
    `control.rules.ownership`.

    Raises `InvalidInput`, and changes nothing, for what `domain.catalog.rules` finds, and where a
    company that stays would lose a plan or an add-on that it has or a feature that it overrides.
    """
    with store.write() as transaction:
        steps = _steps(transaction, desired, now_us)
        revision = transaction.state().revision
        if not steps.refused:
            transaction.put_companies(steps.reowned)
            if steps.changes:
                revision = transaction.next_revision()
                _take(transaction, steps, revision, now_us)
    return steps.applied(revision)


def preview(store: PlaneStore, desired: Desired, now_us: int) -> Applied:
    """Say what `apply` would change, and change nothing."""
    with store.read() as transaction:
        return _steps(transaction, desired, now_us).applied(transaction.state().revision)


def _take(transaction: WriteTransaction, steps: _Steps, revision: int, now_us: int) -> None:
    stored = transaction.catalog()
    before = Catalog() if stored is None else stored.catalog
    if steps.catalog is not None:
        transaction.put_catalog(steps.catalog, revision)
        decide_moves(transaction, steps.catalog, before, now_us)
        want_filled(transaction, before, steps.catalog)
    prorating = Prorating(steps.catalog or before)
    tombstones = transaction.tombstones(each.company.id for each in steps.put if each.held is None)
    transaction.put_companies(
        with_timeline(
            each.company,
            revision,
            now_us,
            tombstones.get(each.company.id)
            if each.held is None
            else with_unused_voided(transaction, each.held, before, now_us),
            prorating,
            owners=each.merged.owners,
        )
        for each in steps.put
    )
    transaction.remove_companies(steps.remove, revision)
    steps.given.put_renamed(transaction, revision)


def _steps(transaction: ReadTransaction, desired: Desired, now_us: int) -> _Steps:
    stored = transaction.catalog()
    before = Catalog() if stored is None else stored.catalog
    catalog = before if desired.catalog is None else desired.catalog
    _refuse_problems(desired, catalog)
    names = given_names(transaction, desired.companies, desired.remove, desired.take_over)
    desired = msgspec.structs.replace(
        desired, companies=names.companies, remove=names.remove, take_over=names.take_over
    )
    _refuse_removal_of_given(desired)
    after = before
    if desired.catalog is not None:
        after = with_versions(canonical_catalog(catalog), before)
    given = {company.id: canonical_company(company) for company in desired.companies}
    refuse_unmatched(transaction, desired.take_over, given, after)
    changes = with_existing(transaction, catalog_changes(before, after), before, after, now_us)
    catalog_changed = bool(changes)
    moves = transaction.plan_moves()
    companies = company_steps(transaction, given, after, desired.take_over, moves, now_us)
    changes += companies.changes
    _refuse_large(desired, before, after, companies.put)
    remove, kept = _to_remove(transaction, desired, given)
    conflicts = companies.conflicts + kept
    changes += [Change("company", company, ChangeAction.REMOVED) for company in remove]
    if catalog_changed and (kept or not desired.prune):
        refuse_orphans(transaction, before, after, {*given, *remove}, now_us)
    objects = len(given)
    if desired.catalog is not None:
        objects += len(after.features) + len(after.plans) + len(after.add_ons)
    given_state = (desired.catalog, desired.companies)
    odd = apply_warnings(transaction, (before, after), given_state, companies.put, remove, now_us)
    return _Steps(
        after if catalog_changed else None,
        names,
        companies.put,
        companies.reowned,
        remove,
        told_changes(transaction, changes, names),
        objects,
        tuple(islice(odd, WARNINGS_MAX)),
        told_conflicts(transaction, conflicts),
        desired.refuse_conflicts and bool(conflicts),
    )


def _refuse_problems(desired: Desired, catalog: Catalog) -> None:
    found: Iterator[RuleProblem]
    if desired.catalog is None:
        found = companies_problems(desired.companies, catalog)
    else:
        found = problems(desired.catalog, desired.companies)
    for path, message in found:
        prefix = () if path[0] == "companies" else ("catalog",)
        raise InvalidInput(field_path_text((*prefix, *path)), message)


def _refuse_removal_of_given(desired: Desired) -> None:
    given = {company.id for company in desired.companies}
    for at, company in enumerate(desired.remove):
        if company in given:
            message = f"{company!r} cannot be removed, it is among the companies given"
            raise InvalidInput(f"remove_companies[{at}]", message)


def _refuse_large(
    desired: Desired,
    before: Catalog,
    after: Catalog,
    put: Sequence[GivenCompany],
) -> None:
    """Refuse what would cost others, and what does not go with what there was; of changes alone."""
    for path, message in chain(
        catalog_size_problems(after, before),
        versions_problems(after, before),
        kind_changes_problems(after, before),
    ):
        raise InvalidInput(field_path_text(("catalog", *path)), message)
    for each in put:
        for _, message in company_size_problems(each.company, each.before):
            at = [given.id for given in desired.companies].index(each.company.id)
            raise InvalidInput(f"companies[{at}]", message)


def _to_remove(
    transaction: ReadTransaction, desired: Desired, given: Mapping[str, Company]
) -> tuple[list[str], list[FieldConflict]]:
    if desired.prune:
        return to_prune(transaction, given, desired.take_over)
    return sorted(transaction.companies(desired.remove)), []
