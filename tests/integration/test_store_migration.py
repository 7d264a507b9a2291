"""What the previous version left on disk goes on: usage, answers, and what was to be sent."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.control.storage.sqlite.migrate import migrations
from sidecar.domain.company.model import MONTHLY, Company, Override, Subscription
from sidecar.domain.time.windows import Window, window_at
from sidecar.shared.convert.companies import company_from_message
from sidecar.storage.lmdb_engine import LmdbEngine
from tests.support.build import LIFETIME, limit, metered
from tests.support.daemons import ControlPlane, Sidecar, nobody
from tests.support.ledger import (
    CALLS,
    CounterName,
    check,
    flush,
    ledger_lines,
    ledger_sums,
    now_us,
    status,
    used_by_plane,
    used_by_sidecar,
)
from tests.support.lifecycle import Life, Usage, change_subscription

FILES: Final = Path(__file__).parent / "previous_version"
INCARNATION: Final = "09ee9b70-26af-4c33-871a-14e7b5c3ec42"
ANCHOR_US: Final = 1_738_278_000_000_000
"""2025-01-31T00:00:00 in Berlin."""
JUNE_US: Final = 1_750_008_504_000_000
"""When it was used: 2025-06-15."""
OLD_CALL: Final[dict[str, Any]] = {"idempotency_key": "old", "dimensions": {"user": "ann"}}
BILLING: Final[CounterName] = ("acme", CALLS, "billing", ())
TRIAL_ENDS_US: Final = 1_740_787_200_000_000
SUBSCRIPTION: Final = Subscription("basic", ANCHOR_US)
COMPANIES: Final = [
    Company("acme", time_zone="Europe/Berlin", subscription=SUBSCRIPTION),
    Company("globex", subscription=Subscription("basic", ANCHOR_US, TRIAL_ENDS_US)),
    Company(
        "hooli",
        subscription=SUBSCRIPTION,
        overrides=(Override(metered(CALLS, limit("all", 25, window=LIFETIME))),),
    ),
]
PLANS: Final = ["basic", "pro"]


def old_store(folder: Path) -> None:
    """Leave a store of format 1 where a sidecar in this folder looks for it."""
    (folder / "store").mkdir()
    engine = LmdbEngine(folder / "store", 64 << 20, sync_commits=False)
    kv = engine.begin()
    for line in (FILES / "store.txt").read_text().splitlines():
        if not line.startswith("#"):
            key, value = map(bytes.fromhex, line.split())
            kv.put(key, value)
    kv.commit()
    engine.close()


def old_database(file: Path) -> None:
    """Leave a database of schema 1."""
    connection = sqlite3.connect(file)
    number, schema = migrations()[0]
    assert 1 == number
    connection.executescript(schema + (FILES / "control.sql").read_text())
    connection.execute(f"PRAGMA application_id = {int.from_bytes(b'tlyd')}")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()


def used_by_acme(everyone: int) -> dict[CounterName, int]:
    """Usage of acme on counters whose windows never end."""
    return {
        ("acme", CALLS, "all", ()): everyone,
        ("acme", CALLS, "by_user", (("user", "ann"),)): 3,
        ("acme", CALLS, "by_user", (("user", "bob"),)): 1,
    }


async def test_a_store_of_format_1_decides_and_answers_as_before(tmp_path: Path) -> None:
    old_store(tmp_path)
    plane = ControlPlane(tmp_path / "control.db")  # it is never started
    async with Sidecar(tmp_path, nobody(tmp_path)) as sidecar:
        await sidecar.ready()
        said = await status(sidecar)
        assert (INCARNATION, 2, 1) == (
            said.incarnation,
            said.acknowledged_sequence,
            said.outbox_records,
        )
        assert used_by_acme(7) == await used_by_sidecar(sidecar, now_us(), ["acme"])
        acme, globex, hooli = (Life(plane, sidecar, name) for name in ("acme", "globex", "hooli"))
        await assert_snapshot_decides_windows(acme)
        assert "TRIAL_ENDED" == await globex.ask()
        assert ["ALLOWED", "LIMIT_EXCEEDED"] == [await hooli.ask(25), await hooli.ask(26)]

        again = await check(sidecar, "acme", CALLS, 3, **OLD_CALL)
        assert (True, True, 3) == (again.replayed, again.decision.allowed, again.decision.granted)
        assert f"{INCARNATION}-1" == again.record_id
        binding = again.decision.binding_limit
        assert ("by_user", 3, 2) == (binding.limit, binding.used, binding.remaining)
        with pytest.raises(grpc.aio.AioRpcError, match="ALREADY_EXISTS"):
            await check(sidecar, "acme", CALLS, 2, **OLD_CALL)
        assert Usage(7, 3) == await acme.usage()
        assert ["ALLOWED", "LIMIT_EXCEEDED"] == [await acme.use(3), await acme.use(1)]
        assert [] == sidecar.errors()


async def assert_snapshot_decides_windows(acme: Life) -> None:
    """The billing window is laid out by the company's time zone and anchor, and is a new one."""
    asked_us = now_us()
    billing = await acme.status("billing")
    months = [
        window_at(MONTHLY, at_us, time_zone="Europe/Berlin", anchor_us=ANCHOR_US)
        for at_us in (asked_us, now_us())  # the month may have ended just now
    ]
    shown = Window(billing.window_start.ToMicroseconds(), billing.resets_at.ToMicroseconds())
    assert shown in months
    assert 0 == billing.used


