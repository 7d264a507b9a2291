"""Grants companies credits, one grant at a time, and voids what was granted.

What burns of a grant is on its counter (`domain/credits/source_slots.py`), by records and leases as
of every counter. Here is that it was granted, to whom and why; and what sidecars are told of it,
with the company: those that can be spent, or could until 36 days ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sidecar.control.services.balances import Balances
from sidecar.control.services.credit_accounts import SourceAccount, account_of_grant
from sidecar.control.services.directory import no_company, stored_company
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.services.names import first_id
from sidecar.control.services.new_ids import new_id
from sidecar.control.storage.credit_values import (
    CreditEntry,
    CreditEntryKind,
    EntryPart,
    GrantFilter,
    GrantPlace,
    StoredGrant,
)
from sidecar.control.storage.lease_values import HOLDERS_MAX
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.control.storage.values import CounterKey, StoredCompany
from sidecar.domain.bounds import CREDIT_GRANTS_MAX, INT64_MAX
from sidecar.domain.catalog.model import Catalog, FeatureKind
from sidecar.domain.company.credit_grants import in_burn_order
from sidecar.domain.company.model import CompanyGrant
from sidecar.domain.company.timeline import HISTORY_US
from sidecar.domain.credits.grants import CreditGrant, GrantKind, require_grant, require_unexpired
from sidecar.domain.credits.sources import source_names
from sidecar.domain.errors import (
    Conflict,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    OutOfRange,
)
from sidecar.domain.nearest import lacks

_FIELD: Final = "grant."


class GrantWanted(msgspec.Struct, frozen=True):
    """What is to be granted: `grant`, with an empty id for one that the plane makes.

    `starts_now`: from the instant of the call on, whatever `grant` says.
    """

    company: str
    feature: str
    grant: CreditGrant
    reason: str = ""
    starts_now: bool = False


class GrantedCredits(msgspec.Struct, frozen=True):
    """A grant as of a revision, and where its amount is; `changed`: by this call.

    `repaid`: what of a debt was repaid at once. `holders`: who holds leases of it, where it was
    voided by this call.
    """

    revision: int
    stored: StoredGrant
    account: SourceAccount
    changed: bool
    repaid: int = 0
    holders: Sequence[tuple[str, CounterKey]] = ()


def grant_credits(
    store: PlaneStore, wanted: GrantWanted, now_us: int, *, dry_run: bool = False
) -> GrantedCredits:
    """Grant credits; what is there already under the same id changes nothing.

    Raises `NotFound` for an unknown company or feature, `InvalidInput` for what cannot be granted,
    also where the feature is none of credits; `Conflict` where the id is another grant's;
    `FailedPrecondition` for too many, and `OutOfRange` where there would be more than 2^63-1.
    """
    if dry_run:
        with store.read() as reading:
            company, stored, is_new = _work_out(reading, wanted, now_us)
            if is_new:
                _require_room(reading, company, stored, now_us)
            account = account_of_grant(reading, stored, now_us)
            return GrantedCredits(reading.state().revision, stored, account, is_new)
    with store.write() as transaction:
        company, stored, is_new = _work_out(transaction, wanted, now_us)
        revision, repaid = transaction.state().revision, 0
        if is_new:
            _make_room(transaction, company, stored, now_us)
            amount = EntryPart(stored.key.counter, stored.grant.amount)
            _note(transaction, stored, CreditEntryKind.GRANTED, now_us, (amount,), stored.reason)
            transaction.put_credit_grants([stored])
            revision = transaction.next_revision()
            put_told(transaction, company, revision)
            repaid = repay(transaction, stored.company, stored.feature, now_us)
        account = account_of_grant(transaction, stored, now_us)
    return GrantedCredits(revision, stored, account, is_new, repaid)


def void_grant(
    store: PlaneStore, company: str, id_: str, reason: str, now_us: int, *, dry_run: bool = False
) -> GrantedCredits:
    """Take what is left of a grant, and close it for good; one that is voided stays so.

    Raises `NotFound` for an unknown company or grant.
    """
    if dry_run:
        with store.read() as reading:
            stored = _stored_grant(reading, company, id_)
            after = _voided(stored, reason, now_us)
            account = account_of_grant(reading, after, now_us)
            return GrantedCredits(reading.state().revision, after, account, after is not stored)
    with store.write() as transaction:
        stored = _stored_grant(transaction, company, id_)
        after = _voided(stored, reason, now_us)
        revision = transaction.state().revision
        holders: Sequence[tuple[str, CounterKey]] = ()
        if after is not stored:
            close_grants(transaction, [stored], reason, now_us)
            revision = transaction.next_revision()
            put_told(transaction, stored_company(transaction, company), revision)
            leases = transaction.granted_leases(after.key, HOLDERS_MAX)
            holders = [(each.lease.incarnation, each.lease.key) for each in leases]
        account = account_of_grant(transaction, after, now_us)
    return GrantedCredits(revision, after, account, after is not stored, holders=holders)


def close_grants(
    transaction: WriteTransaction, grants: Sequence[StoredGrant], reason: str, now_us: int
) -> None:
    """Void grants that are not; whom sidecars are to be told is the caller's to say."""
    transaction.put_credit_grants(_voided(each, reason, now_us) for each in grants)
    for each in grants:
        _note(transaction, each, CreditEntryKind.VOIDED, now_us, (), reason)


