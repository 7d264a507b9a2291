"""Gives back credits that a record burned, the last burned first.

Rules (those of `domain/credits/operations.py`)
- What is still owed of it is forgiven; where that was repaid meanwhile, who repaid gets it back,
  the last first; then who burned, the last first.
- What would return to a grant that has expired or was voided, or to a window that is over, is lost:
  it stays used on its counter, and is told as lost.
- A record gives back no more than it burned, over all its refunds.
- Records and what sidecars counted stay as they are: what returns is the plane's correction.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import msgspec

from sidecar.control.services.credit_grants import put_told, repay
from sidecar.control.services.credit_parts import NamedPart, PartNames, burned_by
from sidecar.control.services.directory import stored_company
from sidecar.control.storage.credit_values import CreditEntry, CreditEntryKind, EntryPart
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.control.storage.values import CORRECTIONS, CounterKey, StoredCompany
from sidecar.domain.credits.balance import REPAYMENTS_MAX
from sidecar.domain.credits.held_grants import Burn, last_burned
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER, grant_in
from sidecar.domain.errors import Conflict, FailedPrecondition, InvalidInput, NotFound
from sidecar.domain.limits.counters import CounterRef

_SEVERAL: Final = "burned credits of several features, name one: "


class RefundWanted(msgspec.Struct, frozen=True):
    """What is to be given back: of a record, by its incarnation and sequence.

    `feature`: whose credits; empty where the record burned those of one. `amount`: micro-credits, 0
    for all that was not given back before. `request`: so that a retry gives back nothing more.
    """

    company: str
    incarnation: str
    sequence: int
    feature: str = ""
    amount: int = 0
    reason: str = ""
    request: str = ""


class Refunded(msgspec.Struct, frozen=True):
    """What came of a refund, in its order; `changed`: by this call."""

    feature: str
    parts: tuple[NamedPart, ...]
    changed: bool

    @property
    def amount(self) -> int:
        """What was refunded, lost or not."""
        return sum(named.part.amount for named in self.parts)

    @property
    def lost(self) -> int:
        """What of it could not return."""
        return sum(named.part.amount for named in self.parts if named.part.is_lost)


class _Plan(msgspec.Struct):
    """What a refund does. `repayments`: what is left of those that are taken back, by number."""

    parts: list[EntryPart]
    repayments: dict[int, int]


def refund_credits(
    store: PlaneStore, wanted: RefundWanted, now_us: int, *, dry_run: bool = False
) -> Refunded:
    """Give back what a record burned; the same request again changes nothing.

    Raises `NotFound` for an unknown company or record, `InvalidInput` where the feature has to be
    named, `FailedPrecondition` where the record has burned nothing, or less than is asked that was
    not given back before, and `Conflict` for another refund under the id of the request.
    """
    if dry_run:
        with store.read() as reading:
            return _work_out(reading, wanted, now_us)[0]
    with store.write() as transaction:
        refunded, company, plan = _work_out(transaction, wanted, now_us)
        if plan is not None:
            _carry_out(transaction, company, refunded.feature, wanted, plan, now_us)
    return refunded


def _work_out(
    transaction: ReadTransaction, wanted: RefundWanted, now_us: int
) -> tuple[Refunded, StoredCompany, _Plan | None]:
    company = stored_company(transaction, wanted.company)
    id_ = company.company.id
    names = PartNames(transaction, company.snapshot, now_us)
    known = transaction.credit_request(id_, wanted.request) if wanted.request else None
    if known is not None:
        _require_same(known, wanted)
        parts = tuple(names.named(known.feature, part) for part in known.parts)
        return Refunded(known.feature, parts, changed=False), company, None
    feature, burned, refunded = _burned(transaction, id_, wanted)
    left = sum(part.amount for part in burned) - refunded
    if wanted.amount > left or not left:
        message = f"of what the record burned {left} is left that was not given back"
        raise FailedPrecondition("amount" if wanted.amount else "record", message)
    indexed = [Burn(str(at), part.amount) for at, part in enumerate(burned)]
    concerned = last_burned(indexed, refunded, wanted.amount or left)
    planner = _Planner(transaction, id_, feature, now_us)
    for burn in concerned:
        planner.give_back(burned[int(burn.grant)].counter, burn.amount)
    named = tuple(names.named(feature, part) for part in planner.plan.parts)
    return Refunded(feature, named, changed=True), company, planner.plan


def _burned(
    transaction: ReadTransaction, company: str, wanted: RefundWanted
) -> tuple[str, list[EntryPart], int]:
    """Whose credits are meant, what the record burned of them, and what was given back of that."""
    place = wanted.incarnation, wanted.sequence
    line = transaction.line_of_record(company, *place)
    if line is None:
        raise NotFound("record", "there is no such record of the company")
    entries = transaction.credit_entries_of(company, *place)
    burned = burned_by(line, entries)
    if not burned or (wanted.feature and wanted.feature not in burned):
        why = f"is a duplicate of {line.duplicate_of}" if line.duplicate_of else "burned none"
        raise FailedPrecondition("record", f"{why}: there are no credits to give back")
    if not wanted.feature and len(burned) > 1:
        raise InvalidInput("feature", _SEVERAL + ", ".join(sorted(burned)))
    feature = wanted.feature or next(iter(burned))
    refunded = sum(
        part.amount
        for entry in entries
        if entry.kind is CreditEntryKind.REFUNDED and entry.feature == feature
        for part in entry.parts
    )
    return feature, burned[feature], refunded


def _require_same(known: CreditEntry, wanted: RefundWanted) -> None:
    amount = sum(part.amount for part in known.parts)
    same = (
        (known.incarnation, known.sequence) == (wanted.incarnation, wanted.sequence)
        and wanted.feature in ("", known.feature)
        and wanted.amount in (0, amount)
    )
    if not same:
        message = "is the id of another request for a refund"
        raise Conflict("request_id", message, "ALREADY_EXISTS")


class _Planner:
    """Finds where parts of a refund go, within one transaction."""

    def __init__(
        self, transaction: ReadTransaction, company: str, feature: str, now_us: int
    ) -> None:
        self.plan = _Plan([], {})
        self._transaction = transaction
        self._company = company
        self._feature = feature
        self._now_us = now_us
        key = CounterKey(company, feature, OVERDRAFT_COUNTER)
        (total,) = transaction.totals([key], CORRECTIONS)
        self._debt = max(0, total.total)

    def give_back(self, counter: CounterRef, amount: int) -> None:
        """Have a part return to where it came from, or be lost."""
        if counter != OVERDRAFT_COUNTER:
            self._add(counter, amount, is_lost=self._is_over(counter))
            return
        forgiven = min(self._debt, amount)
        self._debt -= forgiven
        self._add(counter, forgiven)
        self._take_back(amount - forgiven)

    def _take_back(self, amount: int) -> None:
        """Give back to who repaid, the last first; what is not known any more is lost."""
        if not amount:
            return
        repayments = self._transaction.credit_repayments(
            self._company, self._feature, REPAYMENTS_MAX
        )
        for repayment in repayments:
            left = self.plan.repayments.get(repayment.number, repayment.amount)
            part = min(left, amount)
            if part:
                self.plan.repayments[repayment.number] = left - part
                self._add(repayment.counter, part, is_lost=self._is_over(repayment.counter))
                amount -= part
        self._add(OVERDRAFT_COUNTER, amount, is_lost=True)

    def _add(self, counter: CounterRef, amount: int, *, is_lost: bool = False) -> None:
        if amount:
            self.plan.parts.append(EntryPart(counter, amount, is_lost))

    def _is_over(self, counter: CounterRef) -> bool:
        """Whether nothing can return to a source any more."""
        id_ = grant_in(counter.slot)
        if id_ is None:
            return not counter.window.never_ends and counter.window.end_us <= self._now_us
        stored = self._transaction.credit_grant(self._company, id_)
        return stored is None or stored.is_over(self._now_us)


def _carry_out(
    transaction: WriteTransaction,
    company: StoredCompany,
    feature: str,
    wanted: RefundWanted,
    plan: _Plan,
    now_us: int,
) -> None:
    id_ = company.company.id
    returned: dict[CounterKey, int] = defaultdict(int)
    lost: dict[CounterKey, int] = defaultdict(int)
    for part in plan.parts:
        key = CounterKey(id_, feature, part.counter)
        if not part.is_lost:
            returned[key] -= part.amount
        elif part.counter != OVERDRAFT_COUNTER:  # what repaid it is not known, and stays as it is
            lost[key] += part.amount
    if returned:
        version = transaction.next_ledger_version(now_us)
        transaction.add_to_counters(CORRECTIONS, returned, version)
    transaction.add_credit_losses(lost)
    transaction.set_credit_repayments(plan.repayments)
    entry = CreditEntry(
        id_,
        feature,
        now_us,
        CreditEntryKind.REFUNDED,
        tuple(plan.parts),
        "",
        wanted.incarnation,
        wanted.sequence,
        wanted.reason,
        wanted.request,
    )
    transaction.put_credit_entries([entry])
    _tell_again(transaction, company, [key.counter for key in returned])
    repay(transaction, id_, feature, now_us)


def _tell_again(
    transaction: WriteTransaction, company: StoredCompany, counters: list[CounterRef]
) -> None:
    """Have sidecars told again of grants that were spent, and have something left again."""
    ids = (grant_in(counter.slot) for counter in counters)
    found = (transaction.credit_grant(company.company.id, id_) for id_ in ids if id_ is not None)
    untold = [stored for stored in found if stored is not None and not stored.told]
    if untold:
        transaction.put_credit_grants(msgspec.structs.replace(each, told=True) for each in untold)
        put_told(transaction, company, transaction.next_revision())
