"""Moves companies to new versions of their plans, and forgets versions that nobody has any more.

A move is decided by an apply. In the background all companies that have an earlier version are
looked through, a page at a time, in the order of their ids, and how far that has come is stored. A
company that changes meanwhile, or later, is moved with its change. So each is moved, whenever the
plane is killed, and those that are moved already stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from sidecar.control.services.add_on_holders import changes_for_holders, holders
from sidecar.control.services.timelines import prorating_of, time_of_change, with_timeline
from sidecar.control.storage.plan_values import PlanMove
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.domain.catalog.canonical import canonical_company
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.catalog.versions import new_versions, without_versions
from sidecar.domain.company.model import Company
from sidecar.domain.company.timeline import HISTORY_US
from sidecar.domain.company.version_moves import moved_to_version
from sidecar.domain.difference.changes import Change

PAGE: Final = 100
"""Companies moved in one transaction, at the most."""


def decide_moves(
    transaction: WriteTransaction, catalog: Catalog, before: Catalog, now_us: int
) -> None:
    """Remember which companies are to be moved by a catalog that is applied now."""
    sold = {plan.key: plan.version for plan in catalog.plans}
    for move in transaction.plan_moves():
        if move.plan not in sold:
            transaction.drop_plan_moves(move.plan, move.version)
    for new in new_versions(catalog, before):
        if new.existing is ExistingCompanies.MOVE_AT_PERIOD_END:
            transaction.put_plan_move(PlanMove(new.plan, new.version, now_us))
        elif new.existing is ExistingCompanies.MOVE_NOW:
            transaction.drop_plan_moves(new.plan, new.version)


def with_existing(
    transaction: ReadTransaction,
    changes: Sequence[Change],
    before: Catalog,
    after: Catalog,
    now_us: int,
) -> list[Change]:
    """Changes of a catalog, with how many companies have the plans and add-ons that are new."""
    new = {each.plan: each.existing for each in new_versions(after, before)}
    told = []
    for change in changes:
        if change.kind == "plan" and change.key in new:
            count = transaction.companies_on_plan(change.key, now_us)
            existing = (new[change.key], count)
            told.append(msgspec.structs.replace(change, existing=existing))
        elif changes_for_holders(change):
            existing = (ExistingCompanies.MOVE_NOW, holders(transaction, change.key, now_us))
            told.append(msgspec.structs.replace(change, existing=existing))
        else:
            told.append(change)
    return told


def with_moves(company: Company, moves: Iterable[PlanMove], now_us: int) -> Company:
    """A company with the moves to new versions that concern it."""
    subscription = company.subscription
    if subscription is None:
        return company
    for move in moves:
        subscription = moved_to_version(
            subscription, move.plan, move.version, move.decided_us, now_us, company.time_zone
        )
    if subscription is company.subscription:
        return company
    return canonical_company(msgspec.structs.replace(company, subscription=subscription))


def move_due(store: PlaneStore) -> bool:
    """Whether companies are to be looked through."""
    with store.read() as transaction:
        return any(move.company is not None for move in transaction.plan_moves())


def move_page(store: PlaneStore, now_us: int) -> int:
    """Look through some more companies; how many were moved."""
    with store.write() as transaction:
        move = next((each for each in transaction.plan_moves() if each.company is not None), None)
        if move is None or move.company is None:
            return 0
        found = transaction.companies_before_version(
            move.plan, move.version, now_us, move.company, PAGE
        )
        stored = transaction.companies(found).values()
        put = [
            (each, after)
            for each in stored
            if (after := with_moves(each.company, [move], time_of_change(each, now_us)))
            != each.company
        ]
        if put:
            revision, prorating = transaction.next_revision(), prorating_of(transaction)
            transaction.put_companies(
                with_timeline(after, revision, now_us, each, prorating) for each, after in put
            )
        reached = found[-1] if len(found) == PAGE else None
        transaction.put_plan_move(msgspec.structs.replace(move, company=reached))
    return len(put)


def unused_versions(
    transaction: ReadTransaction, catalog: Catalog, now_us: int
) -> set[tuple[str, int]]:
    """Earlier versions that no company refers to: now, later, or in what is remembered."""
    unused = set()
    below: dict[str, int] = {}
    for plan in catalog.plan_versions:
        above = below.get(plan.key, -1)
        if not transaction.refers_to_version(plan.key, above, plan.version, now_us - HISTORY_US):
            unused.add((plan.key, plan.version))
        below[plan.key] = plan.version
    return unused


def forget_due(store: PlaneStore, now_us: int) -> bool:
    """Whether there is a version to forget, or a move that is done."""
    with store.read() as transaction:
        stored = transaction.catalog()
        if stored is not None and unused_versions(transaction, stored.catalog, now_us):
            return True
        return any(_is_done(transaction, move, now_us) for move in transaction.plan_moves())


def forget(store: PlaneStore, now_us: int) -> None:
    """Forget versions that nobody has any more, and moves that are done."""
    with store.write() as transaction:
        for move in transaction.plan_moves():
            if _is_done(transaction, move, now_us):
                transaction.drop_plan_moves(move.plan, move.version)
        stored = transaction.catalog()
        if stored is None:
            return
        unused = unused_versions(transaction, stored.catalog, now_us)
        if unused:
            rest = without_versions(stored.catalog, unused)
            transaction.put_catalog(rest, transaction.next_revision())


def _is_done(transaction: ReadTransaction, move: PlanMove, now_us: int) -> bool:
    """Whether no company has an earlier version any more, or will have."""
    if move.company is not None:
        return False
    return not transaction.refers_to_version(move.plan, -1, move.version - 1, now_us)
