"""(m): what it costs to acquire a seat that is held already, beside a check on the same store."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sidecar.storage.seats import Seats, StoredSeat, count_seats
from sidecar.storage.transaction import Transaction
from tests.bench.catalogs import MEMBERS, company, seats_catalog
from tests.bench.figures import Section, pair_ratios, summary, turn_order
from tests.bench.inside import Engine, now_us, open_engine
from tests.bench.load import EIGHT, ONE, Callers
from tests.bench.prefill import write_snapshots
from tests.bench.traffic import ACQUIRE, CHECK, SEATS_EACH, Traffic, company_id, user_id
from tests.bench.workbench import Workbench

_SIDES: Final = (ACQUIRE, CHECK)


def measure_seats(bench: Workbench) -> dict[str, Section]:
    """Section `seats`: CPU time of a seat that is held already over that of a check."""
    traffic = Traffic(bench.sizes.companies)
    bodies = {ACQUIRE: traffic.acquisitions, CHECK: traffic.checks}
    spent: dict[str, list[float]] = {}
    callers: dict[Callers, int] = {
        EIGHT: bench.sizes.parallel_calls,
        ONE: bench.sizes.lone_calls,
    }
    with bench.offline(_store(bench), traffic) as server:
        for turn in bench.turns("seats"):
            for rpc in turn_order(_SIDES, turn):
                for who, calls in callers.items():
                    load = bench.load(server, rpc, bodies[rpc], who, calls)
                    name = ("" if rpc is ACQUIRE else "check_") + ("" if who is EIGHT else "lone_")
                    spent.setdefault(f"{name}cpu_us_per_call", []).append(load.cpu_us_per_call)
    rounds = {
        "ratio": pair_ratios(spent["cpu_us_per_call"], spent["check_cpu_us_per_call"]),
        "lone_ratio": pair_ratios(
            spent["lone_cpu_us_per_call"], spent["check_lone_cpu_us_per_call"]
        ),
        **spent,
    }
    return {"seats": summary(rounds)}


def _store(bench: Workbench) -> Path:
    """A store with companies whose holders have their seats."""
    folder = bench.new_folder("seats")
    companies = bench.sizes.companies
    with open_engine(folder) as engine:
        write_snapshots(engine.directory, seats_catalog(), company(company_id(0)), companies)
        seats = Seats(engine.store)

        def write(transaction: Transaction) -> None:
            for number in range(companies):
                _assign(transaction, engine, seats, company_id(number))

        engine.store.transact(write)
    return folder


def _assign(transaction: Transaction, engine: Engine, seats: Seats, company: str) -> None:
    at_us = now_us()
    known = engine.directory.company(company, at_us)
    members = None if known is None else known.feature(MEMBERS)
    address = None if members is None else members.meters[0].address({}, at_us)
    assert address is not None
    end_us = address.ref.window.end_us
    for number in range(SEATS_EACH):
        seats.put(transaction, address.key, user_id(number), StoredSeat(end_us, at_us, 0, 0))
    count_seats(transaction, address.key, end_us, SEATS_EACH)
