"""The companies of a state that is applied, by their first ids, and those that it renames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from sidecar.control.rules.ownership import FieldConflict, TakeOver
from sidecar.control.services.names import Called, first_id
from sidecar.control.services.renames import names_after, put_renamed
from sidecar.control.storage.port import ReadTransaction, WriteTransaction
from sidecar.domain.company.model import Company
from sidecar.domain.difference.changes import Change, ChangeAction, FieldChange
from sidecar.domain.errors import InvalidInput


class GivenNames(msgspec.Struct, frozen=True):
    """What is given, by first ids. `renames`: the names that companies have then, by first id."""

    companies: tuple[Company, ...]
    remove: tuple[str, ...]
    take_over: TakeOver
    renames: dict[str, tuple[str, ...]]

    def put_renamed(self, transaction: WriteTransaction, revision: int) -> None:
        """Rename companies, as of a revision, once all else of them is stored."""
        for company, names in self.renames.items():
            stored = transaction.companies([company])[company]
            put_renamed(transaction, stored, names, revision)


def given_names(
    transaction: ReadTransaction,
    companies: Sequence[Company],
    remove: Sequence[str],
    take_over: TakeOver,
) -> GivenNames:
    """Find companies by whatever id they are given.

    Raises `InvalidInput` where one is given by two of its ids, and what renaming it would raise.
    """
    renames: dict[str, tuple[str, ...]] = {}
    known = transaction.first_ids([*(company.id for company in companies), *remove])
    said: dict[str, str] = {}
    found: list[Company] = []
    for at, company in enumerate(companies):
        id_ = known.get(company.id, company.id)
        if company.renamed_from:
            id_ = _renamed(transaction, company, id_, f"companies[{at}].id", renames)
        if id_ in said:
            message = f"{said[id_]!r} and {company.id!r} are ids of one company: give one of them"
            raise InvalidInput(f"companies[{at}].id", message)
        said[id_] = company.id
        found.append(msgspec.structs.replace(company, id=id_, renamed_from=""))
    first_of = {**known, **{name: id_ for id_, name in said.items()}}
    for name in (*take_over.companies, *(name for name, _ in take_over.fields)):
        first_of.setdefault(name, first_id(transaction, name))
    return GivenNames(
        tuple(found),
        tuple(known.get(company, company) for company in remove),
        TakeOver(
            take_over.everything,
            frozenset(first_of[company] for company in take_over.companies),
            frozenset((first_of[company], field) for company, field in take_over.fields),
        ),
        renames,
    )


def _renamed(
    transaction: ReadTransaction,
    company: Company,
    id_: str,
    field: str,
    renames: dict[str, tuple[str, ...]],
) -> str:
    """The first id of a company that is given with the id before; where it has that, it is renamed.

    One that was given the new id already, and another one since, keeps that one.
    """
    before = first_id(transaction, company.renamed_from)
    stored = transaction.companies([before]).get(before)
    if stored is None:
        return id_
    if id_ == before and stored.snapshot.called != company.renamed_from:
        return id_
    names = names_after(transaction, stored, company.id, field)
    if names is not None:
        renames[before] = names
    return before


def told_changes(
    transaction: ReadTransaction, changes: Sequence[Change], given: GivenNames
) -> list[Change]:
    """Changes with the ids that companies are called by, also of those that are renamed alone."""
    return list(_told(transaction, changes, given))


def _told(
    transaction: ReadTransaction, changes: Sequence[Change], given: GivenNames
) -> Iterator[Change]:
    ids = [change.key for change in changes if change.kind == "company"]
    called = Called(transaction, [*ids, *given.renames])
    rest = dict(given.renames)
    for change in changes:
        if change.kind != "company":
            yield change
            continue
        fields, key = change.fields, called(change.key)
        if names := rest.pop(change.key, None):
            fields, key = (FieldChange("id", key, names[-1]), *fields), names[-1]
        yield msgspec.structs.replace(change, key=key, fields=fields)
    for company, names in rest.items():
        field = FieldChange("id", called(company), names[-1])
        yield Change("company", names[-1], ChangeAction.UPDATED, (field,))


def told_conflicts(
    transaction: ReadTransaction, conflicts: Sequence[FieldConflict]
) -> list[FieldConflict]:
    """Conflicts with the ids that companies are called by."""
    called = Called(transaction, (conflict.company for conflict in conflicts))
    return [
        msgspec.structs.replace(conflict, company=called(conflict.company))
        for conflict in conflicts
    ]
