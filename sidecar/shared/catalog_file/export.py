"""Catalog and companies as a catalog file that says the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from sidecar.domain.catalog.model import (
    DEFAULT_WARNING_PERCENTS,
    Across,
    AddOnEntitlement,
    Catalog,
    Dimension,
    Enforcement,
    EntitlementGrant,
    FailAction,
    FailPolicy,
    Feature,
    FeatureKind,
    Limit,
    LimitChange,
    Merge,
    Rate,
    RateChange,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.catalog.plan_terms import (
    ExistingCompanies,
    Grace,
    Proration,
    Trial,
    UnusedCredits,
)
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.formatting import duration_text
from sidecar.domain.time.windows import UNENDING, Alignment, WindowSpec, WindowUnit
from sidecar.shared.catalog_file.export_kinds import billing_period_text, kind_tree
from sidecar.shared.catalog_file.grants import WEEKDAYS
from sidecar.shared.catalog_file.yaml_text import Plain, Tree

Tables: TypeAlias = dict[str, Tree]

_POLICY: Final = FailPolicy()
UNLIMITED: Final = Plain("unlimited")
_EXISTING: Final = {
    ExistingCompanies.MOVE_NOW: "",
    ExistingCompanies.KEEP: "keep",
    ExistingCompanies.MOVE_AT_PERIOD_END: "move at period end",
}
_PRORATION: Final = {Proration.FULL: "", Proration.BY_TIME: "by time", Proration.NONE: "none"}
_UNUSED: Final = {
    UnusedCredits.KEEP: "",
    UnusedCredits.VOID_PROMOTIONAL: "void promotional",
    UnusedCredits.VOID: "void",
}


def catalog_tree(catalog: Catalog) -> Tables:
    """The sections of what is sold. Earlier versions of plans are not in a file."""
    kinds = kinds_of(catalog)
    tree: Tables = {
        "features": {feature.key: _feature(feature) for feature in catalog.features},
        "plans": {
            plan.key: _filled(
                name=plan.name,
                entitlements={
                    grant.feature: _grant(grant, kinds[grant.feature])
                    for grant in plan.entitlements
                },
                existing=_EXISTING[plan.existing],
                trial=_trial(plan.trial),
                grace=_grace(plan.grace),
                unused_credits=_UNUSED[plan.unused_credits],
                proration=_PRORATION[plan.proration],
            )
            for plan in catalog.plans
        },
    }
    if catalog.add_ons:
        tree["add_ons"] = {
            add_on.key: _filled(
                name=add_on.name,
                rank=add_on.rank,
                plans=list(add_on.plans),
                once=add_on.once,
                entitlements={
                    given.grant.feature: _given(given, kinds[given.grant.feature])
                    for given in add_on.entitlements
                },
            )
            for add_on in catalog.add_ons
        }
    if catalog.default_plan:
        tree["default_plan"] = catalog.default_plan
    return tree


def kinds_of(catalog: Catalog) -> dict[str, FeatureKind]:
    """The kinds of features by key."""
    return {feature.key: feature.kind for feature in catalog.features}


def override_tree(grant: EntitlementGrant, kind: FeatureKind, expires: Tree, reason: str) -> Tree:
    """A company's own entitlement. `expires`: its end, empty for none."""
    said = _grant(grant, kind, said_by_override=True)
    more = _filled(expires_at=expires, reason=reason)
    if grant.limits or grant.rates:
        more["replace"] = True
    return {**_mapping(said), **more} if more else said


def then_tree(end_plan: str, *, becomes_active: bool) -> Tree:
    """What follows a trial or a grace: a plan, or a status."""
    if end_plan:
        return {"plan": end_plan}
    return "active" if becomes_active else "ended"


def _trial(trial: Trial | None) -> Tables:
    if trial is None:
        return {}
    then = then_tree(trial.end_plan, becomes_active=trial.becomes_active)
    return {"length": Plain(duration_text(trial.length_us)), "then": then}


def _grace(grace: Grace | None) -> Tables:
    if grace is None or grace.length_us is None:
        return {}
    then = then_tree(grace.end_plan, becomes_active=False)
    return {"length": Plain(duration_text(grace.length_us)), "then": then}


def _feature(feature: Feature) -> Tables:
    tree = _filled(kind=feature.kind.name.lower(), name=feature.name, unit=feature.unit)
    policy = feature.fail_policy
    fail: Tables = {}
    for field in ("no_snapshot", "stale", "outbox_full", "no_lease"):
        action: FailAction = getattr(policy, field)
        if action is not getattr(_POLICY, field):
            fail[field] = action.name.lower()
    if policy.stale_after_us is not None:
        fail["stale_after"] = Plain(duration_text(policy.stale_after_us))
    if fail:
        tree["fail"] = fail
    if feature.dimensions is not None:
        tree["dimensions"] = {one.name: _dimension(one) for one in feature.dimensions}
    return tree | kind_tree(feature)


def _dimension(dimension: Dimension) -> Tree:
    if dimension.required and dimension.values:
        return {"required": True, "values": list(dimension.values)}
    if dimension.values:
        return list(dimension.values)
    return "required" if dimension.required else "optional"


