"""(j): what it costs that a limit is counted on by a lease, by the same requests."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from sidecar.domain.leases.model import Lease
from sidecar.storage.codec import StoredCounter
from sidecar.storage.lease_terms import LeaseTerms, write_lease_terms
from sidecar.storage.transaction import Transaction
from tests.bench.catalogs import ONE_LIMIT, company, limits_catalog
from tests.bench.engine import run_alone
from tests.bench.figures import Section, pair_ratios, summary, turn_order
from tests.bench.inside import Engine, now_us, open_engine
from tests.bench.load import EIGHT
from tests.bench.prefill import write_snapshots
from tests.bench.traffic import CHECK, Traffic, company_id
from tests.bench.workbench import Workbench

_GRANTED: Final = 1_000_000
"""Far above what is counted on one company."""
_LEASED: Final = (False, True)


def measure_leases(bench: Workbench) -> dict[str, Section]:
    """Section `leases`: CPU time of a call on a leased limit over that on a local one."""
    traffic = Traffic(bench.sizes.companies, feature=ONE_LIMIT)
    calls_us = _calls(bench, traffic)
    bench.say("leases in the engine alone")
    stores = [_store(bench, leased=leased) for leased in _LEASED]
    alone_us = dict(zip(_LEASED, run_alone(bench, stores, [traffic, traffic]), strict=True))
    rounds = {
        "ratio": pair_ratios(calls_us[True], calls_us[False]),
        "engine_ratio": pair_ratios(alone_us[True], alone_us[False]),
        "cpu_us_per_call": calls_us[True],
        "local_cpu_us_per_call": calls_us[False],
        "engine_us_per_check": alone_us[True],
        "local_engine_us_per_check": alone_us[False],
    }
    return {"leases": summary(rounds)}


def _calls(bench: Workbench, traffic: Traffic) -> dict[bool, list[float]]:
    """Through two servers, in turns; whether they count by leases is in their stores."""
    local, leased = (_store(bench, leased=leased) for leased in _LEASED)
    spent: dict[bool, list[float]] = {leased: [] for leased in _LEASED}
    with bench.offline(local, traffic) as one, bench.offline(leased, traffic) as other:
        for turn in bench.turns("leases"):
            for is_leased, server in turn_order([(False, one), (True, other)], turn):
                load = bench.load(server, CHECK, traffic.checks, EIGHT, bench.sizes.parallel_calls)
                spent[is_leased].append(load.cpu_us_per_call)
    return spent


def _store(bench: Workbench, *, leased: bool) -> Path:
    """A store with companies, each of which has used something, and perhaps holds a lease."""
    folder = bench.new_folder("leases")
    companies = bench.sizes.companies
    with open_engine(folder) as engine:
        write_snapshots(engine.directory, limits_catalog(), company(company_id(0)), companies)
        if leased:
            write_lease_terms(engine.store, LeaseTerms(in_use=True))

        def write(transaction: Transaction) -> None:
            for number in range(companies):
                _write_counter(transaction, engine, company_id(number), leased=leased)

        engine.store.transact(write)
    return folder


def _write_counter(transaction: Transaction, engine: Engine, company: str, *, leased: bool) -> None:
    at_us = now_us()
    known = engine.directory.company(company, at_us)
    feature = None if known is None else known.feature(ONE_LIMIT)
    address = None if feature is None else feature.meters[0].address({}, at_us)
    assert address is not None
    end_us = address.ref.window.end_us
    counter = StoredCounter(1, 0, 0, end_us)
    if leased:
        counter = replace(counter, lease=Lease(_GRANTED, _GRANTED, end_us, 0))
    transaction.put_counter(address.key, counter)
