"""How many companies a store holds on demand, which of them go, and that they come back."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from sidecar.directory.company_cache import CompanyCache
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.errors import Exhausted
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import catalog, company, limit, metered
from tests.support.inside import Inside
from tests.support.method_calls import call
from tests.support.sidecar_api import ask
from tests.support.stores import MemoryDisk

CONTENT: Final = catalog({"basic": [metered("calls", limit("monthly", 100))]})
NAMES: Final = "abcdefghij"


def sidecar_of(held_max: int, cached_max: int = 1, disk: MemoryDisk | None = None) -> Inside:
    sidecar = Inside(
        CONTENT, companies_held_max=held_max, companies_cached_max=cached_max, disk=disk
    )
    sidecar.plane.companies = {name: company(name) for name in NAMES}
    return sidecar


async def use(sidecar: Inside, names: str) -> list[int]:
    """Check once for each company; what it has used then, 0 for a denial."""
    outcomes = [(await call("check", sidecar, ask(company=name)))[0] for name in names]
    return [outcome.response.decision.binding_limit.used for outcome in outcomes]


def held(sidecar: Inside) -> str:
    return "".join(sidecar.opened.snapshots.company_ids("", 1000))


def asked(sidecar: Inside) -> str:
    return "".join(name for names, _ in sidecar.plane.asked for name in names)


async def test_no_more_are_held_than_may_and_the_latest_stay() -> None:
    sidecar = sidecar_of(3)
    assert [1] * 10 == await use(sidecar, NAMES)
    assert "hij" == held(sidecar)


async def test_who_was_used_again_goes_later() -> None:
    sidecar = sidecar_of(3)
    await use(sidecar, "abca")
    await use(sidecar, "d")
    assert "acd" == held(sidecar)
    await use(sidecar, "ce")
    assert "cde" == held(sidecar)


async def test_who_went_is_fetched_again_and_has_its_usage_still() -> None:
    sidecar = sidecar_of(2)
    assert [1, 1, 1, 2, 2] == await use(sidecar, "abcab")
    assert "abcab" == asked(sidecar)


async def test_who_is_held_is_not_fetched() -> None:
    sidecar = sidecar_of(3)
    await use(sidecar, "abcabcabc")
    assert "abc" == asked(sidecar)


async def test_with_the_plane_away_those_held_are_decided_and_others_are_not() -> None:
    sidecar = sidecar_of(3)
    await use(sidecar, NAMES)
    sidecar.plane.away = True
    assert [0] * 7 + [2] * 3 == await use(sidecar, NAMES)


async def test_who_is_in_memory_stays_beyond_the_bound() -> None:
    sidecar = sidecar_of(2, cached_max=2)
    await use(sidecar, "ab")
    await use(sidecar, "c")
    assert ("abc", ["b", "c"]) == (held(sidecar), sidecar.directory.in_use())
    await use(sidecar, "d")
    assert ("bcd", ["c", "d"]) == (held(sidecar), sidecar.directory.in_use())


async def test_as_many_as_one_call_needs_are_held_for_it_and_go_with_the_next() -> None:
    sidecar = sidecar_of(3)
    outcomes = await call("batch", sidecar, *(ask(company=name) for name in "abcdefg"))
    assert [True] * 7 == [outcome.response.decision.allowed for outcome in outcomes]
    assert "abcdefg" == held(sidecar)
    await use(sidecar, "h")
    assert "fgh" == held(sidecar)


async def test_a_change_of_one_that_is_held_takes_no_room() -> None:
    sidecar = sidecar_of(3)
    await use(sidecar, "abc")
    sidecar.apply(None, company("a"), company("b"))
    assert "abc" == held(sidecar)


async def test_a_change_of_one_that_is_held_is_no_use_of_it() -> None:
    sidecar = sidecar_of(3)
    await use(sidecar, "abc")
    sidecar.apply(None, company("a"))
    await use(sidecar, "d")
    assert "bcd" == held(sidecar)


async def test_who_was_absent_and_has_come_is_fetched_again_after_it_went() -> None:
    sidecar = sidecar_of(1)
    assert [0] == await use(sidecar, "x")
    sidecar.plane.companies["x"] = company("x")
    sidecar.apply(None, company("x"))
    assert [1, 1, 1, 2] == await use(sidecar, "xabx")


async def test_room_that_a_removed_one_leaves_is_used() -> None:
    sidecar = sidecar_of(3)
    await use(sidecar, "abc")
    sidecar.directory.apply(SnapshotChanges(removed=["b"]))
    await use(sidecar, "d")
    assert "acd" == held(sidecar)


async def test_another_catalog_keeps_the_order_of_use() -> None:
    sidecar = sidecar_of(3, cached_max=3)
    await use(sidecar, "abca")
    sidecar.apply(CONTENT)
    await use(sidecar, "d")
    assert "acd" == held(sidecar)


async def test_after_a_restart_the_first_by_name_go_first_until_they_are_used() -> None:
    sidecar = sidecar_of(3)
    await use(sidecar, "cba")
    sidecar.reopen()
    await use(sidecar, "ad")
    assert "acd" == held(sidecar)


async def test_with_a_lower_bound_the_excess_goes_with_the_next_change() -> None:
    disk = MemoryDisk()
    await use(sidecar_of(6, disk=disk), "abcdef")
    sidecar = sidecar_of(2, disk=disk)
    assert "ef" == held(sidecar)


@pytest.mark.parametrize("way", ["check", "batch", "question"])
async def test_many_that_come_at_once_do_not_push_each_other_out_before_they_are_decided(
    way: str,
) -> None:
    sidecar = sidecar_of(2)
    calls = [call(way, sidecar, ask(company=name)) for name in NAMES]
    answers = await asyncio.gather(*calls)
    assert [True] * 10 == [outcome.response.decision.allowed for (outcome,) in answers]
    sidecar.apply(CONTENT)
    assert 2 == len(held(sidecar))


async def test_a_store_without_room_forgets_nobody() -> None:
    """What could not be written changes no order: who is stored is evicted in its turn."""
    disk = MemoryDisk()
    sidecar = sidecar_of(2, disk=disk)
    await use(sidecar, "ab")
    engine, bytes_max = disk.memory, "_max_bytes"
    setattr(engine, bytes_max, engine.used_bytes())
    with pytest.raises(Exhausted):
        sidecar.apply(None, company("a much longer name than before"))
    assert "ab" == held(sidecar)
    setattr(engine, bytes_max, 1 << 30)
    await use(sidecar, "c")
    assert "bc" == held(sidecar)


def test_looking_for_room_takes_as_long_with_many_in_use() -> None:
    """Those in use are not gone through: it is asked on the path of a call."""
    sidecar = sidecar_of(1000)
    companies = CompanyCache(sidecar.opened.snapshots, 1000)
    snapshots = [CompanySnapshot(str(number), 1) for number in range(1000)]
    companies.applied(snapshots, ())
    for snapshot in snapshots:
        companies.pin(snapshot.company)
    companies.unpin("500")

    class Looked(list[str]):
        def __contains__(self, company: object) -> bool:
            self.append(str(company))
            return False

    looked = Looked()
    companies.applied([CompanySnapshot("new", 1)], ())
    assert ["500"] == companies.to_evict([CompanySnapshot("new", 1)], looked)
    assert ["500"] == list(looked)
