"""Leases of levels at the plane: they outlive resets, and are kept while they may be spent."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from sidecar.control.rules.leases import leased_slot
from sidecar.control.services.lease_maintenance import KEPT_US, forget_spent
from sidecar.control.storage.lease_values import StoredLease
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.company.timeline import compile_snapshot, continue_snapshot
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import LIFETIME_WINDOW
from tests.support.build import NOW_US, company
from tests.support.levels import level_catalog, level_limit
from tests.unit.control.support import ALICE

INDEX: Final = CatalogIndex(level_catalog(level_limit()), 1)
KEY: Final = CounterKey("acme", "jobs", CounterRef("LEVEL||", (), LIFETIME_WINDOW))
LEASE: Final = StoredLease(KEY, ALICE, 5, 1, NOW_US, 10, NOW_US, NOW_US)


def test_a_reset_of_usage_leaves_a_level_leased() -> None:
    held = compile_snapshot(company(), 1)
    reset = continue_snapshot(held, company(), 2, NOW_US, resets_usage=True)
    for at_us in (NOW_US - DAY_US, NOW_US, NOW_US + 40 * DAY_US):
        slot = leased_slot(INDEX, reset, "jobs", "LEVEL||", LIFETIME_WINDOW, at_us)
        assert slot is not None
        assert (level_limit(),) == slot.limits


def kept(store: PlaneStore, lease: StoredLease) -> bool:
    """Whether a lease under which all was counted is kept, though nobody asks about it."""
    with store.write() as transaction:
        transaction.put_leases([lease])
        version = transaction.next_ledger_version(NOW_US)
        transaction.add_to_counters(ALICE, {lease.key: lease.granted}, version)
    forget_spent(store, None, NOW_US + KEPT_US + 1)
    with store.read() as transaction:
        return transaction.lease_of(lease.key, ALICE) is not None


def test_what_is_counted_under_a_lease_may_come_back_so_it_is_kept(store: PlaneStore) -> None:
    ever = replace(KEY, counter=replace(KEY.counter, slot="LIFETIME||"))
    assert kept(store, LEASE)
    assert not kept(store, replace(LEASE, key=ever))
