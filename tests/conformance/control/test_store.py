"""What every database behind the control plane has to do: catalog, companies, incarnations."""

from __future__ import annotations

import threading

import msgspec
import pytest

from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import (
    CompanyChange,
    KeyUse,
    KnownIncarnation,
    PlaneState,
    StoredCompany,
    Tombstone,
)
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.capabilities import Capability
from sidecar.domain.catalog.model import CatalogSnapshot, EntitlementGrant
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.company.timeline import compile_snapshot, continue_snapshot
from sidecar.domain.time.sure import KnownTime
from tests.unit.control.support import ALICE, BOB, CATALOG, NOW_US, company


def _stored(company: Company, revision: int, changed_us: int = NOW_US) -> StoredCompany:
    return StoredCompany(company, compile_snapshot(company, revision), changed_us)


def _put(store: PlaneStore, *companies: Company) -> int:
    with store.write() as transaction:
        revision = transaction.next_revision()
        transaction.put_companies(_stored(company, revision) for company in companies)
    return revision


def test_a_new_store_is_empty(store: PlaneStore) -> None:
    with store.read() as transaction:
        assert transaction.state().revision == 0
        assert transaction.catalog() is None
        assert transaction.catalog_version() == 0
        assert transaction.companies(["acme"]) == {}
        assert transaction.company_changes(0, "", 10, INT64_MAX)[0] == []
        assert transaction.incarnation(ALICE) is None
        assert transaction.tallies(ALICE) == []


def test_what_is_known_of_the_time_is_kept(store: PlaneStore) -> None:
    with store.read() as transaction:
        assert transaction.known_time() is None
    for known in (
        KnownTime(NOW_US, NOW_US - 5, 0, "one", 7),
        KnownTime(NOW_US + 9, NOW_US, -6, "", 2**62),
        KnownTime(NOW_US, NOW_US - 5, 0, "one", 7, NOW_US - 9),
    ):
        with store.write() as transaction:
            transaction.put_known_time(known)
        with store.read() as transaction:
            assert known == transaction.known_time()


def test_an_epoch_stays_until_it_is_renewed(store: PlaneStore) -> None:
    with store.read() as transaction:
        before = transaction.state()
    with store.write() as transaction:
        assert transaction.state() == before
        transaction.renew_epoch()
    with store.read() as transaction:
        after = transaction.state()
    assert before.epoch != after.epoch
    assert PlaneState(after.epoch, before.revision) == after


def test_what_a_failed_transaction_did_is_undone(store: PlaneStore) -> None:
    def fail() -> None:
        with store.write() as transaction:
            transaction.put_catalog(CATALOG, transaction.next_revision())
            transaction.put_companies([_stored(company(), 1)])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with store.read() as transaction:
        assert transaction.state().revision == 0
        assert transaction.catalog() is None
        assert transaction.companies(["acme"]) == {}


def test_a_transaction_sees_its_own_changes(store: PlaneStore) -> None:
    with store.write() as transaction:
        transaction.put_catalog(CATALOG, 1)
        transaction.put_companies([_stored(company(), 1)])
        assert transaction.catalog() == CatalogSnapshot(1, CATALOG)
        assert transaction.companies(["acme"]) == {"acme": _stored(company(), 1)}


def test_the_last_catalog_counts(store: PlaneStore) -> None:
    with store.write() as transaction:
        transaction.put_catalog(CATALOG, transaction.next_revision())
        transaction.put_catalog(CATALOG, transaction.next_revision())
    with store.read() as transaction:
        assert transaction.catalog() == CatalogSnapshot(2, CATALOG)
        assert transaction.catalog_version() == 2


def test_companies_are_listed_by_id_in_pages(store: PlaneStore) -> None:
    names = ["a", "B", "zebra", "äther", "中"]
    _put(store, *(company(name) for name in names))
    with store.read() as transaction:
        first = transaction.companies_after("", 3)
        rest = transaction.companies_after(first[-1].company.id, 3)
        ids = transaction.company_ids_after(first[0].company.id, 2)
    assert sorted(names) == [stored.company.id for stored in first + rest]
    assert 3 == len(first)
    assert [stored.company.id for stored in first[1:]] == ids


@pytest.mark.parametrize("others", [0, 200], ids=["a few keys", "many keys"])
def test_companies_that_name_a_key_are_found(store: PlaneStore, others: int) -> None:
    planned = ScheduledChange(NOW_US, plan='"quoted" plan', add_ons=(AddOnSubscription("späte"),))
    override = Override(EntitlementGrant("sso", enabled=True))
    _put(
        store,
        company("a"),
        company("b", "max"),
        Company("c", subscription=Subscription("pro", NOW_US, changes=(planned,))),
        Company("d", overrides=(override,)),
    )
    more = [f"other-{number}" for number in range(others)]

    def naming(*keys: str, after: str = "", limit: int = 10) -> set[str]:
        with store.read() as transaction:
            found = transaction.companies_naming([*keys, *more], after, limit)
        assert sorted(one.company.id for one in found) == [one.company.id for one in found]
        return {one.company.id for one in found}

    assert {"a", "c"} <= naming("pro")
    assert {"b"} <= naming("max")
    assert {"c"} <= naming('"quoted" plan')
    assert {"c"} <= naming("späte")
    assert {"b", "d"} <= naming("sso", "max")
    assert {"c"} <= naming("pro", after="a")
    assert "a" not in naming("pro", after="a")
    assert 1 == len(naming("pro", limit=1))


