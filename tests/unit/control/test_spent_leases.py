"""Leases of limits that never end, once nothing is left of them: they do not pile up."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sidecar.control.services import apply, lease_maintenance
from sidecar.control.services.lease_maintenance import KEPT_US, forget_spent
from sidecar.control.storage.lease_values import LeaseFilter, StoredLease
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.leases.model import LeaseRequest, LeaseStatus
from sidecar.domain.limits.counters import CounterName
from tests.unit.control.leasing_plane import leased
from tests.unit.control.support import ALICE, CATALOG, NOW_US, key_of
from tests.unit.control.test_lease_holders import EVE, count, grant, lease


def test_of_limits_that_never_end_leases_are_forgotten_that_are_long_spent(
    store: PlaneStore,
) -> None:
    spent, held, released, other = (key_of(name=f"made-up-{at}") for at in range(4))
    grant(store, lease(5, key=spent), lease(6, key=held), lease(5, key=other, asked_us=NOW_US + 1))
    grant(store, replace(lease(7, key=released), released=True), lease(0, key=EVE))
    for key in (spent, held, other):
        count(store, ALICE, 5, key)
    assert forget_spent(store, None, NOW_US + KEPT_US) is None
    assert 5 == len(leases_of(store))
    assert forget_spent(store, None, NOW_US + KEPT_US + 1) is None
    assert [EVE, held, other] == [each.key for each in leases_of(store)]
    # Whoever had it all the same, and asks again after that, begins anew.
    assert (5, LeaseStatus.GRANTED) == asked_again(store, spent, held=5)
    assert (0, LeaseStatus.REFUSED) == asked_again(store, released, held=7)


def leases_of(store: PlaneStore) -> list[StoredLease]:
    with store.read() as transaction:
        return [each.lease for each in transaction.leases_after(LeaseFilter(), None, 100)]


def asked_again(store: PlaneStore, key: CounterKey, held: int) -> tuple[int, LeaseStatus]:
    """What a holder is told whose lease was forgotten."""
    content = replace(CATALOG, default_plan=CATALOG.plans[0].key)
    apply.apply(store, apply.Desired(content), NOW_US)
    name = CounterName(key.company, key.feature, key.counter)
    request = LeaseRequest(name, 1, held, held, 0, 0)
    (result,) = leased(store, ALICE, [request], NOW_US).results
    return result.granted, result.status


def test_spent_leases_are_looked_for_a_page_at_a_time(
    store: PlaneStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_maintenance, "FORGOTTEN_AT_ONCE", 2)
    grant(store, *(lease(0, key=key_of(name=f"made-up-{at}")) for at in range(3)))
    after = forget_spent(store, None, NOW_US + KEPT_US + 1)
    assert (1, True) == (len(leases_of(store)), after is not None)
    assert forget_spent(store, after, NOW_US + KEPT_US + 1) is None
    assert [] == leases_of(store)
