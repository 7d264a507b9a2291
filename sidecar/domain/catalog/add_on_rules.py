"""Buying more is never less: what add-ons must fulfil together with the plans they are sold with.

Rules
- What an add-on adds has to meet one limit of every plan that it is sold with, by name or by what
  it counts: a limit that meets none would apply beside the plan's, as a second and smaller one. An
  unlimited feature stays unlimited.
- To a plan that lacks the feature an add-on brings whole limits. All that are brought to it have to
  count the same, whatever their order.
- An add-on that replaces must not grant less than the plan, or than one of lower rank that may be
  held with it; nor, with what is brought on top, less than that alone. Where that cannot be
  compared, it is a warning.
- What replaces a grant is met by what is added, as what it replaces is.
- A plan is what it grants now, and each version of it that companies keep.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from sidecar.domain.catalog.added import AddedAmounts
from sidecar.domain.catalog.bases import Bases, OwnedGrant
from sidecar.domain.catalog.increments import BroughtGrants, increment_problems
from sidecar.domain.catalog.model import (
    AddOn,
    Catalog,
    EntitlementGrant,
    Merge,
    Plan,
)
from sidecar.domain.catalog.pack_rules import pack_base_problems
from sidecar.domain.catalog.replacing import Replaced, lessened
from sidecar.domain.company.model import AddOnSubscription
from sidecar.domain.entitlement.add_on_amounts import increased
from sidecar.domain.validation import Path, RuleProblem, below

COMPARED_MAX: Final = 200_000
"""Most pairs of a grant and what may replace it that are compared."""


class _Given(NamedTuple):
    """What an add-on says of a feature, and where."""

    path: Path
    add_on: AddOn
    grant: EntitlementGrant
    merge: Merge


def add_on_problems(catalog: Catalog) -> Iterator[RuleProblem]:
    """Yield what of add-ons would make somebody who buys them have less."""
    compared = _Budget()
    for sold in _by_feature(catalog):
        yield from sold.apart
        yield from (problem for problem, is_less in sold.replaced(compared) if is_less)
        yield from sold.unmet()
    if compared.left < 0:
        message = (
            f"add-ons that replace what plans grant make more than {COMPARED_MAX} pairs with plans "
            "and each other to compare; say plans: [...] that they are sold with"
        )
        yield RuleProblem(("add_ons",), message)


def add_on_warnings(catalog: Catalog) -> Iterator[RuleProblem]:
    """Yield where it cannot be said whether somebody who buys an add-on has less."""
    compared = _Budget()
    for sold in _by_feature(catalog):
        yield from (problem for problem, is_less in sold.replaced(compared) if not is_less)


def _by_feature(catalog: Catalog) -> Iterator[_Sold]:
    """Features with limits of which add-ons say something."""
    limited = {each.key for each in catalog.features if each.kind.has_limits}
    found: defaultdict[str, list[_Given]] = defaultdict(list)
    for at, add_on in enumerate(catalog.add_ons):
        for index, given in enumerate(add_on.entitlements):
            if given.grant.feature in limited:
                path = ("add_ons", at, "entitlements", index, "entitlement")
                found[given.grant.feature].append(_Given(path, add_on, given.grant, given.merge))
    plans = _granted(catalog.plans, found)
    earlier = _granted(catalog.plan_versions, found)
    keys = dict.fromkeys(plan.key for plan in catalog.plans)
    versions = Counter(plan.key for plan in catalog.plan_versions)
    for feature, several in found.items():
        several.sort(key=lambda each: (each.add_on.rank, each.add_on.key))
        having = Counter(plan for plan, _ in earlier[feature])
        some_lack = [plan for plan, count in versions.items() if having[plan] < count]
        yield _Sold(feature, keys, (plans[feature], earlier[feature]), some_lack, several)


def _granted(
    plans: Iterable[Plan], features: Container[str]
) -> defaultdict[str, list[tuple[str, EntitlementGrant]]]:
    """What plans grant of some features, each with the plan's key."""
    found: defaultdict[str, list[tuple[str, EntitlementGrant]]] = defaultdict(list)
    for plan in plans:
        for grant in plan.entitlements:
            if grant.feature in features:
                found[grant.feature].append((plan.key, grant))
    return found


