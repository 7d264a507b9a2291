"""How many limits usage may count on: what is sold is refused before any would be left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.bounds import LIMITS_MAX
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Rate,
    RateLimit,
    Scope,
)
from sidecar.domain.catalog.rules import problems
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    Segment,
    SubscriptionStatus,
)
from sidecar.domain.entitlement.counted_limits import CountedLimits
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.time.units import SECOND_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.domain.validation import field_path_text

DAY = WindowSpec(WindowUnit.DAY)
TOKENS = Feature("tokens", FeatureKind.METERED)


def limits(first: int, last: int, *, by_user: bool = False) -> tuple[Limit, ...]:
    """Limits of models: each counts something else."""
    dimensions = ("user",) if by_user else ()
    return tuple(
        Limit(f"m{model}", DAY, 10, scope=Scope(dimensions, (("model", str(model)),)))
        for model in range(first, last)
    )


def rates(first: int, last: int) -> tuple[RateLimit, ...]:
    return tuple(
        RateLimit(f"r{model}", Rate(1, SECOND_US, 1), scope=Scope((), (("model", str(model)),)))
        for model in range(first, last)
    )


def grant(*held: Limit, rates: tuple[RateLimit, ...] = ()) -> EntitlementGrant:
    return EntitlementGrant("tokens", limits=held, rates=rates)


def sold(*plans: EntitlementGrant, add_ons: tuple[EntitlementGrant, ...] = ()) -> Catalog:
    return Catalog(
        (TOKENS,),
        tuple(Plan(f"p{at}", "", (held,)) for at, held in enumerate(plans)),
        tuple(AddOn(f"a{at}", "", 0, (AddOnEntitlement(held),)) for at, held in enumerate(add_ons)),
    )


def paths(catalog: Catalog, *companies: Company) -> list[str]:
    return [field_path_text(problem.path) for problem in problems(catalog, companies)]


FIRST = "plans[0].entitlements[0]"
REFUSED: dict[str, tuple[Catalog, str]] = {
    "33 of two plans": (sold(grant(*limits(0, 17)), grant(*limits(17, 33))), f"{FIRST}.limits"),
    "33 of a plan and an add-on": (
        sold(grant(*limits(0, 32)), add_ons=(grant(*limits(32, 33)),)),
        f"{FIRST}.limits",
    ),
    "by user in a plan, and of others": (
        sold(grant(*limits(0, 20, by_user=True)), grant(*limits(0, 13))),
        f"{FIRST}.limits",
    ),
    "by user in add-ons alone": (
        sold(
            grant(*limits(0, 20)),
            add_ons=(grant(*limits(0, 7, by_user=True)), grant(*limits(7, 13, by_user=True))),
        ),
        f"{FIRST}.limits",
    ),
    "add-ons alone": (
        sold(add_ons=(grant(*limits(0, 20)), grant(*limits(20, 33)))),
        "add_ons[0].entitlements[0].entitlement.limits",
    ),
    "rates of a plan and an add-on": (
        sold(grant(rates=rates(0, 32)), add_ons=(grant(rates=rates(32, 33)),)),
        f"{FIRST}.rates",
    ),
}

TAKEN: dict[str, Catalog] = {
    "32 of two plans": sold(grant(*limits(0, 17)), grant(*limits(17, 32))),
    "many plans that count the same": sold(*[grant(*limits(0, 32))] * 50),
    "by user, each in a plan of its own": sold(
        grant(*limits(0, 30, by_user=True)), grant(*limits(30, 60, by_user=True))
    ),
    "add-ons that raise the plan's": sold(
        grant(*limits(0, 32), rates=rates(0, 32)),
        add_ons=(grant(*limits(0, 32), rates=rates(0, 32)),) * 2,
    ),
}


@pytest.mark.parametrize(("catalog", "path"), REFUSED.values(), ids=REFUSED)
def test_what_would_leave_usage_out_is_refused_by_name(catalog: Catalog, path: str) -> None:
    assert path in paths(catalog)


@pytest.mark.parametrize("catalog", TAKEN.values(), ids=TAKEN)
def test_what_leaves_none_out_is_taken(catalog: Catalog) -> None:
    assert [] == paths(catalog)


def test_an_override_stands_beside_what_the_catalog_counts() -> None:
    catalog = sold(grant(*limits(0, 20)))
    fits = Company("fits", overrides=(Override(grant(*limits(8, 32))),))
    beyond = Company("beyond", overrides=(Override(grant(*limits(9, 33), *limits(40, 41))),))
    assert ["companies[1].overrides[0].entitlement.limits"] == paths(catalog, fits, beyond)


_models = st.lists(st.tuples(st.integers(0, 24), st.booleans()), max_size=12, unique=True)


def _grant(models: list[tuple[int, bool]]) -> EntitlementGrant:
    held = [
        limit for model, by_user in models for limit in limits(model, model + 1, by_user=by_user)
    ]
    return grant(*held)


@given(st.lists(_models, max_size=4), st.lists(_models, max_size=3), st.data())
def test_in_a_catalog_that_is_taken_no_usage_is_left_out(
    plans: list[list[tuple[int, bool]]], add_ons: list[list[tuple[int, bool]]], data: st.DataObject
) -> None:
    catalog = sold(*map(_grant, plans), add_ons=tuple(map(_grant, add_ons)))
    if any(CountedLimits(catalog).problems()):
        return
    plan = data.draw(st.sampled_from(["", *[plan.key for plan in catalog.plans]]))
    held = data.draw(st.sets(st.sampled_from([a.key for a in catalog.add_ons]))) if add_ons else ()
    bought = [models for at, models in enumerate(add_ons) if f"a{at}" in held]
    expected = set(_granted(plans[int(plan[1:])] if plan else None, bought))
    expected |= {(model, False) for model, by_user in _all(plans, add_ons) if not by_user}

    index = CatalogIndex(catalog, 1)
    segment = Segment(
        status=SubscriptionStatus.ACTIVE,
        plan=plan,
        add_ons=tuple(AddOnSubscription(key, 1) for key in sorted(held)),
    )
    entitlement = index.resolve(segment, "tokens")
    assert entitlement is not None
    counted = (*entitlement.limits, *index.also_counted(entitlement))
    assert expected == {
        (int(dict(limit.scope.match)["model"]), bool(limit.scope.dimensions)) for limit in counted
    }
    assert len(counted) <= LIMITS_MAX


def _all(*sources: list[list[tuple[int, bool]]]) -> Iterator[tuple[int, bool]]:
    for source in sources:
        for models in source:
            yield from models


def _granted(
    plan: list[tuple[int, bool]] | None, bought: list[list[tuple[int, bool]]]
) -> list[tuple[int, bool]]:
    """What a company has limits on. A grant without limits is unlimited, and stays so."""
    grants = ([] if plan is None else [plan]) + bought
    if any(not models for models in grants):
        return []
    return [*_all(grants)]
