"""Changes subscriptions one at a time, now or later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from sidecar.control.rules.ownership import Merged, owners_after_call
from sidecar.control.services.directory import as_granted, stored_company
from sidecar.control.services.plan_moves import with_moves
from sidecar.control.services.plan_terms import PlanTerms, with_trial_of_plane
from sidecar.control.services.timelines import time_of_change, with_timeline
from sidecar.control.services.unused_credits import with_unused_voided
from sidecar.control.storage.plan_values import PlanMove
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.control.storage.values import StoredCompany
from sidecar.domain.catalog.canonical import canonical_company
from sidecar.domain.catalog.model import Catalog, Plan
from sidecar.domain.catalog.sold_with import sold_with, unmet, version_that_holds
from sidecar.domain.company.held_plans import bought_at
from sidecar.domain.company.model import Company, CompanySnapshot, Subscription
from sidecar.domain.company.planned import PlannedChange
from sidecar.domain.company.rules import company_problems, sold_apart_problems
from sidecar.domain.company.size import company_size_problems
from sidecar.domain.company.subscription_changes import (
    ChangePlan,
    ChangeTime,
    MarkPastDue,
    OnPlanned,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.subscription_lifecycle import ChangeResult, apply_change, settled
from sidecar.domain.company.terms import grace_of, sold_version, with_versions_sold
from sidecar.domain.entitlement.proration import Prorating
from sidecar.domain.errors import FailedPrecondition, InvalidInput, NotFound
from sidecar.domain.nearest import lacks
from sidecar.domain.validation import field_path_text


class ChangedSubscription(msgspec.Struct, frozen=True):
    """What came of a change: the company and what sidecars get of it, as of a revision.

    `kept`, `dropped`: what was planned before and the change touched. `unchanged`: it is so
    already, or is planned so. `notes`: what else to know of it, in words.
    """

    revision: int
    company: Company
    snapshot: CompanySnapshot
    effective_us: int
    kept: tuple[PlannedChange, ...] = ()
    dropped: tuple[PlannedChange, ...] = ()
    unchanged: bool = False
    notes: tuple[str, ...] = ()


def change_subscription(
    store: PlaneStore,
    company: str,
    change: SubscriptionChange,
    when: When,
    now_us: int,
    on_planned: OnPlanned = OnPlanned.ASK,
) -> ChangedSubscription:
    """Change a company's subscription. Where nothing changes, the revision stays as it is.

    A change of plan now begins a subscription where there is none.

    Raises `NotFound` for a company that is unknown, or has no subscription, and what `apply_change`
    raises; `InvalidInput` for a plan or an add-on that the catalog lacks, and `FailedPrecondition`
    where the company would break a rule, such as that on planned changes.
    """
    with store.write() as transaction:
        worked_out = _work_out(transaction, company, change, when, now_us, on_planned)
        if worked_out.after is None:
            return worked_out.told(transaction.state().revision, worked_out.stored)
        revision = transaction.next_revision()
        new = worked_out.without_unused(transaction).stored_at(revision)
        transaction.put_companies([new])
    return worked_out.told(revision, new)


def try_change(
    store: PlaneStore,
    company: str,
    change: SubscriptionChange,
    when: When,
    now_us: int,
    on_planned: OnPlanned = OnPlanned.ASK,
) -> ChangedSubscription:
    """Say what would come of a change, and change nothing; raises what the change would."""
    with store.read() as transaction:
        worked_out = _work_out(transaction, company, change, when, now_us, on_planned)
        revision = transaction.state().revision
    new = worked_out.stored if worked_out.after is None else worked_out.stored_at(revision)
    return worked_out.told(revision, new)


class _WorkedOut(msgspec.Struct, frozen=True):
    """A change of a company as it is stored; `after` is `None` where nothing changes.

    `moves`: to new versions of plans, which the seller decided, and which no call makes its own.
    """

    stored: StoredCompany
    done: ChangeResult
    at_us: int
    after: Company | None
    catalog: Catalog
    moves: Sequence[PlanMove] = ()

    def without_unused(self, transaction: WriteTransaction) -> _WorkedOut:
        """The same where what is void of credits, since it was over, is voided first."""
        stored = with_unused_voided(transaction, self.stored, self.catalog, self.at_us)
        return msgspec.structs.replace(self, stored=stored)

    def stored_at(self, revision: int) -> StoredCompany:
        """The company as it is stored once it is changed."""
        assert self.after is not None
        owners = owners_after_call(self.stored, self.after, "ChangeSubscription", self.at_us)
        changed = Merged(self.after, owners)
        whole = with_trial_of_plane(changed, self.stored.company, self.stored, self.at_us)
        return with_timeline(
            with_moves(self.after, self.moves, self.at_us),
            revision,
            self.at_us,
            self.stored,
            Prorating(self.catalog),
            resets_usage=self.done.resets_usage,
            owners=whole.owners,
        )

    def told(self, revision: int, new: StoredCompany) -> ChangedSubscription:
        """What came of it."""
        done, unchanged = self.done, self.after is None
        return ChangedSubscription(
            revision,
            new.shown,
            new.snapshot,
            done.effective_us,
            done.kept,
            () if unchanged else done.dropped,
            unchanged,
            done.notes,
        )


def _work_out(
    transaction: ReadTransaction,
    company: str,
    change: SubscriptionChange,
    when: When,
    now_us: int,
    on_planned: OnPlanned,
) -> _WorkedOut:
    stored = stored_company(transaction, company)
    before = stored.company.subscription
    stored_catalog = transaction.catalog()
    catalog = Catalog() if stored_catalog is None else stored_catalog.catalog
    at_us = time_of_change(stored, now_us)
    if before is None:
        if not isinstance(change, ChangePlan) or when.time is not ChangeTime.NOW:
            message = f"company {company!r} has no subscription: a change of plan now begins one"
            raise NotFound("company", message)
        _refuse_unknown(change, catalog)
        return _begun(stored, change, catalog, transaction.plan_moves(), at_us)
    _refuse_unknown(change, catalog)
    stored = as_granted(stored, catalog, at_us)
    before = stored.company.subscription
    assert before is not None, "it had one above"
    change = _with_terms(change, before, catalog, at_us)
    time_zone = stored.company.time_zone
    done = apply_change(before, change, when, at_us, time_zone, on_planned)
    plans = {plan.key: plan for plan in catalog.plans}
    sold = with_versions_sold(done.subscription, plans)
    done = msgspec.structs.replace(done, subscription=sold)
    if done.subscription == settled(before, at_us, time_zone) and not done.resets_usage:
        return _WorkedOut(stored, done, at_us, None, catalog)
    after = msgspec.structs.replace(stored.company, subscription=done.subscription)
    _refuse_problems(change, after, stored.company)
    _refuse_sold_apart(change, after, catalog)
    if isinstance(change, SetAddOn) and change.quantity:
        _refuse_without_effect(change, done.subscription, catalog)
    moves = transaction.plan_moves()
    return _WorkedOut(stored, done, at_us, canonical_company(after), catalog, moves)


def _begun(
    stored: StoredCompany,
    change: ChangePlan,
    catalog: Catalog,
    moves: Sequence[PlanMove],
    at_us: int,
) -> _WorkedOut:
    """The subscription of a company that has none begins, as one that a file gives."""
    said = msgspec.structs.replace(stored.company, subscription=Subscription(change.plan))
    terms = PlanTerms({plan.key: plan for plan in catalog.plans}, moves)
    filled = terms.filled(said, stored, at_us, gone=None)
    after = terms.versioned(Merged(filled), stored, at_us).company
    assert after.subscription is not None
    _refuse_problems(change, after, stored.company)
    notes = ("it had no subscription: one begins",)
    done = ChangeResult(after.subscription, at_us, change.resets_usage, notes=notes)
    return _WorkedOut(stored, done, at_us, canonical_company(after), catalog, moves)


def _with_terms(
    change: SubscriptionChange, before: Subscription, catalog: Catalog, at_us: int
) -> SubscriptionChange:
    """A change with what it takes from the plans that are sold: a version, or a grace."""
    plans = {plan.key: plan for plan in catalog.plans}
    if isinstance(change, ChangePlan):
        version = sold_version(change.plan, plans)
        return msgspec.structs.replace(change, plan_version=version)
    if isinstance(change, MarkPastDue):
        return _with_grace(change, before, plans, at_us)
    return change


def _with_grace(
    change: MarkPastDue, before: Subscription, plans: Mapping[str, Plan], at_us: int
) -> MarkPastDue:
    """A late payment, with the plan's grace where no other is said, and with what follows it.

    A grace of another length, given by support say, is followed by the same.
    """
    late = before.past_due
    since_us = at_us if late is None else min(late.from_us, at_us)
    plan = bought_at(before, since_us).plan
    by_plan = grace_of(since_us, plan, plans)
    if change.grace_ends_us is None:
        end_plan = change.grace_end_plan or by_plan.grace_end_plan
        return MarkPastDue(by_plan.grace_ends_us, end_plan)
    grace = plans[plan].grace if plan in plans else None
    follows = (late.grace_end_plan if late else "") or ("" if grace is None else grace.end_plan)
    return msgspec.structs.replace(change, grace_end_plan=change.grace_end_plan or follows)


def _refuse_unknown(change: SubscriptionChange, catalog: Catalog) -> None:
    """Refuse what the catalog lacks; all else that a company refers to was there before."""
    if isinstance(change, ChangePlan):
        plans = [plan.key for plan in catalog.plans]
        if change.plan not in plans:
            raise InvalidInput("plan.plan", lacks("plan", change.plan, plans))
    elif isinstance(change, MarkPastDue) and change.grace_end_plan:
        plans = [plan.key for plan in catalog.plans]
        if change.grace_end_plan not in plans:
            message = lacks("plan", change.grace_end_plan, plans)
            raise InvalidInput("past_due.grace_end_plan", message)
    elif isinstance(change, SetAddOn):
        add_ons = [add_on.key for add_on in catalog.add_ons]
        if change.add_on not in add_ons:
            raise InvalidInput("add_on.add_on", lacks("add-on", change.add_on, add_ons))


def _refuse_problems(change: SubscriptionChange, company: Company, before: Company) -> None:
    for path, message in company_problems(company):
        raise FailedPrecondition(change.field, f"{field_path_text(path)}: {message}")
    for _, message in company_size_problems(company, before):
        raise FailedPrecondition(change.field, message)


def _refuse_without_effect(change: SetAddOn, subscription: Subscription, catalog: Catalog) -> None:
    """Refuse an add-on that names what the version of the plan does not have that is kept."""
    version = subscription.plan_version
    plan = version_that_holds(catalog, subscription.plan, version)
    add_on = next((each for each in catalog.add_ons if each.key == change.add_on), None)
    for feature, name in () if plan is None or add_on is None else unmet(plan, add_on):
        message = (
            f"it adds to {name!r} of {feature!r}, which version {version} of plan "
            f"{subscription.plan!r} does not have, that the company keeps: move it to what is sold "
            f"now first (change the plan to {subscription.plan!r})"
        )
        raise FailedPrecondition(change.field, message)


def _refuse_sold_apart(change: SubscriptionChange, company: Company, catalog: Catalog) -> None:
    for path, message in sold_apart_problems(company, sold_with(catalog)):
        when = "once what is planned holds, " if "changes" in path else ""
        first = "hold none of it first" if isinstance(change, ChangePlan) else "change that first"
        raise FailedPrecondition(change.field, f"{when}{message}: {first}")