def _given(given: AddOnEntitlement, kind: FeatureKind) -> Tree:
    said = _grant(given.grant, kind)
    if given.merge is Merge.INCREMENT:
        return said
    return {**_mapping(said), "merge": given.merge.name.lower()}


def _mapping(said: Tree) -> Tables:
    """The long form of a grant, which may say more beside."""
    if isinstance(said, Mapping):
        return dict(said)
    return {"limits": {}} if said == UNLIMITED else {"value": said}


def _grant(grant: EntitlementGrant, kind: FeatureKind, *, said_by_override: bool = False) -> Tree:
    if kind is FeatureKind.BOOLEAN:
        return grant.enabled
    if kind is FeatureKind.CONFIG:
        return grant.config_value
    if grant.is_change:
        return _changes(grant, signs=said_by_override)
    tree = _filled(
        limits={limit.id: _limit(limit) for limit in grant.limits},
        rates={rate.id: _rate_limit(rate) for rate in grant.rates},
        overdraft=grant.overdraft,
        low_balance=list(grant.low_balance),
    )
    return tree or UNLIMITED


def _changes(grant: EntitlementGrant, *, signs: bool) -> Tables:
    """Changes by name; in an add-on all of them add, so that nothing has a sign."""
    tree = _filled(
        limits={one.limit: _limit_change(one, signs) for one in grant.limit_changes},
        rates={one.rate: _rate_change(one, signs) for one in grant.rate_changes},
    )
    overdraft = grant.overdraft_change
    if overdraft is not None:
        tree["overdraft"] = _signed(overdraft.amount, signs and overdraft.adds)
    return tree


def _limit_change(change: LimitChange, signs: bool) -> Tree:
    return UNLIMITED if change.amount is None else _signed(change.amount, signs and change.adds)


def _rate_change(change: RateChange, signs: bool) -> Tree:
    adds = signs and change.adds
    return {"count": _signed(change.count, adds), "burst": _signed(change.burst, adds)}


def _signed(number: int, adds: bool) -> Tree:
    # A text, with quotes: to a tool that rewrites YAML, +100 is the number 100.
    return f"+{number}" if adds else number


def _limit(limit: Limit) -> Tables:
    usual = Enforcement.HARD if limit.throttle is None else Enforcement.THROTTLE
    tree: Tables = {"amount": UNLIMITED if limit.amount is None else limit.amount}
    tree |= _window(limit.window)
    tree |= _scope(limit.scope)
    if limit.amounts:
        tree["amounts"] = {
            value: UNLIMITED if amount is None else amount for value, amount in limit.amounts
        }
    if limit.enforcement is not usual:
        tree["enforcement"] = limit.enforcement.name.lower()
    if limit.across is not Across.EXACT:
        tree["across"] = limit.across.name.lower()
    if limit.throttle is not None:
        tree["throttle"] = _rate(limit.throttle)
    if limit.rollover is not None:
        tree["rollover"] = _rollover(limit.rollover)
    if limit.warning_percents != DEFAULT_WARNING_PERCENTS:
        tree["warn_at"] = list(limit.warning_percents)
    if limit.priority:
        tree["priority"] = limit.priority
    if limit.credit_kind is not GrantKind.PROMOTIONAL:
        tree["credits"] = limit.credit_kind.name.lower()
    if limit.swaps is not None:
        tree["swaps"] = {"amount": limit.swaps.amount, **_window(limit.swaps.window)}
    return tree


def _window(window: WindowSpec) -> Tables:
    if window.unit is WindowUnit.LEVEL:
        return {"per": "lifetime"}  # without it, an add-on would change a limit of that name
    tree: Tables = {"per": billing_period_text(window)}
    if window.unit in UNENDING:
        return tree
    if window.alignment is Alignment.ANCHORED:
        tree["align"] = "billing"
    if window.first_weekday:
        tree["week_starts"] = WEEKDAYS[window.first_weekday]
    return tree


def _rate_limit(rate: RateLimit) -> Tables:
    tree = _rate(rate.rate) | _scope(rate.scope)
    if rate.enforcement is not Enforcement.HARD:
        tree["enforcement"] = rate.enforcement.name.lower()
    return tree


def _rate(rate: Rate) -> Tables:
    tree: Tables = {"count": rate.count, "per": Plain(duration_text(rate.period_us))}
    if rate.burst != rate.count:
        tree["burst"] = rate.burst
    return tree


def _rollover(rollover: Rollover) -> Tables:
    tree: Tables = {"windows": rollover.windows}
    if rollover.amount_max is not None:
        tree["amount"] = rollover.amount_max
    if rollover.percent_max is not None:
        tree["percent"] = rollover.percent_max
    if not rollover.while_paused:
        tree["while_paused"] = False
    return tree


def _scope(scope: Scope) -> Tables:
    values: dict[str, list[Tree]] = {}
    for name, value in scope.match:
        values.setdefault(name, []).append(value)
    when = {name: found if len(found) > 1 else found[0] for name, found in values.items()}
    return _filled(each=list(scope.dimensions), when=when)


def _filled(**fields: Tree) -> Tables:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value}
