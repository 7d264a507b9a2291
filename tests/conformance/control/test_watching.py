"""What a watcher is told that resumes from a position: nothing is missed, nothing comes twice."""

from __future__ import annotations

import pytest

from sidecar.control.services import apply, snapshots
from sidecar.control.services.apply import Desired
from sidecar.control.services.snapshots import ResumePosition, WatchPage
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Catalog, Plan
from tests.support.seeds import rounds, seeded
from tests.unit.control.support import ALICE, BOB, CATALOG, NOW_US, Writer, company, record, set_up

PAGE = 3
MORE = Catalog(CATALOG.features, (Plan("max"), *CATALOG.plans))
NAMES = tuple(f"c{at}" for at in range(9))


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "PAGE_COMPANIES", PAGE)


class Watcher:
    """Takes steps of a stream as a sidecar does: what it holds, and all that it was told."""

    def __init__(self, store: PlaneStore, *, without_companies: bool = False) -> None:
        self.store = store
        self.held: dict[str, int] = {}
        self.told: list[tuple[str, int]] = []
        self.complete_at = 0
        self.catalogs: list[int] = []
        self.resume(without_companies=without_companies)

    def resume(self, *, without_companies: bool = False) -> None:
        """Begin a stream where the last one was complete; what it told since is told once more."""
        self.position = snapshots.start(
            self.store, self.complete_at, without_companies, NOW_US, accepts_changes=True
        )
        self.told = [told for told in self.told if told[1] <= self.complete_at]

    def step(self) -> WatchPage:
        page, self.position = snapshots.next_page(self.store, self.position, BOB, NOW_US)
        with self.store.read() as transaction:
            revisions = {
                c.id: c.revision for c in transaction.company_changes(0, "", 1_000, INT64_MAX)[0]
            }
        for snapshot in page.snapshots:
            self.held[snapshot.company] = snapshot.version
            self.told.append((snapshot.company, snapshot.version))
        for name in page.removed:
            self.held.pop(name, None)
            self.told.append((name, revisions[name]))
        if page.catalog is not None:
            self.catalogs.append(page.catalog.version)
        if page.complete:
            self.complete_at = page.revision
        return page

    def steps(self) -> list[tuple[int, bool]]:
        """Up to the first one that is complete: companies in each, and whether it is."""
        found: list[tuple[int, bool]] = []
        while not found or not found[-1][1]:
            page = self.step()
            found.append((len(page.snapshots) + len(page.removed), page.complete))
        return found


def held_by(store: PlaneStore) -> dict[str, int]:
    with store.read() as transaction:
        return {
            stored.company.id: stored.snapshot.version
            for stored in transaction.companies_after("", 1_000)
        }


@pytest.mark.parametrize(
    ("companies", "expected"),
    [
        (0, [(0, True)]),
        (1, [(1, True)]),
        (PAGE - 1, [(2, True)]),
        (PAGE, [(3, False), (0, True)]),
        (PAGE + 1, [(3, False), (1, True)]),
        (2 * PAGE, [(3, False), (3, False), (0, True)]),
    ],
)
def test_pages_are_full_but_the_last_which_says_that_it_is(
    store: PlaneStore, companies: int, expected: list[tuple[int, bool]]
) -> None:
    set_up(store, *NAMES[:companies])
    watcher = Watcher(store)
    assert expected == watcher.steps()
    assert held_by(store) == watcher.held
    assert [(0, True)] == watcher.steps()


@pytest.mark.parametrize("removed", [1, PAGE - 1, PAGE, PAGE + 1])
def test_removals_fill_pages_as_changes_do(store: PlaneStore, removed: int) -> None:
    set_up(store, *NAMES)
    watcher = Watcher(store)
    watcher.steps()
    apply.apply(store, Desired(remove=NAMES[:removed]), NOW_US)
    steps = watcher.steps()
    assert removed == sum(companies for companies, _ in steps)
    assert removed // PAGE + 1 == len(steps)
    assert held_by(store) == watcher.held
    assert [(name, 2) for name in NAMES[:removed]] == watcher.told[-removed:]


@pytest.mark.parametrize(
    ("resumed", "expected"),
    [
        (1, ["c1", "c9", "-c2", "c3", "-c4"]),
        (2, ["-c2", "c3", "-c4"]),
        (3, ["c3", "-c4"]),
        (4, ["-c4"]),
        (5, []),
    ],
)
def test_a_watcher_is_told_what_is_later_than_its_revision_in_that_order(
    store: PlaneStore, resumed: int, expected: list[str]
) -> None:
    set_up(store, *NAMES[:5])
    for change in (
        Desired(MORE, (company("c1", "max"), company("c9"))),
        Desired(remove=("c2",)),
        Desired(companies=(company("c3", "max"),)),
        Desired(remove=("c4",)),
    ):
        apply.apply(store, change, NOW_US)
    position, told, is_complete = snapshots.start(store, resumed, False, NOW_US), list[str](), False
    catalogs = []
    while not is_complete:
        page, position = snapshots.next_page(store, position, BOB, NOW_US)
        both = [(s.version, s.company) for s in page.snapshots]
        told += [name for _, name in sorted(both + removals(store, page))]
        catalogs += [page.catalog.version] if page.catalog else []
        is_complete = page.complete
    assert expected == told
    assert ([2] if resumed < 2 else []) == catalogs


