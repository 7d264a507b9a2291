"""What sidecars of before are told of overrides: they decide as those of now do."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    EntitlementGrant,
    LimitChange,
    Rate,
    RateChange,
    RateLimit,
)
from sidecar.domain.company.model import (
    AddOnSubscription,
    CompanySnapshot,
    OverrideSpan,
    Phase,
    Span,
)
from sidecar.domain.company.spans import arranged, in_force, segments_of
from sidecar.domain.entitlement import earlier_overrides
from sidecar.domain.entitlement.earlier_overrides import snapshot_without_changes
from sidecar.domain.entitlement.earlier_readers import catalog_without_changes
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.time.units import SECOND_US
from tests.support.build import catalog, limit, metered

RATE = RateLimit("burst", Rate(1_000, SECOND_US, 1_000))


def _grant(feature: str, amount: int) -> EntitlementGrant:
    return msgspec.structs.replace(metered(feature, limit(amount=amount)), rates=(RATE,))


MORE = EntitlementGrant("calls", limit_changes=(LimitChange("monthly", 7, adds=True),), id="more")
LESS = EntitlementGrant("calls", limit_changes=(LimitChange("monthly", 15),), id="less")
SLOWER = EntitlementGrant("calls", rate_changes=(RateChange("burst", 1, 1),), id="slower")
SILENT = EntitlementGrant("calls", limit_changes=(LimitChange("daily", 1),), id="silent")
WHOLE = msgspec.structs.replace(_grant("calls", 40), id="a whole one")
CHANGES = (MORE, LESS, SLOWER, SILENT, WHOLE)
BOOST = EntitlementGrant("calls", limit_changes=MORE.limit_changes)
SOLD = msgspec.structs.replace(
    catalog(
        {
            "free": [_grant("calls", 10)],
            "none": [],
            "pro": [_grant("calls", 100), _grant("tokens", 100)],
        }
    ),
    add_ons=(
        AddOn("boost", entitlements=(AddOnEntitlement(msgspec.structs.replace(MORE, id="")),)),
    ),
)
BEFORE = CatalogIndex(catalog_without_changes(SOLD), 1)
NOW = CatalogIndex(SOLD, 1)
PHASES = (
    Phase(until_us=2, plan="pro"),
    Phase(2, 4, plan="free"),
    Phase(4, 5, plan="none"),
    Phase(5, plan="pro"),
)


def _granted(index: CatalogIndex, snapshot: CompanySnapshot, at_us: int) -> tuple[object, ...]:
    """What a sidecar decides by: amounts and rates of both features."""
    (segment,) = [each for each in segments_of(snapshot) if each.from_us <= at_us < each.until_us]
    found = [index.resolve(segment, key) for key in ("calls", "tokens")]
    return tuple(
        None
        if each is None
        else (
            each.reason,
            [(one.id, one.amount) for one in each.limits],
            [(one.id, one.rate) for one in each.rates],
        )
        for each in found
    )


@pytest.mark.parametrize(
    ("held", "amount", "count"),
    [
        ((MORE,), 107, 1_000),
        ((LESS,), 15, 1_000),
        ((SLOWER,), 100, 1),
        ((SILENT,), 100, 1_000),
        ((MORE, LESS, SLOWER), 22, 1),
        ((WHOLE, MORE), 47, 1_000),
        ((WHOLE,), 40, 1_000),
    ],
)
def test_overrides_are_told_as_the_whole_that_comes_of_them(
    held: tuple[EntitlementGrant, ...], amount: int, count: int
) -> None:
    snapshot = CompanySnapshot("acme", 1, (Phase(plan="pro"),), (), arranged(map(Span, held)))
    (told,) = snapshot_without_changes(snapshot, NOW).overrides
    assert (False, amount) == (told.content.is_change, told.content.limits[0].amount)
    assert [count] == [each.rate.count for each in told.content.rates]


def test_what_changes_nothing_that_is_granted_grants_nothing() -> None:
    snapshot = CompanySnapshot("acme", 1, (Phase(plan="none"),), (), (Span(MORE),))
    assert () == snapshot_without_changes(snapshot, NOW).overrides


def test_where_there_is_no_catalog_changes_are_left_out() -> None:
    held = (Span(MORE), Span(metered("tokens", limit())))
    told = snapshot_without_changes(CompanySnapshot("acme", 1, overrides=held), None)
    assert held[1:] == told.overrides


def test_past_the_bound_the_latest_stretches_are_worked_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(earlier_overrides, "STRETCHES_MAX", 2)
    snapshot = CompanySnapshot("acme", 1, PHASES, (), (Span(LESS),))
    (told,) = snapshot_without_changes(snapshot, NOW).overrides
    assert (15, 5, FOREVER_US) == (told.content.limits[0].amount, told.from_us, told.until_us)


@st.composite
def _overrides(draw: st.DrawFn) -> tuple[OverrideSpan, ...]:
    """Overrides of two features that may be in force at once, told apart by their ids."""
    random = Random(draw(st.integers(0, 1 << 30)))
    spans = []
    for at in range(draw(st.integers(0, 8))):
        content = random.choice([*CHANGES, metered("tokens", limit(amount=random.randrange(3)))])
        content = msgspec.structs.replace(content, id=f"{at}" if at else "")
        from_us, until_us = sorted(random.sample([BEGINNING_US, 1, 2, 3, 4, 5, FOREVER_US], 2))
        spans.append(Span(content, from_us, until_us))
    return arranged(spans)


@given(_overrides(), st.integers(0, 2))
def test_at_each_instant_they_decide_as_a_sidecar_of_now_where_overrides_are(
    overrides: tuple[OverrideSpan, ...], packs: int
) -> None:
    add_ons = (Span(AddOnSubscription("boost", packs)),) if packs else ()
    snapshot = CompanySnapshot("acme", 1, PHASES, add_ons, overrides)
    told = snapshot_without_changes(snapshot, NOW)
    for at_us in range(7):
        held = in_force(overrides, at_us)
        features = [grant.feature for grant in in_force(told.overrides, at_us)]
        assert len(set(features)) == len(features)
        before, now = _granted(BEFORE, told, at_us), _granted(NOW, snapshot, at_us)
        if any(grant.feature == "calls" for grant in held):
            assert now[0] == before[0]
        assert now[1] == before[1]


@given(_overrides())
def test_without_a_catalog_the_last_override_that_replaces_is_told(
    overrides: tuple[OverrideSpan, ...],
) -> None:
    told = snapshot_without_changes(CompanySnapshot("acme", 1, overrides=overrides), None).overrides
    for at_us in range(7):
        last = {grant.feature: grant for grant in in_force(overrides, at_us) if not grant.is_change}
        assert last == {grant.feature: grant for grant in in_force(told, at_us)}
        assert len(last) == len(in_force(told, at_us))