class _Sold:
    """One feature, in all plans and in the add-ons that say something of it, by rank.

    `some_lack`: plans of which companies keep a version that does not grant it. `apart`: what
    add-ons bring to plans that lack it, and that counts otherwise than what others bring.
    `_replacing`: by plan that they are sold with; "" for those that are sold with all.
    """

    def __init__(
        self,
        feature: str,
        plans: Mapping[str, None],
        granted: tuple[Sequence[tuple[str, EntitlementGrant]], ...],
        some_lack: Sequence[str],
        given: Sequence[_Given],
    ) -> None:
        self._feature = feature
        self._known = plans
        self._all, self._earlier_all, self._replacing_all = Bases(), Bases(), Bases()
        self._of_plan: defaultdict[str, Bases] = defaultdict(Bases)
        self._earlier: defaultdict[str, Bases] = defaultdict(Bases)
        self._replacing: defaultdict[str, Bases] = defaultdict(Bases)
        now, earlier = granted
        for plan, grant in now:
            for bases in (self._all, self._of_plan[plan]):
                bases.add(f"plan {plan!r}", grant)
        for plan, grant in earlier:
            for bases in (self._earlier_all, self._earlier[plan]):
                bases.add(f"plan {plan!r} as it was sold before", grant)
        self._lacking = self._first_lacking(plans)
        self._some_lack = frozenset(some_lack)
        self._given = given
        self._added, by_name = AddedAmounts(), AddedAmounts()
        # Where the plan as it is now lacks it, too, what is added to by name is refused.
        lacked = [plan for plan in some_lack if plan in self._of_plan]
        for _, add_on, grant, merge in given:
            if merge is Merge.INCREMENT:
                self._added.add(add_on.key, grant, add_on.plans)
                if lacked and (not add_on.plans or not set(lacked).isdisjoint(add_on.plans)):
                    by_name.add(add_on.key, grant, ())
        self._brought = BroughtGrants(by_name.held_with(()))
        self.apart = list(self._learned())

    def _learned(self) -> Iterator[RuleProblem]:
        """Note what is brought; yield what of it counts apart."""
        for path, add_on, grant, merge in self._given:
            if merge is not Merge.INCREMENT:
                continue
            places = self._lacking_of(add_on.plans)
            if places is not None and not grant.is_change:
                yield from below(path, self._brought.problems(add_on.key, grant, places))

    def replaced(self, compared: _Budget) -> Iterator[tuple[RuleProblem, bool]]:
        """Yield what replacing add-ons lessen, or perhaps do; they are remembered as bases."""
        for path, add_on, grant, merge in self._given:
            if merge is not Merge.OVERRIDE:
                continue
            told: set[tuple[Path, bool]] = set()
            for problem, is_less in self._lessened(add_on, grant, compared):
                if (problem.path, is_less) not in told:  # one plan is enough to be told of
                    told.add((problem.path, is_less))
                    yield RuleProblem(path + problem.path, problem.message), is_less
            owner = f"add-on {add_on.key!r}"
            self._replacing_all.add(owner, grant)
            for plan in add_on.plans or ("",):
                self._replacing[plan].add(owner, grant)

    def _lessened(
        self, add_on: AddOn, grant: EntitlementGrant, compared: _Budget
    ) -> Iterator[Replaced]:
        added = self._added.held_with(add_on.plans)
        met = self._met(add_on.plans, with_earlier=True)
        for basis in compared.of(each for bases in met for each in bases.grants):
            yield from lessened(basis, grant, added)
        places = self._lacking_of(add_on.plans)
        if places is not None:
            held = AddOnSubscription(add_on.key, 1)
            for basis in compared.of(self._brought.held_with(places)):
                after = increased(grant, basis.grant, held)
                yield from lessened(basis, after, added, "which may be held with it")

    def unmet(self) -> Iterator[RuleProblem]:
        """Yield where what add-ons add does not meet what there is; after `replaced`."""
        for given in self._given:
            if given.merge is Merge.INCREMENT:
                yield from below(given.path, self._increments(given))

    def _increments(self, given: _Given) -> Iterator[RuleProblem]:
        plans, grant = given.add_on.plans, given.grant
        lacking = self._first_lacking(plans) if plans else self._lacking
        met = self._met(plans, with_earlier=not grant.is_change)
        yield from increment_problems(self._feature, grant, met, lacking)
        if given.add_on.once:
            yield from pack_base_problems(grant, self._met(plans, with_earlier=True))

    def _first_lacking(self, plans: Iterable[str]) -> str | None:
        lacking = (plan for plan in plans if plan not in self._of_plan and plan in self._known)
        return next(lacking, None)

    def _lacking_of(self, plans: tuple[str, ...]) -> tuple[str, ...] | None:
        """Those of some plans that lack the feature, or did: none for any, `None` where none do."""
        if not plans:
            return () if self._lacking is not None or self._some_lack else None
        lacking = (plan for plan in plans if plan not in self._of_plan or plan in self._some_lack)
        return tuple(lacking) or None

    def _met(self, plans: tuple[str, ...], *, with_earlier: bool) -> Iterator[Bases]:
        """All that an add-on which is sold with some plans, or with all, may meet."""
        if not plans:
            yield self._all
            yield self._replacing_all
            if with_earlier:
                yield self._earlier_all
            return
        yield from (self._replacing[plan] for plan in ("", *plans) if plan in self._replacing)
        yield from (self._of_plan[plan] for plan in plans if plan in self._of_plan)
        if with_earlier:
            yield from (self._earlier[plan] for plan in plans if plan in self._earlier)


class _Budget:
    """How many pairs may still be compared."""

    def __init__(self) -> None:
        self.left = COMPARED_MAX

    def of(self, bases: Iterable[OwnedGrant]) -> Iterator[OwnedGrant]:
        """The bases, as far as they may be compared."""
        for basis in bases:
            self.left -= 1
            if self.left < 0:
                return
            yield basis