def list_grants(
    store: PlaneStore,
    company: str,
    feature: str,
    after: GrantPlace | None,
    limit: int,
    now_us: int,
    *,
    with_over: bool,
) -> tuple[list[tuple[StoredGrant, SourceAccount]], GrantPlace | None]:
    """A page of a company's grants in burn order, and where it goes on; `None`: that was all.

    `with_over`: also those that have expired or were voided. Raises `NotFound`.
    """
    with store.read() as transaction:
        id_ = first_id(transaction, company)
        if not (transaction.companies([id_]) or transaction.tombstones([id_])):
            raise no_company(transaction, company)
        wanted = GrantFilter(id_, feature, None if with_over else now_us)
        found = transaction.credit_grants(wanted, after, limit + 1)
        page = [(each, account_of_grant(transaction, each, now_us)) for each in found[:limit]]
    return page, place_of(found[limit - 1]) if len(found) > limit else None


def repay(transaction: WriteTransaction, company: str, feature: str, now_us: int) -> int:
    """Have a balance repay what it owes, as far as something is left; how much, micro-credits."""
    balances = Balances(transaction, KeptTimelines(), now_us)
    balances.repay(company, feature)
    return sum(amount for amount in balances.keep().values() if amount > 0)


def place_of(stored: StoredGrant) -> GrantPlace:
    """Where a grant stands among those of its company."""
    grant = stored.grant
    is_paid = grant.kind is GrantKind.PAID
    return GrantPlace(
        stored.feature, grant.priority, grant.expires_us, is_paid, grant.effective_us, grant.id
    )


def put_told(transaction: WriteTransaction, company: StoredCompany, revision: int) -> None:
    """Have sidecars told of the grants of a company as they are now, as of a revision."""
    told = transaction.told_credit_grants(company.company.id)
    snapshot = msgspec.structs.replace(
        company.snapshot,
        version=revision,
        credit_grants=in_burn_order(CompanyGrant(each.feature, each.grant) for each in told),
    )
    transaction.put_companies([msgspec.structs.replace(company, snapshot=snapshot)])


def require_credits(transaction: ReadTransaction, feature: str) -> None:
    """Raise `NotFound` for a feature that the catalog lacks, `InvalidInput` for none of credits."""
    stored = transaction.catalog()
    catalog = Catalog() if stored is None else stored.catalog
    kinds = {each.key: each.kind for each in catalog.features}
    if feature not in kinds:
        raise NotFound("feature", lacks("feature", feature, kinds))
    if kinds[feature] is not FeatureKind.CREDITS:
        kind = kinds[feature].name.lower()
        raise InvalidInput("feature", f"{feature!r} is {kind}: credits are of kind credits")


