"""(i): how long a change at the plane takes to be obeyed, with a great many companies.

A plane, a sidecar that holds every company and one that holds those it sees, both under a light
load. Timed is from the call that makes a change to the first answer by the new limit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sidecar.control.services.apply import Desired, apply
from sidecar.control.storage.sqlite import SqliteStore
from tests.bench.catalogs import change_catalog, company
from tests.bench.change_kinds import PROBED_MAX
from tests.bench.figures import Section, nearest_rank, pair_differences, summary
from tests.bench.inside import now_us
from tests.bench.servers import Server, python, run_tool
from tests.bench.traffic import company_id
from tests.bench.workbench import Workbench

_KINDS: Final = ("plan", "replaced", "company")
_SIDECARS: Final = ("all", "on_demand")
_COMPANIES_A_STEP: Final = 10_000
_SECONDS_MAX: Final = 240.0


def measure_change(bench: Workbench) -> dict[str, Section]:
    """Section `change`: milliseconds from a change to the first decision by it."""
    companies = bench.sizes.snapshots
    bench.say(f"filling a control plane: {companies:,} companies")
    database = bench.new_folder("plane") / "control.db"
    fill_plane(database, companies)
    with (
        bench.plane(database) as plane,
        bench.connected(plane, "all") as everyone,
        bench.connected(plane, "on_demand") as some,
    ):
        bench.say(f"changes: {bench.sizes.changes} of a plan, and of companies")
        return {"change": _section(_probe(bench, plane, (everyone, some)))}


def fill_plane(database: Path, companies: int) -> None:
    """Make a control plane's database, with a catalog and companies on its first plan."""
    store = SqliteStore(database)
    try:
        apply(store, Desired(catalog=change_catalog(PROBED_MAX)), now_us())
        for first in range(0, companies, _COMPANIES_A_STEP):
            numbers = range(first, min(first + _COMPANIES_A_STEP, companies))
            part = tuple(company(company_id(number)) for number in numbers)
            apply(store, Desired(companies=part), now_us())
    finally:
        store.close()


def _probe(bench: Workbench, plane: Server, sidecars: Sequence[Server]) -> Mapping[str, Any]:
    arguments = ["--plane", plane.target]
    arguments += [part for sidecar in sidecars for part in ("--sidecar", sidecar.target)]
    arguments += ["--changes", str(bench.sizes.changes)]
    arguments += ["--companies", str(min(bench.sizes.companies, bench.sizes.snapshots))]
    arguments += ["--watches", str(bench.sizes.watches)]
    output = run_tool(python("tests.bench.change_probe", *arguments), _SECONDS_MAX)
    figures: Mapping[str, Any] = json.loads(output)
    return figures


def _section(figures: Mapping[str, Any]) -> Section:
    """The figures; what shows as rounds is each change.

    `after_answer` is counted from the answer to the change: below 0, a sidecar was faster.
    """
    rounds: dict[str, Sequence[float]] = {"told_p99_ms": figures["told_ms"]}
    tails = {"told_p99_ms": nearest_rank(figures["told_ms"], 99)}
    for kind in _KINDS:
        timings = figures[kind]
        rounds[f"{kind}_bytes"] = list(map(float, timings["message_bytes"]))
        rounds[f"{kind}_answered_p50_ms"] = timings["answered_ms"]
        for sidecar, obeyed_ms in zip(_SIDECARS, timings["obeyed_ms"], strict=True):
            name = f"{kind}_{sidecar}"
            rounds[f"{name}_p50_ms"] = rounds[f"{name}_p99_ms"] = obeyed_ms
            tails[f"{name}_p99_ms"] = nearest_rank(obeyed_ms, 99)
            rounds[f"{name}_after_answer_p50_ms"] = pair_differences(
                obeyed_ms, timings["answered_ms"]
            )
    return {**summary(rounds), **tails}
