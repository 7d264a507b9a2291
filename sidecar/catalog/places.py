"""Where in the file a field stands, also one that a rule names with the words of the API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sidecar.catalog.nodes import Listing, Node, Scalar, Table
from sidecar.catalog.problems import Finding, Path, Problem, path_text
from sidecar.domain.catalog import Catalog, Company, EntitlementGrant

_LIMIT_FIELDS: Final[dict[Path, Path]] = {
    ("id",): (),
    ("window", "unit"): ("per",),
    ("window", "interval"): ("per",),
    ("window", "alignment"): ("align",),
    ("window", "first_weekday"): ("week_starts",),
    ("scope", "dimensions"): ("each",),
    ("scope", "match"): ("when",),
    ("warning_percents",): ("warn_at",),
}
_COMPANY_FIELDS: Final[dict[Path, Path]] = {
    ("id",): (),
    ("subscription", "trial_end_status"): ("after_trial",),
    ("subscription",): (),
}
_OWN_KEY: Final[dict[Path, Path]] = {("key",): ()}


def located(root: Node, findings: Iterable[Finding]) -> list[Problem]:
    """Turn findings, with paths of the file, into problems with their places."""
    return [_locate(root, finding) for finding in findings]


def file_path(path: Path, catalog: Catalog, companies: Sequence[Company]) -> Path:
    """Translate a path of the domain rules, which counts things, to one of the file, by keys."""
    match path:
        case ("features", int(at), *rest):
            return ("features", catalog.features[at].key, *_renamed(tuple(rest), _OWN_KEY))
        case ("plans", int(at), "entitlements", int(nth), *rest):
            plan = catalog.plans[at]
            below = _grant_path(plan.entitlements[nth], tuple(rest))
            return ("plans", plan.key, "entitlements", *below)
        case ("plans", int(at), *rest):
            return ("plans", catalog.plans[at].key, *_renamed(tuple(rest), _OWN_KEY))
        case ("companies", int(at), "overrides", int(nth), "entitlement", *rest):
            company = companies[at]
            below = _grant_path(company.overrides[nth].entitlement, tuple(rest))
            return ("companies", company.id, "overrides", *below)
        case ("companies", int(at), "overrides", int(nth), *rest):
            feature = companies[at].overrides[nth].entitlement.feature
            return ("companies", companies[at].id, "overrides", feature, *rest)
        case ("companies", int(at), *rest):
            return ("companies", companies[at].id, *_renamed(tuple(rest), _COMPANY_FIELDS))
    return path


def _grant_path(grant: EntitlementGrant, rest: Path) -> Path:
    match rest:
        case ("limits", int(at), *below):
            fields = _renamed(tuple(below), _LIMIT_FIELDS)
            return (grant.feature, "limits", grant.limits[at].id, *fields)
        case ("config_value" | "enabled",):
            return (grant.feature, "value")
        case ("feature",):
            return (grant.feature,)
    return (grant.feature, *rest)


def _renamed(path: Path, names: dict[Path, Path]) -> Path:
    for old, new in names.items():
        if path[: len(old)] == old:
            return new + path[len(old) :]
    return path


def _locate(root: Node, finding: Finding) -> Problem:
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
    return Problem(at, path_text(path), finding.message)


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(node, Table):
        return node.entries.get(str(step))
    if isinstance(node, Listing) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None
