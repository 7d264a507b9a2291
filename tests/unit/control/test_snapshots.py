"""What sidecars get: on demand, and page by page."""

from __future__ import annotations

import pytest

from sidecar.control.services import apply, snapshots
from sidecar.control.services.apply import Desired
from sidecar.control.services.snapshots import PAGE_COMPANIES, ResumePosition, WatchPage
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import Catalog, CatalogSnapshot, Feature, FeatureKind
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.subscription_changes import NOW, ResetUsage
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.time.units import DAY_US
from tests.unit.control.support import (
    ALICE,
    BOB,
    CATALOG,
    LIFETIME,
    NOW_US,
    Writer,
    company,
    per_user,
    record,
    set_up,
)

MORE = Catalog((*CATALOG.features, Feature("zz", FeatureKind.BOOLEAN)), CATALOG.plans)


def _page(store: PlaneStore, position: ResumePosition) -> tuple[WatchPage, ResumePosition]:
    return snapshots.next_page(store, position, BOB, NOW_US)


def _pages(store: PlaneStore, position: ResumePosition) -> tuple[list[WatchPage], ResumePosition]:
    """Everything from a position up to the first page that is complete."""
    pages: list[WatchPage] = []
    while not pages or not pages[-1].complete:
        page, position = _page(store, position)
        pages.append(page)
    return pages, position


def _ids(pages: list[WatchPage]) -> list[str]:
    return [snapshot.company for page in pages for snapshot in page.snapshots]


def test_a_fetch_gives_what_exists_and_names_what_does_not(store: PlaneStore) -> None:
    set_up(store, "a", "b")
    fetched = snapshots.fetch(store, ["b", "x", "a", "x"], 0, ALICE, NOW_US)
    assert CatalogSnapshot(1, CATALOG) == fetched.catalog
    assert [compile_snapshot(company("b"), 1), compile_snapshot(company("a"), 1)] == list(
        fetched.snapshots
    )
    assert ["x"] == fetched.unknown


def test_timelines_are_given_as_they_are_stored(store: PlaneStore) -> None:
    set_up(store, "acme")
    changed = change_subscription(store, "acme", ResetUsage(), NOW, NOW_US + 1).snapshot
    assert 2 == len(list(segments_of(changed)))
    assert [changed] == list(snapshots.fetch(store, ["acme"], 0, ALICE, NOW_US).snapshots)
    (page,), _ = _pages(store, snapshots.start(store, 1, False, NOW_US))
    assert [changed] == list(page.snapshots)


@pytest.mark.parametrize(("known", "sent"), [(0, True), (1, False), (2, True)])
def test_a_fetch_leaves_out_the_catalog_that_is_known(
    store: PlaneStore, known: int, sent: bool
) -> None:
    set_up(store, "a")
    assert sent is (snapshots.fetch(store, ["a"], known, ALICE, NOW_US).catalog is not None)


def test_a_fetch_brings_the_usage_of_companies_that_do_not_exist_too(store: PlaneStore) -> None:
    set_up(store, "acme")
    alice = Writer(ALICE)
    alice.write(record(5, name="on-the-default-plan"))
    alice.push(store)
    (total,) = snapshots.fetch(store, ["on-the-default-plan"], 0, BOB, NOW_US).totals.totals
    assert ("on-the-default-plan", 5) == (total.company, total.total)


def test_a_fetch_brings_the_usage_in_open_windows(store: PlaneStore) -> None:
    set_up(store, "acme")
    alice = Writer(ALICE)
    alice.write(record(5, counters=[LIFETIME, per_user("eve")]))
    alice.push(store)
    today = snapshots.fetch(store, ["acme"], 0, BOB, NOW_US).totals.totals
    later = snapshots.fetch(store, ["acme"], 0, ALICE, NOW_US + DAY_US).totals.totals
    assert [
        CounterTotal("acme", "tokens", per_user("eve"), 5, 0, NOW_US),
        CounterTotal("acme", "tokens", LIFETIME, 5, 0, NOW_US),
    ] == list(today)
    assert [CounterTotal("acme", "tokens", LIFETIME, 5, 5, NOW_US)] == list(later)