def removals(store: PlaneStore, page: WatchPage) -> list[tuple[int, str]]:
    with store.read() as transaction:
        revisions = {
            c.id: c.revision for c in transaction.company_changes(0, "", 1_000, INT64_MAX)[0]
        }
    return [(revisions[name], f"-{name}") for name in page.removed]


@pytest.mark.parametrize(("resumed", "expected"), [(0, []), (1, ["c0"]), (2, ["c0"]), (3, [])])
def test_a_removal_is_told_to_those_who_may_know_the_company(
    store: PlaneStore, resumed: int, expected: list[str]
) -> None:
    set_up(store, "c0")
    apply.apply(store, Desired(companies=(company("c1"),)), NOW_US)
    apply.apply(store, Desired(remove=("c0",)), NOW_US)
    page, _ = snapshots.next_page(
        store, snapshots.start(store, resumed, False, NOW_US), BOB, NOW_US
    )
    assert expected == list(page.removed)


def test_a_company_that_was_removed_and_is_back_is_told_as_it_is_now_alone(
    store: PlaneStore,
) -> None:
    set_up(store, "c0", "c1")
    watcher = Watcher(store)
    watcher.steps()
    apply.apply(store, Desired(remove=("c0",)), NOW_US)
    apply.apply(store, Desired(companies=(company("c0"),)), NOW_US)
    page = watcher.step()
    assert ([("c0", 3)], []) == ([(s.company, s.version) for s in page.snapshots], page.removed)


def test_one_that_changes_while_pages_are_read_comes_at_the_end_and_once(store: PlaneStore) -> None:
    set_up(store, *NAMES[: 2 * PAGE])
    watcher = Watcher(store)
    watcher.step()
    desired = Desired(MORE, (company(NAMES[0], "max"), company(NAMES[-1])), remove=(NAMES[4],))
    apply.apply(store, desired, NOW_US)
    assert [(3, False), (2, True)] == watcher.steps()
    assert held_by(store) == watcher.held
    assert ["c0", "c1", "c2", "c3", "c5", "c0", "c8", "c4"] == [name for name, _ in watcher.told]
    assert [1, 2] == watcher.catalogs


@pytest.mark.parametrize("companies", [1, PAGE, PAGE + 1])
def test_usage_goes_along_with_every_page_of_a_start_and_with_none_behind_it(
    store: PlaneStore, companies: int
) -> None:
    names = NAMES[:companies]
    set_up(store, *names)
    alice = Writer(ALICE)
    alice.write(*(record(5, name=name) for name in names))
    alice.push(store)
    watcher, totals = Watcher(store), []
    while True:
        page = watcher.step()
        totals += [(total.company, total.total) for total in page.totals.totals]
        if page.complete:
            break
    assert [(name, 5) for name in names] == totals
    apply.apply(store, Desired(MORE, (company(names[0], "max"),)), NOW_US)
    assert [] == list(watcher.step().totals.totals)


@pytest.mark.parametrize("without_companies", [False, True], ids=["all", "changes alone"])
@pytest.mark.parametrize(("count", "seed"), rounds(150, 61, slow=2_000, seeds=(161, 162, 163)))
def test_whatever_changes_and_wherever_streams_end_nothing_is_missed_or_told_twice(
    store: PlaneStore, count: int, seed: int, without_companies: bool
) -> None:
    """A watcher without companies has those that were there from elsewhere."""
    rng = seeded(seed)
    set_up(store, *NAMES[:5])
    watcher = Watcher(store, without_companies=without_companies)
    if without_companies:
        watcher.held = held_by(store)
    states = {1: held_by(store)}
    for _ in range(count):
        if rng.random() < 0.4:
            names = rng.sample(NAMES, rng.randint(1, PAGE + 1))
            gone = tuple(names[:1]) if rng.random() < 0.6 else ()
            plan = rng.choice(("pro", "max"))
            desired = Desired(MORE, tuple(company(name, plan) for name in names[1:]), gone)
            revision = apply.apply(store, desired, NOW_US).revision
            states[revision] = held_by(store)
        elif watcher.complete_at and rng.random() < 0.2:
            watcher.resume()
        else:
            page = watcher.step()
            if page.complete:
                assert states[page.revision] == watcher.held
        assert len(set(watcher.told)) == len(watcher.told)
    watcher.steps()
    assert held_by(store) == watcher.held
    assert [(0, True)] == watcher.steps()


def test_a_position_between_two_companies_of_one_revision_goes_on_behind_the_first(
    store: PlaneStore,
) -> None:
    set_up(store, *NAMES[:PAGE])
    position = ResumePosition(1, NAMES[0], 1, 0, False)
    page, _ = snapshots.next_page(store, position, BOB, NOW_US)
    assert list(NAMES[1:PAGE]) == [snapshot.company for snapshot in page.snapshots]
