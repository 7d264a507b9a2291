"""What goes into a message comes out of it."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.convert import catalog, companies, counters
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog import Catalog, CatalogSnapshot, Company
from sidecar.domain.counters import CounterRef, CounterTotal
from sidecar.domain.timeline import compile_snapshot
from sidecar.domain.windows import LIFETIME_WINDOW, Window, WindowSpec, WindowUnit
from tests.unit.convert.samples import (
    BARE_COMPANY,
    BARE_LIMIT,
    FULL_CATALOG,
    FULL_COMPANY,
    FULL_LIMIT,
)

COMPANIES: Final = [FULL_COMPANY, BARE_COMPANY]


@pytest.mark.parametrize("value", [FULL_CATALOG, Catalog()])
def test_a_catalog_survives_the_wire(value: Catalog) -> None:
    data = catalog.catalog_to_message(value).SerializeToString()
    assert value == catalog.catalog_from_message(catalog_pb2.Catalog.FromString(data), "")


def test_a_catalog_with_its_version_survives_the_wire() -> None:
    snapshot = CatalogSnapshot(7, FULL_CATALOG)
    data = catalog.catalog_snapshot_to_message(snapshot).SerializeToString()
    message = catalog_pb2.CatalogSnapshot.FromString(data)
    assert snapshot == catalog.catalog_snapshot_from_message(message, "")


@pytest.mark.parametrize("limit", [FULL_LIMIT, BARE_LIMIT])
def test_a_limit_survives_the_wire(limit: object) -> None:
    assert isinstance(limit, type(FULL_LIMIT))
    assert limit == catalog.limit_from_message(catalog.limit_to_message(limit), "")


@pytest.mark.parametrize("value", COMPANIES)
def test_a_company_survives_the_wire(value: Company) -> None:
    data = companies.company_to_message(value).SerializeToString()
    assert value == companies.company_from_message(catalog_pb2.Company.FromString(data), "")


@pytest.mark.parametrize("value", COMPANIES)
def test_a_timeline_survives_the_wire(value: Company) -> None:
    snapshot = compile_snapshot(value, 3)
    data = companies.snapshot_to_message(snapshot).SerializeToString()
    message = catalog_pb2.CompanySnapshot.FromString(data)
    assert snapshot == companies.snapshot_from_message(message, "")


@pytest.mark.parametrize(
    "counter",
    [
        CounterRef("LIFETIME||", (), LIFETIME_WINDOW),
        CounterRef("DAY/1/CALENDAR|user|", ("eve",), Window(-5, 10)),
    ],
)
def test_a_counter_survives_the_wire(counter: CounterRef) -> None:
    total = CounterTotal("acme", "tokens", counter, INT64_MAX, 3, 9)
    data = counters.total_to_message(total).SerializeToString()
    assert total == counters.total_from_message(sync_pb2.CounterTotal.FromString(data), "")


def test_what_is_left_out_has_its_default() -> None:
    window = catalog_pb2.Window(unit=catalog_pb2.WINDOW_UNIT_LIFETIME)
    limit = catalog_pb2.Limit(id="x", window=window, enforcement=catalog_pb2.ENFORCEMENT_HARD)
    assert WindowSpec(WindowUnit.LIFETIME) == catalog.window_from_message(window, "")
    assert (50, 80, 100) == catalog.limit_from_message(limit, "").warning_percents
    assert "UTC" == companies.company_from_message(catalog_pb2.Company(id="a"), "").time_zone
