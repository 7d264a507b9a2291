"""What the watch machine does, by outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from sidecar.domain.catalog.model import Catalog, CatalogSnapshot
from sidecar.domain.company.model import CompanySnapshot
from sidecar.sync.machine.watch import (
    HELD_BACK_BYTES_MAX,
    HELD_BACK_MAX,
    Apply,
    StartOver,
    WatchMachine,
    WatchStep,
)
from tests.support.build import total
from tests.support.stores import MONTHLY


def snapshot(name: str, version: int = 1) -> CompanySnapshot:
    return CompanySnapshot(name, version)


def catalog(version: int) -> CatalogSnapshot:
    return CatalogSnapshot(version, Catalog())


def step(
    revision: int,
    *companies: CompanySnapshot,
    complete: bool = True,
    epoch: str = "e",
    catalog: CatalogSnapshot | None = None,
    removed: Sequence[str] = (),
    **fields: Any,
) -> WatchStep:
    return WatchStep(epoch, revision, complete, catalog, companies, removed, **fields)


def applied(machine: WatchMachine, given: WatchStep) -> Apply:
    action = machine.stepped(given)
    assert isinstance(action, Apply)
    return action


def names(action: Apply) -> list[str]:
    return [company.company for company in action.companies]


def following(revision: int = 10) -> WatchMachine:
    machine = WatchMachine("e", revision)
    assert revision == machine.resume_revision()
    return machine


def test_a_complete_step_is_applied_with_its_position() -> None:
    action = applied(following(), step(12, snapshot("a"), catalog=catalog(12), removed=["b"]))
    expected = Apply("e", 12, catalog(12), (snapshot("a"),), ("b",), replace=False, all_known=False)
    assert expected == action


def test_what_could_not_be_applied_is_asked_for_again() -> None:
    machine = following()
    applied(machine, step(12, snapshot("a")))
    applied(machine, step(13, snapshot("b")))
    machine.not_applied()
    assert 12 == machine.resume_revision()
    assert 13 == applied(machine, step(13, snapshot("b"))).revision


def test_what_could_not_replace_replaces_the_next_time() -> None:
    machine = following()
    assert isinstance(machine.stepped(step(3, epoch="f")), StartOver)
    assert 0 == machine.resume_revision()
    assert applied(machine, step(3, snapshot("a"), epoch="f")).replace
    machine.not_applied()
    assert 0 == machine.resume_revision()
    again = applied(machine, step(3, snapshot("a"), epoch="f"))
    assert (True, True, 3) == (again.replace, again.all_known, again.revision)


def test_what_is_not_complete_is_held_back_and_applied_as_one() -> None:
    machine = following()
    assert machine.stepped(step(11, snapshot("a"), complete=False, catalog=catalog(11))) is None
    assert machine.stepped(step(12, complete=False, removed=["b"])) is None
    assert 10 == machine.revision
    action = applied(machine, step(13, snapshot("c")))
    assert (["a", "c"], ("b",), catalog(11), 13) == (
        names(action),
        action.removed,
        action.catalog,
        action.revision,
    )
    assert 13 == machine.revision == machine.resume_revision()


def test_of_two_changes_the_later_one_counts() -> None:
    machine = following()
    machine.stepped(step(11, snapshot("a", 11), complete=False, removed=["b", "c"]))
    machine.stepped(step(12, snapshot("b", 12), complete=False, removed=["a"]))
    action = applied(machine, step(13, snapshot("d", 13)))
    assert (["b", "d"], {"a", "c"}) == (names(action), set(action.removed))


def test_of_two_versions_the_later_one_is_applied() -> None:
    machine = following()
    machine.stepped(step(11, snapshot("a", 11), complete=False))
    action = applied(machine, step(12, snapshot("a", 12)))
    assert snapshot("a", 12) == action.companies[-1]


def test_a_stream_that_is_cut_off_resumes_from_what_was_applied() -> None:
    machine = following()
    machine.stepped(step(11, snapshot("a"), complete=False))
    assert 10 == machine.resume_revision()
    assert ["b"] == names(applied(machine, step(12, snapshot("b"))))


@pytest.mark.parametrize("revision", [10, 9], ids=["same", "older"])
def test_a_step_that_says_nothing_new_changes_nothing(revision: int) -> None:
    machine = following()
    assert machine.stepped(step(revision)) is None
    assert machine.stepped(step(revision, totals=[total(MONTHLY, 1, 0, 1)])) is None
    assert 10 == machine.revision


def test_a_position_without_changes_moves_on() -> None:
    action = applied(following(), step(12))
    assert (12, None, (), ()) == (
        action.revision,
        action.catalog,
        action.companies,
        action.removed,
    )


def test_a_position_never_goes_back() -> None:
    machine = following()
    assert 10 == applied(machine, step(9, snapshot("a"))).revision
    assert 10 == machine.revision


def test_a_start_from_nothing_is_used_as_it_comes_and_positioned_at_its_end() -> None:
    machine = WatchMachine("", 0)
    assert 0 == machine.resume_revision()
    first = applied(machine, step(5, snapshot("a"), complete=False, catalog=catalog(5)))
    assert (None, False, "e") == (first.revision, first.all_known, first.epoch)
    second = applied(machine, step(6, snapshot("b"), complete=False))
    assert (["b"], None, None) == (names(second), second.catalog, second.revision)
    assert 0 == machine.revision
    last = applied(machine, step(7, snapshot("c")))
    assert (["c"], 7, True) == (names(last), last.revision, last.all_known)


def test_a_start_from_nothing_that_is_cut_off_starts_from_nothing() -> None:
    machine = WatchMachine("", 0)
    machine.resume_revision()
    machine.stepped(step(5, snapshot("a"), complete=False))
    assert 0 == machine.resume_revision()
    assert applied(machine, step(7, snapshot("a"))).all_known


def test_only_the_first_completion_knows_all() -> None:
    machine = WatchMachine("", 0)
    machine.resume_revision()
    assert applied(machine, step(5, snapshot("a"))).all_known
    assert not applied(machine, step(6, snapshot("b"))).all_known
    machine.resume_revision()
    assert not applied(machine, step(7, snapshot("c"))).all_known


def test_after_the_start_changes_are_held_back_again() -> None:
    machine = WatchMachine("", 0)
    machine.resume_revision()
    applied(machine, step(5, snapshot("a")))
    assert machine.stepped(step(6, snapshot("b"), complete=False)) is None


def test_another_epoch_starts_over_and_replaces_what_is_held() -> None:
    machine = following()
    machine.stepped(step(11, snapshot("of the old epoch"), complete=False))
    given = step(3, snapshot("a"), epoch="f", catalog=catalog(3))
    assert isinstance(machine.stepped(given), StartOver)
    assert 0 == machine.resume_revision()
    first = applied(machine, step(2, snapshot("a"), epoch="f", complete=False))
    assert (["a"], True, None) == (names(first), first.replace, first.revision)
    last = applied(machine, step(3, epoch="f"))
    assert (True, True, 3, "f") == (last.replace, last.all_known, last.revision, last.epoch)
    assert not applied(machine, step(4, snapshot("b"), epoch="f")).replace


def test_a_cut_after_another_epoch_still_replaces() -> None:
    machine = following()
    machine.stepped(step(3, epoch="f"))
    machine.resume_revision()
    machine.stepped(step(2, snapshot("a"), epoch="f", complete=False))
    machine.resume_revision()
    assert applied(machine, step(3, snapshot("a"), epoch="f")).replace


def test_a_restart_after_another_epoch_notices_it_again() -> None:
    """The position on disk is of the old epoch until the new one is applied as a whole."""
    machine = following()
    machine.stepped(step(3, epoch="f"))
    restarted = following()
    assert isinstance(restarted.stepped(step(3, epoch="f")), StartOver)


def test_the_first_epoch_is_no_change() -> None:
    machine = WatchMachine("", 0)
    machine.resume_revision()
    assert not applied(machine, step(5, snapshot("a"))).replace


def test_what_is_held_back_is_bounded_and_applied_early() -> None:
    machine = following()
    early = []
    for n in range(HELD_BACK_MAX + 2):
        action = machine.stepped(step(11, snapshot(str(n)), complete=False))
        if action is not None:
            early.append(action)
    (only,) = early
    assert isinstance(only, Apply)
    assert (None, HELD_BACK_MAX + 1) == (only.revision, len(only.companies))
    assert (1, 10) == (machine.applied_early, machine.revision)
    assert [str(HELD_BACK_MAX + 1)] == names(applied(machine, step(12)))


def test_what_is_held_back_is_bounded_in_bytes_too() -> None:
    machine = following()
    half = HELD_BACK_BYTES_MAX // 2
    large = [
        msgspec.structs.replace(step(11, snapshot(name), complete=False), bytes=half + 1)
        for name in "abcd"
    ]
    for first, second in (large[:2], large[2:]):
        assert machine.stepped(first) is None
        early = machine.stepped(second)
        assert isinstance(early, Apply)
        assert (None, 2) == (early.revision, len(early.companies))
    assert (2, 10) == (machine.applied_early, machine.revision)
