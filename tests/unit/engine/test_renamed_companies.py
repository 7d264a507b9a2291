"""Checks of a company that was renamed; each test is named by its outcome."""

from __future__ import annotations

import msgspec
import pytest

from sidecar.domain.company.model import Company, CompanySnapshot
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.engine.enforce import Answer
from sidecar.engine.needs import NOTHING, Needs
from sidecar.storage import keys
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import HARD, catalog, check, company, limit, metered
from tests.support.inside import Inside

CATALOG = catalog({"basic": [metered("calls", limit("all", 10, enforcement=HARD))]})
NAMES = ("acme", "b", "acme-inc")


def snapshot(version: int, *names: str, of: Company | None = None) -> CompanySnapshot:
    return msgspec.structs.replace(compile_snapshot(of or company(), version), names=names)


def rename(sidecar: Inside, *names: str) -> None:
    sidecar.revision += 1
    sidecar.directory.apply(SnapshotChanges(companies=[snapshot(sidecar.revision, *names)]))


@pytest.fixture(params=[True, False], ids=["usual", "by the rules"])
def sidecar(request: pytest.FixtureRequest) -> Inside:
    return Inside(CATALOG, company(), usual=request.param)


def used(sidecar: Inside, name: str) -> int:
    return sidecar.question(0, company=name).usages[0].used


def test_all_ids_count_on_the_same_counters(sidecar: Inside) -> None:
    assert sidecar.decide(1).decision.allowed
    rename(sidecar, "b", "acme-inc")
    for name in NAMES:
        assert sidecar.decide(3, company=name).decision.allowed
    for name in NAMES:
        assert 10 == used(sidecar, name)
        assert not sidecar.decide(1, company=name).decision.allowed
    assert {"acme"} == {record.company for record in sidecar.records()}


def test_a_retry_under_another_id_is_the_same_call(sidecar: Inside) -> None:
    first = sidecar.decide(4, key="k")
    rename(sidecar, "acme-inc")
    for name in ("acme-inc", "acme"):
        again = sidecar.decide(4, company=name, key="k")
        assert (True, first.record_id) == (again.replayed, again.record_id)
    assert 4 == used(sidecar, "acme-inc")


def test_a_name_outlives_a_restart_and_goes_with_its_company(sidecar: Inside) -> None:
    rename(sidecar, "acme-inc")
    sidecar.decide(4, company="acme-inc")
    sidecar.reopen()
    assert 4 == used(sidecar, "acme-inc")
    sidecar.directory.apply(SnapshotChanges(removed=["acme"]))
    assert sidecar.directory.company("acme-inc", sidecar.now_us) is None
    assert not [key for key in sidecar.contents() if key.startswith(keys.COMPANY_NAMES)]


def test_a_name_that_the_plane_has_taken_back_leads_nowhere(sidecar: Inside) -> None:
    rename(sidecar, "acme-inc")
    sidecar.directory.apply(SnapshotChanges(companies=[snapshot(1)], replace=True))
    assert sidecar.directory.company("acme-inc", sidecar.now_us) is None
    assert sidecar.directory.company("acme", sidecar.now_us) is not None


def test_a_name_that_was_absent_is_not_absent_any_more(sidecar: Inside) -> None:
    sidecar.directory.remember_absent(["acme-inc"], sidecar.now_us + 1_000_000, 1)
    rename(sidecar, "acme-inc")
    assert [] == sidecar.directory.absent()
    assert sidecar.decide(1, company="acme-inc").decision.allowed
    sidecar.reopen()
    assert [] == sidecar.directory.absent()


def test_a_name_of_one_that_is_not_held_is_asked_for_again() -> None:
    sidecar = Inside(CATALOG)
    sidecar.directory.remember_absent(["acme-inc"], sidecar.now_us + 1_000_000, 1)
    sidecar.directory.note_called(["acme-inc", "never-asked"])
    asked = check("acme-inc", "calls", 1, at_us=sidecar.now_us)
    needs = sidecar.enforcer.check_and_increment(asked, sidecar.now_us, NOTHING)
    assert Needs(frozenset(("acme-inc",))) == needs
    sidecar.reopen()
    assert [] == sidecar.directory.absent()


def test_a_retry_of_what_was_counted_as_of_an_unknown_company_gets_its_answer() -> None:
    sold = msgspec.structs.replace(CATALOG, default_plan=CATALOG.plans[0].key)
    sidecar = Inside(sold, company())
    sidecar.directory.remember_absent(["acme-inc"], sidecar.now_us + 1_000_000, 1)
    first = sidecar.decide(4, company="acme-inc", key="k")
    assert first.decision.allowed
    rename(sidecar, "acme-inc")
    again = sidecar.decide(4, company="acme-inc", key="k")
    assert (True, first.record_id) == (again.replayed, again.record_id)
    assert 0 == used(sidecar, "acme-inc")


def test_one_that_is_wanted_by_another_id_is_not_evicted_for_others() -> None:
    sidecar = Inside(CATALOG, companies_held_max=1)
    with sidecar.directory.wanting(["acme-inc"]):
        rename(sidecar, "acme-inc")
        sidecar.apply(None, company("globex"))
        assert sidecar.directory.holds("acme-inc", sidecar.now_us)


def test_a_batch_may_name_one_company_by_all_its_ids(sidecar: Inside) -> None:
    rename(sidecar, "b", "acme-inc")
    checks = [check(name, "calls", 4, at_us=sidecar.now_us) for name in NAMES]
    outcomes = sidecar.enforcer.check_and_increment_each(checks, sidecar.now_us)
    assert not isinstance(outcomes, Needs)
    allowed = [each.decision.allowed for each in outcomes if isinstance(each, Answer)]
    assert [True, True, False] == allowed
    assert sidecar.enforcer.holds_all(set(NAMES), sidecar.now_us)
    sidecar.plane_status.part_heard["acme"] = 1
    assert not sidecar.enforcer.holds_all({"acme-inc"}, sidecar.now_us)
