"""Credits, seats, levels and prices are exported as they are, and applied again change nothing."""

from __future__ import annotations

from hypothesis import given, settings

from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.domain.catalog.canonical import canonical_catalog
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.difference.changes import catalog_changes
from sidecar.shared.catalog_file.export import catalog_tree
from sidecar.shared.catalog_file.load import parse_catalog
from sidecar.shared.catalog_file.yaml_text import yaml_text
from tests.unit.control.support import NOW_US
from tests.unit.shared.convert.kind_strategies import catalogs


@given(catalogs().map(canonical_catalog))
@settings(deadline=None)
def test_a_catalog_reads_as_it_was(catalog: Catalog) -> None:
    text = yaml_text(catalog_tree(catalog))
    assert catalog == parse_catalog(text.encode(), "export").catalog


@given(catalogs(), catalogs())
@settings(deadline=None, max_examples=30)
def test_applied_twice_it_changes_nothing_and_each_change_is_told(
    first: Catalog, second: Catalog
) -> None:
    store = SqliteStore()
    try:
        apply.apply(store, Desired(first), NOW_US)
        assert 0 == apply.apply(store, Desired(first), NOW_US + 1).changed
        held = canonical_catalog(first)
        changes = catalog_changes(held, canonical_catalog(second))
        assert bool(changes) == (held != canonical_catalog(second))
        assert all(change.fields for change in changes)
    finally:
        store.close()
