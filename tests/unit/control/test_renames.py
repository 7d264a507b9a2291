"""Renaming a company on the plane; each test is named by its outcome."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from sidecar.control.services import apply, directory, snapshots, usage
from sidecar.control.services.apply import Applied, Desired
from sidecar.control.services.companies import create_company
from sidecar.control.services.overrides import revoke_override
from sidecar.control.services.renames import rename_company
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import LineFilter
from sidecar.domain.bounds import COMPANY_NAMES_MAX
from sidecar.domain.company.model import Company
from sidecar.domain.company.subscription_changes import NOW, ResetUsage
from sidecar.domain.errors import Conflict, FailedPrecondition, FieldError, InvalidInput, NotFound
from tests.unit.control.support import ALICE, BOB, NOW_US, Writer, company, record, set_up, used

BOTH = ("acme", "acme-inc")


def renamed(name: str = "acme-inc", before: str = "acme") -> Company:
    return msgspec.structs.replace(company(name), renamed_from=before)


def give(store: PlaneStore, *companies: Company, prune: bool = False) -> Applied:
    return apply.apply(store, Desired(companies=companies, prune=prune), NOW_US)


def fetched(
    store: PlaneStore, *names: str, accepts_names: bool = True
) -> snapshots.FetchedSnapshots:
    return snapshots.fetch(store, names, 0, ALICE, NOW_US, accepts_names=accepts_names)


def test_a_renamed_company_is_found_by_each_of_its_ids(store: PlaneStore) -> None:
    set_up(store, "acme")
    done = rename_company(store, "acme", "acme-inc")
    assert (2, True, "acme-inc") == (done.revision, done.renamed, done.company.id)
    for name in BOTH:
        stored = directory.get_company(store, name)
        assert ("acme-inc", "acme") == (stored.shown.id, stored.snapshot.company)
        assert (2, ("acme-inc",)) == (stored.snapshot.version, stored.snapshot.names)


def test_the_same_again_changes_nothing(store: PlaneStore) -> None:
    set_up(store, "acme")
    rename_company(store, "acme", "acme-inc")
    for name in BOTH:
        again = rename_company(store, name, "acme-inc")
        assert (2, False) == (again.revision, again.renamed)


def test_a_dry_run_changes_nothing(store: PlaneStore) -> None:
    set_up(store, "acme")
    done = rename_company(store, "acme", "acme-inc", dry_run=True)
    assert (1, True, "acme-inc") == (done.revision, done.renamed, done.company.id)
    with pytest.raises(NotFound):
        directory.get_company(store, "acme-inc")


def test_a_company_may_be_renamed_back_and_in_circles(store: PlaneStore) -> None:
    set_up(store, "acme")
    for name in ("b", "acme", "c", "b", "acme"):
        assert rename_company(store, "acme", name).renamed
        assert name == directory.get_company(store, "c" if name == "c" else "acme").shown.id
        assert [name] == directory.company_names(store, "", 10)
    assert ("c", "b", "acme") == directory.get_company(store, "b").snapshot.names


def test_a_company_has_so_many_ids_and_not_more(store: PlaneStore) -> None:
    set_up(store, "acme")
    for number in range(COMPANY_NAMES_MAX):
        rename_company(store, "acme", f"acme-{number}")
    with pytest.raises(FailedPrecondition) as caught:
        rename_company(store, "acme", "acme-more")
    assert "new_id" == caught.value.field
    assert rename_company(store, "acme", "acme-3").renamed


def removed(store: PlaneStore) -> None:
    apply.apply(store, Desired(remove=("globex",)), NOW_US)


def used_before(store: PlaneStore) -> None:
    removed(store)
    writer = Writer(BOB)
    writer.write(record(1, name="initech"))
    writer.push(store)


def also_called(store: PlaneStore) -> None:
    rename_company(store, "globex", "initech")


@pytest.mark.parametrize(
    ("before", "name", "told"),
    [
        (lambda _: None, "globex", "there is another company 'globex'"),
        (removed, "globex", "there was another company 'globex', which was removed"),
        (used_before, "initech", "usage was recorded for 'initech' already"),
        (also_called, "globex", "there is another company 'globex'"),
        (also_called, "initech", "'initech' was an id of company 'initech'"),
    ],
)
def test_an_id_that_leads_to_other_usage_is_refused(
    store: PlaneStore, before: Callable[[PlaneStore], None], name: str, told: str
) -> None:
    set_up(store, *("acme", "globex"))
    before(store)
    with pytest.raises(Conflict, match=told) as caught:
        rename_company(store, "acme", name)
    assert ("new_id", "ALREADY_EXISTS") == (caught.value.field, caught.value.reason)


def test_no_company_is_created_under_an_id_that_leads_to_another(store: PlaneStore) -> None:
    set_up(store, "acme")
    rename_company(store, "acme", "acme-inc")
    with pytest.raises(Conflict, match="'acme' was an id of company 'acme-inc'"):
        create_company(store, company("acme"), NOW_US)
    assert not create_company(store, company("acme-inc"), NOW_US).created


def test_one_that_was_removed_comes_back_under_its_last_id_with_its_usage(
    store: PlaneStore,
) -> None:
    set_up(store, "acme")
    writer = Writer()
    writer.write(record(7))
    writer.push(store)
    rename_company(store, "acme", "acme-inc")
    applied = apply.apply(store, Desired(remove=("acme",)), NOW_US)
    assert ["acme-inc"] == [change.key for change in applied.changes]
    made = create_company(store, company("acme-inc"), NOW_US)
    assert (True, "acme-inc") == (made.created, made.company.id)
    page = usage.company_usage(store, "acme-inc", "tokens", NOW_US)
    assert 7 == page.limits[0].used


@pytest.mark.parametrize("name", BOTH)
def test_calls_may_name_it_by_each_of_its_ids(store: PlaneStore, name: str) -> None:
    set_up(store, "acme")
    rename_company(store, "acme", "acme-inc")
    changed = change_subscription(store, name, ResetUsage(), NOW, NOW_US)
    assert ("acme-inc", "acme") == (changed.company.id, changed.snapshot.company)
    with pytest.raises(NotFound, match="no override"):
        revoke_override(store, name, "none", NOW_US)
    assert 0 == give(store, company(name)).changed


def test_usage_is_one_sum_whatever_it_was_recorded_under(store: PlaneStore) -> None:
    set_up(store, "acme")
    writer = Writer()
    writer.write(record(1), record(2, name="acme", key="k"))
    writer.push(store)
    rename_company(store, "acme", "acme-inc")
    # Of a sidecar that had not heard of it, and of one for which the default plan stood in.
    late = Writer(BOB)
    late.write(
        record(4, name="acme-inc", unattributed=True),
        record(8, name="acme-inc"),
        record(2, name="acme-inc", key="k"),
    )
    late.push(store)
    assert (15, 0) == (used(store), used(store, name="acme-inc"))
    for name in BOTH:
        sums, _ = usage.sum_usage(store, LineFilter(name), True, False, 10)
        assert [("acme-inc", 4, 15)] == [
            (each.company, each.records, each.quantity) for each in sums
        ]
        lines, _ = usage.list_lines(store, LineFilter(name), None, 10)
        assert {"acme-inc"} == {line.company for line in lines}
        assert [f"{ALICE}-2"] == [line.duplicate_of for line in lines if line.duplicate_of]
        assert 15 == usage.company_usage(store, name, "tokens", NOW_US).limits[0].used


def test_sidecars_that_read_names_get_it_by_each_id_and_those_of_before_by_the_first(
    store: PlaneStore,
) -> None:
    set_up(store, "acme")
    rename_company(store, "acme", "acme-inc")
    found = fetched(store, "acme-inc", "acme", "none")
    assert [("acme", ("acme-inc",))] == [(each.company, each.names) for each in found.snapshots]
    assert (["none"], []) == (found.unknown, found.left_out)
    of_before = fetched(store, "acme-inc", "acme", accepts_names=False)
    assert ["acme"] == [each.company for each in of_before.snapshots]
    assert ["acme-inc"] == of_before.unknown


def test_watchers_hear_of_a_rename(store: PlaneStore) -> None:
    revision = set_up(store, "acme")
    rename_company(store, "acme", "acme-inc")
    page, _ = snapshots.next_page(
        store, snapshots.start(store, revision, False, NOW_US), ALICE, NOW_US
    )
    assert [("acme", ("acme-inc",))] == [(each.company, each.names) for each in page.snapshots]


def test_a_file_renames_once_and_applied_again_changes_nothing(store: PlaneStore) -> None:
    set_up(store, "acme")
    first = give(store, renamed(), prune=True)
    (change,) = first.changes
    assert ("acme-inc", [("id", "acme", "acme-inc")]) == (
        change.key,
        [(field.path, field.before, field.after) for field in change.fields],
    )
    assert (1, 0) == (first.changed, first.unchanged)
    for again in (renamed(), company("acme-inc")):
        applied = give(store, again, prune=True)
        assert (first.revision, 0, 1) == (applied.revision, applied.changed, applied.unchanged)


def test_a_file_renames_and_changes_in_one_change(store: PlaneStore) -> None:
    set_up(store, "acme")
    applied = give(store, msgspec.structs.replace(renamed(), name="Acme Inc"))
    (change,) = applied.changes
    assert ["id", "name"] == [field.path for field in change.fields]
    stored = directory.get_company(store, "acme")
    assert ("acme-inc", "Acme Inc") == (stored.shown.id, stored.company.name)


def test_a_preview_of_a_rename_says_the_same_and_changes_nothing(store: PlaneStore) -> None:
    set_up(store, "acme")
    told = apply.preview(store, Desired(companies=(renamed(),)), NOW_US).changes
    assert "acme" == directory.get_company(store, "acme").shown.id
    assert told == give(store, renamed()).changes


def test_a_file_does_not_take_back_a_later_rename(store: PlaneStore) -> None:
    set_up(store, "acme")
    give(store, renamed())
    rename_company(store, "acme-inc", "acme-world")
    assert 0 == give(store, renamed()).changed
    assert "acme-world" == directory.get_company(store, "acme-inc").shown.id


def test_on_a_plane_that_has_neither_it_is_created_under_its_new_id(store: PlaneStore) -> None:
    set_up(store)
    assert ["acme-inc"] == [change.key for change in give(store, renamed()).changes]
    assert "acme-inc" == directory.get_company(store, "acme-inc").snapshot.company


@pytest.mark.parametrize(
    ("given", "field", "told"),
    [
        ((renamed(), company("acme")), "companies[0].renamed_from", "'acme' is here, too"),
        ((renamed(), renamed("other")), "companies[1].renamed_from", "'acme' is here, too"),
        ((renamed("acme"),), "companies[0].renamed_from", "must be another id"),
        ((renamed("globex"),), "companies[0].id", "there is another company 'globex'"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    store: PlaneStore, given: tuple[Company, ...], field: str, told: str
) -> None:
    set_up(store, "acme", "globex")
    with pytest.raises(FieldError, match=told) as caught:
        give(store, *given)
    assert field == caught.value.field


def test_a_company_is_given_by_one_of_its_ids(store: PlaneStore) -> None:
    set_up(store, "acme")
    rename_company(store, "acme", "acme-inc")
    with pytest.raises(InvalidInput, match="'acme' and 'acme-inc' are ids of one company"):
        give(store, company("acme"), company("acme-inc"))
