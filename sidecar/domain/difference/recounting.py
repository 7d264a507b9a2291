"""Limits that count something else than before: by another window or scope, so on other counters.

Rules
- Limits are told apart by name. One that is gone while another one is new in the same place was
  renamed, where it is the only one of each.
- What a limit counts is its window and its scope. A limit that counts what any limit of the place
  counted before goes on with that usage, whatever it was called: nothing changes by it.
- Companies that keep their version of a plan count as before; so do those that move later, and
  meanwhile their usage counts on the new limits that are company-wide, too. By a change that moves
  companies now, those of every earlier version get the new one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from sidecar.domain.catalog.canonical import canonical_catalog, canonical_scope, canonical_window
from sidecar.domain.catalog.model import Catalog, EntitlementGrant, Limit, Scope
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.catalog.versions import all_versions
from sidecar.domain.company.model import Override
from sidecar.domain.formatting import window_text
from sidecar.domain.validation import Path


class RecountedLimit(msgspec.Struct, frozen=True):
    """A limit of a plan, an add-on or an override that counts something else than before.

    `path`: where it stands in what was given. `source`: `plan`, `add-on` or `override`; `key`: of
    the plan or the add-on, empty for an override. `before` and `after`: what it counts, for people.
    """

    path: Path
    source: str
    key: str
    feature: str
    limit: str
    before: str
    after: str


def recounted_in_catalog(before: Catalog, after: Catalog) -> Iterator[RecountedLimit]:
    """Yield limits of plans and add-ons, in the order in which the second catalog has them."""
    plans: dict[str, list[dict[str, EntitlementGrant]]] = defaultdict(list)
    for plan in all_versions(before):
        plans[plan.key].append({grant.feature: grant for grant in plan.entitlements})
    held_as = {plan.key: plan.entitlements for plan in before.plans}
    granted_as = {plan.key: plan.entitlements for plan in canonical_catalog(after).plans}
    for at, plan in enumerate(after.plans):
        changes = granted_as[plan.key] != held_as.get(plan.key)
        if not changes or plan.existing is not ExistingCompanies.MOVE_NOW:
            continue
        for index, grant in enumerate(plan.entitlements):
            path: Path = ("plans", at, "entitlements", index)
            told: dict[Path, RecountedLimit] = {}
            for granted in plans[plan.key]:  # companies may come from any of its versions
                was = granted.get(grant.feature)
                for each in _recounted(path, "plan", plan.key, was, grant):
                    told.setdefault(each.path, each)
            yield from told.values()
    add_ons = {add_on.key: add_on for add_on in before.add_ons}
    for at, add_on in enumerate(after.add_ons):
        if add_on.key in add_ons:
            held = {given.grant.feature: given.grant for given in add_ons[add_on.key].entitlements}
            for index, given in enumerate(add_on.entitlements):
                path = ("add_ons", at, "entitlements", index, "entitlement")
                was = held.get(given.grant.feature)
                yield from _recounted(path, "add-on", add_on.key, was, given.grant)


def recounted_in_overrides(
    before: Sequence[Override], after: Sequence[Override]
) -> Iterator[RecountedLimit]:
    """Yield limits of a company's overrides, in the order in which they are given."""
    held = {(each.entitlement.feature, each.entitlement.id): each.entitlement for each in before}
    for at, override in enumerate(after):
        grant = override.entitlement
        was = held.get((grant.feature, grant.id))
        yield from _recounted(("overrides", at, "entitlement"), "override", "", was, grant)


def what_it_counts(limit: Limit) -> tuple[object, Scope]:
    """What a limit counts: of two that are equal in it, both count on the same counter."""
    return canonical_window(limit.window), canonical_scope(limit.scope)


def _recounted(
    path: Path, source: str, key: str, before: EntitlementGrant | None, after: EntitlementGrant
) -> Iterator[RecountedLimit]:
    if before is None or before.limits == after.limits:
        return
    held = {limit.id: limit for limit in before.limits if limit.is_counted}
    names = {limit.id for limit in after.limits}
    gone = [limit for limit in held.values() if limit.id not in names]
    new = [limit for limit in after.limits if limit.is_counted and limit.id not in held]
    if len(gone) == len(new) == 1:
        held[new[0].id] = gone[0]
    counted = {what_it_counts(limit) for limit in before.limits}
    for at, limit in enumerate(after.limits):
        was = held.get(limit.id)
        if was is None or not limit.is_counted or what_it_counts(limit) in counted:
            continue
        yield RecountedLimit(
            (*path, "limits", at),
            source,
            key,
            after.feature,
            limit.id,
            _text_of(was),
            _text_of(limit),
        )


def _text_of(limit: Limit) -> str:
    scope = canonical_scope(limit.scope)
    text = window_text(limit.window)
    if scope.dimensions:
        text += f" for each {', '.join(scope.dimensions)}"
    if scope.match:
        text += f" when {', '.join(f'{name}={value}' for name, value in scope.match)}"
    return text
