"""What changed between two states of catalog and companies, in words for people.

Paths name things by key, not by place: `entitlements.tokens.limits.monthly.amount`. Fields that
are empty or at their default are as good as absent.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import msgspec

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog import (
    DEFAULT_WARNING_PERCENTS,
    Catalog,
    Company,
    EntitlementGrant,
    Feature,
    Limit,
    Override,
    Plan,
    Subscription,
)
from sidecar.domain.windows import WindowSpec, WindowUnit

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Fields = Iterator[tuple[str, str]]
Value = TypeVar("Value")


class ChangeAction(enum.IntEnum):
    """Kind of a change. Numbers as in the API."""

    CREATED = 1
    UPDATED = 2
    REMOVED = 3


class FieldChange(msgspec.Struct, frozen=True):
    """One field: its text before and after, `None` where it was or is absent."""

    path: str
    before: str | None
    after: str | None


class Change(msgspec.Struct, frozen=True):
    """One object. `kind` is feature, plan or company.

    `fields` is for UPDATED, and empty where nothing but an order changed.
    """

    kind: str
    key: str
    action: ChangeAction
    fields: tuple[FieldChange, ...] = ()


def catalog_changes(before: Catalog, after: Catalog) -> list[Change]:
    """Changes of features, then of plans, each in the order of their keys."""
    features_before = {feature.key: feature for feature in before.features}
    features_after = {feature.key: feature for feature in after.features}
    plans_before = {plan.key: plan for plan in before.plans}
    plans_after = {plan.key: plan for plan in after.plans}
    return [
        *_object_changes("feature", features_before, features_after, _feature_fields),
        *_object_changes("plan", plans_before, plans_after, _plan_fields),
    ]


def company_change(before: Company | None, after: Company | None) -> Change | None:
    """The change of a company, either state of which may be missing; `None` for no change."""
    company = after or before
    if company is None:
        return None
    return _change("company", company.id, before, after, _company_fields)


def _object_changes(
    kind: str,
    before: Mapping[str, Value],
    after: Mapping[str, Value],
    fields_of: Callable[[Value], Fields],
) -> Iterator[Change]:
    for key in sorted({*before, *after}):
        change = _change(kind, key, before.get(key), after.get(key), fields_of)
        if change is not None:
            yield change


def _change(
    kind: str,
    key: str,
    before: Value | None,
    after: Value | None,
    fields_of: Callable[[Value], Fields],
) -> Change | None:
    if before == after:
        return None
    if before is None:
        return Change(kind, key, ChangeAction.CREATED)
    if after is None:
        return Change(kind, key, ChangeAction.REMOVED)
    fields = _field_changes(dict(fields_of(before)), dict(fields_of(after)))
    return Change(kind, key, ChangeAction.UPDATED, fields)


def _field_changes(before: dict[str, str], after: dict[str, str]) -> tuple[FieldChange, ...]:
    paths = dict.fromkeys([*before, *after])
    return tuple(
        FieldChange(path, before.get(path), after.get(path))
        for path in paths
        if before.get(path) != after.get(path)
    )


def _feature_fields(feature: Feature) -> Fields:
    yield "kind", feature.kind.name
    yield from _text("name", feature.name)
    yield from _text("unit", feature.unit)


def _plan_fields(plan: Plan) -> Fields:
    yield from _text("name", plan.name)
    for grant in plan.entitlements:
        yield from _grant_fields(f"entitlements.{grant.feature}", grant)


def _company_fields(company: Company) -> Fields:
    yield from _text("name", company.name)
    yield "time_zone", company.time_zone
    if company.subscription is not None:
        yield from _subscription_fields(company.subscription)
    for override in company.overrides:
        yield from _override_fields(override)


def _subscription_fields(subscription: Subscription) -> Fields:
    yield "subscription.plan", subscription.plan
    yield "subscription.anchor", _instant(subscription.anchor_us)
    if subscription.trial_ends_us is not None:
        yield "subscription.trial_ends_at", _instant(subscription.trial_ends_us)
        yield "subscription.trial_end_status", subscription.trial_end_status.name
    if subscription.cancel_us is not None:
        yield "subscription.cancel_at", _instant(subscription.cancel_us)


def _override_fields(override: Override) -> Fields:
    path = f"overrides.{override.entitlement.feature}"
    yield from _grant_fields(path, override.entitlement)
    if override.expires_us != FOREVER_US:
        yield f"{path}.expires_at", _instant(override.expires_us)


def _grant_fields(path: str, grant: EntitlementGrant) -> Fields:
    yield f"{path}.enabled", str(grant.enabled).lower()
    yield from _text(f"{path}.config_value", grant.config_value)
    for limit in grant.limits:
        yield from _limit_fields(f"{path}.limits.{limit.id}", limit)


def _limit_fields(path: str, limit: Limit) -> Fields:
    yield f"{path}.amount", "unlimited" if limit.amount is None else str(limit.amount)
    yield f"{path}.window", _window(limit.window)
    yield f"{path}.enforcement", limit.enforcement.name
    yield from _text(f"{path}.scope.dimensions", ", ".join(limit.scope.dimensions))
    for name, value in limit.scope.match:
        yield f"{path}.scope.match.{name}", value
    if limit.warning_percents != DEFAULT_WARNING_PERCENTS:
        yield f"{path}.warning_percents", ", ".join(map(str, limit.warning_percents))


def _window(window: WindowSpec) -> str:
    """A window layout, such as `3 MONTH ANCHORED` or `WEEK CALENDAR from weekday 6`."""
    if window.unit is WindowUnit.LIFETIME:
        return window.unit.name
    text = f"{window.unit.name} {window.alignment.name}"
    if window.interval > 1:
        text = f"{window.interval} {text}"
    return f"{text} from weekday {window.first_weekday}" if window.first_weekday else text


def _text(path: str, text: str) -> Fields:
    if text:
        yield path, text


def _instant(instant_us: int) -> str:
    """RFC 3339, with as many digits of a second as there are."""
    instant = _EPOCH + timedelta(microseconds=instant_us)
    return instant.replace(tzinfo=None).isoformat() + "Z"
