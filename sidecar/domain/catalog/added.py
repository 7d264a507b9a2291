"""What add-ons of one feature add to, by name or by kind: what takes its place has to get it, too.

An amount that goes on top of limit `monthly` goes on top of whatever has that name once another
add-on has replaced it. Where that counts something else, what was bought of the other is gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Final, TypeAlias

from sidecar.domain.catalog.bases import limit_kind
from sidecar.domain.catalog.model import EntitlementGrant, Limit, RateLimit

_AddOns: TypeAlias = Mapping[str, str]
"""By the plans that they are sold with, "" for all: an add-on each."""
_ANYTHING: Final = ("anything",)


class Added:
    """What is added by add-ons that may be held together with some plans; false for nothing."""

    def __init__(self, add_ons: Mapping[Hashable, _AddOns], plans: Sequence[str]) -> None:
        self._add_ons = add_ons
        self._plans = plans
        self._found: dict[Hashable, str | None] = {}

    def __bool__(self) -> bool:
        return self._adds_to(_ANYTHING) is not None

    def lost(self, before: Limit, after: Limit) -> str | None:
        """An add-on that adds to a limit, but not, or not the same, to one in its place."""
        lost = None if before.id == after.id else self._adds_to(("limit", before.id))
        if lost is None and before.enforcement is not after.enforcement:
            lost = self._adds_to(("several", limit_kind(before)))
        return lost

    def lost_rate(self, before: RateLimit, after: RateLimit) -> str | None:
        """An add-on that adds to a rate, but not to one in its place."""
        return None if before.id == after.id else self._adds_to(("rate", before.id))

    def name_of(self, ceiling: Limit | RateLimit) -> str:
        """The name of a limit or a rate, where something is added to it by name."""
        kind = "limit" if isinstance(ceiling, Limit) else "rate"
        return "" if self._adds_to((kind, ceiling.id)) is None else ceiling.id

    def _adds_to(self, what: Hashable) -> str | None:
        if what not in self._found:
            self._found[what] = self._first(self._add_ons.get(what, {}))
        return self._found[what]

    def _first(self, add_ons: _AddOns) -> str | None:
        plans = ("", *self._plans) if self._plans else add_ons
        return next((add_ons[plan] for plan in plans if plan in add_ons), None)


class AddedAmounts:
    """What add-ons add: names of limits and of rates, and what one counts several times."""

    def __init__(self) -> None:
        self._add_ons: defaultdict[Hashable, dict[str, str]] = defaultdict(dict)

    def add(self, add_on: str, grant: EntitlementGrant, plans: Sequence[str]) -> None:
        """Note what an add-on adds; `plans`: that it is sold with, none for all."""
        kinds = [limit_kind(limit) for limit in grant.limits]
        whats: list[Hashable] = [_ANYTHING]
        whats += [("limit", change.limit) for change in grant.limit_changes]
        whats += [("rate", change.rate) for change in grant.rate_changes]
        whats += [("several", kind) for kind in kinds if kinds.count(kind) > 1]
        for what in whats:
            for plan in plans or ("",):
                self._add_ons[what].setdefault(plan, add_on)

    def held_with(self, plans: Sequence[str]) -> Added:
        """What is added together with these plans, none for any."""
        return Added(self._add_ons, plans)
