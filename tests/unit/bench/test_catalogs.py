"""What the sections on limits and changes sell, and what they ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.control.services import directory
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.domain.catalog.model import Catalog, Limit, RateLimit
from sidecar.domain.catalog.rules import problems
from sidecar.domain.company.timeline import compile_snapshot, segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from sidecar.domain.limits.counters import scope_values
from sidecar.shared.convert.catalog import catalog_from_message
from tests.bench.catalogs import (
    LARGER_PLAN,
    LIMIT_AND_RATE,
    ONE_LIMIT,
    PROBED,
    TEN_LIMITS,
    change_catalog,
    company,
    credits_catalog,
    limits_catalog,
    seats_catalog,
)
from tests.bench.change import fill_plane
from tests.bench.change_kinds import COMPANY_CHANGE, PLAN_CHANGE, PLAN_REPLACED, PROBED_MAX, Kind
from tests.bench.traffic import Traffic, company_id


def entitlement(catalog: Catalog, feature: str) -> Entitlement:
    index = CatalogIndex(catalog, 1)
    found = index.resolve(segment_at(compile_snapshot(company("acme"), 1), 0), feature)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "catalog",
    [limits_catalog(), credits_catalog(), seats_catalog(), change_catalog(7)],
    ids=["limits", "credits", "seats", "change"],
)
def test_catalog_can_be_applied(catalog: Catalog) -> None:
    assert [] == list(problems(catalog, [company("acme")]))


@pytest.mark.parametrize(
    ("feature", "limits", "rates"), [(ONE_LIMIT, 1, 0), (TEN_LIMITS, 10, 0), (LIMIT_AND_RATE, 1, 1)]
)
def test_every_limit_applies_to_every_request(feature: str, limits: int, rates: int) -> None:
    granted = entitlement(limits_catalog(), feature)
    request = Traffic(1, feature=feature).check()
    assert feature == request.feature
    granting: list[Limit | RateLimit] = [*granted.limits, *granted.rates]
    applying = [
        limit.id for limit in granting if scope_values(limit.scope, request.dimensions) is not None
    ]
    assert limits + rates == len(set(applying))
    # Each counts on its own.
    assert limits == len({(limit.window, limit.scope) for limit in granted.limits})


@pytest.mark.parametrize("kind", [PLAN_CHANGE, PLAN_REPLACED], ids=["changed", "replaced"])
def test_question_about_a_plan_is_decided_by_its_own_change_alone(kind: Kind) -> None:
    for number in (1, 2, 3):
        before = PROBED_MAX if number == 1 else amount_of(kind.request(number - 1))
        assert before < kind.question(number).quantity <= amount_of(kind.request(number))


def amount_of(request: control_pb2.ApplyRequest) -> int:
    catalog = catalog_from_message(request.catalog, "catalog")
    [limit] = entitlement(catalog, PROBED).limits
    assert limit.amount is not None
    return limit.amount


def test_replaced_plans_are_dropped_by_the_next_change() -> None:
    plans = [
        {plan.key for plan in PLAN_REPLACED.request(number).catalog.plans} for number in (1, 2)
    ]
    assert 1 == len(plans[0] - plans[1])


def test_company_changes_are_about_companies_on_the_smaller_plan() -> None:
    request = COMPANY_CHANGE.request(3)
    question = COMPANY_CHANGE.question(3)
    assert (company_id(3), LARGER_PLAN) == (request.company, request.plan.plan)
    assert request.company == question.company
    highest = amount_of(PLAN_CHANGE.request(1_000))
    assert highest < question.quantity


def test_filled_plane_has_catalog_and_companies(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    fill_plane(path, 3)
    store = SqliteStore(path)
    stored = directory.get_catalog(store)
    companies, _ = directory.list_companies(store, "", 10)
    store.close()
    assert stored is not None
    assert change_catalog(PROBED_MAX) == stored.catalog
    assert [company(company_id(number)) for number in range(3)] == [
        found.company for found in companies
    ]