def test_a_watch_from_0_starts_with_all_there_is(store: PlaneStore) -> None:
    set_up(store, "a", "b")
    (page,), position = _pages(store, snapshots.start(store, 0, False, NOW_US))
    assert (1, True, CatalogSnapshot(1, CATALOG)) == (page.revision, page.complete, page.catalog)
    assert ["a", "b"] == _ids([page])
    assert _page(store, position)[0].empty


def test_a_watch_from_0_brings_the_usage_along(store: PlaneStore) -> None:
    set_up(store, "acme")
    alice = Writer(ALICE)
    alice.write(record(5))
    alice.push(store)
    (page,), _ = _pages(store, snapshots.start(store, 0, False, NOW_US))
    assert [CounterTotal("acme", "tokens", LIFETIME, 5, 0, NOW_US)] == list(page.totals.totals)


def test_a_watch_without_companies_gets_only_later_changes_of_them(store: PlaneStore) -> None:
    set_up(store, "a", "b")
    (page,), position = _pages(store, snapshots.start(store, 0, True, NOW_US))
    assert page.catalog is not None
    assert [] == _ids([page])
    apply.apply(store, Desired(companies=(company("c"),)), NOW_US)
    pages, _ = _pages(store, position)
    assert ["c"] == _ids(pages)


def test_a_watch_that_resumes_gets_what_is_later(store: PlaneStore) -> None:
    set_up(store, "a", "b")
    apply.apply(store, Desired(MORE), NOW_US)
    apply.apply(store, Desired(companies=(company("c"),), remove=("a",)), NOW_US)
    (page,), _ = _pages(store, snapshots.start(store, 1, False, NOW_US))
    assert (3, True) == (page.revision, page.complete)
    assert CatalogSnapshot(2, MORE) == page.catalog
    assert (["c"], ["a"]) == (_ids([page]), list(page.removed))
    assert _page(store, snapshots.start(store, 3, False, NOW_US))[0].empty


def test_a_watch_from_0_is_not_told_of_companies_long_gone(store: PlaneStore) -> None:
    set_up(store, "a", "b")
    apply.apply(store, Desired(remove=("a",)), NOW_US)
    (page,), _ = _pages(store, snapshots.start(store, 0, False, NOW_US))
    assert (["b"], []) == (_ids([page]), list(page.removed))


def test_many_companies_come_in_pages_and_the_last_is_complete(store: PlaneStore) -> None:
    names = [f"c{at:04}" for at in range(2 * PAGE_COMPANIES + 1)]
    set_up(store, *names)
    pages, _ = _pages(store, snapshots.start(store, 0, False, NOW_US))
    assert [False, False, True] == [page.complete for page in pages]
    assert [True, False, False] == [page.catalog is not None for page in pages]
    assert names == _ids(pages)


def test_what_changes_between_pages_is_in_a_later_one(store: PlaneStore) -> None:
    names = [f"c{at:04}" for at in range(PAGE_COMPANIES + 50)]
    set_up(store, *names)
    first, position = _page(store, snapshots.start(store, 0, False, NOW_US))
    changed, gone, unsent = names[0], names[1], names[-1]
    apply.apply(store, Desired(MORE, (company("new"),), remove=(gone, unsent)), NOW_US)
    apply.apply(store, Desired(companies=(company(changed, "pro"), company("newer"))), NOW_US)
    rest, _ = _pages(store, position)
    assert not first.complete
    assert [*names[PAGE_COMPANIES:-1], "new", "newer"] == _ids(rest)
    assert {gone, unsent} == {company for page in rest for company in page.removed}
    assert [CatalogSnapshot(2, MORE)] == [page.catalog for page in rest if page.catalog]
    assert (3, True) == (rest[-1].revision, rest[-1].complete)


def test_a_caller_from_a_later_revision_shows_that_state_was_lost(store: PlaneStore) -> None:
    set_up(store, "a")
    with store.read() as transaction:
        before = transaction.state()
    position = snapshots.start(store, 5, False, NOW_US)
    (page,), _ = _pages(store, position)
    assert before.epoch != page.epoch
    assert ["a"] == _ids([page])
