"""Renames companies: gives them another id, by which they are found beside those that they had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sidecar.control.services.directory import stored_company
from sidecar.control.services.names import first_id
from sidecar.control.storage.lease_values import GrantedLease, LeaseFilter
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.control.storage.values import LineFilter, StoredCompany
from sidecar.domain.bounds import COMPANY_NAMES_MAX
from sidecar.domain.company.model import Company
from sidecar.domain.errors import Conflict, FailedPrecondition

_LEASES_MAX: Final = 1_000


class RenamedCompany(msgspec.Struct, frozen=True):
    """A company as of a revision, with the id that it has now; `renamed`: by this call."""

    revision: int
    company: Company
    renamed: bool


def rename_company(
    store: PlaneStore, company: str, new_id: str, *, dry_run: bool = False
) -> RenamedCompany:
    """Give a company another id; the same again changes nothing.

    Raises `NotFound` for an unknown company, `Conflict` where the id is, or was, another company's,
    or has usage or leases of its own, and `FailedPrecondition` where the company has too many.
    """
    if dry_run:
        with store.read() as reading:
            stored, names = _work_out(reading, company, new_id)
            revision = reading.state().revision
        return RenamedCompany(revision, with_names(stored, names).shown, names is not None)
    with store.write() as transaction:
        stored, names = _work_out(transaction, company, new_id)
        if names is None:
            return RenamedCompany(transaction.state().revision, stored.shown, False)
        revision = transaction.next_revision()
        renamed = put_renamed(transaction, stored, names, revision)
    return RenamedCompany(revision, renamed.shown, True)


def names_after(
    transaction: ReadTransaction, stored: StoredCompany, new_id: str, field: str
) -> tuple[str, ...] | None:
    """The names of a company that is renamed; `None` where it is called so. Raises as above."""
    snapshot = stored.snapshot
    if snapshot.called == new_id:
        return None
    owner = first_id(transaction, new_id)
    if owner != snapshot.company:
        _refuse_taken(transaction, new_id, owner, field)
    names = (*(name for name in snapshot.names if name != new_id), new_id)
    if len(names) > COMPANY_NAMES_MAX:
        message = (
            f"company {snapshot.called!r} was renamed to {COMPANY_NAMES_MAX} ids, which is all"
        )
        raise FailedPrecondition(field, message)
    return names


def with_names(stored: StoredCompany, names: tuple[str, ...] | None) -> StoredCompany:
    """A company with other names; `None`: as it is."""
    if names is None:
        return stored
    snapshot = msgspec.structs.replace(stored.snapshot, names=names)
    return msgspec.structs.replace(stored, snapshot=snapshot)


def put_renamed(
    transaction: WriteTransaction, stored: StoredCompany, names: tuple[str, ...], revision: int
) -> StoredCompany:
    """Store a company with other names, the last of which is new, as of a revision."""
    renamed = with_names(stored, names)
    snapshot = msgspec.structs.replace(renamed.snapshot, version=revision)
    renamed = msgspec.structs.replace(renamed, snapshot=snapshot)
    transaction.put_companies([renamed])
    transaction.put_company_name(names[-1], snapshot.company, revision)
    return renamed


def _work_out(
    transaction: ReadTransaction, company: str, new_id: str
) -> tuple[StoredCompany, tuple[str, ...] | None]:
    stored = stored_company(transaction, company)
    return stored, names_after(transaction, stored, new_id, "new_id")


def _refuse_taken(transaction: ReadTransaction, new_id: str, owner: str, field: str) -> None:
    """Refuse an id that leads, or may lead, to usage of another company."""
    if owner != new_id:
        called = transaction.called([owner])[owner]
        message = f"{new_id!r} was an id of company {called!r}, and leads there"
    elif transaction.companies([new_id]):
        message = f"there is another company {new_id!r}"
    elif transaction.tombstones([new_id]):
        message = f"there was another company {new_id!r}, which was removed; its usage is kept"
    elif transaction.lines(LineFilter(new_id), None, 1):
        message = f"usage was recorded for {new_id!r} already, as for an unknown company"
    elif any(lease.outstanding for lease in _leased(transaction, new_id)):
        message = (
            f"limits of {new_id!r} are leased, as of an unknown company: calls name it already"
        )
    else:
        return
    raise Conflict(field, message, "ALREADY_EXISTS")


def _leased(transaction: ReadTransaction, company: str) -> Sequence[GrantedLease]:
    """The first leases of a company; there are few where no usage was recorded for it."""
    return transaction.leases_after(LeaseFilter(company), None, _LEASES_MAX)
