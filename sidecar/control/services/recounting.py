"""Says which limits count something else by what is applied, and for how many companies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from sidecar.control.storage.port import ReadTransaction
from sidecar.domain.catalog.model import Catalog, EntitlementGrant, FeatureKind
from sidecar.domain.company.model import Company
from sidecar.domain.difference.recounting import (
    RecountedLimit,
    recounted_in_catalog,
    recounted_in_overrides,
)
from sidecar.domain.validation import RuleProblem, below

COUNTED_MAX: Final = 5_000
"""Companies that are looked at to say how many have a plan or an add-on, at the most."""
_PAGE: Final = 500
_PACKS_ANEW: Final = (
    "; what was used of packs for it, and what rolled over, does not go along: packs that are "
    "held begin anew {}"
)


_WHAT_BECOMES: Final = {
    FeatureKind.METERED: "what was used in its running window is taken over from the ledger in the "
    "background",
    FeatureKind.CREDITS: "it grants its amount anew in the window of now, whatever was burned",
    FeatureKind.SEATS: "who has a seat of before has none in the windows of now until it is used",
}


def recounting_warnings(
    transaction: ReadTransaction, before: Catalog, after: Catalog
) -> Iterator[RuleProblem]:
    """Yield the limits of a catalog that count something else, where companies have them.

    `after`: as it was given. Paths are of it.
    """
    kinds = _kinds(after)
    found = [each for each in recounted_in_catalog(before, after) if each.feature in kinds]
    packs = {_packs_key(each): _packs_for(after, each) for each in found}
    holders, complete = _holders(transaction, {(each.source, each.key) for each in found}, packs)
    for each in found:
        companies = holders[each.source, each.key]
        if companies or not complete:
            for_whom = _number(companies, complete=complete)
            message = _message(each, kinds[each.feature], for_whom)
            if holders_of_packs := holders[_packs_key(each)]:
                message += _PACKS_ANEW.format(_number(holders_of_packs, complete=complete))
            yield RuleProblem(each.path, message)


def override_recounting_warnings(
    given: Sequence[Company], held: Iterable[Company], catalog: Catalog
) -> Iterator[RuleProblem]:
    """Yield the same of the overrides of companies. `held`: as they are stored, where they are."""
    kinds = _kinds(catalog)
    stored = {company.id: company for company in held}
    for at, company in enumerate(given):
        if company.id in stored:
            found = recounted_in_overrides(stored[company.id].overrides, company.overrides)
            told = (
                RuleProblem(each.path, _message(each, kinds[each.feature], f"for {company.id!r}"))
                for each in found
                if each.feature in kinds
            )
            yield from below(("companies", at), told)


def _kinds(catalog: Catalog) -> dict[str, FeatureKind]:
    """The kinds of features whose limits may count otherwise."""
    return {each.key: each.kind for each in catalog.features if each.kind in _WHAT_BECOMES}


def _holders(
    transaction: ReadTransaction,
    wanted: set[tuple[str, str]],
    packs: Mapping[tuple[str, str], frozenset[str]],
) -> tuple[Counter[tuple[str, str]], bool]:
    """How many companies have each of the plans and add-ons, and whether all were looked at.

    And, by `_packs_key`, how many have any of the packs for a limit.
    """
    holders: Counter[tuple[str, str]] = Counter()
    keys = sorted({key for _, key in wanted}.union(*packs.values()))
    after, seen = "", 0
    while keys and (page := transaction.companies_naming(keys, after, _PAGE)):
        for stored in page:
            if (subscription := stored.company.subscription) is not None:
                holders["plan", subscription.plan] += 1
                held = {each.add_on for each in subscription.add_ons}
                holders.update(("add-on", key) for key in held)
                holders.update(limit for limit, sold in packs.items() if held & sold)
        after, seen = page[-1].company.id, seen + len(page)
        if seen >= COUNTED_MAX:
            return holders, False
    return holders, True


def _packs_key(each: RecountedLimit) -> tuple[str, str]:
    return "packs", f"{each.feature}/{each.limit}"


def _packs_for(catalog: Catalog, each: RecountedLimit) -> frozenset[str]:
    """The packs of a catalog that add to a limit."""
    return frozenset(
        add_on.key
        for add_on in catalog.add_ons
        if add_on.once and any(_adds_to(given.grant, each) for given in add_on.entitlements)
    )


def _adds_to(grant: EntitlementGrant, each: RecountedLimit) -> bool:
    names = {limit.id for limit in grant.limits} | {change.limit for change in grant.limit_changes}
    return grant.feature == each.feature and each.limit in names


def _number(companies: int, *, complete: bool) -> str:
    text = "1 company" if companies == 1 else f"{companies:,} companies"
    return f"for {text}" if complete else f"for {text} or more"


def _message(each: RecountedLimit, kind: FeatureKind, for_whom: str) -> str:
    place = f"{each.source} {each.key!r}" if each.key else each.source
    return (
        f"limit {each.limit!r} of {each.feature!r} in {place} counts otherwise from now on, "
        f"{for_whom} ({each.before} -> {each.after}): {_WHAT_BECOMES[kind]}"
    )