def test_changes_come_in_the_order_of_revision_and_id(store: PlaneStore) -> None:
    _put(store, company("b"), company("a"), company("c"))
    _put(store, company("a"))
    with store.write() as transaction:
        transaction.remove_companies(["c", "never was"], transaction.next_revision())
    with store.read() as transaction:
        changes = transaction.company_changes(0, "", 10, INT64_MAX)[0]
        after_b = transaction.company_changes(1, "b", 1, INT64_MAX)[0]
        present = transaction.companies(["a", "b", "c"])
        listed = transaction.companies_after("", 10)
    expected = [
        CompanyChange("b", 1, compile_snapshot(company("b"), 1)),
        CompanyChange("a", 2, compile_snapshot(company("a"), 2)),
        CompanyChange("c", 3, None),
    ]
    assert expected == changes
    assert expected[1:2] == after_b
    assert ["a", "b"] == sorted(present)
    assert ["a", "b"] == [stored.company.id for stored in listed]


def test_a_removed_company_can_come_back(store: PlaneStore) -> None:
    _put(store, company())
    with store.write() as transaction:
        transaction.remove_companies(["acme"], transaction.next_revision())
    _put(store, company())
    with store.read() as transaction:
        changes = transaction.company_changes(0, "", 10, INT64_MAX)[0]
    assert [CompanyChange("acme", 3, compile_snapshot(company(), 3))] == changes


def _with_history(name: str = "acme") -> StoredCompany:
    """A company with a timeline that its document does not tell."""
    before = compile_snapshot(company(name), 1)
    later = company(name, "max")
    snapshot = continue_snapshot(before, later, 2, NOW_US, resets_usage=True)
    return StoredCompany(later, snapshot, NOW_US)


def test_a_timeline_is_kept_as_it_was_put(store: PlaneStore) -> None:
    stored = _with_history()
    assert stored.snapshot != compile_snapshot(stored.company, 2)
    with store.write() as transaction:
        transaction.put_companies([stored])
    with store.read() as transaction:
        assert {"acme": stored} == transaction.companies(["acme"])
        assert {"acme": stored.snapshot} == transaction.snapshots(["nobody", "acme"])
        assert [stored] == transaction.companies_after("", 10)
        assert [CompanyChange("acme", 2, stored.snapshot)] == transaction.company_changes(
            0, "", 9, INT64_MAX
        )[0]
        assert {} == transaction.tombstones(["acme", "nobody"])


def test_a_tombstone_keeps_the_timeline(store: PlaneStore) -> None:
    stored = _with_history()
    with store.write() as transaction:
        transaction.put_companies([stored])
        transaction.remove_companies(["acme"], 3)
    last = msgspec.structs.replace(stored.snapshot, version=3)
    with store.read() as transaction:
        assert {"acme": Tombstone(last, NOW_US)} == transaction.tombstones(["nobody", "acme"])
        assert {} == transaction.snapshots(["acme"])
        assert [CompanyChange("acme", 3, None)] == transaction.company_changes(0, "", 9, INT64_MAX)[
            0
        ]


def test_an_incarnation_is_replaced_as_a_whole(store: PlaneStore) -> None:
    knows = frozenset({Capability.LEASES})
    known = KnownIncarnation(ALICE, 7, bytes(32), True, "node-1", 1, 3, knows, agreed_us=2)
    with store.write() as transaction:
        transaction.put_incarnation(KnownIncarnation(ALICE))
        transaction.put_incarnation(known)
    with store.read() as transaction:
        assert known == transaction.incarnation(ALICE)
        assert transaction.incarnation(BOB) is None


def test_first_uses_are_found_per_company_until_they_are_forgotten(store: PlaneStore) -> None:
    use, other = KeyUse(ALICE, 1, b"d" * 16), KeyUse(BOB, 9, b"e" * 16)
    with store.write() as transaction:
        transaction.put_key_uses({("acme", "k1"): use, ("acme", "k2"): use}, NOW_US)
        transaction.put_key_uses({("other", "k1"): other}, NOW_US + 10)
    keys = [("acme", "k1"), ("acme", "k2"), ("other", "k1"), ("other", "k2")]
    with store.write() as transaction:
        assert transaction.key_uses(keys) == {keys[0]: use, keys[1]: use, keys[2]: other}
        assert transaction.forget_key_uses(NOW_US, 10) == 0
        assert transaction.forget_key_uses(NOW_US + 10, 1) == 1
        assert transaction.forget_key_uses(NOW_US + 10, 10) == 1
        assert transaction.key_uses(keys) == {keys[2]: other}


def test_readers_see_one_state_while_a_writer_goes_on(store: PlaneStore) -> None:
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


def test_writers_from_several_threads_follow_one_another(store: PlaneStore) -> None:
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
