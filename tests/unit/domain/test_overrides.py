"""How a company's overrides of one feature join, by outcome."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    LimitChange,
    Plan,
    RateChange,
)
from sidecar.domain.company.model import AddOnSubscription, Segment, SubscriptionStatus
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.entitlement.sources import SourceEffect, SourceKind
from tests.support.build import DAY, limit, metered

CALLS: Final = Feature("calls", FeatureKind.METERED)
PLAN: Final = metered("calls", limit("monthly", 100), limit("daily", 10, window=DAY))
MORE: Final = EntitlementGrant("calls", limit_changes=(LimitChange("monthly", 50, adds=True),))
INDEX: Final = CatalogIndex(
    Catalog(
        (CALLS,),
        (Plan("free"), Plan("open", "", (metered("calls"),)), Plan("pro", "", (PLAN,))),
        (AddOn("pack", "", 0, (AddOnEntitlement(MORE),)),),
    ),
    1,
)


def adds(amount: int | None, name: str = "monthly", id_: str = "a") -> EntitlementGrant:
    return EntitlementGrant("calls", limit_changes=(LimitChange(name, amount, True),), id=id_)


def sets(amount: int | None, name: str = "monthly", id_: str = "a") -> EntitlementGrant:
    return EntitlementGrant("calls", limit_changes=(LimitChange(name, amount),), id=id_)


def replaces(amount: int, id_: str = "a") -> EntitlementGrant:
    return msgspec.structs.replace(metered("calls", limit("monthly", amount)), id=id_)


def segment(plan: str, *overrides: EntitlementGrant, packs: int = 0) -> Segment:
    """Overrides come in the order of their ids, as timelines have them."""
    return Segment(
        status=SubscriptionStatus.ACTIVE,
        plan=plan,
        add_ons=(AddOnSubscription("pack", packs),) if packs else (),
        overrides=tuple(sorted(overrides, key=lambda override: override.id)),
    )


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(segment("pro", adds(7)), [107, 10], id="adds to one and leaves the other"),
        pytest.param(segment("pro", sets(7)), [7, 10], id="sets one and leaves the other"),
        pytest.param(segment("pro", sets(None)), [None, 10], id="lifts one"),
        pytest.param(segment("pro", adds(7), packs=2), [207, 10], id="on top of add-ons"),
        pytest.param(segment("pro", sets(7), packs=2), [7, 10], id="in place of add-ons"),
        pytest.param(
            segment("pro", adds(7, id_="a"), adds(3, id_="b")), [110, 10], id="all that adds"
        ),
        pytest.param(
            segment("pro", adds(7, id_="a"), sets(3, id_="b")), [10, 10], id="first sets, then adds"
        ),
        pytest.param(
            segment("pro", sets(7, id_="a"), sets(3, id_="b")), [3, 10], id="the later id sets"
        ),
        pytest.param(
            segment("pro", adds(7, id_="a"), replaces(5, id_="b")), [12], id="first replaces"
        ),
        pytest.param(
            segment("pro", replaces(7, id_="a"), replaces(5, id_="b")), [5], id="the later id"
        ),
        pytest.param(segment("pro", adds(7), sets(None, id_="b")), [None, 10], id="no sum of it"),
        pytest.param(segment("pro", adds(7, "gone")), [100, 10], id="a name that there is not"),
        pytest.param(segment("open", adds(7)), [], id="what is unlimited stays so"),
        pytest.param(
            segment("pro", msgspec.structs.replace(adds(7), feature="tokens")),
            [100, 10],
            id="another feature",
        ),
    ],
)
def test_amounts_come_of_all_that_holds(of: Segment, expected: list[int | None]) -> None:
    found = INDEX.resolve(of, "calls")
    assert found is not None
    assert found.entitled
    assert expected == [each.amount for each in found.limits]


def test_nothing_to_change_grants_nothing() -> None:
    found = INDEX.resolve(segment("free", adds(7)), "calls")
    assert found is not None
    assert not found.granted


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(segment("pro", adds(7)), [("a", SourceEffect.ADDED)], id="adds"),
        pytest.param(segment("pro", sets(7)), [("a", SourceEffect.REPLACED)], id="sets"),
        pytest.param(segment("pro", sets(100)), [("a", SourceEffect.OUTRANKED)], id="as before"),
        pytest.param(segment("open", adds(7)), [("a", SourceEffect.OUTRANKED)], id="unlimited"),
        pytest.param(segment("pro", adds(7, "gone")), [("a", SourceEffect.SILENT)], id="no name"),
        pytest.param(segment("free", adds(7)), [("a", SourceEffect.SILENT)], id="not granted"),
        pytest.param(
            segment("pro", adds(7, id_="a"), sets(5, "daily", "b"), replaces(9, "c")),
            [
                ("c", SourceEffect.REPLACED),
                ("b", SourceEffect.SILENT),
                ("a", SourceEffect.ADDED),
            ],
            id="in the order of merging",
        ),
    ],
)
def test_each_says_what_it_did(of: Segment, expected: list[tuple[str, SourceEffect]]) -> None:
    found = [
        (source.key, source.effect)
        for source in INDEX.sources(of, CALLS)
        if source.kind is SourceKind.OVERRIDE
    ]
    assert expected == found


def test_one_that_sets_and_adds_does_both_in_turn() -> None:
    both = EntitlementGrant(
        "calls",
        limit_changes=(LimitChange("monthly", 7, True), LimitChange("daily", 5)),
        rate_changes=(RateChange("burst", 1, 1),),
        id="a",
    )
    found = [(source.key, source.effect) for source in INDEX.sources(segment("pro", both), CALLS)]
    assert [("a", SourceEffect.REPLACED), ("a", SourceEffect.ADDED)] == found[1:]
