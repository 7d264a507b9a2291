"""Files are held to the sizes that a control plane takes, without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from sidecar.domain import bounds
from sidecar.shared.catalog_file import size
from sidecar.shared.catalog_file.load import CatalogFileError, parse_catalog, read_catalog_sources
from sidecar.shared.catalog_file.size import require_size

CATALOG: Final = """\
features:
  calls: {kind: metered}
  sso: {kind: boolean}
plans:
  free: {entitlements: {calls: {limits: {m: {amount: 5, per: month}}}}}
  pro: {extends: free, entitlements: {sso: true}}
add_ons:
  more: {plans: [free, pro], entitlements: {calls: {limits: {m: +5}}, sso: true}}
  seats: {}
"""
COMPANIES: Final = """\
companies:
  acme: {plan: free, add_ons: {more: 1, seats: 1}, overrides: {sso: true}}
  hooli: {plan: pro}
"""

# bounds that are just exceeded, and what is said then
TOO_LARGE: Final[dict[str, tuple[Mapping[str, int], str]]] = {
    "what all plans and add-ons grant": (
        {"CATALOG_PARTS_MAX": 7},
        "4:1: plans: plans and add-ons have 8 entitlements, limits and rates in all: at most are 7",
    ),
    "the plans that add-ons are sold with": (
        {"SOLD_PARTS_MAX": 5},
        (
            "7:1: add_ons: the plans that add-ons are sold with, each times what its add-on "
            "grants, are 6 in all: at most are 5"
        ),
    ),
    "the parts of a company": (
        {"COMPANY_PARTS_MAX": 2},
        (
            "11:3: companies.acme: company 'acme' has 3 overrides and add-ons, now and planned: "
            "at most are 2"
        ),
    ),
}


@pytest.mark.parametrize(("most", "told"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_a_plane_would_refuse_for_its_size_is_told_with_its_line(
    monkeypatch: pytest.MonkeyPatch, most: Mapping[str, int], told: str
) -> None:
    content = parse_catalog((CATALOG + COMPANIES).encode(), "f")
    for name, value in most.items():
        monkeypatch.setattr(bounds, name, value + 1)
        require_size(content)
        monkeypatch.setattr(bounds, name, value)
    with pytest.raises(CatalogFileError) as refused:
        require_size(content)
    assert [f"f:{told}"] == refused.value.lines()


def test_more_companies_than_are_applied_at_once_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = parse_catalog((CATALOG + COMPANIES).encode(), "f")
    monkeypatch.setattr(size, "COMPANIES_APPLIED_MAX", 1)
    with pytest.raises(CatalogFileError) as refused:
        require_size(content)
    assert ["f:10:1: companies: must be at most 1, is 2"] == refused.value.lines()


def test_of_a_file_with_companies_alone_the_catalog_is_not_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sold = parse_catalog(CATALOG.encode(), "sold").catalog
    content = read_catalog_sources([("f", COMPANIES.encode())], lambda: sold)
    monkeypatch.setattr(bounds, "CATALOG_PARTS_MAX", 1)
    require_size(content)
    monkeypatch.setattr(bounds, "COMPANY_BYTES_MAX", 10)
    with pytest.raises(CatalogFileError) as refused:
        require_size(content)
    assert 2 == len(refused.value.problems)
