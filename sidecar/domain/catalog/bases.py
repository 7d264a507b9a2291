"""What add-ons of one feature may meet: grants of plans, or of add-ons that replace them.

A catalog may have 10,000 plans and as many add-ons, so that each pair cannot be looked at. What an
add-on has to know of all grants together is counted once, and asked for in a look-up; only where
something is wrong is the grant at fault looked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

from sidecar.domain.catalog.canonical import canonical_scope, canonical_window
from sidecar.domain.catalog.model import EntitlementGrant, Limit, RateLimit


class OwnedGrant(NamedTuple):
    """One grant, and whose it is, in words: `plan 'pro'`."""

    owner: str
    grant: EntitlementGrant


class OwnedLimit(NamedTuple):
    """One limit, what it counts, and whose it is."""

    owner: str
    limit: Limit
    kind: Hashable


class Bases:
    """Grants of one feature, as a whole. `grants` are in the order in which they were added."""

    def __init__(self) -> None:
        self.grants: list[OwnedGrant] = []
        self._limited = self._rated = 0
        self._names: Counter[str] = Counter()
        self._named: defaultdict[str, dict[Hashable, OwnedLimit]] = defaultdict(dict)
        self._alone: Counter[Hashable] = Counter()
        self._named_alike: Counter[Hashable] = Counter()
        self._kinds: Counter[Hashable] = Counter()
        self._rate_names: Counter[str] = Counter()
        self._rate_kinds: Counter[Hashable] = Counter()

    def add(self, owner: str, grant: EntitlementGrant) -> None:
        """Add a grant."""
        self.grants.append(OwnedGrant(owner, grant))
        if grant.limits:
            self._limited += 1
            self._add_limits(owner, grant)
        if grant.rates:
            self._rated += 1
            self._rate_names.update({rate.id for rate in grant.rates})
            self._rate_kinds.update(set(map(rate_kind, grant.rates)))

    def _add_limits(self, owner: str, grant: EntitlementGrant) -> None:
        alike: defaultdict[Hashable, list[Limit]] = defaultdict(list)
        for limit in grant.limits:
            kind = limit_kind(limit)
            alike[kind].append(limit)
            self._named[limit.id].setdefault(kind, OwnedLimit(owner, limit, kind))
        self._names.update({limit.id for limit in grant.limits})
        self._kinds.update(alike.keys())
        for kind, limits in alike.items():
            if len(limits) == 1:
                self._alone[kind] += 1
            else:
                self._named_alike.update((kind, limit.id) for limit in limits)

    def all_have_limit(self, name: str) -> bool:
        """Whether each grant that has limits has one of this name."""
        return self._names[name] == self._limited

    def limits_named(self, name: str) -> Iterable[OwnedLimit]:
        """Limits of this name, one for each thing that some of them count."""
        return self._named[name].values() if name in self._named else ()

    def all_have_rate(self, name: str) -> bool:
        """Whether each grant that has rates has one of this name."""
        return self._rate_names[name] == self._rated

    def all_count(self, limit: Limit) -> bool:
        """Whether each grant that has limits has one that counts the same, and that is meant."""
        kind = limit_kind(limit)
        return self._alone[kind] + self._named_alike[kind, limit.id] == self._limited

    def all_measure(self, rate: RateLimit) -> bool:
        """Whether each grant that has rates has one that measures the same."""
        return self._rate_kinds[rate_kind(rate)] == self._rated

    def first(self, at_fault: Callable[[EntitlementGrant], bool]) -> OwnedGrant:
        """The first grant that is at fault; one has to be."""
        return next(basis for basis in self.grants if at_fault(basis.grant))


def limit_kind(limit: Limit) -> Hashable:
    """What a limit counts, and of credits also when it burns: what is added burns with it."""
    counts = canonical_window(limit.window), canonical_scope(limit.scope)
    return (*counts, limit.priority, limit.credit_kind)


def rate_kind(rate: RateLimit) -> Hashable:
    """What a rate measures."""
    return canonical_scope(rate.scope), rate.rate.period_us
