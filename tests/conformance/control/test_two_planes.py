"""Two planes on one database: what one has written the other goes on from."""

from __future__ import annotations

import pytest

from sidecar.control.errors import Fenced, SequenceGap
from sidecar.control.rules.history import Greeting
from sidecar.control.services import apply, ingest, snapshots
from sidecar.control.services.apply import Desired
from sidecar.control.services.close_windows import RollingCatalogs, any_due, close_windows
from sidecar.control.services.sweep import IDEMPOTENCY_US, sweep
from sidecar.control.storage.values import LineFilter
from sidecar.domain.catalog.model import Catalog, CatalogSnapshot, Plan
from tests.conformance.control.conftest import Planes
from tests.support.seeds import rounds, seeded
from tests.unit.control.rollover_plane import RolloverPlane, catalog_of, monthly, on_plan, utc
from tests.unit.control.support import (
    ALICE,
    BOB,
    CATALOG,
    NOW_US,
    Writer,
    company,
    key_of,
    record,
    set_up,
    used,
)

MORE = Catalog(CATALOG.features, (Plan("max"), *CATALOG.plans))


@pytest.mark.parametrize(("count", "seed"), rounds(40, 41, slow=400, seeds=(141, 142)))
def test_runs_of_one_sidecar_through_either_plane_keep_sequence_and_watermark(
    planes: Planes, count: int, seed: int
) -> None:
    """Each plane is asked for any run; what is refused or taken is as if there were one."""
    rng, watermark = seeded(seed), 0
    writer = Writer(ALICE)
    writer.write(*(record(1) for _ in range(count)))
    while watermark < count:
        first = rng.randint(max(1, watermark - 5), min(count, watermark + 3))
        last = min(count, first + rng.randrange(4))
        store = rng.choice(planes)
        if first > watermark + 1:
            with pytest.raises(SequenceGap) as gap:
                writer.push(store, first, last)
            assert watermark + 1 == gap.value.expected_sequence
            continue
        pushed = writer.push(store, first, last)
        assert (last, max(0, last - watermark)) == (pushed.watermark, pushed.added)
        watermark = max(watermark, last)
        greeting = Greeting(watermark, watermark, writer.chains[watermark], b"")
        welcome = ingest.greet(rng.choice(planes), ALICE, "", greeting, NOW_US)
        assert (watermark, False) == (welcome.watermark, welcome.fenced)
    assert [count, count] == [used(store) for store in planes]


@pytest.mark.parametrize("second", [0, 1], ids=["same plane", "other plane"])
def test_a_key_counts_once_whatever_planes_its_records_come_through(
    planes: Planes, second: int
) -> None:
    for incarnation, store in ((ALICE, planes[0]), (BOB, planes[second])):
        writer = Writer(incarnation)
        writer.write(record(5, key="k"))
        (total,) = writer.push(store).totals
        assert (5, 5) == (total.total, total.own)
    with planes[1 - second].read() as transaction:
        lines = transaction.lines(LineFilter("acme"), None, 10)
    assert ["", f"{ALICE}-1"] == [line.duplicate_of for line in lines]


def test_a_sidecar_that_one_plane_fenced_is_fenced_for_the_other(planes: Planes) -> None:
    original, clone = Writer(ALICE), Writer(ALICE)
    original.write(record(1), record(2))
    clone.write(record(3), record(4))
    original.push(planes[0])
    with pytest.raises(Fenced):
        clone.push(planes[1])
    original.write(record(5))
    with pytest.raises(Fenced):
        original.push(planes[0], 3)
    assert [3, 3] == [used(store) for store in planes]


def test_totals_that_either_plane_tells_have_versions_that_only_grow(planes: Planes) -> None:
    writer, versions = Writer(ALICE), []
    for at in range(1, 9):
        writer.write(record(1))
        # The clocks of two machines differ.
        pushed = writer.push(planes[at % 2], at, now_us=NOW_US - at % 2 * 1_000)
        versions += [total.version for total in pushed.totals]
        with planes[1 - at % 2].read() as transaction:
            (total,) = transaction.totals([key_of()], ALICE)
        assert (versions[-1], at) == (total.version, total.total)
    assert sorted(set(versions)) == versions


