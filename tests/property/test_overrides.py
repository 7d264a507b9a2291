"""An override changes what it names, touches nothing else, and is undone when it ends.

The model keeps amounts by name, and knows no grants: it sets, then adds.
"""

from __future__ import annotations

from typing import Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.canonical import canonical_company
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    LimitChange,
    Plan,
)
from sidecar.domain.company.model import Company, Override, Subscription
from sidecar.domain.company.timeline import compile_snapshot, segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from tests.support.strategies import AMOUNTS, metered_grants

FEATURES: Final = (Feature("calls", FeatureKind.METERED), Feature("tokens", FeatureKind.METERED))
INSTANTS: Final = range(6)


@st.composite
def _overrides(draw: st.DrawFn) -> list[Override]:
    found = []
    for at in range(draw(st.integers(0, 5))):
        names = draw(st.lists(st.sampled_from("abcz"), min_size=1, max_size=2, unique=True))
        changes = tuple(LimitChange(name, draw(AMOUNTS), draw(st.booleans())) for name in names)
        feature = draw(st.sampled_from(["calls", "calls", "tokens"]))
        grant = EntitlementGrant(feature, limit_changes=changes, id=f"o{at}")
        found.append(Override(grant, draw(st.sampled_from([2, 4, INT64_MAX]))))
    return found


@st.composite
def _catalogs(draw: st.DrawFn) -> Catalog:
    grants = (draw(metered_grants("calls")), draw(metered_grants("tokens")))
    return Catalog(FEATURES, (Plan("pro", "", grants),))


def _at(catalog: Catalog, overrides: list[Override], feature: str, at_us: int) -> Entitlement:
    company = Company("acme", subscription=Subscription("pro", 0), overrides=tuple(overrides))
    snapshot = compile_snapshot(canonical_company(company), 1)
    found = CatalogIndex(catalog, 1).resolve(segment_at(snapshot, at_us), feature)
    assert found is not None
    return found


def _amount(before: int | None, name: str, overrides: list[Override]) -> int | None:
    changes = [
        change
        for override in overrides
        for change in override.entitlement.limit_changes
        if change.limit == name
    ]
    amount = before
    for change in changes:
        if not change.adds:
            amount = change.amount
    for change in changes:
        if change.adds:
            unlimited = amount is None or change.amount is None
            amount = None if unlimited else min(INT64_MAX, (amount or 0) + (change.amount or 0))
    return amount


@given(_catalogs(), _overrides())
def test_amounts_are_those_of_the_model_and_all_else_is_as_it_was(
    catalog: Catalog, overrides: list[Override]
) -> None:
    for at_us in INSTANTS:
        for feature in ("calls", "tokens"):
            plain, found = _at(catalog, [], feature, at_us), _at(catalog, overrides, feature, at_us)
            present = [
                each
                for each in overrides
                if each.entitlement.feature == feature and at_us < each.expires_us
            ]
            assert (plain.granted, plain.rates) == (found.granted, found.rates)
            expected = [_amount(each.amount, each.id, present) for each in plain.limits]
            assert expected == [each.amount for each in found.limits]
            for before, after in zip(plain.limits, found.limits, strict=True):
                same = {"amount": before.amount, "rollover": before.rollover}
                assert before == msgspec.structs.replace(after, **same)
                assert after.rollover == (None if after.amount is None else before.rollover)


@given(_catalogs(), _overrides(), st.integers(0, 5))
def test_what_one_adds_and_takes_is_undone_when_it_ends(
    catalog: Catalog, overrides: list[Override], which: int
) -> None:
    ended = overrides[which % len(overrides)] if overrides else None
    others = [each for each in overrides if each is not ended]
    for feature in ("calls", "tokens"):
        for at_us in INSTANTS:
            if ended is not None and at_us < ended.expires_us:
                continue
            assert _at(catalog, others, feature, at_us) == _at(catalog, overrides, feature, at_us)
