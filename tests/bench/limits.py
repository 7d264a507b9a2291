"""(h): what more limits on one feature cost, by the same requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from tests.bench.catalogs import LIMIT_AND_RATE, ONE_LIMIT, TEN_LIMITS, company, limits_catalog
from tests.bench.engine import run_alone
from tests.bench.figures import Section, pair_ratios, summary, turn_order
from tests.bench.inside import open_engine
from tests.bench.load import EIGHT
from tests.bench.prefill import write_snapshots
from tests.bench.traffic import CHECK, Traffic, company_id
from tests.bench.workbench import Workbench

_FEATURES: Final = (ONE_LIMIT, TEN_LIMITS, LIMIT_AND_RATE)

_Spent: TypeAlias = Mapping[str, Sequence[float]]
"""CPU time by feature, in each round."""


def measure_limits(bench: Workbench) -> dict[str, Section]:
    """Section `limits`: CPU time of a call, of the server and of the engine alone."""
    calls_us, alone_us = _calls(bench), _alone(bench)
    rounds = {
        "ratio": pair_ratios(calls_us[TEN_LIMITS], calls_us[ONE_LIMIT]),
        "engine_ratio": pair_ratios(alone_us[TEN_LIMITS], alone_us[ONE_LIMIT]),
        "rate_ratio": pair_ratios(calls_us[LIMIT_AND_RATE], calls_us[ONE_LIMIT]),
        "rate_engine_ratio": pair_ratios(alone_us[LIMIT_AND_RATE], alone_us[ONE_LIMIT]),
    }
    for feature in _FEATURES:
        rounds[f"{feature}_cpu_us_per_call"] = list(calls_us[feature])
        rounds[f"{feature}_engine_us_per_check"] = list(alone_us[feature])
    return {"limits": summary(rounds)}


def _calls(bench: Workbench) -> _Spent:
    """Through one server, feature by feature."""
    traffics = _traffics(bench)
    spent: dict[str, list[float]] = {feature: [] for feature in _FEATURES}
    with bench.offline(_store(bench), traffics[ONE_LIMIT]) as server:
        for turn in bench.turns("limits"):
            for feature, traffic in turn_order(list(traffics.items()), turn):
                load = bench.load(server, CHECK, traffic.checks, EIGHT, bench.sizes.parallel_calls)
                spent[feature].append(load.cpu_us_per_call)
    return spent


def _alone(bench: Workbench) -> _Spent:
    """In the engine alone, on a store for each feature."""
    bench.say("limits in the engine alone")
    stores = [_store(bench) for _ in _FEATURES]
    spent = run_alone(bench, stores, list(_traffics(bench).values()))
    return dict(zip(_FEATURES, spent, strict=True))


def _traffics(bench: Workbench) -> dict[str, Traffic]:
    return {feature: Traffic(bench.sizes.companies, feature=feature) for feature in _FEATURES}


def _store(bench: Workbench) -> Path:
    folder = bench.new_folder("limits")
    with open_engine(folder) as engine:
        alike = company(company_id(0))
        write_snapshots(engine.directory, limits_catalog(), alike, bench.sizes.companies)
    return folder