def test_a_catalog_that_one_plane_takes_the_other_gives_at_once(planes: Planes) -> None:
    one, other = planes
    set_up(one, "acme")
    with other.read() as transaction:
        assert CatalogSnapshot(1, CATALOG) == transaction.catalog()
    assert 2 == apply.apply(other, Desired(MORE), NOW_US).revision
    with one.read() as transaction:
        assert (2, CatalogSnapshot(2, MORE)) == (
            transaction.catalog_version(),
            transaction.catalog(),
        )
    assert None is snapshots.fetch(one, ["acme"], 2, ALICE, NOW_US).catalog
    assert 2 == apply.apply(one, Desired(MORE), NOW_US).revision, "nothing changes"


def test_a_watch_goes_on_at_either_plane(planes: Planes) -> None:
    set_up(planes[0], "a", "b")
    position = snapshots.start(planes[0], 0, False, NOW_US)
    told: list[tuple[list[str], list[str]]] = []
    changes = [
        Desired(companies=(company("c"),)),
        Desired(remove=("a",)),
        Desired(companies=(company("a"), company("d")), remove=("b",)),
    ]
    for at, change in enumerate([*changes, Desired()]):
        page, position = snapshots.next_page(planes[1 - at % 2], position, BOB, NOW_US)
        assert (at + 1, True) == (page.revision, page.complete)
        told.append(([snapshot.company for snapshot in page.snapshots], list(page.removed)))
        apply.apply(planes[at % 2], change, NOW_US)
    expected = [(["a", "b"], []), (["c"], []), ([], ["a"]), (["a", "d"], ["b"])]
    assert expected == told


def test_a_reader_of_one_plane_sees_the_state_at_its_first_question_to_the_end(
    planes: Planes,
) -> None:
    one, other = planes
    set_up(one, "acme")
    with one.read() as transaction:
        assert 1 == transaction.state().revision
        apply.apply(other, Desired(MORE, (company("globex"),), remove=("acme",)), NOW_US)
        seen = (transaction.catalog_version(), list(transaction.snapshots(["acme", "globex"])))
    assert (1, ["acme"]) == seen
    with one.read() as transaction:
        seen = (transaction.catalog_version(), list(transaction.snapshots(["acme", "globex"])))
    assert (2, ["globex"]) == seen


def test_a_new_epoch_that_one_plane_gives_is_the_others_too(planes: Planes) -> None:
    """A watcher that shows to both that state was lost is told of one new epoch by both."""
    set_up(planes[0], "a")
    before = epochs(planes)
    snapshots.start(planes[1], 7, False, NOW_US)
    after = epochs(planes)
    assert (1, 1) == (len(set(before)), len(set(after)))
    assert before != after


def epochs(planes: Planes) -> list[str]:
    found = []
    for store in planes:
        with store.read() as transaction:
            found.append(transaction.state().epoch)
    return found


def test_windows_that_one_plane_has_closed_are_not_due_at_the_other(planes: Planes) -> None:
    plane = RolloverPlane(planes[0])
    plane.apply(catalog_of(pro=monthly()), on_plan())
    plane.use(30)
    january, february = plane.key(plane.now_us), plane.key(utc(2026, 2, 1))
    assert [True, True] == [any_due(store, utc(2026, 2, 1)) for store in planes]
    assert [february] == close_windows(planes[1], RollingCatalogs(), utc(2026, 2, 1))
    assert [False, False] == [any_due(store, utc(2026, 2, 1)) for store in planes]
    assert [] == close_windows(planes[0], RollingCatalogs(), utc(2026, 2, 1))
    with planes[0].read() as transaction:
        windows = [transaction.rollover_window(key) for key in (january, february)]
    assert [(), (70,)] == [window.carried for window in windows if window]


def test_keys_that_one_plane_has_forgotten_are_not_there_for_the_other(planes: Planes) -> None:
    writer = Writer(ALICE)
    writer.write(record(5, key="k"))
    writer.push(planes[0])
    assert not sweep(planes[1], NOW_US + IDEMPOTENCY_US + 1)
    again = Writer(BOB)
    again.write(record(5, key="k"))
    again.push(planes[0])
    assert 10 == used(planes[1])
