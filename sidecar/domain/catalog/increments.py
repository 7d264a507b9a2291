"""Whether what an add-on adds meets what is granted: one limit each, by name or by kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Final

from sidecar.domain.catalog.added import Added
from sidecar.domain.catalog.bases import Bases, OwnedGrant, limit_kind, rate_kind
from sidecar.domain.catalog.change_rules import first_change
from sidecar.domain.catalog.model import EntitlementGrant, Limit, RateLimit
from sidecar.domain.formatting import amount_text, window_text
from sidecar.domain.limits.counters import slot_of
from sidecar.domain.nearest import did_you_mean
from sidecar.domain.validation import Path, RuleProblem

_NAMES_TOLD_MAX: Final = 5
_SOLD_WITH: Final = "or say plans: [...] that the add-on is sold with"
_Signature = tuple[frozenset[Hashable], frozenset[Hashable]]
_UNLIMITED: Final[_Signature] = (frozenset(), frozenset())


def increment_problems(
    feature: str, added: EntitlementGrant, met: Iterable[Bases], lacking: str | None
) -> Iterator[RuleProblem]:
    """Yield what an add-on adds to no limit of what it meets, or to several; each once.

    `lacking`: a plan that it is sold with and that does not grant the feature.
    """
    if added.is_change and lacking is not None:
        message = (
            f"plan {lacking!r} does not grant {feature!r}, so there is nothing to add to: write a "
            f"whole limit, with its window (per), {_SOLD_WITH}"
        )
        yield RuleProblem(first_change(added), message)
        return
    told: set[tuple[str, int]] = set()
    for bases in met:
        for problem in _problems(added, bases):
            place = str(problem.path[0]), int(problem.path[1])
            if place not in told:
                told.add(place)
                yield problem


def _problems(added: EntitlementGrant, bases: Bases) -> Iterator[RuleProblem]:
    for at, change in enumerate(added.limit_changes):
        if not bases.all_have_limit(change.limit):
            yield RuleProblem(("limit_changes", at), _no_limit(change.limit, bases))
    for at, rate_change in enumerate(added.rate_changes):
        if not bases.all_have_rate(rate_change.rate):
            yield RuleProblem(("rate_changes", at), _no_rate(rate_change.rate, bases))
    for at, limit in enumerate(added.limits):
        if not bases.all_count(limit):
            yield RuleProblem(("limits", at), _counts_apart(limit, bases))
    for at, rate in enumerate(added.rates):
        if not bases.all_measure(rate):
            yield RuleProblem(("rates", at), _measures_apart(rate, bases))


def _no_limit(name: str, bases: Bases) -> str:
    basis = bases.first(
        lambda grant: bool(grant.limits) and all(limit.id != name for limit in grant.limits)
    )
    names = [limit.id for limit in basis.grant.limits]
    return (
        f"{basis.owner} has no limit {name!r} to add to, but {_listed(names)}: "
        f"name one of them, {_SOLD_WITH}{did_you_mean(name, names)}"
    )


def _no_rate(name: str, bases: Bases) -> str:
    basis = bases.first(
        lambda grant: bool(grant.rates) and all(rate.id != name for rate in grant.rates)
    )
    names = [rate.id for rate in basis.grant.rates]
    return (
        f"{basis.owner} has no rate {name!r} to add to, but {_listed(names)}: "
        f"name one of them, {_SOLD_WITH}{did_you_mean(name, names)}"
    )


def _counts_apart(limit: Limit, bases: Bases) -> str:
    kind = limit_kind(limit)

    def meets(grant: EntitlementGrant) -> list[str]:
        return [other.id for other in grant.limits if limit_kind(other) == kind]

    def at_fault(grant: EntitlementGrant) -> bool:
        met = meets(grant)
        return bool(grant.limits) and len(met) != 1 and limit.id not in met

    basis = bases.first(at_fault)
    met = meets(basis.grant)
    same = [other.id for other in basis.grant.limits if slot_of(other) == slot_of(limit)]
    if same and not met:
        return (
            f"grants credits with another priority, or of another kind, than {same[0]!r} of "
            f"{basis.owner}, to which they would be added: say the same, {_SOLD_WITH}"
        )
    if met:
        return (
            f"counts what several limits of {basis.owner} do ({_listed(met)}): "
            f"give it the name of the one that it adds to, {_SOLD_WITH}"
        )
    return (
        f"counts per {window_text(limit.window)} what no limit of {basis.owner} counts alike, and "
        f"would deny beside them ({_told(basis)}): {_to_write(limit, basis)}, {_SOLD_WITH}"
    )


def _to_write(limit: Limit, basis: OwnedGrant) -> str:
    amount = f"{{amount: {amount_text(limit.amount)}}}"
    if any(other.id == limit.id for other in basis.grant.limits):
        return f"write {limit.id}: {amount} to add to that limit"
    return f"write {amount} under the name of the one to add to"


def _measures_apart(rate: RateLimit, bases: Bases) -> str:
    kind = rate_kind(rate)
    basis = bases.first(
        lambda grant: bool(grant.rates) and all(rate_kind(other) != kind for other in grant.rates)
    )
    names = [other.id for other in basis.grant.rates]
    name = rate.id if rate.id in names else names[0]
    return (
        f"measures what no rate of {basis.owner} does, and would deny beside them "
        f"({_listed(names)}): write {name}: {{count: {rate.rate.count}}} to add to that rate, "
        f"{_SOLD_WITH}"
    )


def _listed(names: Sequence[str]) -> str:
    told = ", ".join(map(repr, names[:_NAMES_TOLD_MAX]))
    return told + (", ..." if len(names) > _NAMES_TOLD_MAX else "")


def _told(basis: OwnedGrant) -> str:
    limits = [
        f"{limit.id!r} per {window_text(limit.window)}"
        for limit in basis.grant.limits[:_NAMES_TOLD_MAX]
    ]
    return ", ".join(limits) + (", ..." if len(basis.grant.limits) > len(limits) else "")


class BroughtGrants:
    """What add-ons bring of a feature to plans that lack it: of two, one raises the other's limits.

    By plan that they are sold with; "" for those that are sold with all. Of those that count the
    same there is the first. `added`: what is added to it by name, where that is not refused.
    """

    def __init__(self, added: Added) -> None:
        self._added = added
        self._any: dict[_Signature, OwnedGrant] = {}
        self._of_plan: defaultdict[str, dict[_Signature, OwnedGrant]] = defaultdict(dict)

    def problems(
        self, add_on: str, grant: EntitlementGrant, plans: Sequence[str]
    ) -> Iterator[RuleProblem]:
        """Yield that a grant counts otherwise than what may be held with it; `plans`: none for all.

        A grant without any limits and rates is unlimited, and leaves others so, but for rates.
        """
        signature = _signature(grant, self._added)
        known = self._any.items() if not plans else self._held_with(plans)
        other = next((each for of, each in known if not _fit(of, signature)), None)
        owned = OwnedGrant(f"add-on {add_on!r}", grant)
        self._any.setdefault(signature, owned)
        if other is None:
            for plan in plans or ("",):
                self._of_plan[plan].setdefault(signature, owned)
            return
        message = (
            f"counts otherwise than {other.owner} does, which brings the feature to the "
            "same plans: whoever holds both would have less than with one; give both the same "
            "windows, scopes and enforcement, and names that others add to"
        )
        yield RuleProblem(_first_ceiling(grant), message)

    def held_with(self, plans: Sequence[str]) -> Iterator[OwnedGrant]:
        """What is brought to some plans, or to any; of what counts the same, the first."""
        if not plans:
            yield from self._any.values()
            return
        yield from dict(self._held_with(plans)).values()

    def _held_with(self, plans: Sequence[str]) -> Iterator[tuple[_Signature, OwnedGrant]]:
        for plan in ("", *plans):
            if plan in self._of_plan:
                yield from self._of_plan[plan].items()


def _first_ceiling(grant: EntitlementGrant) -> Path:
    if grant.limits:
        return ("limits", 0)
    return ("rates", 0) if grant.rates else ()


def _fit(one: _Signature, other: _Signature) -> bool:
    """Whether grants raise each other, whichever comes first."""
    return one == other or (one[1] == other[1] and _UNLIMITED in (one, other))


def _signature(grant: EntitlementGrant, added: Added) -> _Signature:
    """All of a grant's limits and rates but for amounts, speeds, and names that nothing goes by."""
    limits = frozenset(
        (
            *(limit_kind(limit), added.name_of(limit)),
            *(limit.enforcement, limit.across, limit.throttle, limit.rollover),
        )
        for limit in grant.limits
    )
    rates = frozenset(
        (rate_kind(rate), rate.enforcement, added.name_of(rate)) for rate in grant.rates
    )
    return limits, rates
