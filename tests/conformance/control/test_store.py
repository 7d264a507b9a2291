"""What every database behind the control plane has to do: catalog, companies, incarnations."""

from __future__ import annotations

import threading

import pytest

from sidecar.control.storage.port import Store
from sidecar.control.storage.values import (
    CompanyChange,
    FirstUse,
    Incarnation,
    PlaneState,
    StoredCompany,
)
from sidecar.domain.catalog import CatalogSnapshot, Company
from tests.unit.control.support import ALICE, BOB, CATALOG, NOW_US, company


def _put(store: Store, *companies: Company) -> int:
    with store.write() as transaction:
        revision = transaction.next_revision()
        transaction.put_companies(companies, revision)
    return revision


def test_a_new_store_is_empty(store: Store) -> None:
    with store.read() as transaction:
        assert transaction.state().revision == 0
        assert transaction.catalog() is None
        assert transaction.catalog_version() == 0
        assert transaction.companies(["acme"]) == {}
        assert transaction.company_changes(0, "", 10) == []
        assert transaction.incarnation(ALICE) is None
        assert transaction.tallies(ALICE) == []


def test_an_epoch_stays_until_it_is_renewed(store: Store) -> None:
    with store.read() as transaction:
        before = transaction.state()
    with store.write() as transaction:
        assert transaction.state() == before
        transaction.renew_epoch()
    with store.read() as transaction:
        after = transaction.state()
    assert before.epoch != after.epoch
    assert PlaneState(after.epoch, before.revision) == after


def test_what_a_failed_transaction_did_is_undone(store: Store) -> None:
    def fail() -> None:
        with store.write() as transaction:
            transaction.put_catalog(CATALOG, transaction.next_revision())
            transaction.put_companies([company()], 1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with store.read() as transaction:
        assert transaction.state().revision == 0
        assert transaction.catalog() is None
        assert transaction.companies(["acme"]) == {}


def test_a_transaction_sees_its_own_changes(store: Store) -> None:
    with store.write() as transaction:
        transaction.put_catalog(CATALOG, 1)
        transaction.put_companies([company()], 1)
        assert transaction.catalog() == CatalogSnapshot(1, CATALOG)
        assert transaction.companies(["acme"]) == {"acme": StoredCompany(company(), 1)}


def test_the_last_catalog_counts(store: Store) -> None:
    with store.write() as transaction:
        transaction.put_catalog(CATALOG, transaction.next_revision())
        transaction.put_catalog(CATALOG, transaction.next_revision())
    with store.read() as transaction:
        assert transaction.catalog() == CatalogSnapshot(2, CATALOG)
        assert transaction.catalog_version() == 2


def test_companies_are_listed_by_id_in_pages(store: Store) -> None:
    names = ["a", "B", "zebra", "äther", "中"]
    _put(store, *(company(name) for name in names))
    with store.read() as transaction:
        first = transaction.companies_after("", 3)
        rest = transaction.companies_after(first[-1].company.id, 3)
    assert sorted(names) == [stored.company.id for stored in first + rest]
    assert 3 == len(first)


def test_changes_come_in_the_order_of_revision_and_id(store: Store) -> None:
    _put(store, company("b"), company("a"), company("c"))
    _put(store, company("a"))
    with store.write() as transaction:
        transaction.remove_companies(["c", "never was"], transaction.next_revision())
    with store.read() as transaction:
        changes = transaction.company_changes(0, "", 10)
        after_b = transaction.company_changes(1, "b", 1)
        present = transaction.companies(["a", "b", "c"])
        listed = transaction.companies_after("", 10)
    expected = [
        CompanyChange("b", 1, company("b")),
        CompanyChange("a", 2, company("a")),
        CompanyChange("c", 3, None),
    ]
    assert expected == changes
    assert expected[1:2] == after_b
    assert ["a", "b"] == sorted(present)
    assert ["a", "b"] == [stored.company.id for stored in listed]


def test_a_removed_company_can_come_back(store: Store) -> None:
    _put(store, company())
    with store.write() as transaction:
        transaction.remove_companies(["acme"], transaction.next_revision())
    _put(store, company())
    with store.read() as transaction:
        assert [CompanyChange("acme", 3, company())] == transaction.company_changes(0, "", 10)


def test_an_incarnation_is_replaced_as_a_whole(store: Store) -> None:
    known = Incarnation(ALICE, 7, b"\x01" * 32, True, "node-1", NOW_US, NOW_US + 1)
    with store.write() as transaction:
        transaction.put_incarnation(Incarnation(ALICE))
        transaction.put_incarnation(known)
    with store.read() as transaction:
        assert known == transaction.incarnation(ALICE)
        assert transaction.incarnation(BOB) is None


def test_first_uses_are_found_per_company_until_they_are_forgotten(store: Store) -> None:
    use, other = FirstUse(ALICE, 1, b"d" * 16), FirstUse(BOB, 9, b"e" * 16)
    with store.write() as transaction:
        transaction.put_first_uses({("acme", "k1"): use, ("acme", "k2"): use}, NOW_US)
        transaction.put_first_uses({("other", "k1"): other}, NOW_US + 10)
    keys = [("acme", "k1"), ("acme", "k2"), ("other", "k1"), ("other", "k2")]
    with store.write() as transaction:
        assert transaction.first_uses(keys) == {keys[0]: use, keys[1]: use, keys[2]: other}
        assert transaction.forget_first_uses(NOW_US, 10) == 0
        assert transaction.forget_first_uses(NOW_US + 10, 1) == 1
        assert transaction.forget_first_uses(NOW_US + 10, 10) == 1
        assert transaction.first_uses(keys) == {keys[2]: other}


def test_readers_see_one_state_while_a_writer_goes_on(store: Store) -> None:
    _put(store, company("a"))
    wrote = threading.Event()

    def write() -> None:
        _put(store, company("b"))
        wrote.set()

    writer = threading.Thread(target=write)
    with store.read() as transaction:
        assert 1 == transaction.state().revision
        writer.start()
        wrote.wait(0.1)  # in a file it gets through; in memory it waits for the reader
        assert 1 == transaction.state().revision
        assert 1 == len(transaction.companies_after("", 10))
    writer.join()
    with store.read() as transaction:
        assert 2 == transaction.state().revision


def test_writers_from_several_threads_follow_one_another(store: Store) -> None:
    def write() -> None:
        for _ in range(20):
            with store.write() as transaction:
                transaction.next_revision()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as transaction:
        assert 80 == transaction.state().revision
