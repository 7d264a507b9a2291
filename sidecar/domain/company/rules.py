"""What a company must fulfil: its subscription, what is planned with it, and its overrides."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from sidecar.domain import bounds
from sidecar.domain.catalog.grant_rules import grant_names, grant_problems, grant_references
from sidecar.domain.catalog.model import EntitlementGrant, FeatureKind
from sidecar.domain.catalog.sold_with import SoldWith
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    PastDue,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.scheduled import does_nothing, order_of
from sidecar.domain.company.timeline import cut_instants
from sidecar.domain.nearest import lacks
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from sidecar.domain.time.zones import load_zone, unknown_zone
from sidecar.domain.validation import (
    Path,
    RuleProblem,
    below,
    count_problems,
    identifier_problems,
    instant_problems,
    new_name_problems,
    number_problems,
    repeated_problems,
    text_problems,
)

_PLANS_TOLD_MAX: Final = 5
_VERSION_MAX: Final = bounds.PLAN_VERSION_NEWEST - 1
_AFTER_TRIAL: Final = (SubscriptionStatus.ACTIVE, SubscriptionStatus.ENDED)
_BILLING_UNITS: Final = (
    WindowUnit.DAY,
    WindowUnit.WEEK,
    WindowUnit.MONTH,
    WindowUnit.QUARTER,
    WindowUnit.YEAR,
)


def company_problems(company: Company) -> Iterator[RuleProblem]:
    """Yield what is wrong with a company by itself."""
    yield from identifier_problems(("id",), company.id)
    yield from text_problems(("name",), company.name, bounds.NAME_BYTES_MAX)
    if company.renamed_from:
        yield from identifier_problems(("renamed_from",), company.renamed_from)
        if company.renamed_from == company.id:
            yield RuleProblem(("renamed_from",), "must be another id than the company's own")
    try:
        load_zone(company.time_zone)
    except ValueError:
        yield RuleProblem(("time_zone",), unknown_zone(company.time_zone))
    if company.subscription is not None:
        yield from below(("subscription",), _subscription_problems(company.subscription))
    yield from count_problems(("overrides",), company.overrides, bounds.OVERRIDES_MAX)
    anchored = company.subscription is not None
    seen: set[str] = set()
    for at, override in enumerate(company.overrides):
        yield from below(("overrides", at), _override_problems(override, anchored))
        yield from below(("overrides", at, "entitlement"), _repeated(override.entitlement, seen))
    cuts = len(cut_instants(company))
    if cuts > bounds.CUTS_MAX:  # most of them are expiries: a subscription alone has fewer
        message = f"something would change at {cuts} instants, at most are {bounds.CUTS_MAX}"
        yield RuleProblem(("overrides",), message)


def company_names(company: Company) -> Iterator[RuleProblem]:
    """Yield what of a company may be there, but not be given as a name any more."""
    yield from new_name_problems(("id",), company.id)
    for at, override in enumerate(company.overrides):
        yield from below(("overrides", at, "entitlement"), grant_names(override.entitlement))


def company_references(
    company: Company,
    plans: Collection[str],
    kinds: Mapping[str, FeatureKind],
    add_ons: Collection[str],
) -> Iterator[RuleProblem]:
    """Yield what of a company does not fit the plans, features and add-ons of the catalog."""
    subscription = company.subscription
    if subscription is not None:
        found = _subscription_references(subscription, plans, add_ons)
        yield from below(("subscription",), found)
    for at, override in enumerate(company.overrides):
        path = ("overrides", at, "entitlement")
        yield from below(path, grant_references(override.entitlement, kinds))


def add_ons_problems(add_ons: tuple[AddOnSubscription, ...]) -> Iterator[RuleProblem]:
    """Yield what is wrong with the add-ons that a subscription holds."""
    yield from count_problems((), add_ons, bounds.COMPANY_ADD_ONS_MAX)
    for at, add_on_subscription in enumerate(add_ons):
        yield from below((at,), add_on_problems(add_on_subscription))
    yield from repeated_problems(
        (), ("add_on",), [add_on_subscription.add_on for add_on_subscription in add_ons]
    )


def add_on_problems(add_on_subscription: AddOnSubscription) -> Iterator[RuleProblem]:
    """Yield what is wrong with an add-on that a subscription holds."""
    quantity_max = bounds.ADD_ON_QUANTITY_MAX
    yield from identifier_problems(("add_on",), add_on_subscription.add_on)
    yield from number_problems(("quantity",), add_on_subscription.quantity, 1, quantity_max)


def _repeated(grant: EntitlementGrant, seen: set[str]) -> Iterator[RuleProblem]:
    """Yield that an override is not told apart from one that was seen: ids are, and features."""
    name = grant.id or f" {grant.feature}"  # no id begins with a space
    if name in seen and grant.id:
        yield RuleProblem(("id",), f"{grant.id!r} is here twice")
    elif name in seen:
        message = f"a second override of feature {grant.feature!r} would be in force"
        yield RuleProblem(("feature",), message)
    seen.add(name)


def _override_problems(override: Override, anchored: bool) -> Iterator[RuleProblem]:
    grant = override.entitlement
    yield from below(("entitlement",), grant_problems(grant))
    if grant.id:
        yield from identifier_problems(("entitlement", "id"), grant.id)
    yield from text_problems(("reason",), override.reason, bounds.NAME_BYTES_MAX)
    if override.expires_us != bounds.FOREVER_US:
        yield from instant_problems(("expires_at",), override.expires_us)
    for at, limit in enumerate(grant.limits):
        if limit.window.alignment is Alignment.ANCHORED and not anchored:
            path = ("entitlement", "limits", at, "window", "alignment")
            yield RuleProblem(
                path, "ANCHORED needs a subscription, whose anchor windows start from"
            )


def _subscription_problems(subscription: Subscription) -> Iterator[RuleProblem]:
    yield from identifier_problems(("plan",), subscription.plan)
    yield from instant_problems(("anchor",), subscription.anchor_us)
    yield from number_problems(("plan_version",), subscription.plan_version, 0, _VERSION_MAX)
    yield from instant_problems(("trial_ends_at",), subscription.trial_ends_us)
    yield from _end_plan_problems(
        "trial_ends_at", subscription.trial_ends_us, "trial_end_plan", subscription.trial_end_plan
    )
    yield from instant_problems(("cancel_at",), subscription.cancel_us)
    yield from instant_problems(("ends_at",), subscription.ends_us)
    if subscription.trial_end_status not in _AFTER_TRIAL:
        status = subscription.trial_end_status.name
        yield RuleProblem(("trial_end_status",), f"must be ACTIVE or ENDED, is {status}")
    yield from below(("add_ons",), add_ons_problems(subscription.add_ons))
    if subscription.past_due is not None:
        yield from below(("past_due",), _past_due_problems(subscription.past_due))
    if subscription.pause is not None:
        yield from below(("pause",), _pause_problems(subscription.pause))
    yield from below(("changes",), _changes_problems(subscription.changes))
    yield from below(("billing_period",), _billing_period_problems(subscription.billing_period))


def _past_due_problems(past_due: PastDue) -> Iterator[RuleProblem]:
    yield from instant_problems(("since",), past_due.from_us)
    grace_ends_us = past_due.grace_ends_us
    yield from instant_problems(("grace_ends_at",), grace_ends_us)
    if grace_ends_us is not None and grace_ends_us < past_due.from_us:  # none at all is fine
        yield RuleProblem(("grace_ends_at",), "must not be before since")
    end_plan = past_due.grace_end_plan
    yield from _end_plan_problems("grace_ends_at", grace_ends_us, "grace_end_plan", end_plan)


def _end_plan_problems(
    end: str, ends_us: int | None, name: str, plan: str
) -> Iterator[RuleProblem]:
    """Yield what is wrong with a plan that follows something that ends."""
    if plan:
        yield from identifier_problems((name,), plan)
        if ends_us is None:
            yield RuleProblem((name,), f"needs {end}, from which on it is in force")


def _pause_problems(pause: Pause) -> Iterator[RuleProblem]:
    yield from instant_problems(("starts_at",), pause.from_us)
    yield from instant_problems(("resumes_at",), pause.until_us)
    if pause.until_us is not None and pause.until_us <= pause.from_us:
        yield RuleProblem(("resumes_at",), "must be after starts_at")
    if pause.moves_anchor and pause.until_us is None:
        yield RuleProblem(("moves_anchor",), "needs resumes_at, at which the anchor moves")


def _changes_problems(changes: tuple[ScheduledChange, ...]) -> Iterator[RuleProblem]:
    yield from count_problems((), changes, bounds.CHANGES_MAX)
    for at, change in enumerate(changes):
        yield from below((at,), _change_problems(change))
        if at and order_of(change) <= order_of(changes[at - 1]):
            yield RuleProblem((at, "at"), "must be after the change before")


def _change_problems(change: ScheduledChange) -> Iterator[RuleProblem]:
    yield from instant_problems(("at",), change.at_us)
    yield from number_problems(("plan_version",), change.plan_version, 0, _VERSION_MAX)
    if change.plan:
        yield from identifier_problems(("plan",), change.plan)
    if change.add_ons is not None:
        yield from below(("add_ons", "add_ons"), add_ons_problems(change.add_ons))
    if does_nothing(change):
        yield RuleProblem((), "changes nothing")


def _billing_period_problems(period: WindowSpec) -> Iterator[RuleProblem]:
    if period.unit not in _BILLING_UNITS:
        names = ", ".join(unit.name for unit in _BILLING_UNITS)
        yield RuleProblem(("unit",), f"must be one of {names}; is {period.unit.name}")
    if period.first_weekday:
        yield RuleProblem(("first_weekday",), "a billing period has none, it starts at the anchor")


def _subscription_references(
    subscription: Subscription, plans: Collection[str], add_ons: Collection[str]
) -> Iterator[RuleProblem]:
    if subscription.plan not in plans:
        yield RuleProblem(("plan",), lacks("plan", subscription.plan, plans))
    trial_end_plan, past_due = subscription.trial_end_plan, subscription.past_due
    if trial_end_plan and trial_end_plan not in plans:
        yield RuleProblem(("trial_end_plan",), lacks("plan", trial_end_plan, plans))
    grace_end_plan = "" if past_due is None else past_due.grace_end_plan
    if grace_end_plan and grace_end_plan not in plans:
        path = ("past_due", "grace_end_plan")
        yield RuleProblem(path, lacks("plan", grace_end_plan, plans))
    yield from below(("add_ons",), _add_ons_references(subscription.add_ons, add_ons))
    for at, change in enumerate(subscription.changes):
        if change.plan and change.plan not in plans:
            yield RuleProblem(("changes", at, "plan"), lacks("plan", change.plan, plans))
        found = _add_ons_references(change.add_ons or (), add_ons)
        yield from below(("changes", at, "add_ons", "add_ons"), found)


def sold_apart_problems(company: Company, add_ons: SoldWith) -> Iterator[RuleProblem]:
    """Yield add-ons that are held with a plan that they are not sold with, now or once planned."""
    if company.subscription is not None:
        yield from below(("subscription",), _all_sold_apart(company.subscription, add_ons))


def _all_sold_apart(subscription: Subscription, add_ons: SoldWith) -> Iterator[RuleProblem]:
    plan, held = subscription.plan, subscription.add_ons
    path: Path = ("add_ons",)
    yield from _sold_apart(path, plan, held, add_ons)
    for at, change in enumerate(subscription.changes):
        if change.add_ons is not None:
            path, held = ("changes", at, "add_ons", "add_ons"), change.add_ons
        elif change.plan:
            path = ("changes", at, "plan")
        if change.plan or change.add_ons is not None:
            plan = change.plan or plan
            yield from _sold_apart(path, plan, held, add_ons)


def _sold_apart(
    path: Path, plan: str, held: tuple[AddOnSubscription, ...], add_ons: SoldWith
) -> Iterator[RuleProblem]:
    for at, add_on_subscription in enumerate(held):
        add_on = add_on_subscription.add_on
        plans = add_ons.get(add_on)
        if plans and plan not in plans:
            where = path if path[-1] == "plan" else (*path, at, "add_on")
            told = ", ".join(map(repr, sorted(plans)[:_PLANS_TOLD_MAX]))
            more = ", ..." if len(plans) > _PLANS_TOLD_MAX else ""
            message = f"add-on {add_on!r} is not sold with plan {plan!r}, only with {told}{more}"
            yield RuleProblem(where, message)


def _add_ons_references(
    bought: tuple[AddOnSubscription, ...], add_ons: Collection[str]
) -> Iterator[RuleProblem]:
    for at, add_on_subscription in enumerate(bought):
        if add_on_subscription.add_on not in add_ons:
            message = lacks("add-on", add_on_subscription.add_on, add_ons)
            yield RuleProblem((at, "add_on"), message)
