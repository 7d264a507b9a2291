"""The fields of catalog and companies, each with its path and its value as text.

Paths name things by key, not by place: `entitlements.tokens.limits.monthly.amount`; planned changes
are named by their time. Fields that are empty or at their default are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import (
    DEFAULT_WARNING_PERCENTS,
    Across,
    AddOn,
    EntitlementGrant,
    FailPolicy,
    Feature,
    Limit,
    LimitChange,
    Plan,
    RateLimit,
    Scope,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies, Proration, UnusedCredits
from sidecar.domain.company.model import (
    MONTHLY,
    Company,
    Override,
    PastDue,
    Pause,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.credits.prices import OTHERWISE
from sidecar.domain.formatting import (
    add_ons_text,
    amount_text,
    duration_text,
    instant_text,
    period_text,
    price_text,
    rate_text,
    rollover_text,
    window_text,
)

Fields: TypeAlias = Iterator[tuple[str, str]]

_DEFAULT_POLICY: Final = FailPolicy()


def feature_fields(feature: Feature) -> Fields:
    """Fields of a feature."""
    yield "kind", feature.kind.name
    yield from _text("name", feature.name)
    yield from _text("unit", feature.unit)
    policy = feature.fail_policy
    if policy.no_snapshot is not _DEFAULT_POLICY.no_snapshot:
        yield "fail_policy.no_snapshot", policy.no_snapshot.name
    if policy.stale is not _DEFAULT_POLICY.stale:
        yield "fail_policy.stale", policy.stale.name
    if policy.stale_after_us is not None:
        yield "fail_policy.stale_after", duration_text(policy.stale_after_us)
    if policy.outbox_full is not _DEFAULT_POLICY.outbox_full:
        yield "fail_policy.outbox_full", policy.outbox_full.name
    if policy.no_lease is not _DEFAULT_POLICY.no_lease:
        yield "fail_policy.no_lease", policy.no_lease.name
    if feature.dimensions is not None:
        yield "dimensions", ", ".join(each.name for each in feature.dimensions)
        for dimension in feature.dimensions:
            path = f"dimensions.{dimension.name}"
            yield from _flag(f"{path}.required", dimension.required)
            yield from _text(f"{path}.values", ", ".join(dimension.values))
    yield from _kind_fields(feature)


def _kind_fields(feature: Feature) -> Fields:
    """What a feature has that features of its kind alone have."""
    for cost in feature.costs:
        path, table = f"costs.{cost.credits}", cost.table
        below = f"{path}.by.{table.by}" if table.by else path
        for value, price in table.prices.items():
            yield f"{below}.{value}", price_text(price)
        if table.otherwise is not None:
            name = f"{below}.{OTHERWISE}" if table.by else f"{path}.price"
            yield name, price_text(table.otherwise)
    if feature.ttl_max_us is not None:
        yield "ttl_max", duration_text(feature.ttl_max_us)
    if feature.billing is not None:
        yield "billed", feature.billing.measure.name
        yield "billed_per", window_text(feature.billing.window)


def plan_fields(plan: Plan) -> Fields:
    """Fields of a plan."""
    yield from _text("name", plan.name)
    if plan.existing is not ExistingCompanies.MOVE_NOW:
        yield "existing", plan.existing.name
    if plan.proration is not Proration.FULL:
        yield "proration", plan.proration.name
    if plan.unused_credits is not UnusedCredits.KEEP:
        yield "unused_credits", plan.unused_credits.name
    if plan.trial is not None:
        yield "trial.length", duration_text(plan.trial.length_us)
        yield from _flag("trial.becomes_active", plan.trial.becomes_active)
        yield from _text("trial.end_plan", plan.trial.end_plan)
    if plan.grace is not None:
        length_us = plan.grace.length_us
        yield "grace.length", "without end" if length_us is None else duration_text(length_us)
        yield from _text("grace.end_plan", plan.grace.end_plan)
    for grant in plan.entitlements:
        yield from grant_fields(f"entitlements.{grant.feature}", grant)


def add_on_fields(add_on: AddOn) -> Fields:
    """Fields of an add-on."""
    yield from _text("name", add_on.name)
    if add_on.rank:
        yield "rank", str(add_on.rank)
    yield from _text("plans", ", ".join(add_on.plans))
    yield from _flag("once", add_on.once)
    for given in add_on.entitlements:
        path = f"entitlements.{given.grant.feature}"
        yield f"{path}.merge", given.merge.name
        yield from grant_fields(path, given.grant)


def company_fields(company: Company) -> Fields:
    """Fields of a company."""
    yield from _text("name", company.name)
    yield "time_zone", company.time_zone
    if company.subscription is not None:
        for path, text in _subscription_fields(company.subscription):
            yield f"subscription.{path}", text
    for override in company.overrides:
        yield from _override_fields(override)


def _subscription_fields(subscription: Subscription) -> Fields:
    yield "plan", subscription.plan
    if subscription.plan_version:
        yield "plan_version", str(subscription.plan_version)
    yield from _instant("anchor", subscription.anchor_us)
    if subscription.billing_period != MONTHLY:
        yield "billing_period", period_text(subscription.billing_period)
    if subscription.trial_ends_us is not None:
        yield "trial_ends_at", instant_text(subscription.trial_ends_us)
        yield "trial_end_status", subscription.trial_end_status.name
        yield from _text("trial_end_plan", subscription.trial_end_plan)
    yield from _instant("cancel_at", subscription.cancel_us)
    yield from _flag("cancel_at_period_end", subscription.cancel_at_period_end)
    yield from _instant("ends_at", subscription.ends_us)
    for add_on_subscription in subscription.add_ons:
        yield f"add_ons.{add_on_subscription.add_on}", str(add_on_subscription.quantity)
    if subscription.past_due is not None:
        yield from _past_due_fields(subscription.past_due)
    if subscription.pause is not None:
        yield from _pause_fields(subscription.pause)
    for change in subscription.changes:
        yield from _change_fields(f"changes.{instant_text(change.at_us)}", change)


def _past_due_fields(past_due: PastDue) -> Fields:
    yield "past_due.since", instant_text(past_due.from_us)
    yield from _instant("past_due.grace_ends_at", past_due.grace_ends_us)
    yield from _text("past_due.grace_end_plan", past_due.grace_end_plan)


def _pause_fields(pause: Pause) -> Fields:
    yield from _flag("pause.starts_at_period_end", pause.starts_at_period_end)
    yield from _flag("pause.ends_at_period_end", pause.ends_at_period_end)
    yield "pause.starts_at", instant_text(pause.from_us)
    yield from _instant("pause.resumes_at", pause.until_us)
    yield from _flag("pause.moves_anchor", pause.moves_anchor)


def _change_fields(path: str, change: ScheduledChange) -> Fields:
    yield from _text(f"{path}.plan", change.plan)
    if change.plan_version:
        yield f"{path}.plan_version", str(change.plan_version)
    if change.add_ons is not None:
        yield f"{path}.add_ons", add_ons_text(change.add_ons)
    yield from _flag(f"{path}.resets_usage", change.resets_usage)
    yield from _flag(f"{path}.moves_anchor", change.moves_anchor)
    yield from _flag(f"{path}.at_period_end", change.at_period_end)


def _override_fields(override: Override) -> Fields:
    path = f"overrides.{override.entitlement.feature}"
    if override.entitlement.id:
        path += f".{override.entitlement.id}"
    yield from grant_fields(path, override.entitlement)
    yield from _text(f"{path}.reason", override.reason)
    if override.expires_us != FOREVER_US:
        yield f"{path}.expires_at", instant_text(override.expires_us)


def grant_fields(path: str, grant: EntitlementGrant) -> Fields:
    """Fields of what one source grants of a feature."""
    if not grant.config_value:  # which is granted by being there
        yield f"{path}.enabled", str(grant.enabled).lower()
    yield from _text(f"{path}.config_value", grant.config_value)
    for limit in grant.limits:
        yield from _limit_fields(f"{path}.limits.{limit.id}", limit)
    for rate in grant.rates:
        yield from _rate_fields(f"{path}.rates.{rate.id}", rate)
    for change in grant.limit_changes:
        yield f"{path}.limits.{change.limit}.amount", _changed_amount(change)
    for rate_change in grant.rate_changes:
        sign = "+" if rate_change.adds else ""
        rate_path = f"{path}.rates.{rate_change.rate}"
        yield f"{rate_path}.count", f"{sign}{rate_change.count}"
        yield f"{rate_path}.burst", f"{sign}{rate_change.burst}"
    if grant.overdraft:
        yield f"{path}.overdraft", str(grant.overdraft)
    if grant.low_balance:
        yield f"{path}.low_balance", ", ".join(map(str, grant.low_balance))
    if grant.overdraft_change is not None:
        sign = "+" if grant.overdraft_change.adds else ""
        yield f"{path}.overdraft", f"{sign}{grant.overdraft_change.amount}"


def _limit_fields(path: str, limit: Limit) -> Fields:
    yield f"{path}.amount", amount_text(limit.amount)
    for value, amount in limit.amounts:
        yield f"{path}.amounts.{value}", amount_text(amount)
    yield f"{path}.window", window_text(limit.window)
    yield f"{path}.enforcement", limit.enforcement.name
    if limit.across is not Across.EXACT:
        yield f"{path}.across", limit.across.name
    if limit.throttle is not None:
        yield f"{path}.throttle", rate_text(limit.throttle)
    if limit.rollover is not None:
        yield f"{path}.rollover", rollover_text(limit.rollover)
    yield from _scope_fields(path, limit.scope)
    if limit.warning_percents != DEFAULT_WARNING_PERCENTS:
        yield f"{path}.warning_percents", ", ".join(map(str, limit.warning_percents))
    if limit.priority:
        yield f"{path}.priority", str(limit.priority)
    if limit.credit_kind is not GrantKind.PROMOTIONAL:
        yield f"{path}.credits", limit.credit_kind.name
    if limit.swaps is not None:
        yield f"{path}.swaps", f"{limit.swaps.amount} per {window_text(limit.swaps.window)}"


def _rate_fields(path: str, rate: RateLimit) -> Fields:
    yield f"{path}.rate", rate_text(rate.rate)
    yield f"{path}.enforcement", rate.enforcement.name
    yield from _scope_fields(path, rate.scope)


def _scope_fields(path: str, scope: Scope) -> Fields:
    yield from _text(f"{path}.scope.dimensions", ", ".join(scope.dimensions))
    values: dict[str, list[str]] = {}
    for name, value in scope.match:
        values.setdefault(name, []).append(value)
    for name, several in values.items():
        yield f"{path}.scope.match.{name}", ", ".join(several)


def _changed_amount(change: LimitChange) -> str:
    return f"{'+' if change.adds else ''}{amount_text(change.amount)}"


def _text(path: str, text: str) -> Fields:
    if text:
        yield path, text


def _flag(path: str, flag: bool) -> Fields:
    if flag:
        yield path, "true"


def _instant(path: str, instant_us: int | None) -> Fields:
    if instant_us is not None:
        yield path, instant_text(instant_us)
