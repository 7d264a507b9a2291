"""Companies as a catalog file says them. What calls have granted by id is not in it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import FeatureKind
from sidecar.domain.company.model import (
    MONTHLY,
    AddOnSubscription,
    Company,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.formatting import instant_text
from sidecar.shared.catalog_file.export import Tables, override_tree, then_tree
from sidecar.shared.catalog_file.export_kinds import billing_period_text
from sidecar.shared.catalog_file.yaml_text import Plain, Tree


def company_tree(company: Company, kinds: Mapping[str, FeatureKind]) -> Tables:
    """A company. `kinds` are those of the catalog's features."""
    company = without_version_moves(company)
    tree: Tables = {}
    if company.name:
        tree["name"] = company.name
    if company.time_zone != "UTC":
        tree["time_zone"] = company.time_zone
    if company.subscription is not None:
        tree |= _subscription(company.subscription)
    overrides: Tables = {}
    for override in company.overrides:
        grant = override.entitlement
        if not grant.id and grant.feature in kinds:
            forever = override.expires_us == FOREVER_US
            expires = "" if forever else _instant(override.expires_us)
            overrides[grant.feature] = override_tree(
                grant, kinds[grant.feature], expires, override.reason
            )
    if overrides:
        tree["overrides"] = overrides
    return tree


def without_version_moves(company: Company) -> Company:
    """A company without planned moves to other versions of its plan, which no file says."""
    subscription = company.subscription
    if subscription is None:
        return company
    said = tuple(filter(_is_said, subscription.changes))
    return replace(company, subscription=replace(subscription, changes=said))


def _subscription(subscription: Subscription) -> Tables:
    tree: Tables = {"plan": subscription.plan}
    if subscription.anchor_us is not None:
        tree["anchor"] = _instant(subscription.anchor_us)
    if subscription.billing_period != MONTHLY:
        tree["billing_period"] = billing_period_text(subscription.billing_period)
    if subscription.trial_ends_us is not None:
        tree["trial_ends_at"] = _instant(subscription.trial_ends_us)
        tree["after_trial"] = then_tree(
            subscription.trial_end_plan,
            becomes_active=subscription.trial_end_status is SubscriptionStatus.ACTIVE,
        )
    if subscription.cancel_us is not None:
        tree["cancel_at"] = _instant(subscription.cancel_us)
    if subscription.ends_us is not None:
        tree["ends_at"] = _instant(subscription.ends_us)
    if subscription.add_ons:
        tree["add_ons"] = _add_ons(subscription.add_ons)
    past_due = subscription.past_due
    if past_due is not None:
        times = _times(since=past_due.from_us, grace_ends_at=past_due.grace_ends_us)
        then: Tables = (
            {"then": {"plan": past_due.grace_end_plan}} if past_due.grace_end_plan else {}
        )
        tree["past_due"] = times | then
    pause = subscription.pause
    if pause is not None:
        times = _times(starts_at=pause.from_us, resumes_at=pause.until_us)
        tree["pause"] = times | ({"moves_anchor": True} if pause.moves_anchor else {})
    changes = [_change(change) for change in subscription.changes]
    if changes:
        tree["changes"] = changes
    return tree


def _is_said(change: ScheduledChange) -> bool:
    """Whether a file says it: it does not say what moves to another version of the plan alone."""
    return bool(change.plan) or change != ScheduledChange(
        change.at_us, plan_version=change.plan_version, at_period_end=change.at_period_end
    )


def _change(change: ScheduledChange) -> Tables:
    tree: Tables = {"at": _instant(change.at_us)}
    if change.plan:
        tree["plan"] = change.plan
    if change.add_ons is not None:
        tree["add_ons"] = _add_ons(change.add_ons)
    if change.resets_usage:
        tree["resets_usage"] = True
    if change.moves_anchor:
        tree["moves_anchor"] = True
    return tree


def _add_ons(held: tuple[AddOnSubscription, ...]) -> Tables:
    return {one.add_on: one.quantity for one in held}


def _times(**instants: int | None) -> dict[str, Tree]:
    return {name: _instant(at_us) for name, at_us in instants.items() if at_us is not None}


def _instant(at_us: int) -> Tree:
    return Plain(instant_text(at_us))