def _work_out(
    transaction: ReadTransaction, wanted: GrantWanted, now_us: int
) -> tuple[StoredCompany, StoredGrant, bool]:
    """The company, the grant as it is stored or to be, and whether it is new."""
    company = stored_company(transaction, wanted.company)
    id_ = company.company.id
    known = transaction.credit_grant(id_, wanted.grant.id) if wanted.grant.id else None
    grant = wanted.grant
    if wanted.starts_now:
        start_us = now_us if known is None else known.grant.effective_us
        grant = msgspec.structs.replace(grant, effective_us=start_us)
    if known is not None:
        if (known.feature, known.grant) != (wanted.feature, grant):
            message = f"is the id of another grant: {grant.id!r}"
            raise Conflict(f"{_FIELD}id", message, "ALREADY_EXISTS")
        return company, known, False
    require_credits(transaction, wanted.feature)
    if not grant.id:
        made = new_id(now_us, lambda text: transaction.credit_grant(id_, text) is not None)
        grant = msgspec.structs.replace(grant, id=made)
    require_unexpired(grant, now_us)
    require_grant(grant)
    _require_own_name(transaction, company, wanted.feature, grant.id)
    return company, StoredGrant(id_, wanted.feature, grant, now_us, wanted.reason), True


def _require_own_name(
    transaction: ReadTransaction, company: StoredCompany, feature: str, id_: str
) -> None:
    stored = transaction.catalog()
    catalog = Catalog() if stored is None else stored.catalog
    if id_ in source_names(catalog, company.company, feature):
        message = f"is what another source of {feature!r} is called: {id_!r}"
        raise InvalidInput(f"{_FIELD}id", message)


def _make_room(
    transaction: WriteTransaction, company: StoredCompany, new: StoredGrant, now_us: int
) -> None:
    """Tell sidecars no more of grants that are over for long, nor, for room, of spent ones."""
    gone = _without_use(transaction, company.company.id, now_us)
    transaction.put_credit_grants(msgspec.structs.replace(each, told=False) for each in gone)
    _require_room(transaction, company, new, now_us)


def _without_use(transaction: ReadTransaction, company: str, now_us: int) -> list[StoredGrant]:
    told = transaction.told_credit_grants(company)
    gone = [each for each in told if each.grant.expires_us <= now_us - HISTORY_US]
    if len(told) - len(gone) < CREDIT_GRANTS_MAX:
        return gone
    accounts = [(each, account_of_grant(transaction, each, now_us)) for each in told]
    return [
        each
        for each, account in accounts
        if each.grant.expires_us <= now_us - HISTORY_US or not (account.left or account.leased)
    ]


def _require_room(
    transaction: ReadTransaction, company: StoredCompany, new: StoredGrant, now_us: int
) -> None:
    gone = {each.grant.id for each in _without_use(transaction, company.company.id, now_us)}
    told = transaction.told_credit_grants(company.company.id)
    told = [each for each in told if each.grant.id not in gone]
    if len(told) >= CREDIT_GRANTS_MAX:
        message = f"has {CREDIT_GRANTS_MAX} grants of credits that can be spent: void some"
        raise FailedPrecondition("company", message)
    others = [each for each in told if each.feature == new.feature]
    if sum(each.grant.amount for each in others) + new.grant.amount <= INT64_MAX:
        return
    accounts = (account_of_grant(transaction, each, now_us) for each in others)
    left = sum(account.left + account.leased for account in accounts)
    if left + new.grant.amount > INT64_MAX:
        raise OutOfRange(f"{_FIELD}amount", "would make the balance exceed 2^63-1")


def _stored_grant(transaction: ReadTransaction, company: str, id_: str) -> StoredGrant:
    stored = stored_company(transaction, company)
    found = transaction.credit_grant(stored.company.id, id_)
    if found is None:
        raise NotFound("id", f"company {company!r} was granted no credits as {id_!r}")
    return found


def _voided(stored: StoredGrant, reason: str, now_us: int) -> StoredGrant:
    if stored.voided_us is not None:
        return stored
    return msgspec.structs.replace(stored, voided_us=now_us, void_reason=reason, told=False)


def _note(
    transaction: WriteTransaction,
    stored: StoredGrant,
    kind: CreditEntryKind,
    now_us: int,
    parts: tuple[EntryPart, ...],
    reason: str,
) -> None:
    entry = CreditEntry(
        stored.company, stored.feature, now_us, kind, parts, stored.grant.id, reason=reason
    )
    transaction.put_credit_entries([entry])
