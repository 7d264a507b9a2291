"""Where in the file a field stands, also one that a rule names with the words of the API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sidecar.domain.catalog.model import Catalog, EntitlementGrant, Feature
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.validation import RuleProblem
from sidecar.shared.catalog_file.problems import FileProblem, Finding, Path, path_text
from sidecar.shared.catalog_file.yaml_tree import Listing, Node, Scalar, Table

_SCOPE_FIELDS: Final[dict[Path, Path]] = {
    ("scope", "dimensions"): ("each",),
    ("scope", "match"): ("when",),
}
_LIMIT_FIELDS: Final[dict[Path, Path]] = {
    ("id",): (),
    ("window", "unit"): ("per",),
    ("window", "interval"): ("per",),
    ("window", "alignment"): ("align",),
    ("window", "first_weekday"): ("week_starts",),
    ("warning_percents",): ("warn_at",),
    ("throttle", "period"): ("throttle", "per"),
    ("rollover", "max_amount"): ("rollover", "amount"),
    ("rollover", "max_percent"): ("rollover", "percent"),
    ("credit_kind",): ("credits",),
    ("swaps", "window"): ("swaps", "per"),
    **_SCOPE_FIELDS,
}
_RATE_FIELDS: Final[dict[Path, Path]] = {
    ("id",): (),
    ("rate", "period"): ("per",),
    ("rate",): (),
    **_SCOPE_FIELDS,
}
_CHANGE_FIELDS: Final[dict[Path, Path]] = {("limit",): (), ("rate",): (), ("adds",): ()}
_FEATURE_FIELDS: Final[dict[Path, Path]] = {
    ("key",): (),
    ("fail_policy",): ("fail",),
    ("billing", "window"): ("billed_per",),
}
_COMPANY_FIELDS: Final[dict[Path, Path]] = {("id",): ()}
_SUBSCRIPTION_FIELDS: Final[dict[Path, Path]] = {
    ("trial_end_status",): ("after_trial",),
    ("trial_end_plan",): ("after_trial", "plan"),
    ("past_due", "grace_end_plan"): ("past_due", "then", "plan"),
    ("billing_period", "unit"): ("billing_period",),
}
_KEYS: Final = frozenset({"id", "key", "feature", "add_on"})
"""What the rules call the keys of the file."""
_PLAN_FIELDS: Final[dict[Path, Path]] = {
    ("key",): (),
    ("trial", "end_plan"): ("trial", "then", "plan"),
    ("grace", "end_plan"): ("grace", "then", "plan"),
}


def located(root: Node, findings: Iterable[Finding]) -> list[FileProblem]:
    """Turn findings, with paths of the file, into problems with their places."""
    return [_locate(root, finding) for finding in findings]


def found(problem: RuleProblem, catalog: Catalog, companies: Sequence[Company]) -> Finding:
    """Translate a problem of the domain rules, which count things, to the file, by keys."""
    path = _file_path(problem.path, catalog, companies)
    return Finding(path, problem.message, at_key=problem.path[-1] in _KEYS)


def _file_path(path: Path, catalog: Catalog, companies: Sequence[Company]) -> Path:
    match path:
        case ("features", int(at), *rest):
            feature = catalog.features[at]
            return ("features", feature.key, *_feature_path(tuple(rest), feature))
        case ("plans", int(at), *rest):
            plan = catalog.plans[at]
            return ("plans", plan.key, *_grants_path(tuple(rest), plan.entitlements))
        case ("add_ons", int(at), *rest):
            add_on = catalog.add_ons[at]
            grants = [given.grant for given in add_on.entitlements]
            return ("add_ons", add_on.key, *_grants_path(tuple(rest), grants))
        case ("companies", int(at), *rest):
            return ("companies", companies[at].id, *_company_path(tuple(rest), companies[at]))
    return path


def _feature_path(path: Path, feature: Feature) -> Path:
    match path:
        case ("dimensions", "dimensions", int(at), *_) if feature.dimensions is not None:
            return ("dimensions", feature.dimensions[at].name)
        case ("dimensions", *_):
            return ("dimensions",)
        case ("costs", int(at), "credits", *_):
            return ("costs", feature.costs[at].credits)
        case ("costs", int(at), *rest):
            return ("costs", feature.costs[at].credits, *rest)
        case ("billing",):
            return ("billed",)
    return _renamed(path, _FEATURE_FIELDS)


def _grants_path(path: Path, grants: Sequence[EntitlementGrant]) -> Path:
    match path:
        case ("entitlements", int(at), "entitlement", *rest):
            return ("entitlements", *_grant_path(grants[at], tuple(rest)))
        case ("entitlements", int(at), *rest):
            return ("entitlements", *_grant_path(grants[at], tuple(rest)))
    return _renamed(path, _PLAN_FIELDS)


def _grant_path(grant: EntitlementGrant, rest: Path) -> Path:
    match rest:
        case ("limits", int(at), *below):
            fields = _renamed(tuple(below), _LIMIT_FIELDS)
            return (grant.feature, "limits", grant.limits[at].id, *fields)
        case ("rates", int(at), *below):
            fields = _renamed(tuple(below), _RATE_FIELDS)
            return (grant.feature, "rates", grant.rates[at].id, *fields)
        case ("limit_changes", int(at), *below):
            fields = _renamed(tuple(below), _CHANGE_FIELDS)
            return (grant.feature, "limits", grant.limit_changes[at].limit, *fields)
        case ("rate_changes", int(at), *below):
            fields = _renamed(tuple(below), _CHANGE_FIELDS)
            return (grant.feature, "rates", grant.rate_changes[at].rate, *fields)
        case ("overdraft_change", *_):
            return (grant.feature, "overdraft")
        case ("config_value" | "enabled",):
            return (grant.feature, "value")
        case ("feature",):
            return (grant.feature,)
    return (grant.feature, *rest)


def _company_path(path: Path, company: Company) -> Path:
    match path:
        case ("overrides", int(at), "entitlement", *rest):
            grant = company.overrides[at].entitlement
            return ("overrides", *_grant_path(grant, tuple(rest)))
        case ("overrides", int(at), *rest):
            return ("overrides", company.overrides[at].entitlement.feature, *rest)
        case ("subscription", *rest) if company.subscription is not None:
            return _subscription_path(tuple(rest), company.subscription)
    return _renamed(path, _COMPANY_FIELDS)


def _subscription_path(path: Path, subscription: Subscription) -> Path:
    match path:
        case ("add_ons", int(at), _):
            return ("add_ons", subscription.add_ons[at].add_on)
        case ("changes", int(at), "add_ons", "add_ons", int(nth), _):
            add_ons = subscription.changes[at].add_ons or ()
            return ("changes", at, "add_ons", add_ons[nth].add_on)
        case ("changes", int(at), "add_ons", *_):
            return ("changes", at, "add_ons")
    return _renamed(path, _SUBSCRIPTION_FIELDS)


def _renamed(path: Path, names: dict[Path, Path]) -> Path:
    for old, new in names.items():
        if path[: len(old)] == old:
            return new + path[len(old) :]
    return path


def _locate(root: Node, finding: Finding) -> FileProblem:
    """Walk down as far as the file goes: of what is missing, the place is what lacks it."""
    node, at = root, root.at
    path = finding.path
    for depth, step in enumerate(finding.path):
        child = _child(node, step)
        if isinstance(node, Scalar):
            path = finding.path[:depth]  # a short form: `sso: true` has no field `value`
        if child is None:
            break
        at = node.keys[str(step)] if isinstance(node, Table) else child.at
        node = child
    else:
        if isinstance(node, Scalar) and node.text and not finding.at_key:
            at = node.at
    return FileProblem(at, path_text(path), finding.message)


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(node, Table):
        return node.entries.get(str(step))
    if isinstance(node, Listing) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None
