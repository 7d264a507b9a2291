"""(l): what it costs that a check burns credits too, by the same requests on the same store."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from sidecar.domain.leases.model import Lease
from sidecar.storage.codec import StoredCounter
from sidecar.storage.lease_terms import LeaseTerms, write_lease_terms
from sidecar.storage.transaction import Transaction
from tests.bench.catalogs import (
    BALANCE,
    ONE_LIMIT,
    PRICED,
    PRICED_ALONE,
    company,
    credits_catalog,
)
from tests.bench.engine import run_alone
from tests.bench.figures import Section, pair_ratios, summary, turn_order
from tests.bench.inside import Engine, now_us, open_engine
from tests.bench.load import EIGHT
from tests.bench.prefill import write_snapshots
from tests.bench.traffic import CHECK, Traffic, company_id
from tests.bench.workbench import Workbench

_GRANTED: Final = 1_000_000_000
"""Far above what is counted on one company."""
_FEATURES: Final = (ONE_LIMIT, PRICED, PRICED_ALONE)


def measure_credits(bench: Workbench) -> dict[str, Section]:
    """Section `credits`: CPU time of a call that burns credits over that of one that does not."""
    traffics = {feature: Traffic(bench.sizes.companies, feature=feature) for feature in _FEATURES}
    store = _store(bench)
    spent: dict[str, list[float]] = {feature: [] for feature in _FEATURES}
    with bench.offline(store, traffics[ONE_LIMIT]) as server:
        pairs = [(feature, server) for feature in _FEATURES]
        for turn in bench.turns("credits"):
            for feature, asked in turn_order(pairs, turn):
                checks = traffics[feature].checks
                load = bench.load(asked, CHECK, checks, EIGHT, bench.sizes.parallel_calls)
                spent[feature].append(load.cpu_us_per_call)
    bench.say("credits in the engine alone")
    alone_us = run_alone(bench, [_store(bench) for _ in traffics], list(traffics.values()))
    rounds = {
        "ratio": pair_ratios(spent[PRICED], spent[ONE_LIMIT]),
        "engine_ratio": pair_ratios(alone_us[1], alone_us[0]),
        "no_limit_ratio": pair_ratios(spent[PRICED_ALONE], spent[ONE_LIMIT]),
        "no_limit_engine_ratio": pair_ratios(alone_us[2], alone_us[0]),
        "cpu_us_per_call": spent[PRICED],
        "without_cpu_us_per_call": spent[ONE_LIMIT],
        "engine_us_per_check": alone_us[1],
        "without_engine_us_per_check": alone_us[0],
    }
    return {"credits": summary(rounds)}


def _store(bench: Workbench) -> Path:
    """A store with companies, each of which has used something and holds leases of all it has."""
    folder = bench.new_folder("credits")
    companies = bench.sizes.companies
    with open_engine(folder) as engine:
        write_snapshots(engine.directory, credits_catalog(), company(company_id(0)), companies)
        write_lease_terms(engine.store, LeaseTerms(in_use=True))

        def write(transaction: Transaction) -> None:
            for number in range(companies):
                for feature in (*_FEATURES, BALANCE):
                    _write_counter(transaction, engine, company_id(number), feature)

        engine.store.transact(write)
    return folder


def _write_counter(transaction: Transaction, engine: Engine, company: str, feature: str) -> None:
    at_us = now_us()
    known = engine.directory.company(company, at_us)
    resolved = None if known is None else known.feature(feature)
    assert resolved is not None
    for meter in resolved.meters:
        address = meter.address({}, at_us)
        assert address is not None
        end_us = address.ref.window.end_us
        counter = StoredCounter(1, 0, 0, end_us)
        lease = Lease(_GRANTED, _GRANTED, end_us, 0)
        transaction.put_counter(address.key, replace(counter, lease=lease))
