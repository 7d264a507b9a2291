"""What sidecars of before are told of a catalog that they cannot read: less, rather than more.

They know neither changes of what is granted, nor amounts by value, nor limits on any of several
values, nor packs. A grant of changes would read as unlimited, a pack as one for each window, and a
limit on several values as one on all usage: each value has its share. Limits for each request are
left out: a unit that they do not know would keep them from the whole catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count, product
from math import prod
from typing import Final, TypeVar

import msgspec

from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX, LIMITS_MAX
from sidecar.domain.catalog.model import (
    AddOn,
    Catalog,
    EntitlementGrant,
    Limit,
    Plan,
    Rate,
    RateLimit,
    Scope,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies

_replace = msgspec.structs.replace
_REQUEST: Final = "limits for each request"
_Ceiling = TypeVar("_Ceiling", Limit, RateLimit)


def catalog_without_changes(catalog: Catalog) -> Catalog:
    """A catalog without what add-ons change of limits, and with one amount and value of each."""
    return _replace(
        catalog,
        plans=tuple(map(_plan, catalog.plans)),
        add_ons=tuple(map(_add_on, catalog.add_ons)),
        plan_versions=tuple(map(_plan, catalog.plan_versions)),
    )


def plain_grant(grant: EntitlementGrant) -> EntitlementGrant:
    """What is granted, whole, without what they cannot read."""
    limits, rates = tuple(limit for limit in grant.limits if limit.is_counted), grant.rates
    limits = tuple(_with_least_amount(limit) for limit in limits)
    taken = {limit.id for limit in limits} | {rate.id for rate in rates}
    limits = _by_value(limits, taken, _limit_share)
    rates = _by_value(rates, taken, _rate_share)
    return _replace(grant, limits=limits, rates=rates)


def told_less(catalog: Catalog) -> Iterator[str]:
    """Yield, for people, what of a catalog they are told less of; of each kind and feature once.

    What they would allow more by comes first.
    """
    found: dict[str, None] = {}
    for plan in (*catalog.plans, *catalog.plan_versions):
        for grant in plan.entitlements:
            found.update(dict.fromkeys(_less_of_grant(grant)))
        if plan.existing is not ExistingCompanies.MOVE_NOW:
            found[f"earlier versions of plan {plan.key!r} (they have the newest)"] = None
    for add_on in catalog.add_ons:
        if add_on.once or any(given.grant.is_change for given in add_on.entitlements):
            found[f"add-on {add_on.key!r} (it gives nothing)"] = None
        for given in add_on.entitlements:
            found.update(dict.fromkeys(_less_of_grant(given.grant)))
    yield from sorted(found, key=lambda text: not text.startswith(_REQUEST))


def _less_of_grant(grant: EntitlementGrant) -> Iterator[str]:
    of = f"of {grant.feature!r}"
    if any(not limit.is_counted for limit in grant.limits):
        yield f"{_REQUEST} {of} (they have none)"
    if any(limit.amounts for limit in grant.limits):
        yield f"amounts of single values {of} (all have the least)"
    scopes = [limit.scope for limit in grant.limits] + [rate.scope for rate in grant.rates]
    if any(len(dict(scope.match)) < len(scope.match) for scope in scopes):
        yield f"limits on several values {of} (each value has a share)"


def _plan(plan: Plan) -> Plan:
    return _replace(plan, entitlements=tuple(map(plain_grant, plan.entitlements)))


def _add_on(add_on: AddOn) -> AddOn:
    entitlements = tuple(
        _replace(given, grant=plain_grant(given.grant))
        for given in add_on.entitlements
        if not given.grant.is_change and not add_on.once
    )
    return _replace(add_on, entitlements=entitlements)


def _by_value(
    ceilings: Sequence[_Ceiling], taken: set[str], share: Callable[[_Ceiling, int], _Ceiling]
) -> tuple[_Ceiling, ...]:
    """One for each combination of the values that a scope fixes, with its share.

    Where there is no room for so many, one on all usage in place of those on several values.
    """
    values = [_values(ceiling.scope) for ceiling in ceilings]
    combinations = [prod(map(len, each.values())) for each in values]
    if sum(combinations) > LIMITS_MAX:
        return tuple(
            _replace(ceiling, scope=_replace(ceiling.scope, match=_fixed(each)))
            for ceiling, each in zip(ceilings, values, strict=True)
        )
    found: list[_Ceiling] = []
    for ceiling, each, shares in zip(ceilings, values, combinations, strict=True):
        part = ceiling if shares == 1 else share(ceiling, shares)
        for number, match in enumerate(product(*each.values())):
            scope = _replace(ceiling.scope, match=match)
            name = _free_name(ceiling.id, taken) if number else ceiling.id
            found.append(_replace(part, id=name, scope=scope))
    return tuple(found)


def _values(scope: Scope) -> dict[str, list[tuple[str, str]]]:
    values: dict[str, list[tuple[str, str]]] = {}
    for name, value in scope.match:
        values.setdefault(name, []).append((name, value))
    return values


def _fixed(values: dict[str, list[tuple[str, str]]]) -> tuple[tuple[str, str], ...]:
    """The values of dimensions that have one alone."""
    return tuple(each[0] for each in values.values() if len(each) == 1)


def _limit_share(limit: Limit, shares: int) -> Limit:
    rollover, throttle = limit.rollover, limit.throttle
    if rollover is not None and rollover.amount_max is not None:
        rollover = _replace(rollover, amount_max=rollover.amount_max // shares)
    return _replace(
        limit,
        amount=None if limit.amount is None else limit.amount // shares,
        rollover=rollover,
        throttle=None if throttle is None else _part_of_rate(throttle, shares),
    )


def _rate_share(rate: RateLimit, shares: int) -> RateLimit:
    return _replace(rate, rate=_part_of_rate(rate.rate, shares))


def _part_of_rate(rate: Rate, shares: int) -> Rate:
    return _replace(rate, count=max(1, rate.count // shares), burst=max(1, rate.burst // shares))


def _free_name(name: str, taken: set[str]) -> str:
    """The name with the first number that is free; it is taken then."""
    for number in count(2):
        end = f".{number}"
        free = name.encode()[: IDENTIFIER_BYTES_MAX - len(end)].decode(errors="ignore") + end
        if free not in taken:
            break
    taken.add(free)
    return free


def _with_least_amount(limit: Limit) -> Limit:
    amounts = [limit.amount, *(amount for _, amount in limit.amounts)]
    least = min((amount for amount in amounts if amount is not None), default=None)
    return _replace(limit, amount=least, amounts=(), packs=0)
