"""What is exported reads as what it was: no catalog and no company is another one afterwards."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings

from sidecar.domain.catalog.canonical import canonical_catalog, canonical_company
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.rules import companies_problems, problems
from sidecar.domain.company.model import Company
from sidecar.domain.company.owned_fields import fields_of
from sidecar.shared.catalog_file.export import catalog_tree, kinds_of
from sidecar.shared.catalog_file.export_companies import company_tree
from sidecar.shared.catalog_file.load import CatalogFile, parse_catalog
from sidecar.shared.catalog_file.yaml_text import yaml_text
from tests.unit.shared.convert.strategies import catalogs, companies


def read_again(catalog: Catalog, *held: Company) -> CatalogFile:
    kinds = kinds_of(catalog)
    tree = catalog_tree(catalog) | {"companies": {one.id: company_tree(one, kinds) for one in held}}
    return parse_catalog(yaml_text(tree).encode(), "export")


@given(catalogs().map(canonical_catalog).filter(lambda catalog: not list(problems(catalog))))
@settings(deadline=None)
def test_a_catalog_reads_as_it_was(catalog: Catalog) -> None:
    assert catalog == read_again(catalog).catalog


@given(catalogs().map(canonical_catalog), companies().map(canonical_company))
@settings(deadline=None)
def test_a_company_reads_as_it_was(catalog: Catalog, company: Company) -> None:
    if list(problems(catalog)) or list(companies_problems([company], catalog)):
        return
    (read,) = read_again(catalog, company).companies
    assert (fields_of(company), company.overrides) == (fields_of(read), read.overrides)


KEYS: Final = ("on", "1_000", "2026-01-31", "~", "a: b", "- x", "ü\u200d#", 'q"\\', "NO", "0x1")


@pytest.mark.parametrize("key", KEYS)
def test_keys_that_look_like_something_else_are_quoted(key: str) -> None:
    company = Company(key, name=key)
    (read,) = read_again(Catalog(), company).companies
    assert company == read


WHOLE: Final = """
features:
  tokens: {kind: metered, dimensions: {user: optional}}
  sso: {kind: boolean}
  region: {kind: config}
plans:
  free: {}
  pro:
    existing: move at period end
    trial: {length: 14d, then: {plan: free}}
    grace: {length: 90m, then: {plan: free}}
    entitlements:
      tokens:
        limits:
          each:
            {amount: 10, per: 2 weeks, week_starts: sunday, each: [user], amounts: {a: 7}}
          all: {amount: unlimited, per: month, align: billing}
        rates: {burst: {count: 10, per: second}}
      region: "on"
  max:
    existing: keep
    trial: {length: 1d, then: active}
    grace: {length: 7d, then: ended}
    entitlements: {tokens: unlimited}
add_ons:
  pack: {once: true, plans: [pro], entitlements: {tokens: {limits: {all: 100}}}}
  more: {plans: [pro], entitlements: {tokens: {rates: {burst: {count: 5, burst: 9}}}}}
  over:
    rank: 2
    entitlements:
      sso: {value: true, merge: override}
      tokens: {limits: {}, merge: override}
companies:
  acme:
    plan: pro
    anchor: 2026-01-31
    billing_period: 2 weeks
    time_zone: Europe/Berlin
    trial_ends_at: 2026-02-14T00:00:00.25Z
    after_trial: {plan: free}
    past_due: {since: 2026-03-31T00:00:00Z, grace_ends_at: 2026-04-14T00:00:00Z, then: {plan: free}}
    overrides:
      sso: {value: false, expires_at: 2026-06-30T00:00:00Z, reason: "no"}
      tokens: {limits: {all: +100, each: 7}, rates: {burst: {count: +5}}}
  beta:
    overrides: {tokens: {replace: true, limits: {whole: {amount: 1, per: day}}}, region: eu}
"""


def test_every_word_of_the_language_is_written_back() -> None:
    file = parse_catalog(WHOLE.encode(), "whole")
    again = read_again(file.catalog, *file.companies)
    assert file.catalog == again.catalog
    assert file.companies == again.companies