async def test_a_database_of_schema_1_keeps_what_it_knew_and_companies_go_on(
    tmp_path: Path,
) -> None:
    old_database(tmp_path / "control.db")
    async with ControlPlane(tmp_path / "control.db") as plane:
        assert (COMPANIES, PLANS) == await sold_by(plane)
        assert used_by_acme(6) == await used_by_plane(plane, now_us(), ["acme"])
        assert {**used_by_acme(6), BILLING: 6} == await used_by_plane(plane, JUNE_US, ["acme"])
        lines = await ledger_lines(plane, ["acme"])
        assert [3, 1, 2] == [line.quantity for line in lines]
        assert ("old", {"user": "ann"}) == (lines[0].idempotency_key, dict(lines[0].dimensions))
        assert {CALLS: 6} == await ledger_sums(plane)

        upgrade = control_pb2.ChangePlan(plan="pro", reset_usage=True)
        answer = await change_subscription(plane, "acme", plan=upgrade)
        reset_us = answer.effective_at.ToMicroseconds()
        assert ["basic", "pro"] == [segment.plan for segment in answer.snapshot.segments]
        assert {"Europe/Berlin"} == {segment.time_zone for segment in answer.snapshot.segments}
        assert {} == await used_by_plane(plane, now_us(), ["acme"])
        assert used_by_acme(6) == await used_by_plane(plane, reset_us - 1, ["acme"])
        assert 2 == answer.revision
        assert [] == plane.errors()


async def test_a_system_of_the_previous_version_goes_on_where_it_was(tmp_path: Path) -> None:
    old_store(tmp_path)
    old_database(tmp_path / "control.db")
    async with (
        ControlPlane(tmp_path / "control.db") as plane,
        Sidecar(tmp_path, plane.address) as sidecar,
    ):
        await flush(sidecar)
        lines = await ledger_lines(plane, ["acme"])
        assert {"old", "waiting", ""} == {line.idempotency_key for line in lines}
        assert (4, 7) == (len(lines), sum(line.quantity for line in lines))
        assert {**used_by_acme(7), BILLING: 7} == await used_by_plane(plane, JUNE_US, ["acme"])
        acme = Life(plane, sidecar, "acme")
        assert Usage(7, 3) == await acme.usage()
        await acme.change(plan=control_pb2.ChangePlan(plan="pro"))
        assert Usage(7, 93) == await acme.usage()
        await acme.change(reset_usage=control_pb2.ResetUsage())
        assert Usage(0, 100) == await acme.usage()
        assert "ALLOWED" == await acme.use(5)
        await flush(sidecar)
        assert 5 == await acme.used_at_plane()
        # It is the same store to the plane, which had to tell nothing apart.
        assert INCARNATION == (await status(sidecar)).incarnation
        assert [] == sidecar.seen("sync.fenced") + sidecar.errors() + plane.errors()


async def sold_by(plane: ControlPlane) -> tuple[list[Company], list[str]]:
    """Companies and keys of plans, as a plane tells them."""
    companies = await plane.control.ListCompanies(control_pb2.ListCompaniesRequest())
    catalog = await plane.control.GetCatalog(control_pb2.GetCatalogRequest())
    found = [company_from_message(company, "company") for company in companies.companies]
    return found, [plan.key for plan in catalog.catalog.catalog.plans]
